"""What one render may use: time, the size of anything it builds, and how much the process may grow meanwhile.

A thread cannot be stopped from outside, so the render asks for permission instead: at every loop turn, call and
operator (`sandbox` sees to that) and at every chunk of output. What the checks cost was measured at about 0.3 µs a
turn.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from confsync.clock import Clock
from confsync.config.models import Limits
from confsync.errors import LimitExceeded
from confsync.units import format_duration

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TURNS_BETWEEN_LOOKS = 64
_MEMORY_LOOKS = 16
_GROWTH_ALLOWED = 256 * 1024**2
"""How much the whole process may grow during a render: beyond what other threads need, far below what kills a host."""

_CONTAINERS = (list, tuple, dict, set, frozenset)

_active = threading.local()


class Budget:
    """The limits of one render; belongs to the thread that renders."""

    __slots__ = ("_clock", "_deadline", "_growth", "_limits", "_looks", "_resident", "_turns")

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._deadline = clock.monotonic() + limits.time
        self._growth = max(_GROWTH_ALLOWED, 4 * limits.memory)
        self._resident = 0
        self._turns = 0
        self._looks = 0

    def turn(self) -> None:
        """Count one loop turn or call; look at the clock now and then.

        Raises:
            LimitExceeded: the render is too slow or grew too large.
        """
        self._turns += 1
        if self._turns % _TURNS_BETWEEN_LOOKS == 0:
            self.look()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Do not count the time spent within: it is a store's, not the template's."""
        began = self._clock.monotonic()
        try:
            yield
        finally:
            self._deadline += self._clock.monotonic() - began

    def look(self) -> None:
        """Look at the clock, and every few times at the process's size. Raises `LimitExceeded`."""
        if self._clock.monotonic() > self._deadline:
            raise LimitExceeded(
                f"rendering took longer than {format_duration(self._limits.time)}",
                hint="is there a loop that never ends? otherwise raise limits: {time: …}",
            )
        self._looks += 1
        if self._looks % _MEMORY_LOOKS != 0:
            return
        resident = _resident_bytes()
        self._resident = self._resident or resident
        if resident - self._resident > self._growth:
            raise LimitExceeded(f"rendering used more than {self._growth // 1024**2} MiB of memory")

    def size(self, length: int) -> None:
        """Allow a value of `length` bytes, characters or items, or raise `LimitExceeded`."""
        if length > self._limits.memory:
            raise LimitExceeded(
                f"rendering built up more than {self._limits.memory // 1024} KiB",
                hint="if that is right, raise limits: {memory: …}",
            )

    def written(self, value: object) -> None:
        """Allow `value` to be written out as text, or raise `LimitExceeded`.

        A list that holds one list twice, and so on, is small in memory and endless when written: its parts are
        counted as often as they would be written.
        """
        if not isinstance(value, _CONTAINERS):
            self.size(len(value) if isinstance(value, str | bytes) else 0)
            return
        length = 0
        left: list[object] = [value]
        while left:
            one = left.pop()
            self.turn()
            if isinstance(one, Mapping):
                left += [*one.keys(), *one.values()]
            elif isinstance(one, _CONTAINERS):
                left += one
            length += 2 + (len(one) if isinstance(one, str | bytes) else 0)
            self.size(length)


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE


@contextmanager
def limited(budget: Budget) -> Iterator[Budget]:
    """Make `budget` the one that counts in this thread."""
    previous = getattr(_active, "budget", None)
    _active.budget = budget
    try:
        yield budget
    finally:
        _active.budget = previous


@contextmanager
def waiting() -> Iterator[None]:
    """Do not count the time spent within against the render this thread is in, if it is in one."""
    budget = active()
    if budget is None:
        yield
        return
    with budget.waiting():
        yield


def active() -> Budget | None:
    """The budget of the render this thread is in."""
    return getattr(_active, "budget", None)
