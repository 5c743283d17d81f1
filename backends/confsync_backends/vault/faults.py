"""Which answer of Vault means what: from HTTP statuses to the errors of the contract.

Statuses: https://developer.hashicorp.com/vault/api-docs#http-status-codes and `/sys/health` of the same pages. What
Vault says beside the status goes into messages and decides nothing, except where a comment says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from confsync.errors import Denied, Invalid, SourceError, Unavailable
from confsync.text import printable

_LONGEST = 256
_SHORTEST_MASKED = 4


class TokenRejected(Denied):
    """A call made with a token was refused: the token may be dead, or its policies may not allow this.

    Vault answers both alike, so only `auth/token/lookup-self` can tell.
    """


class Forbidden(Denied):
    """The token is alive, but its policies do not allow this."""


class Refused(Invalid):
    """Vault refused the request as wrong (400).

    Attributes:
        data: what it answered beside the errors (a batch's results), or None; never part of the message.
    """

    def __init__(
        self,
        message: str,
        *,
        key: str | None = None,
        hint: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, key=key, hint=hint)
        self.data = data


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that is an error.

    Attributes:
        status: the HTTP status.
        said: Vault's own words, safe to show (`spoken`).
        path: what was asked for, without `/v1/`.
        authenticated: whether a token went with the call.
        retry_after: seconds from the header of that name, or None.
        data: the answer's data, or None.
    """

    status: int
    said: str
    path: str
    authenticated: bool
    retry_after: float | None = None
    data: Mapping[str, Any] | None = field(default=None, repr=False)


# Status -> what we say, what to do.
_DOWN: Mapping[int, tuple[str, str | None]] = {
    412: ("it has not caught up with an earlier write yet", None),
    429: ("it takes no more requests for now", None),
    472: (
        "this node is a disaster recovery secondary and serves nobody",
        "set address to the primary cluster",
    ),
    473: ("this node is a performance standby and cannot answer that", None),
    500: ("it failed inside", "its server log says more"),
    501: ("it is not initialised", "run: vault operator init"),
    502: ("what it depends on, or a proxy in between, failed", None),
    503: ("it is out of service for now", None),
    504: ("a proxy in between got no answer from it", None),
}
_SEALED = ("it is sealed", "run: vault operator unseal")
_STANDBY = ("this node is a standby", "set address to the active node or a load balancer")
_WRONG: Mapping[int, tuple[type[SourceError], str, str | None]] = {
    401: (Denied, "something in between wants a login of its own", "check address and proxy"),
    405: (Invalid, "this path does not take that kind of request", "check the path"),
    407: (Denied, "the proxy wants a login", "write proxy: http://USER:PASSWORD@HOST:PORT"),
    413: (Invalid, "the request is too large for it", None),
    414: (Invalid, "the path is too long for it", None),
}
# What a key-value mount says, with 400, for the moments it takes to become version 2: known by its words alone.
_UPGRADING = "Upgrading from non-versioned to versioned data"
# Statuses by which one engine fails, for example since its database is down; the others may be well.
_OF_THE_PATH = frozenset({500, 502})
# Statuses by which Vault says that asking again soon makes sense, even without a Retry-After.
_SOON = frozenset({412, 429, 472, 473})


def as_source_error(about: str, failure: Failure) -> SourceError:
    """The error for an answer that is one. `about` begins its message: where and what for."""
    if _may_be_the_token(failure):
        return TokenRejected(_line(about, "permission denied", failure.said), key=failure.path)
    if failure.status == 403:
        return Denied(_line(about, "permission denied", failure.said), key=failure.path)
    if failure.status == 400 and failure.said.startswith(_UPGRADING):
        return Unavailable(f"{about}: its mount is being upgraded", key=failure.path, retry_after=0.0)
    if failure.status in _WRONG:
        kind, text, hint = _WRONG[failure.status]
        return kind(_line(about, text, failure.said), key=failure.path, hint=hint)
    if failure.status in _DOWN or failure.status >= 500:
        return _unavailable(about, failure)
    text = "the request is refused" if failure.status == 400 else f"unexpected status {failure.status}"
    return Refused(_line(about, text, failure.said), key=failure.path, data=failure.data)


def _may_be_the_token(failure: Failure) -> bool:
    # A token that got lost on the way (a proxy dropped the header) is a 400, known by its words alone.
    lost = failure.status == 400 and failure.said == "missing client token"
    return failure.authenticated and (failure.status == 403 or lost)


def _unavailable(about: str, failure: Failure) -> Unavailable:
    text, hint = _DOWN.get(failure.status, (f"it failed with status {failure.status}", None))
    if failure.status == 503 and "sealed" in failure.said:  # words, but only for words
        text, hint = _SEALED
    if failure.status == 429 and failure.path == "sys/health":
        text, hint = _STANDBY
    soon = 0.0 if failure.status in _SOON else None
    return Unavailable(
        _line(about, text, failure.said),
        key=failure.path if failure.status in _OF_THE_PATH else None,
        hint=hint,
        retry_after=soon if failure.retry_after is None else failure.retry_after,
    )


def _line(about: str, text: str, said: str) -> str:
    told = said if said and said not in text else ""
    return f"{about}: {text}" + (f" ({told!r})" if told else "")


def spoken(errors: object, secrets: Iterable[str] = ()) -> str:
    """What Vault said went wrong, in one short printable line, with `secrets` masked.

    Args:
        errors: `errors` of its answer; anything but a list of text gives "".
        secrets: what we had sent along; Vault quotes some of it.
    """
    if not isinstance(errors, list):
        return ""
    hidden = sorted(filter(_worth_masking, secrets), key=len, reverse=True)
    text = "; ".join(_tidy(_masked(error, hidden)) for error in errors if isinstance(error, str))
    text = printable(text)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def _tidy(error: str) -> str:
    # Vault's list of causes: "1 error occurred:\n\t* permission denied\n\n"
    head, found, causes = error.partition("occurred:\n\t* ")
    return " ".join((causes if found and head.endswith(("error ", "errors ")) else error).split())


def _masked(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _worth_masking(secret: str) -> bool:
    return len(secret) >= _SHORTEST_MASKED
