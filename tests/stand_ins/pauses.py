"""Waiting that takes no time."""

from __future__ import annotations

from collections.abc import Callable


class Pauses:
    """A clock on which only waiting takes time, and none of anybody's: a wait is noted, and over at once.

    Attributes:
        taken: the seconds of each wait.
        over: whether the next wait is cut short because all is over.
        during: what happens in the so-many-th wait, counted from 1.
    """

    def __init__(self) -> None:
        self.taken: list[float] = []
        self.over = False
        self.during: dict[int, Callable[[], object]] = {}
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def wait(self, seconds: float) -> bool:
        self.taken.append(seconds)
        self.time += seconds
        self.during.get(len(self.taken), lambda: None)()
        return self.over
