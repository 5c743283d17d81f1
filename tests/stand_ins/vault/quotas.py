"""Rate limit quotas: so many requests of one client below a path, per interval."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from .answers import Json, Refused
from .clock import Clock


@dataclass
class Quota:
    """A bucket for each client: it holds as many requests as come in an interval, and fills steadily."""

    name: str
    path: str
    rate: float
    interval: float = 1.0
    block_interval: float = 0.0
    buckets: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, client: str, now: float) -> float:
        """0 when the request may pass, else the seconds until one may again."""
        size = max(1.0, math.ceil(self.rate))
        left, since = self.buckets.get(client, (size, now))
        left = min(size, left + (now - since) * self.rate / self.interval)
        if left < 1:
            self.buckets[client] = left, now
            return (1 - left) * self.interval / self.rate
        self.buckets[client] = left - 1, now
        return 0.0

    def shown(self) -> Json:
        return {
            "block_interval": int(self.block_interval),
            "interval": int(self.interval),
            "name": self.name,
            "path": self.path,
            "rate": self.rate,
            "type": "rate-limit",
        }


class Quotas:
    """All quotas. The core's lock guards it.

    Attributes:
        headers: whether a refusal says when to come again; off, as in Vault (sys/quotas/config).
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.by_name: dict[str, Quota] = {}
        self.headers = False

    def check(self, path: str, client: str) -> None:
        """Raises Refused: 429 when the quota that fits best is used up."""
        fitting = [quota for quota in self.by_name.values() if path.startswith(quota.path)]
        if not fitting:
            return
        wait = max(fitting, key=lambda quota: len(quota.path)).take(client, self._clock.now())
        if not wait:
            return
        headers = {"Retry-After": str(math.ceil(wait))} if self.headers else {}
        raise Refused(429, f'request path "{path}": rate limit quota exceeded', headers=headers)
