"""The clusters of one configuration, each opened when it is first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from importlib.util import find_spec

from confsync.clock import Clock
from confsync.config import kubernetes as options
from confsync.config.kubernetes import KubernetesTarget, NamespaceSelector
from confsync.config.loading import LoadedConfig
from confsync.config.references import DEFAULT_CLUSTER
from confsync.errors import ConfigError, SinkError
from confsync.sinks.kubernetes.cluster import Cluster

_PACKAGE = "kubernetes"


@dataclass(frozen=True, slots=True)
class _Watchers:
    on_target: Callable[[str], None]
    on_namespaces: Callable[[str], None]


class Clusters:
    """Name -> cluster. Thread-safe.

    Args:
        reuse: those of the configuration before; what is still the same is shared with it.

    Raises:
        ConfigError: the client library is not installed.
    """

    def __init__(self, loaded: LoadedConfig, clock: Clock, reuse: Clusters | None = None) -> None:
        if find_spec(_PACKAGE) is None:
            raise ConfigError(
                f"Kubernetes targets need the Python package {_PACKAGE!r}",
                hint="pip install 'confsync[kubernetes]'",
            )
        self._options = loaded.config.clusters or {DEFAULT_CLUSTER: options.Cluster()}
        self._base = loaded.base
        self._clock = clock
        self._lock = threading.Lock()
        self._watchers: _Watchers | None = None
        self._opened: dict[str, Cluster] = {}
        for cluster in reuse.opened() if reuse is not None else ():
            if reuse is not None and self.identity_of(cluster.name) == reuse.identity_of(cluster.name):
                self._opened[cluster.name] = cluster

    def of(self, name: str | None) -> Cluster:
        """The cluster with this name; by default the only one, or `default`.

        Raises:
            SinkError: there is none any more; a configuration that names another is refused when it is read.
        """
        name = self._name_of(name)
        with self._lock:
            cluster = self._opened.get(name)
            if cluster is not None:
                return cluster
            if name not in self._options:
                raise SinkError(f"cluster {name}", "it is not configured", hint="name it under `clusters`")
            cluster = self._opened[name] = Cluster(name, self._options[name], self._base, self._clock)
            if self._watchers is not None:
                cluster.follow(self._watchers.on_target, self._watchers.on_namespaces)
        return cluster

    def follow(self, on_target: Callable[[str], None], on_namespaces: Callable[[str], None]) -> None:
        """Watch what is opened already, and what will be."""
        with self._lock:
            self._watchers = _Watchers(on_target, on_namespaces)
            for cluster in self._opened.values():
                cluster.follow(on_target, on_namespaces)

    def identity_of(self, name: str) -> tuple[object, ...]:
        """What makes it another cluster, or another login, when it is different."""
        return name, self._options.get(name), self._base

    def expire(self) -> None:
        """Have each look for itself at its next use."""
        for cluster in self.opened():
            cluster.expire()

    def drop_unused(self, targets: Iterable[str], specs: Collection[KubernetesTarget]) -> None:
        """Stop watching what has been needed by nothing for 5 minutes; what is needed is watched on.

        Args:
            targets: ids of those that are kept; those that are no objects of a cluster do not matter.
            specs: the targets of the configuration, as it names them.
        """
        places = {target.rpartition("/")[0] for target in targets}
        selectors: dict[str, set[str]] = {}
        for spec in specs:
            name = self._name_of(spec.cluster)
            if isinstance(spec.namespace, NamespaceSelector):
                selectors.setdefault(name, set()).add(spec.namespace.text)
            else:
                places.update(f"{spec.kind}:{name}/{namespace}" for namespace in spec.namespaces)
        for cluster in self.opened():
            cluster.drop_unused(places, selectors.get(cluster.name, ()))

    def opened(self) -> list[Cluster]:
        """Those that something has needed so far."""
        with self._lock:
            return list(self._opened.values())

    def close(self, keep: Clusters | None = None) -> None:
        """Close those that `keep` has not. Idempotent."""
        kept = keep.opened() if keep is not None else []
        for cluster in self.opened():
            if not any(cluster is one for one in kept):
                cluster.close()

    def _name_of(self, name: str | None) -> str:
        """By default the only one, or `default`."""
        return name or (next(iter(self._options)) if len(self._options) == 1 else DEFAULT_CLUSTER)
