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

What a server's answer means, and which of its words are shown, is decided in `statuses`; what it means where none
came, in `losses`.
"""

from __future__ import annotations

from dataclasses import dataclass

from confsync.errors import ConfsyncError, SinkError
from confsync.sinks.kubernetes.resources import Resource
from confsync.text import printable


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of which cluster.

    Attributes:
        cluster: its name in `clusters`.
        verb: as RBAC has it: get, list, watch, create, update, patch, delete, deletecollection.
        namespace: None for everywhere, and for what is in none.
        name: None for all of them.
    """

    cluster: str
    verb: str
    resource: Resource
    namespace: str | None = None
    name: str | None = None

    def __str__(self) -> str:
        if self.name is not None:
            where = self.name if self.namespace is None else f"{self.namespace}/{self.name}"
            return f"{self.verb} {self.resource.kind} {printable(where)}"
        if self.namespace is not None:
            return f"{self.verb} {self.resource.plural} in namespace {printable(self.namespace)}"
        return f"{self.verb} {self.resource.plural}"


@dataclass(frozen=True, slots=True)
class Cause:
    """One of the reasons a server gives, free of values.

    Attributes:
        field: the path of the field: ".data.user" of a conflict, "data[tls.key]" of a refusal; "" if there is none.
        message: what is wrong with it, in words that may be shown.
        manager: whose field it is, where it is a conflict of field managers; else "".
        reason: the server's word: "FieldManagerConflict", "FieldValueRequired", "NamespaceTerminating"…; or "".
    """

    field: str
    message: str
    manager: str = ""
    reason: str = ""

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
        sent: whether the server may have had the request, and may have carried it out.
        silent: whether we waited in vain, so that whoever asks next would wait as long.
        passing: whether it may be over in a moment; a certificate nobody vouches for is not.
        files_gone: whether it is for want of a certificate or key that was there when the credentials were read.
    """

    sent: bool = True
    silent: bool = False
    passing: bool = True
    files_gone: bool = False


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
    """Somebody else has the field (see causes), a precondition does not hold, or it exists already (see reason)."""


class Gone(ApiFailure):
    """The past that was asked for is forgotten: list again."""


class Refused(ApiFailure):
    """The server will not take it: the same request will be refused again."""


def sink_error(target: str, failure: ApiFailure, doing: str) -> SinkError:
    """The error to raise (`from failure`) where `failure` kept a target from `doing`, such as "cannot be read"."""
    return SinkError(
        target,
        f"{doing}: {failure.why}",
        hint=failure.hint,
        unanswered=isinstance(failure, Unreachable),
        unknown=isinstance(failure, Unreachable) and failure.sent,
    )
