"""How many requests a second: a token bucket."""

from __future__ import annotations

import threading
from collections.abc import Callable

from confsync.clock import Clock


class TokenBucket:
    """Lets `burst` requests through at once, and then `rate` a second. Any thread may use it, first come first served.

    Args:
        rate: tokens a second.
        burst: how many tokens it holds; it is full at first.
        clock: where the time comes from.
        wait: waits for so many seconds; gives True where the wait was cut short because all is over.
    """

    def __init__(self, rate: float, burst: int, clock: Clock, wait: Callable[[float], bool]) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._wait = wait
        self._lock = threading.Lock()
        self._tokens = float(burst)
        self._at = clock.monotonic()

    def take(self) -> bool:
        """Takes a token, waiting for one if need be; False where the wait was cut short."""
        pause = self._reserve()
        return pause <= 0 or not self._wait(pause)

    def _reserve(self) -> float:
        """Takes a token that may be still to come; gives the seconds until it is there."""
        with self._lock:
            now = self._clock.monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate) - 1
            self._at = now
            return -self._tokens / self._rate
