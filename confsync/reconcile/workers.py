"""The threads that handle what is due in a queue: some for each lane, so that no lane waits for another."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from confsync import backoff
from confsync.clock import Clock
from confsync.errors import ConfsyncError
from confsync.reconcile.queue import WorkQueue

log = logging.getLogger(__name__)

WORKERS = 4
"""How many there are for each lane."""


class Workers:
    """Any thread may use it. They end when the queue is shut down and all that was due is handled.

    Args:
        handle: does what one item asks for.
        name: what the threads are called: NAME-0, NAME-LANE-0.
    """

    def __init__(self, queue: WorkQueue, handle: Callable[[str], None], name: str) -> None:
        self._queue = queue
        self._handle = handle
        self._name = name
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin with what is due; a lane that is needed later gets its workers then."""
        self._queue.staff(self._hire)

    @property
    def are_alive(self) -> bool:
        """Whether one of them works, or waits for work."""
        return any(thread.is_alive() for thread in self._all())

    def join(self, deadline: float, clock: Clock) -> None:
        """Wait until they have ended, or it is `deadline` by `clock.monotonic`."""
        for thread in self._all():
            thread.join(timeout=max(0.0, deadline - clock.monotonic()))

    def _all(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._threads)

    def _hire(self, lane: str) -> None:
        name = f"{self._name}-{lane}" if lane else self._name
        hired = [
            threading.Thread(
                target=work, args=(self._queue, self._handle, lane), name=f"{name}-{i}", daemon=True
            )
            for i in range(WORKERS)
        ]
        with self._lock:
            self._threads += hired
        for thread in hired:
            thread.start()


def work(queue: WorkQueue, handle: Callable[[str], None], lane: str = "") -> None:
    """A worker: take items and handle them until the queue is shut down. A bug in one item does not end it."""
    while (item := queue.take(lane)) is not None:
        try:
            handle(item)
        except ConfsyncError as exc:  # the ledger cannot be written: a full disk, a directory gone read-only
            log.error("cannot be handled now; it is tried again", extra={"item": item, "error": str(exc)})
            queue.add(item, backoff.CEILING / 6)
        except Exception:
            log.exception("a bug: please report it", extra={"item": item})
            queue.add(item, backoff.CEILING)
        finally:
            queue.done(item)
