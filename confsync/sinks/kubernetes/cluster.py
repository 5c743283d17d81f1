"""A configured cluster: its client, and what is kept of its objects."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from confsync.clock import Clock
from confsync.config import kubernetes as options
from confsync.sinks.kubernetes.cache import ObjectCache
from confsync.sinks.kubernetes.client import Client
from confsync.sinks.kubernetes.namespaces import UNUSED_FOR, NamespaceCache
from confsync.sinks.kubernetes.outage import Outage
from confsync.sinks.kubernetes.resources import CONFIG_MAP, SECRET, Resource

_KINDS = {SECRET: "kubernetes_secret", CONFIG_MAP: "kubernetes_config_map"}


@dataclass(slots=True)
class _Kept:
    cache: ObjectCache
    used: float  # when it was needed or looked at last


@dataclass(frozen=True, slots=True)
class _Followers:
    on_target: Callable[[str], None]
    on_namespaces: Callable[[str], None]


class Cluster:
    """Thread-safe. Nothing is asked of the cluster before something is needed of it.

    Args:
        name: as in `clusters`.
        options: how to log in, and how fast to ask.
        base: the directory of the configuration; a relative `kubeconfig` starts there.
        clock: where the time comes from.

    Attributes:
        name: as in `clusters`.
        clock: where the time comes from.
        client: what asks.
    """

    def __init__(self, name: str, options: options.Cluster, base: Path, clock: Clock) -> None:
        self.name = name
        self.clock = clock
        self.client = Client(name, options, base, clock=clock)
        self._outage = Outage()
        self._lock = threading.Lock()
        self._objects: dict[tuple[Resource, str], _Kept] = {}
        self._namespaces: NamespaceCache | None = None
        self._followers: _Followers | None = None
        self._closed = False

    def objects(self, resource: Resource, namespace: str) -> ObjectCache:
        """Our Secrets or ConfigMaps in one namespace."""
        with self._lock:
            kept = self._objects.get((resource, namespace))
            if kept is None:
                cache = ObjectCache(self.client, resource, namespace, self.clock, self._outage)
                kept = self._objects[resource, namespace] = _Kept(cache, 0.0)
                self._follow(cache, resource, namespace)
            kept.used = self.clock.monotonic()
        return kept.cache

    def namespaces(self) -> NamespaceCache:
        """The namespaces, by selector."""
        with self._lock:
            if self._namespaces is None:
                self._namespaces = NamespaceCache(self.client, self.clock, self._outage)
                self._follow_namespaces(self._namespaces)
            return self._namespaces

    def follow(self, on_target: Callable[[str], None], on_namespaces: Callable[[str], None]) -> None:
        """Watch from now on, until `close`, all that is looked at, and will be.

        Args:
            on_target: called with the id of each target that somebody else changed, made or deleted
                (`kubernetes_secret:CLUSTER/NAMESPACE/NAME`). From a watch's thread; must not block.
            on_namespaces: called with this cluster's name when other namespaces than before match a selector.
        """
        with self._lock:
            self._followers = _Followers(on_target, on_namespaces)
            for (resource, namespace), kept in self._objects.items():
                self._follow(kept.cache, resource, namespace)
            if self._namespaces is not None:
                self._follow_namespaces(self._namespaces)

    def drop_unused(self, places: Collection[str], selectors: Collection[str]) -> None:
        """Stop watching what has been neither needed nor looked at during the last 5 minutes.

        What is needed is never dropped, however long nobody looks at it: its watch is what tells of drift.

        Args:
            places: ids of the targets that are needed, without their names: `kubernetes_secret:CLUSTER/NAMESPACE`.
            selectors: the label selectors of namespaces that are needed.
        """
        with self._lock:
            unused = self._take_unused(places)
            namespaces = self._namespaces
        for cache in unused:
            cache.stop(wait=False)
        if namespaces is not None:
            namespaces.drop_unused(selectors)

    def expire(self) -> None:
        """Let the next looks ask the cluster again, as far as no watch tells already; called for each resync."""
        with self._lock:
            caches = [kept.cache for kept in self._objects.values()]
            namespaces = self._namespaces
        for cache in caches:
            cache.expire()
        if namespaces is not None:
            namespaces.expire()

    def close(self) -> None:
        """End all watches and connections. Idempotent; what is asked afterwards fails."""
        with self._lock:
            self._closed = True
            self._followers = None
            caches = [kept.cache for kept in self._objects.values()]
            namespaces = self._namespaces
        self.client.close()
        for cache in caches:
            cache.stop(wait=False)
        if namespaces is not None:
            namespaces.stop()
        for cache in caches:
            cache.stop()

    def _follow(self, cache: ObjectCache, resource: Resource, namespace: str) -> None:
        followers = self._followers
        if followers is None or self._closed:
            return
        place = self._place(resource, namespace)
        cache.follow(lambda name: followers.on_target(f"{place}/{name}"))

    def _follow_namespaces(self, namespaces: NamespaceCache) -> None:
        followers = self._followers
        if followers is not None and not self._closed:
            namespaces.follow(lambda: followers.on_namespaces(self.name))

    def _place(self, resource: Resource, namespace: str) -> str:
        """The id of every target there, without its name."""
        return f"{_KINDS[resource]}:{self.name}/{namespace}"

    def _take_unused(self, places: Collection[str]) -> list[ObjectCache]:
        now = self.clock.monotonic()
        for (resource, namespace), kept in self._objects.items():
            if self._place(resource, namespace) in places:
                kept.used = now
        unused = [key for key, kept in self._objects.items() if now - kept.used > UNUSED_FOR]
        return [self._objects.pop(key).cache for key in unused]
