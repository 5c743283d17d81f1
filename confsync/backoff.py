"""How long to wait before trying again: doubling from a tenth of a second to half a minute, with jitter.

The first retry is quick because most failures (a leader election, a restarted proxy) last less than a second; the
ceiling keeps a fleet from hammering a store that is down for an hour and still notices its return within half a
minute. Jitter of ±25 % keeps the fleet from returning all at once.
"""

from __future__ import annotations

import random

FIRST = 0.1
CEILING = 30.0
_JITTER = 0.25


def delay(failures: int) -> float:
    """Seconds to wait after so many failures in a row (1 or more)."""
    base = min(CEILING, FIRST * 2.0 ** min(failures - 1, 30))
    return base * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - not a secret
