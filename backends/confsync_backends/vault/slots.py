"""How many calls go out at the same time, and who gets through while some of them hang."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_RESERVED = 2
# Logins, renewals and lookups: without them all else ends.
_UPKEEP = ("auth/", "sys/leases/", "sys/wrapping/", "sys/internal/ui/mounts")


class Busy(Exception):
    """None became free in time. Never leaves this driver."""


class Slots:
    """Lets so many calls through at the same time, for all threads.

    Some are kept for logins, renewals and lookups: a quarter, at most two. Of the others one engine gets three
    quarters, so that reads of the rest get through while it hangs.
    """

    def __init__(self, most: int) -> None:
        self._others = most - min(_RESERVED, most // 4)
        self._all = threading.BoundedSemaphore(most)
        self._reads = threading.BoundedSemaphore(self._others)
        self._of_engines: dict[str, threading.BoundedSemaphore] = {}

    @contextmanager
    def taken(self, path: str, deadline: float) -> Iterator[None]:
        """A slot for a call, waited for until the deadline (of the monotonic clock).

        Args:
            path: what is called.

        Raises:
            Busy: none became free.
        """
        with ExitStack() as held:
            for slots in self._needed(path.strip("/")):
                if not slots.acquire(timeout=max(deadline - time.monotonic(), 0.0)):
                    raise Busy
                held.callback(slots.release)
            yield

    def _needed(self, path: str) -> tuple[threading.BoundedSemaphore, ...]:
        if path.startswith(_UPKEEP):
            return (self._all,)
        fresh = threading.BoundedSemaphore(self._others - self._others // 4)
        engine = self._of_engines.setdefault(path.partition("/")[0], fresh)
        return (engine, self._reads, self._all)
