"""For tests of what is kept of a cluster in memory: a clock, and what the server should look like."""

from __future__ import annotations

import threading
from typing import Any

from confsync.sinks.kubernetes.objects import KubeObject

OURS = {"app.kubernetes.io/managed-by": "confsync"}


class SteeredClock:
    """Stands still until a test moves it. Any thread may use it."""

    def __init__(self) -> None:
        self._time = 1000.0

    def now(self) -> float:
        return self._time

    def monotonic(self) -> float:
        return self._time

    def advance(self, seconds: float) -> None:
        self._time += seconds


class Told:
    """Takes down what it is called with, in order. Any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: list[str] = []

    def __call__(self, name: str = "") -> None:
        with self._lock:
            self._names.append(name)

    @property
    def names(self) -> list[str]:
        """So far; a copy."""
        with self._lock:
            return list(self._names)

    def forget(self) -> None:
        with self._lock:
            self._names.clear()


def ours(name: str, **data: str) -> dict[str, Any]:
    """A Secret as confsync makes it."""
    return {"metadata": {"name": name, "labels": OURS}, "stringData": data}


def seen(thing: KubeObject | None) -> dict[str, bytes] | None:
    """What an object holds, None of none."""
    return None if thing is None else dict(thing.data)
