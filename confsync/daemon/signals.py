"""Signals as a queue of wishes the main thread takes one after the other."""

from __future__ import annotations

import queue
import signal
from enum import StrEnum
from types import FrameType


class Wish(StrEnum):
    """What somebody wants of the daemon."""

    STOP = "stop"
    RELOAD = "reload"
    DUMP = "dump"


_MEANINGS = {
    signal.SIGTERM: Wish.STOP,
    signal.SIGINT: Wish.STOP,
    signal.SIGHUP: Wish.RELOAD,
    signal.SIGUSR1: Wish.DUMP,
}


class Signals:
    """Catches signals from `install` on; use it from the main thread."""

    def __init__(self) -> None:
        # SimpleQueue.put may be called from a signal handler that interrupts another put: it is reentrant.
        self._wishes: queue.SimpleQueue[Wish] = queue.SimpleQueue()

    def install(self) -> None:
        """Begin to catch."""
        for number in _MEANINGS:
            signal.signal(number, self._caught)

    def _caught(self, number: int, frame: FrameType | None) -> None:
        self._wishes.put(_MEANINGS[signal.Signals(number)])

    def wait(self, timeout: float | None = None) -> Wish | None:
        """The next wish, or None when `timeout` seconds pass without one."""
        try:
            return self._wishes.get(timeout=timeout)
        except queue.Empty:
            return None
