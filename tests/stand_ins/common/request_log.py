"""Which requests a server had."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

R = TypeVar("R")


class RequestLog(Generic[R]):
    """The requests since the last `forget`, the oldest first. Any thread may use it.

    Attributes:
        connections: how many were accepted.
        most_at_once: the most requests that were being answered at the same moment.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[R] = []
        self._running = 0
        self.connections = 0
        self.most_at_once = 0

    def all(self) -> list[R]:
        with self._lock:
            return list(self._requests)

    def note(self, request: R) -> None:
        with self._lock:
            self._requests.append(request)

    def connected(self) -> None:
        with self._lock:
            self.connections += 1

    def began(self) -> None:
        with self._lock:
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)

    def ended(self) -> None:
        with self._lock:
            self._running -= 1

    def forget(self) -> None:
        with self._lock:
            self._requests.clear()
            self.connections, self.most_at_once = 0, self._running
