"""Our objects of one kind in one namespace, kept in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from confsync.clock import Clock
from confsync.config.kubernetes import MANAGED_BY
from confsync.sinks.kubernetes.client import Client
from confsync.sinks.kubernetes.listing import METADATA_ONLY, read_all
from confsync.sinks.kubernetes.manifest import FIELD_MANAGER
from confsync.sinks.kubernetes.objects import KubeObject
from confsync.sinks.kubernetes.outage import Outage
from confsync.sinks.kubernetes.reflector import Reflector
from confsync.sinks.kubernetes.resources import Resource
from confsync.sinks.kubernetes.single_flight import SingleFlight

_BELIEVED = 10.0
"""Seconds the names of a namespace are believed."""


class ObjectCache:
    """The objects of one kind in one namespace that confsync manages, this one or another. Any thread may use it.

    Looks make no request while the cache is followed and its watch lives; else they list, all that look at once
    together, where the last list is older than 10 seconds. A failure is told to all who look within a second of it.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        namespace: str,
        clock: Clock,
        outage: Outage | None = None,
    ) -> None:
        ours = f"{MANAGED_BY}={FIELD_MANAGER}"
        self._reflector = Reflector(client, resource, namespace, ours, clock, outage)
        self._names = _Names(client, resource, namespace, clock)

    def get(self, name: str) -> KubeObject | None:
        """Our object of this name, or None.

        Raises:
            ApiFailure: it cannot be told.
        """
        return self._reflector.get(name)

    def all(self) -> Mapping[str, KubeObject]:
        """All of ours by name, as they are now; does not change any more.

        Raises:
            ApiFailure: it cannot be told.
        """
        return self._reflector.all()

    def exists(self, name: str) -> bool:
        """Whether there is any object of this name, ours or not, or was one within the last 10 seconds.

        Raises:
            ApiFailure: it cannot be told.
        """
        return self._reflector.get(name) is not None or self._names.has(name)

    def put(self, thing: KubeObject) -> None:
        """Takes note of what a write of ours was answered; ignored where something later is known.

        An object without our label is none of ours any more.
        """
        if thing.labels.get(MANAGED_BY) == FIELD_MANAGER:
            self._reflector.put(thing)
        else:
            self._reflector.forget(thing.name, thing.uid)
        self._names.doubt(thing.name)

    def forget(self, name: str, uid: str = "") -> None:
        """Takes note that we deleted an object.

        Args:
            uid: which one; where the name has another by now, that one is kept.
        """
        self._reflector.forget(name, uid)
        self._names.doubt(name)

    def missing(self, name: str) -> None:
        """Takes note that the server has just said that no object has this name; it is believed for 10 seconds.

        An object that was deleted is looked for by each step of making it anew; one question is enough.
        """
        self._names.missing(name)

    def tombstone(self, name: str) -> KubeObject | None:
        """The last object of a name that has none now, without its values; None where none is remembered."""
        return self._reflector.tombstone(name)

    def expire(self) -> None:
        """Lets the next look list again; called once for each resync.

        Nothing happens while the watch lives and the last list is younger than 10 minutes.
        """
        self._reflector.expire()

    def follow(self, on_change: Callable[[str], None]) -> None:
        """Watches from now on, until `stop`.

        Args:
            on_change: called with the name of each object that was added, modified or deleted by anybody else, also
                where that was only found out by a list after the watch had been away. What there is at the
                beginning is not told. From the watch's thread, or from one whose look listed; must not block.
        """
        self._reflector.follow(on_change)

    def stop(self, *, wait: bool = True) -> None:
        """Ends the watch; idempotent. Looks still work.

        Args:
            wait: whether to return only when it has ended, within a second.
        """
        self._reflector.stop(wait=wait)


class _Names:
    """The names of all objects of one kind in one namespace, by lists of metadata. Any thread may use it."""

    def __init__(self, client: Client, resource: Resource, namespace: str, clock: Clock) -> None:
        self._client = client
        self._resource = resource
        self._namespace = namespace
        self._clock = clock
        self._lock = threading.Lock()
        self._lists = SingleFlight(self._list, clock)
        self._names: frozenset[str] = frozenset()
        self._true_at: float | None = None
        self._doubted: set[str] = set()  # names we touched since the last list was asked for
        self._missing: dict[
            str, float
        ] = {}  # names that nothing had when they were asked for by themselves -> when
        self._count = 0  # of lists that came

    def has(self, name: str) -> bool:
        with self._lock:
            count = self._count
            if self._is_recent(self._missing.get(name)):
                return False
            if self._is_believed(name):
                return name in self._names
        while True:
            self._lists.join()
            with self._lock:
                if self._count > count and name not in self._doubted:
                    return name in self._names

    def doubt(self, name: str) -> None:
        """It was created or deleted: only a later list can tell."""
        with self._lock:
            self._doubted.add(name)
            self._missing.pop(name, None)

    def missing(self, name: str) -> None:
        """The server has just said that nothing has this name."""
        with self._lock:
            self._missing[name] = self._clock.monotonic()

    def _is_believed(self, name: str) -> bool:
        return name not in self._doubted and self._is_recent(self._true_at)

    def _is_recent(self, time: float | None) -> bool:
        return time is not None and self._clock.monotonic() - time < _BELIEVED

    def _list(self) -> None:
        with self._lock:
            begun = self._clock.monotonic()
            before, self._doubted = self._doubted, set()
        try:
            names, _ = read_all(self._client, self._resource, self._namespace, _name, accept=METADATA_ONLY)
        except BaseException:
            with self._lock:
                self._doubted |= before
            raise
        with self._lock:
            self._names = frozenset(names)
            self._missing.clear()
            self._true_at = begun
            self._count += 1


def _name(item: dict[str, Any]) -> str:
    return str(item["metadata"]["name"])
