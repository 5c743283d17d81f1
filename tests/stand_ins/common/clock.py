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

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.monotonic() + self._offset

    def advance(self, seconds: float) -> None:
        self._offset += seconds
