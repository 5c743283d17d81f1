"""Which requests the server had."""

from __future__ import annotations

import threading
from typing import NamedTuple


class Request(NamedTuple):
    """One request, noted before its answer was sent; a watch when it began.

    Attributes:
        verb: as RBAC has it: get, list, watch, create, update, patch, delete, deletecollection.
        resource: "secrets", "deployments/status"; the path of what is no resource.
        name: "" for a collection.
        status: 0 when the connection was dropped instead of answered.
        user: "" when the token was nobody's.
        url: the path and the query, as sent.
    """

    verb: str
    resource: str
    namespace: str
    name: str
    status: int
    user: str
    method: str
    url: str


class RequestLog:
    """The requests since the last `forget`, the oldest first. Any thread may use it.

    Attributes:
        connections: how many were accepted.
        most_at_once: the most requests, watches too, that were being answered at the same moment.
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

    def count(self, verb: str | None, resource: str | None) -> int:
        return sum(1 for r in self.all() if verb in (None, r.verb) and resource in (None, r.resource))

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
