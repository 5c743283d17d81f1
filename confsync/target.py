"""A target as it should be and as it is: what renders make, plans compare and sinks write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from confsync.config.kubernetes import (
    KubernetesConfigMapTarget,
    KubernetesSecretTarget,
    KubernetesTarget,
)
from confsync.config.models import DirectoryTarget, FileTarget, TargetSpec

__all__ = ["Actual", "Content", "Desired", "TargetSpec", "spec_from_json", "target_id"]

Content = bytes | Mapping[str, bytes]
"""A file's bytes, or the names in a directory, Secret or ConfigMap -> bytes."""

_MODELS: dict[str, type[TargetSpec]] = {
    model.kind: model
    for model in (FileTarget, DirectoryTarget, KubernetesSecretTarget, KubernetesConfigMapTarget)
}


@dataclass(frozen=True, slots=True)
class Desired:
    """One target as it should be.

    Attributes:
        spec: the target's model with nothing left to render; for a sink, with its place final.
        content: all of it.
        sensitive: whether it depends on a sensitive value.
        sync: whose it is.
    """

    spec: TargetSpec
    content: Content = field(repr=False)
    sensitive: bool
    sync: str = ""


@dataclass(frozen=True, slots=True)
class Actual:
    """One target as it is.

    Attributes:
        content: what a reader gets, or None where there is nothing.
        attributes: what else must agree, as people write it: mode ("0644"), owner, group; a type, a label.
        problem: why it cannot be written as it stands (a FIFO, a symlink that is refused…), or None.
        created_for: the sync that confsync created it for, where the target itself says so, or None.
        identity: what no other thing has, under whatever name it is found; "" where there is no such mark.
        claimed_by: another sync, of another confsync, that wants it as well, where the target says so, or None.
    """

    content: Content | None = field(repr=False)
    attributes: Mapping[str, str]
    problem: str | None = None
    created_for: str | None = None
    identity: str = ""
    claimed_by: str | None = None

    def has(self, attributes: Mapping[str, str]) -> bool:
        """Whether it has these attributes. Others do not count: of a new file nobody said who is to own it."""
        return all(self.attributes.get(name) == value for name, value in attributes.items())


def target_id(spec: TargetSpec | KubernetesTarget) -> str:
    """The identity of a target whose place is final: `file:/etc/app.conf`, `kubernetes_secret:prod/shop/db`."""
    return f"{spec.kind}:{spec.place}"


def spec_from_json(target: str, text: str) -> TargetSpec:
    """The spec that was kept for the target with this id."""
    return _MODELS[target.partition(":")[0]].model_validate_json(text)
