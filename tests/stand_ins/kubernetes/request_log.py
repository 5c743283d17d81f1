"""Which requests the server had."""

from __future__ import annotations

from typing import NamedTuple

from stand_ins.common import request_log


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


class RequestLog(request_log.RequestLog[Request]):
    """The requests of this kind of server, which can be counted."""

    def count(self, verb: str | None, resource: str | None) -> int:
        return sum(1 for r in self.all() if verb in (None, r.verb) and resource in (None, r.resource))
