"""One login as we hold it: until when, when something is due for it, and how another process goes on with it.

All times are of the monotonic clock, reckoned from the moment before Vault was asked.
"""

from __future__ import annotations

import json
import random
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from confsync_backends.vault.auth.method import Grant

_DUE = 2 / 3  # of what is left; the rest is for failing and trying again
_EARLIER = 0.1  # up to so much of that sooner, lest a fleet that started together renews together
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Login:
    """A token in use.

    Attributes:
        grant: the token, and how it was granted.
        number: the session's number.
        since: when we got it.
        ends: when it ends; None where it does not.
        due: when to renew it or to log in anew; None where that is never needed.
        stamp: the credential's, when it was read; it may be the credential itself.
        verified: whether Vault has told this process about the token.
    """

    grant: Grant
    number: int
    since: float
    ends: float | None
    due: float | None
    stamp: Hashable = field(default=None, repr=False)
    verified: bool = True

    @classmethod
    def begun(cls, grant: Grant, number: int, asked: float, stamp: Hashable) -> Login:
        """A login Vault has just told about, asked at the moment `asked`."""
        if grant.ttl <= 0:
            return cls(grant, number, asked, None, None, stamp)
        return cls(grant, number, asked, asked + grant.ttl, _due(asked, grant.ttl), stamp)

    def has_ended(self, now: float) -> bool:
        """Whether its time is up. It may have been revoked before."""
        return self.ends is not None and now >= self.ends

    def left(self, now: float) -> float:
        """Seconds it still lives; 0 where it does not end."""
        return 0.0 if self.ends is None else max(self.ends - now, 0.0)

    def renewed(self, ttl: float, asked: float, *, again: bool) -> Login:
        """After a renewal to `ttl` seconds. One that came back short met the token's end: no more renewals then.

        Args:
            again: renew even so, since nobody can log in anew.
        """
        short = ttl < self.grant.granted
        grant = replace(self.grant, ttl=ttl, renewable=self.grant.renewable and (again or not short))
        return replace(self, grant=grant, ends=asked + ttl, due=_due(asked, ttl))

    def not_renewable(self, now: float) -> Login:
        """After Vault has refused to renew it: log in anew in good time."""
        grant = replace(self.grant, renewable=False)
        return replace(self, grant=grant, due=None if self.ends is None else _due(now, self.left(now)))

    def export(self, identity: str, now: float) -> bytes:
        """What `imported` takes. It is a secret.

        Args:
            identity: whose login this is: Vault's address, the method and its options.
        """
        grant = self.grant
        document = {
            "format": _FORMAT,
            "identity": identity,
            "session": self.number,
            "token": grant.token,
            "ours": grant.ours,
            "batch": grant.batch,
            "renewable": grant.renewable,
            "granted": grant.granted,
            "ttl": self.left(now),
        }
        return json.dumps(document).encode()

    @classmethod
    def imported(cls, exported: bytes, identity: str, now: float) -> Login | None:
        """A login of an earlier process, not yet verified; None where it is not one, or not of this identity."""
        try:
            found = json.loads(exported)
        except ValueError:
            return None
        if not _is_export(found) or found["identity"] != identity:
            return None
        names = ("token", "ttl", "granted", "renewable", "ours", "batch")
        grant = Grant(**{name: found[name] for name in names})
        return cls(grant, found["session"], now, None, None, verified=False)


def _due(now: float, left: float) -> float:
    return now + left * _DUE * random.uniform(1 - _EARLIER, 1)  # noqa: S311 - not a secret


def _is_export(found: Any) -> bool:
    kinds: Mapping[str, type | tuple[type, ...]] = {
        "format": int,
        "identity": str,
        "session": int,
        "token": str,
        "ours": bool,
        "batch": bool,
        "renewable": bool,
        "granted": (int, float),
        "ttl": (int, float),
    }
    return (
        isinstance(found, dict)
        and all(isinstance(found.get(name), kind) for name, kind in kinds.items())
        and found["format"] == _FORMAT
    )
