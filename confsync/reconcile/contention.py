"""Targets somebody else keeps changing: the first heals come at once, then ever later, so that no fight spins."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from confsync import backoff
from confsync.clock import Clock

PATIENCE = 5
"""How many heals in a row are made at once: a person who edits, or a script that runs once, is no fight."""

_QUIET = 10.0  # seconds without a heal, beyond those we waited ourselves, after which a fight is over


@dataclass(slots=True)
class _Fight:
    heals: int
    last: float
    pause: float


class Contention:
    """Counts the heals of each target. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._fights: dict[str, _Fight] = {}
        self._lock = threading.Lock()

    def healed(self, path: str) -> bool:
        """A target was healed; whether from now on its heals are delayed, and were not before."""
        with self._lock:
            now = self._clock.monotonic()
            fight = self._current(path, now)
            if fight is None:
                fight = self._fights[path] = _Fight(0, now, 0.0)
            fight.heals, fight.last = fight.heals + 1, now
            if fight.heals >= PATIENCE:
                fight.pause = backoff.delay(fight.heals - PATIENCE + 1)
            return fight.heals == PATIENCE

    def pause(self, path: str) -> float:
        """Seconds from now before which a target should not be healed again."""
        with self._lock:
            now = self._clock.monotonic()
            fight = self._current(path, now)
            return 0.0 if fight is None else max(0.0, fight.last + fight.pause - now)

    def _current(self, path: str, now: float) -> _Fight | None:
        fight = self._fights.get(path)
        if fight is not None and now - fight.last > 2 * fight.pause + _QUIET:
            del self._fights[path]
            return None
        return fight
