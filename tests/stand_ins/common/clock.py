"""A server's clock: the machine's, moved by the tests."""

from __future__ import annotations

import time


class Clock:
    """Goes on by itself, and jumps when told to. Any thread may use it.

    Args:
        start: the epoch time to begin at, in seconds; None is now.
    """

    def __init__(self, start: float | None = None) -> None:
        self._offset = (time.time() if start is None else start) - time.monotonic()
        self._stands_at: float | None = None

    def now(self) -> float:
        """Seconds since the epoch."""
        stands_at = self._stands_at
        return (time.monotonic() if stands_at is None else stands_at) + self._offset

    def stop(self) -> None:
        """From now on it goes only when told to, however slow the machine is."""
        self._stands_at = time.monotonic()

    def advance(self, seconds: float) -> None:
        self._offset += seconds
