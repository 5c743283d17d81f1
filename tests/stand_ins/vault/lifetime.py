"""How long a token or a lease lives: Vault's one rule for both (sdk/framework CalculateTTL)."""

from __future__ import annotations

from dataclasses import dataclass

from .answers import Refused
from .durations import in_words


@dataclass(frozen=True)
class Wish:
    """What is asked for, and what limits it; all in seconds, 0 is "not given".

    Attributes:
        increment: what the client asks for.
        ttl: what the role or engine gives without being asked.
        period: of a periodic token, which replaces both.
        mount_default, mount_max: of the mount or the server.
    """

    increment: float = 0
    ttl: float = 0
    max_ttl: float = 0
    explicit_max_ttl: float = 0
    period: float = 0
    mount_default: float = 0
    mount_max: float = 0


def granted(wish: Wish, issued: float, now: float) -> tuple[float, list[str]]:
    """The time to live from `now`, and the warnings that go with it.

    Raises:
        Refused: 400, when its longest life is over.
    """
    longest = min(limit for limit in (wish.mount_max, wish.max_ttl, wish.explicit_max_ttl) if limit > 0)
    warnings: list[str] = []
    if wish.period:
        ttl = min(wish.period, longest)
        end = issued + wish.explicit_max_ttl if wish.explicit_max_ttl else None
    else:
        ttl = wish.increment or wish.ttl or wish.mount_default
        end = issued + longest
    if end is None:
        return ttl, warnings
    left = int(end) - int(now)
    if left <= 0:
        raise Refused(400, "past the max TTL, cannot renew")
    if ttl > left:
        warnings.append(
            f'TTL of "{in_words(ttl)}" exceeded the effective max_ttl of "{in_words(left)}"; '
            "TTL value is capped accordingly"
        )
        ttl = left
    return ttl, warnings
