"""What a server's answer of 300 or more means, in words that may be shown.

A server repeats what it was sent: a 422 quotes the value, a webhook says what it likes. So of its words only those are
shown that are known, whole, to be nothing but names, fields and constants; everything else is said in ours.

The forms are those of tests/stand_ins/kubernetes/recordings.jsonl (kube-apiserver 1.36) and, where that has none, of
apimachinery's pkg/api/errors and pkg/util/validation/field. Server-side apply's errors come from
structured-merge-diff, which quotes values in every one but "field not declared in schema".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from confsync.sinks.kubernetes.failures import (
    ApiFailure,
    Asked,
    Cause,
    Conflict,
    Forbidden,
    Gone,
    NamespaceTerminating,
    NotFound,
    Refused,
    Unauthorized,
    Unreachable,
)
from confsync.sinks.kubernetes.rbac import denial
from confsync.text import plural, printable

_MOST_CAUSES = 5
_LONGEST = 200

_QUOTED = r'"(?P<value>(?:[^"\\]|\\.)*)"'
_FIELD = re.compile(
    r"\.?(?:data|binaryData|stringData|metadata|spec|type|immutable|kind|apiVersion|fieldManager|preconditions)\b"
    r"[ -~]*"
)
"""Where a field's path begins; what does not begin so is somebody's own text."""
_OWNED = re.compile(r'conflict with "([^"]*)"')
_NOT_DECLARED = re.compile(r": (\.[\w.\[\]-]{1,200}): field not declared in schema")
_UNREADABLE = ("failed to create typed", "failed to convert")
"""How a 500 begins that will be one again: what was sent does not have the kind's form."""
_ETCD = re.compile(r"etcdserver: [a-z ,]{3,80}")
_WEBHOOK = re.compile(r'webhook "([A-Za-z0-9._/-]{1,253})"')
_POLICY = re.compile(r"ValidatingAdmissionPolicy '([a-z0-9.-]{1,253})'")
_QUOTA = re.compile(r"exceeded quota: ([a-z0-9.-]{1,253}),")
_WITHHELD = "what it says is not shown, for it may quote a value"

_KINDS_OF_ERROR = frozenset(
    {
        "Invalid value", "Required value", "Duplicate value", "Unsupported value", "Not found", "Forbidden", "Too long",
        "Too many", "Internal error",
    }
)  # fmt: skip
_DETAILS = (
    (r"field is immutable(?: when `immutable` is set)?$", "the field is immutable"),
    (r"may not be more than (\d+) (bytes|characters|items)$", r"may not be more than \1 \2"),
    (r"must have at most (\d+) (bytes|characters|items)$", r"must have at most \1 \2"),
    (r"must be no more than (\d+) (bytes|characters)$", r"must be no more than \1 \2"),
    (r"is required for apply patch$", "is required for apply patch"),
    (
        r"a (?:DNS-1123|lowercase RFC 1123) subdomain must consist of",
        "must be a lowercase RFC 1123 subdomain",
    ),
    (r"a (?:DNS-1123|lowercase RFC 1123) label must consist of", "must be a lowercase RFC 1123 label"),
    (
        r"a valid config key must consist of",
        "a key may have letters, digits, '-', '_' and '.', and nothing else",
    ),
    (
        r"a valid label must be an empty string or consist of",
        "a label may have up to 63 letters, digits, '-', '_' and '.'",
    ),
    (r"name part must consist of", "the name may have letters, digits, '-', '_' and '.'"),
    (r'supported values: ((?:"[\w./-]{1,100}"(?:, |$))+)$', r"it may be \1"),
)
"""What a server may say of a field -> what is shown of it. All of them are constants, but for the numbers."""


def of_answer(
    asked: Asked, status: int, body: object, retry_after: float | None = None, text: bytes = b""
) -> ApiFailure:
    """The failure an answer means.

    Args:
        status: 300 or more.
        body: the `Status` object as parsed; anything else where it was none.
        retry_after: seconds, of the header.
        text: the body as it came; looked at for constants only.
    """
    told: Mapping[str, Any] = body if isinstance(body, dict) and body.get("kind") == "Status" else {}
    details = told.get("details")
    details = details if isinstance(details, dict) else {}
    message = str(told.get("message") or "")
    if retry_after is None:
        retry_after = _seconds(details.get("retryAfterSeconds"))
    facts: dict[str, Any] = {
        "status": status,
        "reason": _word(told.get("reason")),
        "causes": _causes(details),
        "retry_after": retry_after,
    }
    if status == 401:
        return Unauthorized(asked, "401: the server does not accept our credentials", **facts)
    if status == 404:
        return _not_found(asked, told, details, facts)
    if status == 410:
        return Gone(asked, "410: the server has forgotten that state", **facts)
    if status == 429:
        return Unreachable(asked, "429: the server has too much to do", **facts)
    admission = _admission(status, message)
    if admission and status < 500:
        return Refused(asked, admission, **facts)
    if status == 403:
        return _forbidden(asked, message, facts)
    if status == 409:
        return Conflict(asked, _conflict(message, facts), **facts)
    if status >= 500:
        return _broken(asked, admission, message, facts)
    return Refused(asked, _refused(status, facts, text), **facts)


