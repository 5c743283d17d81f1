"""The namespaces a label selector matches, also those that appear later."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

from confsync.clock import Clock
from confsync.sinks.kubernetes.client import Client
from confsync.sinks.kubernetes.outage import Outage
from confsync.sinks.kubernetes.reflector import Reflector
from confsync.sinks.kubernetes.resources import NAMESPACE

UNUSED_FOR = 300.0
"""Seconds for which what is kept of a cluster is kept on though nothing seems to need it: a change that was just begun
looks before it is known what it needs."""


class NamespaceCache:
    """Which namespaces match, by selector; the server says what a selector means. Any thread may use it.

    Looks are as those of an `ObjectCache`: without a request while it is followed and the selector's watch lives.
    """

    def __init__(self, client: Client, clock: Clock, outage: Outage | None = None) -> None:
        self._client = client
        self._outage = outage
        self._clock = clock
        self._lock = threading.Lock()
        self._matches: dict[str, _Match] = {}
        self._on_change: Callable[[], None] | None = None

    def matching(self, selector: str) -> tuple[str, ...]:
        """The names of the namespaces that match, sorted, without those that are being deleted.

        Raises:
            ApiFailure: it cannot be told; Refused for a selector that is none.
        """
        return self._match(selector).names()

    def expire(self) -> None:
        """Lets the next look list again; see `ObjectCache.expire`."""
        for match in self._all():
            match.reflector.expire()

    def drop_unused(self, selectors: Collection[str]) -> None:
        """Ends the watch of each selector that has been neither needed nor asked for during the last 5 minutes.

        Args:
            selectors: those that are needed; they are never dropped, however long nobody asks.
        """
        now = self._clock.monotonic()
        with self._lock:
            for selector in self._matches.keys() & set(selectors):
                self._matches[selector].used = now
            unused = [name for name, match in self._matches.items() if now - match.used > UNUSED_FOR]
            dropped = [self._matches.pop(name) for name in unused]
        for match in dropped:
            match.reflector.stop(wait=False)

    def follow(self, on_change: Callable[[], None]) -> None:
        """Watches from now on, until `stop`, the namespaces of every selector that was or will be asked for.

        Args:
            on_change: called when the namespaces that match one of them are others than was told. From a watch's
                thread, or from one whose look listed; must not block.
        """
        with self._lock:
            self._on_change = on_change
        for match in self._all():
            match.follow(on_change)

    def stop(self, *, wait: bool = True) -> None:
        """Ends all watches; idempotent. Looks still work.

        Args:
            wait: whether to return only when they have ended, within a second.
        """
        with self._lock:
            self._on_change = None
        for match in self._all():
            match.reflector.stop(wait=False)
        for match in self._all() if wait else ():
            match.reflector.stop()

    def _all(self) -> list[_Match]:
        with self._lock:
            return list(self._matches.values())

    def _match(self, selector: str) -> _Match:
        with self._lock:
            now = self._clock.monotonic()
            match = self._matches.get(selector)
            if match is not None:
                match.used = now
                return match
            reflector = Reflector(self._client, NAMESPACE, None, selector, self._clock, self._outage)
            match = _Match(reflector, now)
            self._matches[selector] = match
            on_change = self._on_change
        if on_change is not None:
            match.follow(on_change)
        return match


class _Match:
    """The namespaces of one selector. Any thread may use it.

    Attributes:
        used: when it was needed or asked for last; the `NamespaceCache`'s.
    """

    def __init__(self, reflector: Reflector, used: float) -> None:
        self.reflector = reflector
        self.used = used
        self._lock = threading.Lock()
        self._told: tuple[str, ...] | None = None  # to who asked first, and by `on_change` since

    def names(self) -> tuple[str, ...]:
        self.reflector.all()  # makes sure that it is fresh
        with self._lock:
            names = self._known()
            if self._told is None:
                self._told = names
            return names

    def follow(self, on_change: Callable[[], None]) -> None:
        def namespace_changed(_: str) -> None:
            if self._are_others():
                on_change()

        self.reflector.follow(namespace_changed)

    def _are_others(self) -> bool:
        """Whether other namespaces match than was told; says so once."""
        with self._lock:
            names = self._known()
            if self._told is None or names == self._told:
                return False
            self._told = names
            return True

    def _known(self) -> tuple[str, ...]:
        things = self.reflector.known().values()
        return tuple(sorted(thing.name for thing in things if not thing.deleting))
