"""What the server says when it does not do as it was asked: `Status` objects, as recordings.jsonl has them.

Sources of what was not recorded: apimachinery's pkg/api/errors and pkg/util/validation/field.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


def copied(value: Any) -> Any:
    """A deep copy of JSON, several times faster than copy.deepcopy."""
    if isinstance(value, dict):
        return {name: copied(below) for name, below in value.items()}
    return [copied(item) for item in value] if isinstance(value, list) else value


class Refused(Exception):
    """The request ends here, with an error status and a `Status` (or a page of plain text)."""

    def __init__(
        self,
        code: int,
        reason: str | None,
        message: str,
        details: Json | None = None,
        *,
        headers: dict[str, str] | None = None,
        text: str | None = None,
        continues: str | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.headers = headers or {}
        self.text = text
        self.body = status_of(code, reason, message, details, continues)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with one field.

    Attributes:
        reason: FieldValueInvalid, FieldValueRequired, …
        text: its kind and what is wrong, as in "Invalid value: 1: must be …".
    """

    field: str
    reason: str
    text: str

    def __str__(self) -> str:
        return f"{self.field}: {self.text}"


def status_of(
    code: int, reason: str | None, message: str, details: Json | None = None, continues: str | None = None
) -> Json:
    body: Json = {
        "apiVersion": "v1",
        "code": code,
        "kind": "Status",
        "message": message,
        "metadata": {"continue": continues} if continues else {},
        "status": "Failure",
    }
    if reason:
        body["reason"] = reason
    if details:
        body["details"] = details
    return body


def group_resource(group: str, plural: str) -> str:
    """ "secrets", or "deployments.apps" outside the core group."""
    return f"{plural}.{group}" if group else plural


def named(group: str, plural: str, name: str = "", **more: Any) -> Json:
    """The `details` of an error about an object."""
    details: Json = {"kind": plural, **more}
    if group:
        details["group"] = group
    if name:
        details["name"] = name
    return details


def bad_request(message: str) -> Refused:
    return Refused(400, "BadRequest", message)


def unauthorized() -> Refused:
    return Refused(401, "Unauthorized", "Unauthorized")


def internal(message: str) -> Refused:
    """A failure nobody classified: 500, without a reason."""
    return Refused(500, None, message)


def page_not_found() -> Refused:
    return Refused(404, "NotFound", "404 page not found", text="404 page not found\n")


def method_not_allowed() -> Refused:
    message = "the server does not allow this method on the requested resource"
    return Refused(405, "MethodNotAllowed", message, {})


def beyond_the_stand_in(what: str) -> Refused:
    """The stand-in cannot do what a real server can: say so, rather than answer something else."""
    return Refused(501, "NotImplemented", f"the stand-in for the API server does not do this: {what}")


def not_found(group: str, plural: str, name: str) -> Refused:
    message = f'{group_resource(group, plural)} "{name}" not found'
    return Refused(404, "NotFound", message, named(group, plural, name))


def already_exists(group: str, plural: str, name: str) -> Refused:
    message = f'{group_resource(group, plural)} "{name}" already exists'
    return Refused(409, "AlreadyExists", message, named(group, plural, name))


def conflict(group: str, plural: str, name: str, why: str) -> Refused:
    what = f'{group_resource(group, plural)} "{name}"'
    message = f"Operation cannot be fulfilled on {what}: {why}"
    return Refused(409, "Conflict", message, named(group, plural, name))


def modified(group: str, plural: str, name: str) -> Refused:
    """Somebody else was faster."""
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(group, plural, name, why)


def forbidden(group: str, plural: str, name: str, why: str, causes: list[Json] | None = None) -> Refused:
    what = group_resource(group, plural) + (f' "{name}"' if name else "")
    details = named(group, plural, name) | ({"causes": causes} if causes else {})
    return Refused(403, "Forbidden", f"{what} is forbidden: {why}", details)


def invalid(group: str, kind: str, name: str, problems: Sequence[Problem]) -> Refused:
    """422 that names every problem; the message has each text once, the causes have them all."""
    texts = list(dict.fromkeys(str(problem) for problem in problems))
    told = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    causes = [{"field": p.field, "message": p.text, "reason": p.reason} for p in problems]
    details: Json = {"causes": causes}
    for key, value in (("group", group), ("kind", kind), ("name", name)):
        if value:
            details[key] = value
    message = f'{group_resource(group, kind)} "{name}" is invalid: {told}'
    return Refused(422, "Invalid", message, details)


def expired(message: str, continues: str | None = None) -> Refused:
    """410: what was asked for is older than what is kept."""
    return Refused(410, "Expired", message, continues=continues)


def required(field: str, text: str = "") -> Problem:
    return Problem(field, "FieldValueRequired", f"Required value{text and ': '}{text}")


def invalid_value(field: str, value: Any, why: str) -> Problem:
    return Problem(field, "FieldValueInvalid", f"Invalid value: {shown(value)}: {why}")


def forbidden_field(field: str, why: str) -> Problem:
    return Problem(field, "FieldValueForbidden", f"Forbidden: {why}")


def too_long(field: str, limit: int) -> Problem:
    return Problem(field, "FieldValueTooLong", f"Too long: may not be more than {limit} bytes")


def unsupported(field: str, value: Any, known: Sequence[str]) -> Problem:
    names = ", ".join(f'"{name}"' for name in known)
    text = f"Unsupported value: {shown(value)}: supported values: {names}"
    return Problem(field, "FieldValueNotSupported", text)


def shown(value: Any) -> str:
    """A value as Go prints it in an error."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
