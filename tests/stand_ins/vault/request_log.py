"""Which requests the server had."""

from __future__ import annotations

from typing import NamedTuple

from stand_ins.common import request_log


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


class RequestLog(request_log.RequestLog[Request]):
    """The requests of this kind of server, which can be counted."""

    def count(self, method: str | None, path_prefix: str) -> int:
        wanted = full_path(path_prefix)
        return sum(1 for r in self.all() if method in (None, r.method) and r.path.startswith(wanted))
