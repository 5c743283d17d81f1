"""Tells once of a cluster that is away, however many watches it keeps from telling."""

from __future__ import annotations

import logging
import threading

log = logging.getLogger(__name__)


class Outage:
    """Which of a cluster's watches are away because it cannot be reached. Any thread may use it.

    The first one away is told of, and that they are all back: in between, others that go say nothing new.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._away: set[object] = set()

    def away(self, who: object, watch: str, error: str) -> None:
        """A watch cannot be had, or breaks off.

        Args:
            who: the watch; two may be called the same.
            watch: what it watches, for people.
            error: why, free of secrets.
        """
        with self._lock:
            is_first = not self._away
            self._away.add(who)
        if is_first:
            tell_away(watch, error)

    def back(self, who: object, watch: str) -> None:
        """A watch is there again; nothing where it was not away."""
        with self._lock:
            is_last = self._away == {who}
            self._away.discard(who)
        if is_last:
            tell_back(watch)

    def leave(self, who: object) -> None:
        """A watch is not wanted any more, be it there or not."""
        with self._lock:
            self._away.discard(who)


def tell_away(watch: str, error: str) -> None:
    """Logs what keeps changes from being seen."""
    log.warning(
        "what others change is not seen at once, only at each resync", extra={"watch": watch, "error": error}
    )


def tell_back(watch: str) -> None:
    """Logs that it is over."""
    log.info("what others change is seen at once again", extra={"watch": watch})
