"""Roll-outs: reloads of what runs in a cluster, owed as other reloads are.

A workload's pod template gets one annotation for each of our objects it is restarted for, with the checksum that the
object carries. So a roll-out happens exactly when a content changed, however often it is asked for: a process that
was killed between the roll-out and its record, or another replica that takes over, asks again and nothing moves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from confsync.config.kubernetes import KubernetesTarget, Workload
from confsync.errors import ActionError, SinkError
from confsync.ledger.records import TargetRecord
from confsync.reconcile.core import Core
from confsync.target import TargetSpec, spec_from_json

_PREFIX = "roll-out:"


@dataclass(frozen=True, slots=True)
class Rollout:
    """One workload to roll out."""

    cluster: str
    namespace: str
    workload: Workload

    @property
    def identity(self) -> str:
        """What the ledger knows it by."""
        return f"{_PREFIX}{self.cluster}/{self.namespace}/{self.workload}"

    @property
    def description(self) -> str:
        """What it is, for people."""
        return f"roll-out of {self.workload} in namespace {self.namespace} of cluster {self.cluster}"


def is_rollout(identity: str) -> bool:
    """Whether a reload is a roll-out, by its identity."""
    return identity.startswith(_PREFIX)


def cluster_of(identity: str) -> str:
    """The cluster of a roll-out, by its identity; "" of other reloads."""
    return identity.removeprefix(_PREFIX).partition("/")[0] if is_rollout(identity) else ""


def rollouts_of(spec: TargetSpec | KubernetesTarget) -> list[Rollout]:
    """What is rolled out when a placed target's content changed."""
    if not isinstance(spec, KubernetesTarget):
        return []
    return [Rollout(spec.cluster or "", str(spec.namespace), workload) for workload in spec.restart]


def rollouts_among(targets: Mapping[str, TargetRecord]) -> dict[str, Rollout]:
    """Identity -> roll-out, of all these targets."""
    return {rollout.identity: rollout for spec in _restarting(targets) for rollout in rollouts_of(spec)}


def _restarting(targets: Mapping[str, TargetRecord]) -> Iterator[KubernetesTarget]:
    for target in targets.values():
        if '"restart":[{' not in target.spec:  # to read them all would be felt where there are thousands
            continue
        spec = spec_from_json(target.id, target.spec)
        if isinstance(spec, KubernetesTarget):
            yield spec


def roll_out(core: Core, rollout: Rollout) -> None:
    """Have the workload's pods replaced if what they were made with has changed since.

    Raises:
        ActionError: the cluster refuses, or cannot be reached.
    """
    from confsync.sinks.kubernetes import workloads

    specs = [spec for spec in _restarting(core.ledger.targets()) if rollout in rollouts_of(spec)]
    try:
        cluster = core.sinks.cluster(rollout.cluster)
        workloads.roll_out(cluster, rollout.namespace, rollout.workload, specs)
    except SinkError as exc:
        why = exc.message.removeprefix(f"{exc.target}: ")
        raise ActionError(f"{rollout.description} failed: {why}", hint=exc.hint) from exc
