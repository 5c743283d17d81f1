"""The tokens there are: who made them, how long they live, and what ends with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import ids
from .answers import Json, Refused
from .clock import Clock, rfc3339
from .lifetime import Wish, granted

if TYPE_CHECKING:
    from .mounts import Namespace


@dataclass
class Token:
    """One token. Times are epoch seconds, durations seconds; `expires` None is never."""

    id: str
    namespace: Namespace
    policies: list[str]
    issued: float
    path: str
    display_name: str = "token"
    meta: dict[str, str] | None = None
    parent: str | None = None
    entity_id: str = ""
    renewable: bool = True
    ttl: float = 0
    creation_ttl: float = 0
    max_ttl: float = 0
    explicit_max_ttl: float = 0
    period: float = 0
    num_uses: int = 0
    uses_left: int = 0
    expires: float | None = None
    renewed: float | None = None
    role: str = ""
    type: str = "service"
    mount_default: float = 0
    mount_max: float = 0
    accessor: str = field(default_factory=lambda: ids.letters(24))

    def __post_init__(self) -> None:
        if (
            self.type == "batch"
        ):  # kept nowhere by a real server: there is nothing to renew, nor a second name
            self.renewable, self.accessor = False, ""

    @property
    def orphan(self) -> bool:
        return self.parent is None

    def left(self, now: float) -> int:
        return 0 if self.expires is None else max(0, round(self.expires - now))

    def auth(self) -> Json:
        """The `auth` of the answers that hand the token out."""
        return {
            "accessor": self.accessor,
            "client_token": self.id,
            "entity_id": self.entity_id,
            "lease_duration": int(self.ttl),
            "metadata": self.meta,
            "orphan": self.orphan,
            "policies": self.policies,
            "renewable": self.renewable,
            "token_policies": self.policies,
            "token_type": self.type,
        }

    def lookup(self, now: float, *, by_accessor: bool = False) -> Json:
        """The `data` of a lookup."""
        data: Json = {
            "accessor": self.accessor,
            "creation_time": int(self.issued),
            "creation_ttl": int(self.creation_ttl),
            "display_name": self.display_name,
            "entity_id": self.entity_id,
            "expire_time": None if self.expires is None else rfc3339(self.expires),
            "explicit_max_ttl": int(self.explicit_max_ttl),
            "id": "" if by_accessor else self.id,
            "meta": self.meta,
            "num_uses": self.uses_left,
            "orphan": self.orphan,
            "path": self.path,
            "policies": self.policies,
            "ttl": self.left(now),
            "type": self.type,
        }
        return data | self._optional()

    def _optional(self) -> Json:
        """What Vault leaves out when there is none."""
        data: Json = {}
        if self.expires is not None:
            data |= {"issue_time": rfc3339(self.issued), "renewable": self.renewable}
        if self.renewed is not None:
            data |= {"last_renewal": rfc3339(self.renewed), "last_renewal_time": int(self.renewed)}
        if self.period:
            data["period"] = int(self.period)
        if self.namespace.path:
            data["namespace_path"] = self.namespace.path
        return data

    def wish(self, increment: float) -> Wish:
        return Wish(
            increment,
            self.ttl,
            self.max_ttl,
            self.explicit_max_ttl,
            self.period,
            self.mount_default,
            self.mount_max,
        )


class Tokens:
    """All tokens. The core's lock guards it.

    Args:
        on_end: called with a token that is revoked or expired, before its children are.
    """

    def __init__(self, clock: Clock, on_end: Callable[[Token], None]) -> None:
        self._clock = clock
        self._on_end = on_end
        self._by_id: dict[str, Token] = {}

    def add(self, token: Token) -> Token:
        self._by_id[token.id] = token
        return token

    def find(self, token_id: str) -> Token | None:
        """A token that is alive."""
        return self._by_id.get(token_id)

    def by_accessor(self, accessor: str) -> Token | None:
        return next((token for token in self._by_id.values() if token.accessor == accessor), None)

    def accessors(self) -> list[str]:
        return sorted(token.accessor for token in self._by_id.values())

    def renew(self, token: Token, increment: float, role: dict[str, Any] | None = None) -> list[str]:
        """Gives it a new life; the warnings are for the answer.

        Args:
            role: ttl, max_ttl and period as its role has them now, for a token that came from a login.

        Raises:
            Refused: 400 when it cannot be renewed.
        """
        if token.type == "batch":
            raise Refused(400, "batch tokens cannot be renewed")
        if token.expires is None:
            raise Refused(400, "lease not found")
        if not token.renewable:
            raise Refused(400, "lease is not renewable")
        for name, value in (role or {}).items():
            setattr(token, name, value)
        now = self._clock.now()
        token.ttl, warnings = granted(token.wish(increment), token.issued, now)
        token.expires, token.renewed = now + token.ttl, now
        return warnings

    def revoke(self, token: Token, *, keep_children: bool = False) -> None:
        """It, what it leased, and the tokens it made; with `keep_children` those become orphans."""
        if self._by_id.pop(token.id, None) is None:
            return
        self._on_end(token)
        for child in [child for child in self._by_id.values() if child.parent == token.id]:
            if keep_children:
                child.parent = None
            else:
                self.revoke(child)

    def revoke_from(self, namespace: Namespace, path: str) -> None:
        """Those a login below `path` gave out."""
        for token in list(self._by_id.values()):
            if token.namespace is namespace and token.path.startswith(path):
                self.revoke(token)

    def expire(self) -> None:
        """Ends those whose time has come."""
        now = self._clock.now()
        for token in [
            token for token in self._by_id.values() if token.expires is not None and token.expires <= now
        ]:
            self.revoke(token)
