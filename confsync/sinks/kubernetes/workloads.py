"""Roll-outs: a workload's pods are replaced when an annotation of its pod template changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from confsync.config.kubernetes import KubernetesTarget, Workload
from confsync.errors import SinkError
from confsync.sinks.base import Remark
from confsync.sinks.kubernetes.cluster import Cluster
from confsync.sinks.kubernetes.failures import ApiFailure, NotFound, sink_error
from confsync.sinks.kubernetes.manifest import BASE_NAME, CHECKSUM, resource_of
from confsync.sinks.kubernetes.resources import DAEMON_SET, DEPLOYMENT, STATEFUL_SET

FIELD_MANAGER = "confsync-restart"
_PREFIX = "checksum.confsync.dev"
_LONGEST = 63  # of an annotation's name, after the slash
_RESOURCES = {resource.kind: resource for resource in (DEPLOYMENT, STATEFUL_SET, DAEMON_SET)}


def roll_out(cluster: Cluster, namespace: str, workload: Workload, specs: Iterable[KubernetesTarget]) -> None:
    """Note in a workload's pod template what its objects hold now. Where it says so already nothing happens.

    Each note is merged in by itself: what other targets, or other confsyncs, noted there stays.

    Args:
        specs: the placed targets it is rolled out for.

    Raises:
        SinkError: it is not there, the cluster refuses, or cannot be reached.
    """
    target = _named(cluster, namespace, workload)
    try:
        notes = {name: digest for spec in specs for name, digest in _checksum(cluster, spec)}
        if not notes:
            return
        _patch(cluster, namespace, workload, notes)
    except NotFound as exc:
        raise SinkError(target, "it is not there", hint="create it, or correct `restart`") from exc
    except ApiFailure as exc:
        raise sink_error(target, exc, "cannot be rolled out") from exc


def rehearse(cluster: Cluster, namespace: str, workload: Workload) -> Remark | None:
    """Ask the cluster whether it would roll a workload out; changes nothing.

    Returns:
        Why its roll-out would be owed: it is not there, the cluster refuses. None where all is well.
    """
    try:
        _patch(cluster, namespace, workload, {annotation("Secret", "rehearsal"): ""}, dryRun="All")
    except NotFound:
        return Remark(f"{workload} in namespace {namespace} is not there; its roll-out is owed until it is")
    except ApiFailure as exc:
        refused = sink_error(_named(cluster, namespace, workload), exc, "cannot be rolled out")
        return Remark(str(refused), wrong=True)
    return None


def _named(cluster: Cluster, namespace: str, workload: Workload) -> str:
    return f"{workload} in namespace {namespace} of cluster {cluster.name}"


def _patch(cluster: Cluster, namespace: str, workload: Workload, notes: dict[str, str], **query: str) -> None:
    cluster.client.request(
        "PATCH",
        _RESOURCES[workload.kind],
        namespace,
        workload.name,
        query={"fieldManager": FIELD_MANAGER, **query},
        body={"spec": {"template": {"metadata": {"annotations": notes}}}},
        content_type="application/strategic-merge-patch+json",
    )


def _checksum(cluster: Cluster, spec: KubernetesTarget) -> Iterable[tuple[str, str]]:
    """The annotation that stands for an object, and the checksum it carries; none where it is gone."""
    resource = resource_of(spec)
    found = cluster.objects(resource, str(spec.namespace)).get(spec.name)
    mark = found.annotations.get(CHECKSUM) if found is not None else None
    if found is None or mark is None:
        return ()
    name = found.annotations.get(BASE_NAME, spec.name)
    return ((annotation(resource.kind, name), mark.rpartition(".")[2]),)


def annotation(kind: str, name: str) -> str:
    """The annotation for an object of this kind and name; a name may be longer than an annotation's."""
    whole = f"{kind.lower()}.{name}"
    if len(whole) > _LONGEST:
        digest = hashlib.sha256(whole.encode()).hexdigest()[:10]
        whole = f"{whole[: _LONGEST - len(digest) - 1].rstrip('-.')}-{digest}"
    return f"{_PREFIX}/{whole}"
