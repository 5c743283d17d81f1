"""What the server answers: an Answer when it worked, a Refused when it did not, and how both look as JSON.

Shapes, statuses and error strings are those of recordings.jsonl, which a real Vault 1.8 gave.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


class Refused(Exception):
    """The request ends here, with an error status and Vault's `{"errors": [...]}`."""

    def __init__(self, status: int, *errors: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, errors)
        self.status = status
        self.errors = list(errors)
        self.headers = headers or {}


@dataclass
class Secret:
    """A leased part of an answer: the core registers it, and calls `revoke` when it ends.

    Attributes:
        ttl, max_ttl: seconds; 0 leaves it to the mount.
        renew: gives (ttl, max_ttl) as they stand when the lease is renewed; None: as they were.
    """

    ttl: float
    max_ttl: float
    renewable: bool
    revoke: Callable[[], None]
    renew: Callable[[], tuple[float, float]] | None = None


@dataclass
class Answer:
    """A success, or a failure that has a whole body (a deleted version, say).

    Attributes:
        top_level: Vault repeats the data of some sys endpoints beside the envelope.
        raw: the whole body as it is, instead of an envelope.
        text: the whole body when it is no JSON (a PEM file).
    """

    data: Json | None = None
    status: int = 200
    auth: Json | None = None
    secret: Secret | None = None
    lease_id: str = ""
    lease_duration: int = 0
    renewable: bool = False
    warnings: list[str] = field(default_factory=list)
    wrap_info: Json | None = None
    request_id: str | None = None
    top_level: bool = False
    raw: Json | None = None
    text: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> Json | None:
        """The JSON to send; None when there is no body."""
        if self.raw is not None:
            return self.raw
        if self.status == 204:
            return None
        return self.envelope()

    def envelope(self) -> Json:
        body: Json = {
            "auth": self.auth,
            "data": self.data,
            "lease_duration": self.lease_duration,
            "lease_id": self.lease_id,
            "renewable": self.renewable,
            "request_id": str(uuid.uuid4()) if self.request_id is None else self.request_id,
            "warnings": self.warnings or None,
            "wrap_info": self.wrap_info,
        }
        return {**(self.data or {}), **body} if self.top_level else body


def no_content(*warnings: str) -> Answer:
    """204; with warnings Vault answers 200 and an envelope instead."""
    return Answer(warnings=list(warnings)) if warnings else Answer(status=204)


def wrapped_error(text: str) -> str:
    """How Go's multierror prints the one error it holds."""
    return f"1 error occurred:\n\t* {text}\n\n"


def denied() -> Refused:
    """A good token whose policies do not reach this far."""
    return Refused(403, wrapped_error("permission denied"))


def bad_token() -> Refused:
    """A token that is unknown, expired or revoked."""
    return Refused(403, "permission denied")


def not_found() -> Refused:
    return Refused(404)


def unsupported_path() -> Refused:
    return Refused(404, wrapped_error("unsupported path"))


def unsupported_operation() -> Refused:
    return Refused(405, wrapped_error("unsupported operation"))


def beyond_the_stand_in(what: str) -> Refused:
    """The stand-in cannot do what a real Vault can: say so, rather than answer something else."""
    return Refused(501, f"the stand-in for Vault does not do this: {what}")
