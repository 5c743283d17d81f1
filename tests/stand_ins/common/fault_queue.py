"""The faults that wait for their requests."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Used(Protocol):
    """A fault: how many requests it still hits, None for all, and how many it has hit."""

    times: int | None
    hits: int


FaultT = TypeVar("FaultT", bound=Used)


class FaultQueue(Generic[FaultT]):
    """An ordered list: the first that fits a request is the one that hits it. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[FaultT] = []
        self._cleared = threading.Event()
        self._mine = threading.local()

    def add(self, fault: FaultT) -> FaultT:
        """Gives the fault, whose `hits` a test may read."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Forget them all, and let go of who waits because of one."""
        with self._lock:
            self._faults.clear()
        self.let_go()

    def let_go(self) -> None:
        """End every wait there is now."""
        with self._lock:
            cleared, self._cleared = self._cleared, threading.Event()
        cleared.set()

    def wait(self, seconds: float, ended: threading.Event) -> None:
        """Wait so long, but not beyond a `let_go` since this thread asked for the `first`; not at all once it ended."""
        if not ended.is_set():
            self._mine.cleared.wait(seconds)

    def first(self, fits: Callable[[FaultT], bool]) -> FaultT | None:
        """The fault that hits a request, which uses it up by one."""
        with self._lock:
            self._mine.cleared = self._cleared  # a `let_go` that comes before the wait counts too
            fault = next(filter(fits, self._faults), None)
            if fault is None:
                return None
            fault.hits += 1
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    self._faults.remove(fault)
            return fault
