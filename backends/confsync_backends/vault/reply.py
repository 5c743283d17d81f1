"""What an answer of Vault's holds: the envelope that all its answers share, checked before anything is believed.

https://developer.hashicorp.com/vault/api-docs
"""

from __future__ import annotations

import email.utils
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from confsync.errors import Invalid, Unavailable
from confsync_backends.vault.faults import Failure, as_source_error, spoken

# What the pki engine answers to ca, ca/pem, ca_chain and crl.
_CERTIFICATE_FILES = ("application/pkix-", "application/pem-")
# What Go and nginx answer, with 400, to plain HTTP on a TLS port: there is nothing else to know it by.
_WANTS_TLS = re.compile(rb"HTTP request (was sent )?to (an )?HTTPS")


@dataclass(frozen=True, slots=True)
class Reply:
    """What Vault answered: any 2xx, or a 404, which is an answer too.

    Attributes:
        status: the HTTP status.
        data: `data` of the body.
        auth: `auth` of the body: a login.
        lease_id, lease_duration, renewable: the lease; "", 0 and False where there is none. Seconds.
        warnings: what Vault remarks.
        errors: what a 404 says was not found: nothing for a secret, something for a mount or an unknown path.
        date: the server's time, seconds since the epoch, or None where it does not tell.
    """

    status: int
    data: Mapping[str, Any] | None = field(default=None, repr=False)
    auth: Mapping[str, Any] | None = field(default=None, repr=False)
    lease_id: str = field(default="", repr=False)
    lease_duration: float = 0.0
    renewable: bool = False
    warnings: tuple[str, ...] = field(default=(), repr=False)
    errors: tuple[str, ...] = field(default=(), repr=False)
    date: float | None = None


class Raw(NamedTuple):
    """What came back, not looked at yet."""

    status: int
    headers: Mapping[str, str]
    content: bytes


def read_reply(raw: Raw, about: str, path: str, *, authenticated: bool, secrets: Iterable[str] = ()) -> Reply:
    """The reply in an answer.

    Args:
        about: what messages begin with.
        path: what was asked for, without `/v1/`.
        authenticated: whether a token went with the call.
        secrets: what was sent along and must not come back in a message.

    Raises:
        Unavailable, Denied, Invalid: it is an error, or no answer of Vault's.
    """
    body = _parse(raw)
    if 200 <= raw.status < 300 or (raw.status == 404 and _is_vaults(body)):
        return _reply(raw, body, about, path)
    if raw.status == 400 and _WANTS_TLS.search(raw.content):
        raise Invalid(f"{about}: it speaks TLS", hint="write https:// in address")
    if raw.status == 404:
        raise Invalid(f"{about}: it answers, but not as Vault", hint="check address")
    said, data = spoken((body or {}).get("errors"), secrets), (body or {}).get("data")
    failure = Failure(
        status=raw.status,
        said=said,
        path=path,
        authenticated=authenticated,
        retry_after=_retry_after(raw),
        data=data if isinstance(data, dict) else None,
    )
    raise as_source_error(about, failure)


def _parse(raw: Raw) -> Mapping[str, Any] | None:
    """The body's JSON object; None where it is something else."""
    try:
        body = json.loads(raw.content)
        if b"\\ud" in raw.content.lower():
            json.dumps(body, ensure_ascii=False).encode()  # half a character is no text
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _is_vaults(body: Mapping[str, Any] | None) -> bool:
    return body is not None and (isinstance(body.get("errors"), list) or "request_id" in body)


def _reply(raw: Raw, body: Mapping[str, Any] | None, about: str, path: str) -> Reply:
    if body is None:
        if raw.headers.get("Content-Type", "").startswith(_CERTIFICATE_FILES):
            raise Invalid(
                f"{about}: Vault answers that with a bare file, which has no fields",
                hint="read MOUNT/cert/ca, MOUNT/cert/ca_chain or MOUNT/cert/crl of the pki engine instead",
            )
        if raw.content.strip():
            raise Unavailable(f"{about}: the answer is not a whole JSON object", hint="is address Vault's?")
        body = {}
    try:
        return Reply(
            status=raw.status,
            data=_object(body, "data"),
            auth=_object(body, "auth"),
            lease_id=_typed(body, "lease_id", str, ""),
            lease_duration=float(_typed(body, "lease_duration", int, 0)),
            renewable=_typed(body, "renewable", bool, False),
            warnings=_texts(body, "warnings"),
            errors=_texts(body, "errors"),
            date=_date(raw),
        )
    except _Malformed as error:
        raise Unavailable(f"{about}: the answer's {error} is not what Vault gives", key=path) from None


class _Malformed(Exception):
    """A field of an answer has another type than Vault gives it."""


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    value: dict[str, Any] | None = _typed(body, name, dict, None)
    return value


def _typed(body: Mapping[str, Any], name: str, kind: type, absent: Any) -> Any:
    value = body.get(name)
    if value is None:
        return absent
    if not isinstance(value, kind) or (kind is int and not _is_count(value)):
        raise _Malformed(name)
    return value


def _is_count(value: Any) -> bool:
    return not isinstance(value, bool) and 0 <= value < 2**53


def _texts(body: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = _typed(body, name, list, [])
    return tuple(value for value in values if isinstance(value, str))


def _date(raw: Raw) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(raw.headers.get("Date", "")).timestamp()
    except (ValueError, OverflowError):
        return None


def _retry_after(raw: Raw) -> float | None:
    """Seconds the server asks us to wait. https://www.rfc-editor.org/rfc/rfc9110#field.retry-after"""
    asked = raw.headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdigit() and len(asked) < 10:
        return float(asked)
    return None
