"""What is watched stays watched, and what was removed while it was written goes all the same."""

from __future__ import annotations

import shutil

import pytest
from watchdog.events import DirDeletedEvent

from confsync.clock import SystemClock
from confsync.daemon.daemon import Daemon, Settings
from confsync.daemon.file_watch import FileWatch
from confsync.ledger import state_dir
from confsync.ledger.ledger import open_ledger
from confsync.source.changes import Event
from confsync.testing.waiting import eventually


@pytest.fixture
def told():
    return []


@pytest.fixture
def watch(told):
    watch = FileWatch(lambda path, unwatched: told.append((path, unwatched)), lambda *_: None)
    watch.start()
    yield watch
    watch.stop()


def test_who_asks_for_a_watch_learns_whether_it_begins_only_now(watch, tmp_path):
    one, other = str(tmp_path / "one"), str(tmp_path / "other")
    assert watch.watch_path(one) is True
    assert watch.watch_path(one) is False
    assert watch.watch_path(other) is False, "of the same directory"
    assert watch.watch_path(str(tmp_path / "missing" / "x")) is False


def test_a_watch_that_went_with_its_directory_is_said_to_be_gone_and_begins_again(watch, told, tmp_path):
    directory = tmp_path / "out"
    for _ in range(3):
        directory.mkdir()
        assert watch.watch_path(str(directory / "x")) is True
        told.clear()
        shutil.rmtree(directory)
        eventually(lambda: (str(directory / "x"), True) in told)


@pytest.fixture
def daemon(workspace):
    workspace.values({"host": "db1"})
    workspace.config(syncs={"a": {"template": {"inline": "{{ values('host') }}"}, "to": "out/a"}})
    state_dir.prepare(workspace.state)
    ledger = open_ledger(workspace.state, SystemClock())
    daemon = Daemon(Settings(workspace.file), ledger)
    yield daemon
    daemon.controller.core.close()
    ledger.close()


def test_a_target_whose_watch_is_gone_is_reconciled_though_it_is_as_it_should_be(workspace, daemon):
    """A look alone finds nothing to do, and would leave it without a watch."""
    path = str(workspace.out / "a")
    daemon._watch_target(f"file:{path}", "a")

    daemon._files.dispatch(str(workspace.out), False, DirDeletedEvent(str(workspace.out)))

    assert daemon._queue.busy("a")


def handled(daemon):
    """Do all that is due, as a worker does; gives what it was."""
    items = []
    while not daemon._queue.idle():
        item = daemon._queue.take()
        daemon._handle(item)
        daemon._queue.done(item)
        items.append(item)
    return items


def test_a_target_that_is_watched_again_is_looked_at(workspace, daemon):
    """Somebody may have changed it since it was written, when nobody watched."""
    daemon.controller.core.hub.refresh()
    daemon._queue.add("a")
    assert handled(daemon)[-1] == "@look a", "it is new"
    daemon._queue.add("a")
    assert handled(daemon) == ["a"], "it is known"

    workspace.out.rename(workspace.root / "elsewhere")
    workspace.out.mkdir()
    daemon._queue.add("a")

    assert handled(daemon)[:2] == ["a", "@look a"]
    assert workspace.read("a") == "db1"


def test_syncs_that_one_event_wakes_are_taken_up_together(daemon, monkeypatch):
    """Or the first of them has its reload before the second is known to change."""
    held = []
    wake = lambda *_: held.append(daemon._queue._lock._is_owned())  # noqa: E731
    for way in ("add", "settle"):
        monkeypatch.setattr(daemon._queue, way, wake)

    daemon.controller.on_source(Event("values", None))
    daemon.controller.resync()

    assert held == [True, True, False], "the last cleans up"


def test_a_sync_that_is_removed_while_it_is_written_takes_its_target_with_it(workspace):
    workspace.values({"host": "db1"})
    text = {"inline": "{{ values('host') }}"}
    check = workspace.script("check", "touch begun; while [ ! -e go ]; do sleep 0.01; done")
    kept = {"a": {"template": text, "to": "out/a"}}
    workspace.config(
        syncs=kept | {"b": {"template": text, "to": "out/b", "check": [check]}}, defaults={"interval": "1h"}
    )
    with workspace.daemon() as daemon:
        workspace.wait_state("a", "ok")
        eventually((workspace.root / "begun").exists)
        workspace.config(syncs=kept, defaults={"interval": "1h"})
        daemon.wait_log("configuration reloaded")

        (workspace.root / "go").touch()

        daemon.wait_log("target deleted", sync="b")
        eventually(lambda: set(workspace.syncs()) == {"a"})
        assert workspace.read("b") is None
