"""Sinks write targets whole or not at all; `Sinks` has the one for each target of a configuration.

`base` is the contract; `file` and `directory` fulfil it with `staged_file` and `staged_directory`, with `disk`,
`names`, `ownership` and `failures` for what both need. `kubernetes` has those for Secrets and ConfigMaps.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING

from confsync.clock import Clock
from confsync.config.kubernetes import KubernetesSecretTarget, KubernetesTarget
from confsync.config.loading import LoadedConfig
from confsync.config.models import DirectoryTarget, FileTarget

if TYPE_CHECKING:
    from confsync.sinks.base import Sink
    from confsync.sinks.kubernetes.cluster import Cluster
    from confsync.sinks.kubernetes.clusters import Clusters
    from confsync.target import Desired, TargetSpec

__all__ = ["Sinks", "sink_for"]


class Sinks:
    """The sinks of one configuration. Thread-safe; a sink's module is imported when a target needs it.

    Args:
        key: the secret key of digests that others may see.
        reuse: the sinks of the configuration before; clusters that are still the same are not opened again.
    """

    def __init__(self, loaded: LoadedConfig, key: bytes, clock: Clock, reuse: Sinks | None = None) -> None:
        self._loaded = loaded
        self._key = key
        self._clock = clock
        self._lock = threading.Lock()
        self._sinks: dict[str, Sink] = {}
        self._clusters: Clusters | None = None
        if reuse is not None and reuse.clusters is not None:
            self._opened_clusters(reuse.clusters)

    @property
    def clusters(self) -> Clusters | None:
        """The clusters, where something has needed one."""
        return self._clusters

    def of(self, spec: TargetSpec) -> Sink:
        """The sink that writes `spec`'s kind.

        Raises:
            ConfigError: a package it needs is not installed.
        """
        with self._lock:
            sink = self._sinks.get(spec.kind)
            if sink is None:
                sink = self._sinks[spec.kind] = self._opened(spec)
        return sink

    def place(self, desired: Desired) -> Iterable[Desired]:
        """The targets that `desired` stands for. Raises `SinkError` where that cannot be told."""
        return self.of(desired.spec).place(desired)

    def namespaces(self, spec: KubernetesTarget) -> tuple[str, ...]:
        """The namespaces that a target stands for now.

        Raises:
            SinkError: the cluster cannot be asked, or refuses.
        """
        from confsync.sinks.kubernetes.placement import namespaces_of

        return namespaces_of(spec, self.cluster(spec.cluster))

    def cluster(self, name: str | None) -> Cluster:
        """One of the configuration's clusters; by default the only one. Raises `SinkError` where there is none."""
        with self._lock:
            clusters = self._opened_clusters()
        return clusters.of(name)

    def follow(self, on_target: Callable[[str], None], on_namespaces: Callable[[str], None]) -> None:
        """From now on notice what happens to targets that are not files.

        Args:
            on_target: called with the id of a target that something happened to, from a thread of a watch.
            on_namespaces: called with the cluster in which namespaces came, went or were labelled.
        """
        if self._needs_clusters():
            with self._lock:
                clusters = self._opened_clusters()
            clusters.follow(on_target, on_namespaces)

    def expire(self, targets: Collection[str]) -> None:
        """Believe nothing that is only remembered: a resync looks for itself.

        What neither `targets` nor the configuration has needed for some minutes is no longer watched; what they need
        is, however rarely somebody looks at it.

        Args:
            targets: the ids of all targets that are kept. A collection that no other thread changes.
        """
        if self._clusters is None:
            return
        self._clusters.drop_unused(targets, list(self._kubernetes_targets()))
        self._clusters.expire()

    def leadership_changed(self) -> None:
        """Call it when leadership was gained, and when it was lost.

        Another replica writes the same targets then, which is no other confsync that fights for them.
        """
        with self._lock:
            sinks = list(self._sinks.values())
        for sink in sinks:
            sink.leadership_changed()

    def close(self, keep: Sinks | None = None) -> None:
        """End watches and connections, but those that `keep` uses. Idempotent."""
        if self._clusters is not None:
            self._clusters.close(keep=keep.clusters if keep is not None else None)

    def _needs_clusters(self) -> bool:
        return any(self._kubernetes_targets())

    def _kubernetes_targets(self) -> Iterator[KubernetesTarget]:
        """As the configuration names them: a target for several namespaces is one."""
        for sync in self._loaded.config.syncs.values():
            for target in sync.to:
                if isinstance(target.spec, KubernetesTarget):
                    yield target.spec

    def _opened_clusters(self, reuse: Clusters | None = None) -> Clusters:
        if self._clusters is None:
            from confsync.sinks.kubernetes.clusters import Clusters

            self._clusters = Clusters(self._loaded, self._clock, reuse)
        return self._clusters

    def _opened(self, spec: TargetSpec) -> Sink:
        if isinstance(spec, FileTarget | DirectoryTarget):
            return sink_for(spec)
        clusters = self._opened_clusters()
        if isinstance(spec, KubernetesSecretTarget):
            from confsync.sinks.kubernetes.sink import KubernetesSecretSink

            return KubernetesSecretSink(clusters.of, self._key)
        from confsync.sinks.kubernetes.sink import KubernetesConfigMapSink

        return KubernetesConfigMapSink(clusters.of, self._key)


def sink_for(spec: FileTarget | DirectoryTarget) -> Sink:
    """The sink that writes `spec`'s kind to the disk, which needs to know nothing else."""
    return _file_sink() if isinstance(spec, FileTarget) else _directory_sink()


@cache
def _file_sink() -> Sink:
    from confsync.sinks.file import FileSink

    return FileSink()


@cache
def _directory_sink() -> Sink:
    from confsync.sinks.directory import DirectorySink

    return DirectorySink()