def _not_found(
    asked: Asked, told: Mapping[str, Any], details: Mapping[str, Any], facts: Mapping[str, Any]
) -> NotFound:
    if not told or not details:
        why = f"404: the server knows no {asked.resource.plural} of {asked.resource.api_version}"
        failure = NotFound(asked, why, hint="is this the address of an API server?", **facts)
        failure.missing = "kind"
        return failure
    if details.get("kind") == "namespaces" and asked.resource.plural != "namespaces":
        why = f"404: there is no namespace {printable(str(asked.namespace))!r}"
        failure = NotFound(asked, why, hint="create it; confsync creates no namespaces", **facts)
        failure.missing = "namespace"
        return failure
    return NotFound(asked, "404: it does not exist", **facts)


def _forbidden(asked: Asked, message: str, facts: Mapping[str, Any]) -> ApiFailure:
    if any(cause.reason == "NamespaceTerminating" for cause in facts["causes"]):
        why = f"403: the namespace {printable(str(asked.namespace))!r} is being deleted"
        return NamespaceTerminating(asked, why, **facts)
    quota = _QUOTA.search(message)
    if quota:
        why = f"403: the namespace's ResourceQuota {quota[1]!r} is used up"
        return Refused(asked, why, hint="raise the quota, or have fewer objects", **facts)
    why, hint = denial(asked, message)
    return Forbidden(asked, why, hint=hint, **facts)


def _conflict(message: str, facts: Mapping[str, Any]) -> str:
    if facts["causes"]:
        return f"409: {_told(facts['causes'])}"
    if facts["reason"] == "AlreadyExists":
        return "409: it exists already"
    if "the UID in the precondition" in message:
        return "409: it was deleted and created again meanwhile"
    return "409: it was changed meanwhile"


def _broken(asked: Asked, admission: str, message: str, facts: Mapping[str, Any]) -> ApiFailure:
    status = facts["status"]
    if status == 500 and message.startswith(_UNREADABLE):
        return Refused(asked, f"500: the server cannot read what it was sent: {_unread(message)}", **facts)
    if admission:
        return Unreachable(asked, admission, **facts)
    etcd = _ETCD.search(message)
    return Unreachable(
        asked, f"{status}: the server failed ({etcd[0]})" if etcd else f"{status}: the server failed", **facts
    )


def _unread(message: str) -> str:
    field = _NOT_DECLARED.search(message)
    if field:
        return f"it knows no field {field[1]}"
    return "a value is no base64" if "illegal base64 data" in message else _WITHHELD


def _admission(status: int, message: str) -> str:
    """Which webhook or policy it was; "" if none."""
    hook, policy = _WEBHOOK.search(message), _POLICY.search(message)
    if hook and "denied the request" in message:
        return f"{status}: the admission webhook {hook[1]!r} refuses it; {_WITHHELD}"
    if hook and "failed calling webhook" in message:
        return f"{status}: the server cannot ask the admission webhook {hook[1]!r}"
    if policy and "denied request" in message:
        return f"{status}: the admission policy {policy[1]!r} refuses it; {_WITHHELD}"
    return ""


def _refused(status: int, facts: Mapping[str, Any], text: bytes) -> str:
    if b"Client sent an HTTP request to an HTTPS server" in text:
        return "the server speaks HTTPS, and was spoken to in HTTP; its address should begin with https://"
    if facts["causes"]:
        return f"{status}: {_told(facts['causes'])}"
    if status < 400:
        return f"{status}: it sends us elsewhere, which an API server does not do; is this its address?"
    if status == 413:
        return "413: it is larger than the server takes"
    if status == 415:
        return "415: the server does not know this form of a request; server-side apply needs Kubernetes 1.22"
    if status == 400:
        return f"400: the server cannot read what it was sent; {_WITHHELD}"
    return f"{status}: the server refuses it; {_WITHHELD}"


def _told(causes: tuple[Cause, ...]) -> str:
    told = "; ".join(dict.fromkeys(str(cause) for cause in causes[:_MOST_CAUSES]))
    more = len(causes) - _MOST_CAUSES
    return f"{told}; and {plural(more, 'more reason')}" if more > 0 else told


def _causes(details: Mapping[str, Any]) -> tuple[Cause, ...]:
    given = details.get("causes")
    if not isinstance(given, list):
        return ()
    return tuple(_cause(one) for one in given if isinstance(one, dict))


def _cause(given: Mapping[str, Any]) -> Cause:
    message, reason = str(given.get("message") or ""), _word(given.get("reason"))
    field = str(given.get("field") or "")
    field = printable(field)[:_LONGEST] if _FIELD.match(field) else ""
    owned = _OWNED.match(message)
    if owned:
        manager = printable(owned[1])[:_LONGEST]
        return Cause(field, f"set by {manager!r}", manager, reason)
    return Cause(field, _shown(message), "", reason)


def _shown(message: str) -> str:
    """What may be shown of a field error: its kind, never the value, and the detail where it is a constant."""
    kind, _, rest = message.partition(": ")
    if kind not in _KINDS_OF_ERROR:
        return "refused"
    rest = re.sub(rf"^{_QUOTED}(: |$)", "", rest, flags=re.DOTALL)
    for pattern, words in _DETAILS:
        found = re.match(pattern, rest)
        if found:
            return f"{kind}: {found.expand(words)}"
    return kind


def _word(value: object) -> str:
    text = str(value or "")
    return text if re.fullmatch(r"[A-Za-z]{1,60}", text) else ""


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int) and value > 0 else None
