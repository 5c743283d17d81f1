"""What the API server, or the way to it, answers instead of what was asked for.

    ApiFailure                       one line: what was asked of which cluster, and why it was not done
    ├── Unreachable                  no connection, a timeout, half an answer, 5xx or 429 to the last: try later
    ├── Unauthorized                 401, also with credentials read afresh; or there are none to be read
    ├── Forbidden                    403: names the verb, and the RBAC rule that would allow it
    │   └── NamespaceTerminating     403: nothing can be created there any more
    ├── NotFound                     404: the object, its namespace, or the kind itself
    ├── Conflict                     409: somebody else's field, a precondition that does not hold, it exists already
    ├── Gone                         410: the past a list or a watch asked for is forgotten
    └── Refused                      422, 400, 413 and the rest: the same request will be refused again

A server repeats what it was sent: a 422 quotes the value, a webhook says what it likes. So its words are shown only
where the recorded answers have nothing but names and fields in them; the rest is said in ours.

The recorded answers are tests/stand_ins/kubernetes/recordings.jsonl (kube-apiserver 1.36); the forms of messages
are apimachinery's pkg/api/errors and pkg/util/validation/field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confsync.errors import ConfsyncError, SinkError
from confsync.sinks.kubernetes.resources import Resource
from confsync.text import printable

_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of which cluster.

    Attributes:
        verb: as RBAC has it: get, list, watch, create, update, patch, delete.
    """

    cluster: str
    verb: str
    resource: Resource
    namespace: str | None = None
    name: str | None = None

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace and self.name else self.name
        if where:
            return f"{self.verb} {self.resource.kind} {printable(where)}"
        if self.namespace:
            return f"{self.verb} {self.resource.plural} in namespace {printable(self.namespace)}"
        return f"{self.verb} {self.resource.plural}"


@dataclass(frozen=True, slots=True)
class Cause:
    """One of the reasons a server gives, free of values.

    Attributes:
        field: the path of the field: ".data.user" of a conflict, "data[tls.key]" of a refusal; "" if there is none.
        message: what is wrong with it.
        manager: whose field it is, where it is a conflict of field managers; else "".
    """

    field: str
    message: str
    manager: str = ""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class ApiFailure(ConfsyncError):
    """Base of all failures of a request.

    Attributes:
        asked: what was asked.
        why: one line: why it was not done, without what was asked; never a value.
        status: the HTTP status; 0 where there was no (whole) answer.
        reason: the server's word for it: "NotFound", "Conflict", "Invalid"…; "" where it has none.
        causes: which fields are concerned.
        retry_after: seconds after which the server wants to be asked again; None where it does not say.
    """

    def __init__(
        self,
        asked: Asked,
        why: str,
        *,
        status: int = 0,
        reason: str = "",
        causes: tuple[Cause, ...] = (),
        hint: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"cluster {asked.cluster!r}: cannot {asked}: {why}", hint=hint)
        self.asked = asked
        self.why = why
        self.status = status
        self.reason = reason
        self.causes = causes
        self.retry_after = retry_after


class Unreachable(ApiFailure):
    """No connection, a timeout, half an answer, or 5xx or 429 after all tries: worth trying again later.

    Attributes:
        sent: whether the request may have reached the server, and may have been carried out.
    """

    sent: bool = True


class Unauthorized(ApiFailure):
    """The server does not know who we are, also with credentials read afresh; or there are none to be read."""


class Forbidden(ApiFailure):
    """We may not do this; the hint is the RBAC rule that would allow it."""


class NamespaceTerminating(Forbidden):
    """The namespace is being deleted: nothing can be created in it any more."""


class NotFound(ApiFailure):
    """There is no such object.

    Attributes:
        missing: what is not there: "object", its "namespace", or the "kind" itself.
    """

    missing: str = "object"


class Conflict(ApiFailure):
    """Somebody else has the field, a precondition does not hold, or the object exists already (see reason)."""


class Gone(ApiFailure):
    """The past that was asked for is forgotten: list again."""


class Refused(ApiFailure):
    """The server will not take it: the same request will be refused again."""


def sink_error(target: str, failure: ApiFailure, doing: str) -> SinkError:
    """The error to raise (`from failure`) where `failure` kept a target from `doing`, such as "cannot be read"."""
    return SinkError(target, f"{doing}: {failure.why}", hint=failure.hint)


def of_answer(asked: Asked, status: int, body: object, retry_after: float | None = None) -> ApiFailure:
    """The failure a server's answer means.

    Args:
        status: 400 or more.
        body: the `Status` object as parsed, or None where it was none.
    """
    told: Mapping[str, Any] = body if isinstance(body, dict) else {}
    details = told.get("details")
    causes = _causes(details if isinstance(details, dict) else {})
    facts: dict[str, Any] = {
        "status": status,
        "reason": _word(told.get("reason")),
        "causes": causes,
        "retry_after": retry_after,
    }
    if status == 401:
        return Unauthorized(asked, "401: the server does not accept our credentials", **facts)
    if status == 403:
        return Forbidden(asked, "403: not allowed", **facts)
    if status == 404:
        return NotFound(asked, "404: it is not there", **facts)
    if status == 409:
        return Conflict(asked, _list("409: conflict", causes), **facts)
    if status == 410:
        return Gone(asked, "410: the server has forgotten that state", **facts)
    if status == 429 or status >= 500:
        return Unreachable(asked, f"the server answers {status}", **facts)
    return Refused(asked, _list(f"{status}: refused", causes), **facts)


def _causes(details: Mapping[str, Any]) -> tuple[Cause, ...]:
    given = details.get("causes")
    if not isinstance(given, list):
        return ()
    return tuple(_cause(one) for one in given if isinstance(one, dict))


_CONFLICT = re.compile(r'conflict with "([^"]*)"')


def _cause(given: Mapping[str, Any]) -> Cause:
    field, message = _short(given.get("field")), str(given.get("message") or "")
    conflict = _CONFLICT.match(message)
    if conflict:
        return Cause(field, f"set by {_short(conflict[1])!r}", _short(conflict[1]))
    return Cause(field, _word(given.get("reason")) or "refused")


def _list(head: str, causes: tuple[Cause, ...]) -> str:
    return f"{head}: {'; '.join(str(cause) for cause in causes)}" if causes else head


def _word(value: object) -> str:
    text = str(value or "")
    return text if re.fullmatch(r"[A-Za-z]{1,60}", text) else ""


def _short(value: object) -> str:
    return printable(str(value or ""))[:_LONGEST]
