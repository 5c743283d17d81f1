"""Time as a parameter, so that tests choose it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where the core takes the time from."""

    def now(self) -> float:
        """Wall time, seconds since the epoch: for records and people."""

    def monotonic(self) -> float:
        """Seconds that never jump, and go on while the machine sleeps: for delays and deadlines."""


_NEVER_JUMPS = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine is suspended, as leases and tokens do."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.clock_gettime(_NEVER_JUMPS)
