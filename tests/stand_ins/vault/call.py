"""One request as the engines see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .answers import Refused

if TYPE_CHECKING:
    from .mounts import Namespace
    from .tokens import Token


@dataclass(frozen=True)
class Call:
    """A parsed request.

    Attributes:
        operation: read, list, create, update, delete, patch.
        path: after /v1/ and the namespace, decoded; a list's ends in a slash.
        token: as the client sent it, unproven.
        who: the token's entry once it was checked; None on paths that need none.
        client_certificate: PEM of the certificate the client proved over TLS.
    """

    operation: str
    path: str
    method: str = "GET"
    namespace: Namespace = None  # type: ignore[assignment]  # set before any engine sees it
    query: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    token: str = ""
    who: Token | None = None
    wrap_ttl: float = 0.0
    client: str = ""
    client_certificate: str | None = None
    over_tls: bool = False

    @property
    def caller(self) -> Token:
        assert self.who is not None, "only paths that need no token have no caller"
        return self.who

    def required(self, name: str, error: str) -> Any:
        """A field of the body; 400 with `error` when it is missing or empty."""
        value = self.body.get(name)
        if value in (None, "", [], {}):
            raise Refused(400, error)
        return value


def as_list(value: Any) -> list[str]:
    """A list, or Vault's comma separated string of one."""
    if value is None:
        return []
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [str(part) for part in value]
