"""A call as the session takes it, and what a policy must allow for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from confsync_backends.vault.faults import Forbidden

# https://developer.hashicorp.com/vault/docs/concepts/policies#capabilities; whether a POST creates or updates is
# known to the engine alone, and all that are made here update.
_CAPABILITIES = {"GET": "read", "LIST": "list", "POST": "update", "PUT": "update", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Request:
    """A call, to be made once more where the first time found the token dead. Its parts are `Calls.request`'s."""

    method: str
    path: str
    body: Mapping[str, Any] | None = field(repr=False)
    query: Mapping[str, str] | None
    doing: str

    @property
    def capability(self) -> str:
        """What a policy must allow at `path`: `read`, `list`..."""
        if self.query is not None and self.query.get("list") == "true":
            return "list"
        return _CAPABILITIES.get(self.method, self.method.lower())

    def forbidden(self, address: str, policies: Iterable[str], *, doubtful: bool = False) -> Forbidden:
        """The error for a call that no policy allows; says which line of one would.

        Args:
            address: where Vault is, for messages.
            policies: the names of those that the token has.
            doubtful: whether the token may just as well have ended, and nobody can tell.
        """
        path = self.path.strip("/") + ("/" if self.capability == "list" else "")
        names = ", ".join(policies)
        whose = f" ({names})" if names else ""
        doubt = ", or the login has ended, which it may not look up" if doubtful else ""
        return Forbidden(
            f"vault at {address}: {self.doing}: this login's policies{whose} do not allow {self.capability} on "
            f"{path}{doubt}",
            key=self.path,
            hint=f'a policy would with: path "{path}" {{ capabilities = ["{self.capability}"] }}',
        )
