"""One thread asks, and everybody who wants to know meanwhile is told what it found."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from confsync.clock import Clock

_REMEMBERED = 1.0
"""Seconds for which a failure is told again without asking: a thousand targets must not make a thousand calls."""


@dataclass(slots=True)
class _Flight:
    """One run of the work.

    Attributes:
        landed: set when it is over.
        failure: why it failed, or None.
    """

    landed: threading.Event = field(default_factory=threading.Event)
    failure: Exception | None = None


class SingleFlight:
    """Runs a piece of work in at most one thread at a time. Any thread may use it.

    Args:
        work: what is done; it keeps what it brings.
        clock: what the memory of a failure is measured with.
    """

    def __init__(self, work: Callable[[], None], clock: Clock) -> None:
        self._work = work
        self._clock = clock
        self._lock = threading.Lock()
        self._flight: _Flight | None = None
        self._failure: Exception | None = None
        self._failed_at = 0.0

    def join(self) -> None:
        """Does the work, or waits for the thread that is doing it.

        Raises:
            Exception: what the work raised, also where that was less than a second ago.
        """
        with self._lock:
            self._refuse_after_failure()
            flight, mine = self._flight or _Flight(), self._flight is None
            self._flight = flight
        if mine:
            self._fly(flight)
        flight.landed.wait()
        if flight.failure is not None:
            raise flight.failure.with_traceback(None)  # it would grow with each thread that raises it

    def _refuse_after_failure(self) -> None:
        if self._failure is not None and self._clock.monotonic() - self._failed_at < _REMEMBERED:
            raise self._failure.with_traceback(None)

    def _fly(self, flight: _Flight) -> None:
        failure: Exception | None = RuntimeError("the thread that asked for all was ended")
        try:
            self._work()
            failure = None
        except Exception as exc:  # noqa: BLE001 - it is raised in every thread that waits
            failure = exc
        finally:
            with self._lock:
                self._flight, self._failure = None, failure
                self._failed_at = self._clock.monotonic()
            flight.failure = failure
            flight.landed.set()
