"""What one test's command sets up is not what the next test begins with."""

from __future__ import annotations

import logging
import signal
import sys
import threading

import pytest

from confsync.cli import interrupts
from confsync.logs import configure

from .own_process import LOGGERS, restored


def state() -> list[object]:
    levels = [logging.getLogger(name).level for name in LOGGERS]
    return [
        levels, logging.getLogger().handlers[:], sys.unraisablehook, threading.excepthook,
        signal.getsignal(signal.SIGINT),
    ]  # fmt: skip


def test_what_a_command_sets_up_is_undone() -> None:
    before = state()

    with restored():
        configure("text", "debug")
        interrupts.unwind()
        assert all(one != other for one, other in zip(state(), before, strict=True))

    assert state() == before


@pytest.fixture(scope="module")
def begun() -> list[list[object]]:
    """How each of the tests below began."""
    return []


@pytest.mark.parametrize("again", [False, True])
def test_every_test_begins_as_the_first(begun: list[list[object]], again: bool) -> None:
    begun.append(state())
    configure("json", "error")
    interrupts.unwind()

    assert all(one[0] == begun[0][0] and one[2:] == begun[0][2:] for one in begun)
