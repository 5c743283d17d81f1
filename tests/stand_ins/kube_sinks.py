"""The Kubernetes sinks of one confsync, as it uses them; a test has several where confsyncs meet.

from stand_ins.kube_sinks import KubeSinks, open_sinks, sinks

    sinks.write(sinks.secret(), {"user": b"me"})
    assert sinks.agrees(sinks.secret(), {"user": b"me"})
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from confsync.clock import SystemClock
from confsync.config import kubernetes as options
from confsync.config.kubernetes import KubernetesConfigMapTarget, KubernetesSecretTarget, KubernetesTarget
from confsync.digest import Hasher
from confsync.errors import ConfigError
from confsync.plan.change import Decision, Known, Print, decide
from confsync.sinks.base import Remark
from confsync.sinks.kubernetes.cluster import Cluster
from confsync.sinks.kubernetes.sink import KubernetesConfigMapSink, KubernetesSecretSink, KubernetesSink
from confsync.sinks.kubernetes.staged import StagedObject
from confsync.target import Actual, Desired
from stand_ins.kubernetes import fixtures

SYNC = "shop"


class LateClock:
    """The machine's clock, which a test moves on; the cluster's own goes as it goes."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self.ahead = 0.0

    def now(self) -> float:
        return self._clock.now() + self.ahead

    def monotonic(self) -> float:
        return self._clock.monotonic() + self.ahead


class KubeSinks:
    """One thread at a time.

    Args:
        kubeconfig: how to log in.
        namespace: where targets are by default.
        key: the ledger's; another confsync has another.

    Attributes:
        clock: what is remembered of the cluster is measured with.
        cluster: "prod", the only one.
    """

    def __init__(self, kubeconfig: Path, namespace: str, key: bytes = b"k" * 32, **wanted: object) -> None:
        self.namespace = namespace
        self.clock = LateClock()
        given = options.Cluster.model_validate({"kubeconfig": str(kubeconfig), **wanted})
        self.cluster = Cluster("prod", given, kubeconfig.parent, self.clock)
        self.secrets = KubernetesSecretSink(self._named, key)
        self.config_maps = KubernetesConfigMapSink(self._named, key)
        self._hasher = Hasher(key)

    def _named(self, name: str | None) -> Cluster:
        if name not in (None, "prod"):
            raise ConfigError(f"there is no cluster {name!r}")
        return self.cluster

    def secret(self, name: str = "app", **fields: object) -> KubernetesSecretTarget:
        """A placed target, unless it has several namespaces."""
        return KubernetesSecretTarget.model_validate(self._fields(name, fields))

    def config_map(self, name: str = "app", **fields: object) -> KubernetesConfigMapTarget:
        return KubernetesConfigMapTarget.model_validate(self._fields(name, fields))

    def sink(self, spec: KubernetesTarget) -> KubernetesSink:
        return self.secrets if isinstance(spec, KubernetesSecretTarget) else self.config_maps

    def place(
        self,
        spec: KubernetesTarget,
        content: Mapping[str, bytes],
        sync: str = SYNC,
        *,
        sensitive: bool = False,
    ) -> list[Desired]:
        return list(self.sink(spec).place(Desired(spec, content, sensitive, sync)))

    def later(self) -> None:
        """Time enough passes for nothing that is only remembered to be believed."""
        self.clock.ahead += 11

    def observe(self, spec: KubernetesTarget, *wanted: str) -> Actual:
        """What is there by now."""
        self.later()
        return self.sink(spec).observe(spec, wanted)

    def stage(
        self,
        spec: KubernetesTarget,
        content: Mapping[str, bytes],
        sync: str = SYNC,
        *,
        undoable: bool = True,
        created: bool = False,
        formerly: str | None = None,
    ) -> StagedObject:
        """Look, and stage."""
        self.later()
        desired = Desired(spec, content, sensitive=False, sync=sync)
        return self.sink(spec).stage(desired, undoable=undoable, created=created, formerly=formerly)

    def rehearse(
        self, spec: KubernetesTarget, content: Mapping[str, bytes], sync: str = SYNC, **how: Any
    ) -> tuple[Remark, ...]:
        """Look, and ask whether it would be taken."""
        self.later()
        return self.sink(spec).rehearse(Desired(spec, content, sensitive=False, sync=sync), **how)

    def write(
        self, spec: KubernetesTarget, content: Mapping[str, bytes], sync: str = SYNC, **how: Any
    ) -> StagedObject:
        """Look, stage, commit and close."""
        staged = self.stage(spec, content, sync, **how)
        try:
            staged.commit()
        finally:
            staged.close()
        return staged

    def decide(
        self,
        spec: KubernetesTarget,
        content: Mapping[str, bytes],
        sync: str = SYNC,
        known: Known | None = None,
    ) -> Decision:
        """What a plan says of it, looking afresh."""
        actual = self.observe(spec, *content)
        attributes = self.sink(spec).attributes(Desired(spec, content, sensitive=False, sync=sync), actual)
        seen = None
        if actual.content is not None:
            seen = Print(self._hasher.content(actual.content), actual.attributes)
        return decide(Print(self._hasher.content(content), attributes), seen, known, shared=True)

    def known(
        self, spec: KubernetesTarget, content: Mapping[str, bytes], sync: str = SYNC, *, created: bool = True
    ) -> Known:
        """What the ledger says of a target that was written so."""
        desired = Desired(spec, content, sensitive=False, sync=sync)
        attributes = self.sink(spec).attributes(desired, Actual(None, {}))
        return Known(self._hasher.content(content), created, intended=False, attributes=attributes)

    def agrees(self, spec: KubernetesTarget, content: Mapping[str, bytes], sync: str = SYNC) -> bool:
        """Whether a plan would find nothing to do."""
        return self.decide(spec, content, sync, self.known(spec, content, sync)) == Decision("none")

    def close(self) -> None:
        self.cluster.close()

    def _fields(self, name: str, fields: dict[str, object]) -> dict[str, object]:
        return {"cluster": "prod", "namespace": self.namespace, "name": name, **fields}


@pytest.fixture
def open_sinks(cluster: fixtures.Cluster) -> Iterator[Callable[..., KubeSinks]]:
    """Open the sinks of one more confsync; closed at the end."""
    opened: list[KubeSinks] = []

    def open_sinks(**how: object) -> KubeSinks:
        one = KubeSinks(cluster.kubeconfig, cluster.namespace, **how)
        opened.append(one)
        return one

    yield open_sinks
    for one in opened:
        one.close()


@pytest.fixture
def sinks(open_sinks: Callable[..., KubeSinks]) -> KubeSinks:
    """The sinks of a confsync."""
    return open_sinks()


def marks(thing: dict) -> dict[str, str]:
    """The annotations by which an object of ours is known, without their prefix."""
    annotations = thing["metadata"].get("annotations") or {}
    return {
        name.removeprefix("confsync.dev/"): value
        for name, value in annotations.items()
        if name.startswith("confsync.dev/")
    }
