"""When something on a lease must be renewed or fetched anew. Times are monotonic: a wall clock may jump."""

from __future__ import annotations

import random
from dataclasses import dataclass

from confsync.driver import Lease

_SHARE = (
    2 / 3
)  # of a lease's time after which it is renewed: what is left is for retries, rendering and reloading
_JITTER = 0.1  # of that time, always earlier: a fleet that started together drifts apart
_LEAST = 0.1  # seconds: a lease that is shorter than any sense must not keep us busy with nothing else
_CAPPED = 0.9  # of what was granted first: less than that says that the lease comes to its end


@dataclass(frozen=True, slots=True)
class LeaseClock:
    """One lease's times.

    Attributes:
        lease: as it was granted or renewed last.
        granted: the seconds it was granted for first.
        due: when to renew it, or to fetch anew.
        ends: when what it was for is dead.
        replace: whether to fetch anew when it is due, since renewing will not prolong it as before.
    """

    lease: Lease
    granted: float
    due: float
    ends: float
    replace: bool = False

    @classmethod
    def of(cls, lease: Lease | None, asked: float) -> LeaseClock | None:
        """The clock of a lease just granted; None where there is none, or its time is not told.

        Args:
            asked: when it was asked for: it cannot have begun earlier.
        """
        if lease is None or lease.duration <= 0:
            return None
        return cls(
            lease, lease.duration, asked + _pause(lease.duration), asked + lease.duration, not lease.renewable
        )

    def renewed(self, lease: Lease, asked: float) -> LeaseClock:
        """After a renewal that was asked for at `asked`; one that gave less than before is due at once."""
        capped = lease.duration < _CAPPED * self.granted
        due = asked if capped else asked + _pause(lease.duration)
        return LeaseClock(lease, self.granted, due, asked + lease.duration, capped or not lease.renewable)

    def to_be_replaced(self, now: float) -> LeaseClock:
        """After the store said that it will not prolong it, or the login it hangs on has changed."""
        return LeaseClock(self.lease, self.granted, now, self.ends, replace=True)

    @classmethod
    def restored(cls, lease: Lease, granted: float, now: float, left: float) -> LeaseClock:
        """Of an earlier process, with `left` seconds to go.

        One that can be renewed is due at once: only the store knows whether it is alive.
        """
        left = min(left, granted)
        due = now if lease.renewable else now + max(0.0, left - granted * (1 - _SHARE))
        return cls(lease, granted, due, now + left, not lease.renewable)


def _pause(duration: float) -> float:
    return max(_LEAST, duration * _SHARE * random.uniform(1 - _JITTER, 1))  # noqa: S311 - not a secret
