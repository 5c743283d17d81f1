"""Which requests the server had."""

from __future__ import annotations

import threading
from typing import NamedTuple


class Request(NamedTuple):
    """One request, noted before its answer was sent.

    Attributes:
        path: without the query, decoded, as in "/v1/secret/data/a".
        status: 0 when the connection was dropped instead of answered.
        token: what the client sent as its token; "" without one.
    """

    method: str
    path: str
    status: int
    token: str


def full_path(prefix: str) -> str:
    """ "secret/data" and "/v1/secret/data" are the same to those who ask."""
    return prefix if prefix.startswith("/") else f"/v1/{prefix}"


class RequestLog:
    """The requests since the last `forget`, the oldest first. Any thread may use it.

    Attributes:
        connections: how many were accepted.
        most_at_once: the most requests that were being answered at the same moment.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self._running = 0
        self.connections = 0
        self.most_at_once = 0

    def all(self) -> list[Request]:
        with self._lock:
            return list(self._requests)

    def count(self, method: str | None, path_prefix: str) -> int:
        wanted = full_path(path_prefix)
        return sum(1 for r in self.all() if method in (None, r.method) and r.path.startswith(wanted))

    def note(self, request: Request) -> None:
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
