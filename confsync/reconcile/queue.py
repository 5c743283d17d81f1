"""The work queue: names of what must be looked at again, each handled by one worker at a time, none forgotten.

An item is only a name. Whatever happened to it, however often, the answer is the same: look again. So the queue is
three sets and a heap, and these rules:

- added twice before it is taken, it is handled once;
- added while it is being handled, it is handled once more afterwards, never by two workers at once;
- added with a delay, it waits its time, unless another wish is due sooner;
- `settle` waits for quiet: each event restarts the short wait, and the long wait bounds it;
- first come, first served, so that a busy item cannot starve the others;
- each item is in a lane, and whoever takes, takes from one: what a cluster that hangs holds up is in its own;
- after `shut_down` nothing is taken that is not already due, and `take` gives None when all is handled.

Thread-safe. The clock is a parameter, so that tests choose the time.
"""

from __future__ import annotations

import heapq
import math
import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager

from confsync.clock import Clock


class _Lane:
    """What is due of one lane, and what those who take from it wait for."""

    def __init__(self, lock: threading.RLock) -> None:
        self.ready: deque[str] = deque()
        self.changed = threading.Condition(lock)


class WorkQueue:
    """See the module for what it promises.

    Args:
        lane_of: gives an item's lane; asked each time it becomes due, of any thread, and must not block.
    """

    def __init__(self, clock: Clock, lane_of: Callable[[str], str] = lambda _: "") -> None:
        self._clock = clock
        self._lane_of = lane_of
        self._lock = threading.RLock()
        self._lanes: dict[str, _Lane] = {}
        self._hire: Callable[[str], None] | None = None
        self._dirty: set[str] = set()
        self._processing: set[str] = set()
        self._delayed: dict[str, float] = {}
        self._settling: dict[str, float] = {}
        self._first: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._closed = False

    def add(self, item: str, delay: float = 0.0) -> None:
        """Have `item` looked at, now or after `delay` seconds; the sooner wish wins."""
        with self._lock:
            if self._closed:
                return
            if delay <= 0:
                self._enqueue(item)
            elif item not in self._dirty:
                due = self._clock.monotonic() + delay
                if due < self._delayed.get(item, math.inf):
                    self._delayed[item] = due
                    self._wait_until(item, due)

    def together(self) -> AbstractContextManager[object]:
        """Nothing is taken until all is added that is added in this block: one reload is for all of it, then."""
        return self._lock

    def settle(self, item: str, quiet: float, longest: float) -> None:
        """Have `item` looked at `quiet` seconds after the last `settle`, at the latest `longest` after the first."""
        if quiet <= 0:
            self.add(item)
            return
        with self._lock:
            if self._closed or item in self._dirty:
                return
            now = self._clock.monotonic()
            due = min(now + quiet, self._first.setdefault(item, now) + longest)
            self._settling[item] = due
            self._wait_until(item, due)

    def staff(self, hire: Callable[[str], None]) -> None:
        """Have `hire` called with each lane that has had something due, or will: for somebody to take from it.

        It is called once for each, of any thread; it must not take from the queue itself.
        """
        with self._lock:
            self._hire = hire
            for lane in self._lanes:
                hire(lane)

    def take(self, lane: str = "") -> str | None:
        """Block until an item of a lane is due and take it; None when the queue is shut down and none is left.

        The caller must call `done` with it.
        """
        with self._lock:
            own = self._lane(lane)
            while True:
                wait = self._promote()
                if own.ready:
                    item = own.ready.popleft()
                    self._dirty.discard(item)
                    self._processing.add(item)
                    return item
                if self._closed:
                    return None
                own.changed.wait(wait)

    def done(self, item: str) -> None:
        """The work on `item` has ended; if it was added meanwhile it is due again."""
        with self._lock:
            self._processing.discard(item)
            if item in self._dirty:
                self._make_ready(item)

    def shut_down(self) -> None:
        """Take no more; what is due is still handed out, what waits is dropped."""
        with self._lock:
            self._closed = True
            self._heap.clear()
            for lane in self._lanes.values():
                lane.changed.notify_all()

    def idle(self, besides: str | None = None) -> bool:
        """Whether nothing is due or being handled, apart from `besides`."""
        with self._lock:
            self._promote()
            return not ((self._dirty | self._processing) - {besides})

    def busy(self, item: str) -> bool:
        """Whether `item` is due or being handled."""
        with self._lock:
            return item in self._dirty or item in self._processing

    def _enqueue(self, item: str) -> None:
        for waiting in (self._delayed, self._settling, self._first):
            waiting.pop(item, None)
        if item in self._dirty:
            return
        self._dirty.add(item)
        if item not in self._processing:
            self._make_ready(item)

    def _make_ready(self, item: str) -> None:
        lane = self._lane(self._lane_of(item))
        lane.ready.append(item)
        lane.changed.notify()

    def _lane(self, name: str) -> _Lane:
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = _Lane(self._lock)
            if self._hire is not None:
                self._hire(name)
        return lane

    def _wait_until(self, item: str, due: float) -> None:
        heapq.heappush(self._heap, (due, item))
        self._lane(self._lane_of(item)).changed.notify()

    def _promote(self) -> float | None:
        """Enqueue what has become due; gives the seconds until the next, or None when nothing waits."""
        now = self._clock.monotonic()
        while self._heap:
            due, item = self._heap[0]
            if due not in (self._delayed.get(item), self._settling.get(item)):
                heapq.heappop(self._heap)  # it was added without delay, or its wait was moved
            elif due <= now:
                heapq.heappop(self._heap)
                self._enqueue(item)
            else:
                return due - now
        return None
