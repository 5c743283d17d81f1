"""Somebody else who writes a target for ever is not fought at full speed, and is left alone by nobody either."""

from __future__ import annotations

import os
import threading
from datetime import datetime

import pytest

from confsync.reconcile.contention import PATIENCE, Contention
from confsync.testing.waiting import eventually


class Clock:
    time = 1000.0

    def monotonic(self):
        return self.time

    def now(self):
        return self.time


@pytest.fixture
def fight(workspace):
    """Another program that writes `out/a` again as soon as it is healed; gives how to stop it."""
    ended = threading.Event()

    def write():
        path, staged = workspace.out / "a", workspace.root / "other"
        while not ended.wait(0.002):
            if workspace.read("a") != "other":
                staged.write_text("other")
                os.replace(staged, path)

    writer = threading.Thread(target=write, daemon=True)

    def stop():
        ended.set()
        writer.join(30)

    writer.start()
    yield stop
    stop()


def test_a_target_somebody_keeps_changing_is_healed_ever_more_rarely_and_said_so_once(workspace, request):
    workspace.values({"host": "db1"})
    workspace.config(
        defaults={"interval": "1h"},
        syncs={
            name: {"template": {"inline": "{{ values('host') }}"}, "to": f"out/{name}", **more}
            for name, more in {"a": {"reload": {"shell": "echo x >> loads"}}, "b": {}}.items()
        },
    )
    with workspace.daemon() as daemon:
        workspace.wait_content("a", "db1")
        workspace.wait_state("a", "ok")
        workspace.wait_state("b", "ok")
        stop = request.getfixturevalue("fight")
        daemon.wait_log("target healed", sync="a", times=PATIENCE)
        daemon.wait_log("someone else keeps changing a target", sync="a")

        # 0.1, 0.2, 0.4 seconds and so on: the next four take more than a second, where they took some milliseconds.
        first = daemon.lines("target healed", sync="a")[PATIENCE - 1]
        later = daemon.wait_log("target healed", sync="a", times=PATIENCE + 4)
        assert at(later) - at(first) > 1

        # Other targets are healed at once all the while.
        (workspace.out / "b").unlink()
        daemon.wait_log("target healed", sync="b")

        stop()
        eventually(lambda: workspace.read("a") == "db1")
        assert len(daemon.lines("someone else keeps changing a target")) == 1


def at(line):
    """When it was logged, in seconds."""
    return datetime.fromisoformat(line.facts["time"]).timestamp()


def test_the_first_heals_of_a_target_are_made_at_once():
    contention = Contention(Clock())
    assert [contention.healed("/a") for _ in range(PATIENCE - 1)] == [False] * (PATIENCE - 1)
    assert contention.pause("/a") == 0


def test_pauses_grow_to_half_a_minute_and_no_further():
    clock = Clock()
    contention = Contention(clock)
    for _ in range(PATIENCE + 20):
        contention.healed("/a")
        clock.time += contention.pause("/a")
    contention.healed("/a")
    assert 20 < contention.pause("/a") < 40
    assert contention.pause("/other") == 0


def test_a_fight_is_told_once_however_long_it_lasts():
    clock = Clock()
    contention = Contention(clock)
    told = []
    for _ in range(50):
        told.append(contention.healed("/a"))
        clock.time += contention.pause("/a") + 1
    assert told.count(True) == 1


def test_after_a_while_of_peace_a_heal_is_made_at_once_again():
    clock = Clock()
    contention = Contention(clock)
    for _ in range(PATIENCE + 3):
        contention.healed("/a")
    clock.time += 60
    assert contention.healed("/a") is False
    assert contention.pause("/a") == 0
