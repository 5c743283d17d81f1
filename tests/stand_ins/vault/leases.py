"""The leases there are: what a secret's user may keep, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import ids
from .answers import Answer, Json, Refused, Secret
from .clock import Clock, rfc3339
from .lifetime import Wish, granted

if TYPE_CHECKING:
    from .mounts import Mount
    from .tokens import Token


@dataclass
class Lease:
    """One lease. Times are epoch seconds, durations seconds.

    Attributes:
        cap: a moment no renewal goes beyond; a test sets it.
    """

    id: str
    token: str
    secret: Secret
    mount: Mount
    issued: float
    ttl: float
    expires: float
    renewed: float | None = None
    cap: float | None = None

    def lookup(self, now: float) -> Json:
        return {
            "expire_time": rfc3339(self.expires),
            "id": self.id,
            "issue_time": rfc3339(self.issued),
            "last_renewal": None if self.renewed is None else rfc3339(self.renewed),
            "renewable": self.secret.renewable,
            "ttl": max(0, round(self.expires - now)),
        }


class Leases:
    """All leases. The core's lock guards it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_id: dict[str, Lease] = {}

    def register(self, answer: Answer, path: str, mount: Mount, token: Token) -> None:
        """Makes a lease of the answer's secret, and writes it into the answer."""
        secret = answer.secret
        assert secret is not None, "only an answer with a secret has a lease"
        now = self._clock.now()
        ttl, warnings = granted(_wish(mount, secret.ttl, secret.max_ttl, 0), now, now)
        if token.type == "batch":
            ttl, secret.renewable = min(ttl, token.left(now)), False
        lease = Lease(
            f"{path}/{ids.letters(24)}{_suffix(token)}", token.id, secret, mount, now, ttl, now + ttl
        )
        self._by_id[lease.id] = lease
        answer.lease_id, answer.lease_duration, answer.renewable = lease.id, int(ttl), secret.renewable
        answer.warnings += warnings

    def find(self, lease_id: str) -> Lease | None:
        return self._by_id.get(lease_id)

    def below(self, prefix: str) -> list[Lease]:
        return [lease for lease_id, lease in sorted(self._by_id.items()) if lease_id.startswith(prefix)]

    def renew(self, lease_id: str, increment: float) -> Answer:
        """Raises Refused: 400 for a lease that is gone, or cannot be renewed."""
        lease = self._by_id.get(lease_id)
        if lease is None:
            raise Refused(400, "lease not found")
        if not lease.secret.renewable:
            raise Refused(400, "lease is not renewable")
        now = self._clock.now()
        ttl, max_ttl = (
            lease.secret.renew() if lease.secret.renew else (lease.secret.ttl, lease.secret.max_ttl)
        )
        if lease.cap is not None:
            max_ttl = min(max_ttl or lease.mount.max_ttl, max(1, lease.cap - lease.issued))
        lease.ttl, warnings = granted(_wish(lease.mount, ttl, max_ttl, increment), lease.issued, now)
        lease.expires, lease.renewed = now + lease.ttl, now
        return Answer(lease_id=lease.id, lease_duration=int(lease.ttl), renewable=True, warnings=warnings)

    def revoke(self, lease_id: str) -> None:
        """Ends it and what it gave; one that is gone is no error."""
        lease = self._by_id.pop(lease_id, None)
        if lease is not None:
            lease.secret.revoke()

    def revoke_of(self, token: Token) -> None:
        for lease in [lease for lease in self._by_id.values() if lease.token == token.id]:
            self.revoke(lease.id)

    def cap(self, lease_id: str, seconds: float) -> None:
        """From now on no renewal takes it further than `seconds` from now."""
        self._by_id[lease_id].cap = self._clock.now() + seconds

    def expire(self) -> None:
        """Ends those whose time has come."""
        now = self._clock.now()
        for lease in [lease for lease in self._by_id.values() if lease.expires <= now]:
            self.revoke(lease.id)


def _wish(mount: Mount, ttl: float, max_ttl: float, increment: float) -> Wish:
    return Wish(increment, ttl, max_ttl, mount_default=mount.default_ttl, mount_max=mount.max_ttl)


def _suffix(token: Token) -> str:
    return f".{token.namespace.id}" if token.namespace.id else ""
