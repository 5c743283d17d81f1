"""Hands what a thread receives to the one that waits for it: everything there is, at once."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")

_CAPACITY = 1000  # beyond it the receiver waits, and gRPC's flow control makes the server wait


class Mailbox(Generic[T]):
    """One thread puts, another takes. `close` unblocks both."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: list[T] = []
        self._end: Exception | None = None
        self._closed = False

    def put(self, item: T) -> bool:
        """Add an item, waiting while the box is full. False once it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < _CAPACITY or self._closed)
            if self._closed:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def end(self, reason: Exception) -> None:
        """Nothing more will come: once it is empty, `take` raises the reason."""
        with self._changed:
            self._end = reason
            self._changed.notify_all()

    def close(self) -> None:
        """Forget everything; `take` raises StopIteration from now on. Idempotent."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def take(self, timeout: float) -> list[T]:
        """Everything there is, waiting for at least one item; empty after `timeout` seconds.

        Raises:
            StopIteration: the box is closed.
            Exception: the reason given to `end`.
        """
        with self._changed:
            self._changed.wait_for(lambda: bool(self._items or self._end or self._closed), timeout)
            if self._closed:
                raise StopIteration
            if self._items:
                items, self._items = self._items, []
                self._changed.notify_all()
                return items
            if self._end is not None:
                raise self._end
            return []
