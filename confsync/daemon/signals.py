"""Signals as a queue of wishes the main thread takes one after the other."""

from __future__ import annotations

import os
import select
import signal
from enum import StrEnum
from types import FrameType


class Wish(StrEnum):
    """What somebody wants of the daemon."""

    STOP = "stop"
    RELOAD = "reload"
    DUMP = "dump"


_MEANINGS: dict[int, Wish] = {
    signal.SIGTERM: Wish.STOP,
    signal.SIGINT: Wish.STOP,
    signal.SIGHUP: Wish.RELOAD,
    signal.SIGUSR1: Wish.DUMP,
}


class Signals:
    """Catches signals from `install` on; use it from the main thread.

    They come through a pipe, written to whichever thread the system interrupts. A main thread that waits for a lock or
    a queue is woken only when it is interrupted itself: a SIGTERM that met another thread would be forgotten until the
    next one.
    """

    def __init__(self) -> None:
        self._out, self._in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def install(self) -> None:
        """Begin to catch."""
        for number in _MEANINGS:
            signal.signal(number, _caught)
        signal.set_wakeup_fd(self._in, warn_on_full_buffer=False)

    def wait(self, timeout: float | None = None) -> Wish | None:
        """The next wish, or None when `timeout` seconds pass without one."""
        poller = select.poll()
        poller.register(self._out, select.POLLIN)
        while poller.poll(None if timeout is None else timeout * 1000):
            wish = _MEANINGS.get(os.read(self._out, 1)[0])
            if wish is not None:
                return wish
        return None


def _caught(_number: int, _frame: FrameType | None) -> None:
    """What matters has been written to the pipe already."""
