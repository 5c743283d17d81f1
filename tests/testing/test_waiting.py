"""Waiting ends when the condition holds, or with a reason."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from confsync.testing.waiting import eventually, pause


def test_what_the_condition_gives_is_given_back():
    assert eventually(lambda: "found") == "found"


def test_it_is_looked_at_until_it_holds():
    seen = []
    assert eventually(lambda: seen.append(1) or len(seen) == 4)


def test_a_condition_made_true_by_another_thread_is_noticed():
    event = threading.Event()
    threading.Timer(0.02, event.set).start()
    assert eventually(event.is_set)


def test_when_time_is_up_the_condition_is_named():
    def never():
        return False

    with pytest.raises(AssertionError, match=r"not so within 0.01 s: .*never \(.*test_waiting.py:\d+\)"):
        eventually(never, within=0.01)


def test_when_time_is_up_its_last_assertion_is_the_reason():
    def never():
        assert 1 + 1 == 3, "arithmetic"

    with pytest.raises(AssertionError, match="arithmetic"):
        eventually(never, within=0.01)


def test_other_errors_are_raised_at_once():
    with pytest.raises(KeyError):
        eventually(lambda: {}["x"])


def test_a_process_that_is_paused_has_stopped():
    with subprocess.Popen(["sleep", "60"]) as process:
        pause(process.pid)

        assert Path(f"/proc/{process.pid}/stat").read_text().split()[2] == "T"
        process.kill()
