"""Where a target of the configuration goes: its cluster, each of its namespaces, its final name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from confsync.config.kubernetes import (
    KubernetesConfigMapTarget,
    KubernetesSecretTarget,
    KubernetesTarget,
    NamespaceSelector,
)
from confsync.digest import Hasher
from confsync.errors import SinkError
from confsync.sinks.kubernetes import limits, manifest
from confsync.sinks.kubernetes.cluster import Cluster
from confsync.sinks.kubernetes.failures import ApiFailure, Refused, sink_error
from confsync.sinks.kubernetes.manifest import Marks
from confsync.sinks.kubernetes.objects import KubeObject
from confsync.target import target_id
from confsync.text import printable

Spec = KubernetesSecretTarget | KubernetesConfigMapTarget


class Placement:
    """Thread-safe.

    Args:
        clusters: gives the cluster of a name, or the default one; raises ConfigError for one that is not known.
        key: secret; the names of immutable objects tell nothing of their content to who lacks it.
    """

    def __init__(self, clusters: Callable[[str | None], Cluster], key: bytes) -> None:
        self._clusters = clusters
        self._hasher = Hasher(key)

    def placed(self, spec: Spec, sync: str, content: Mapping[str, bytes]) -> Iterable[Spec]:
        """One target for each namespace, in the order in which they are named, or else of their names.

        Raises:
            SinkError: the namespaces cannot be told, or the API server could not take such an object.
        """
        cluster = self._clusters(spec.cluster)
        for namespace in namespaces_of(spec, cluster):
            one = spec.model_copy(update={"cluster": cluster.name, "namespace": namespace})
            if one.immutable:
                one = self._named_by_content(one, sync, content, cluster)
            limits.check(name_of(one), one, content)
            yield one

    def _named_by_content(
        self, spec: Spec, sync: str, content: Mapping[str, bytes], cluster: Cluster
    ) -> Spec:
        """With the name of the object that has this content: one there is, else NAME-DIGITS."""
        kind = manifest.full_type(spec.type) if isinstance(spec, KubernetesSecretTarget) else ""
        parts = [part for name in sorted(content) for part in (name, content[name])]
        digits = self._hasher.parts(spec.kind, kind, *parts)[: manifest.DIGITS]
        named = spec.model_copy(update={"name": f"{spec.name}-{digits}"})
        limits.check_place(name_of(named), named)
        cache = cluster.objects(manifest.resource_of(spec), str(spec.namespace))
        try:
            if cache.get(named.name) is not None:
                return named
            # Under another key (the ledger was lost, a replica leads now) the same content has another name.
            same = [
                name
                for name, found in cache.all().items()
                if _is_version(found, spec.name, sync, kind) and manifest.content_of(found) == content
            ]
        except ApiFailure as failure:
            raise sink_error(name_of(named), failure, "cannot be looked at") from failure
        return spec.model_copy(update={"name": min(same)}) if same else named


def name_of(spec: KubernetesTarget) -> str:
    """A target's id, safe to print."""
    return printable(target_id(spec))


def namespaces_of(spec: KubernetesTarget, cluster: Cluster) -> tuple[str, ...]:
    """The namespaces a target stands for, in the order in which they are named, or else of their names.

    Raises:
        SinkError: the cluster cannot be asked, or refuses.
    """
    if not isinstance(spec.namespace, NamespaceSelector):
        return tuple(dict.fromkeys(spec.namespaces))
    try:
        return cluster.namespaces().matching(spec.namespace.text)
    except Refused as failure:
        hint = "write it as for kubectl get -l: team=shop,env in (a,b)"
        why = f"the API server does not understand the selector {spec.namespace.text!r}"
        raise SinkError(name_of(spec), why, hint=hint) from failure
    except ApiFailure as failure:
        raise sink_error(name_of(spec), failure, "its namespaces cannot be told") from failure


def _is_version(found: KubeObject, name: str, sync: str, kind: str) -> bool:
    """Whether an object is one of those an immutable target had."""
    marks = Marks.of(found)
    return (marks.base_name, marks.sync) == (name, sync) and found.immutable and found.type == kind
