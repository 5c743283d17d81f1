"""A target as it should be and as it is: what renders make, plans compare and sinks write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from confsync.config.models import DirectoryTarget, FileTarget

TargetSpec = FileTarget | DirectoryTarget

Content = bytes | Mapping[str, bytes]
"""A file's bytes, or a directory's file names -> bytes."""


@dataclass(frozen=True, slots=True)
class Desired:
    """One target as it should be.

    Attributes:
        spec: the target's model with its path final: absolute, nothing left to render.
        content: all of it.
        sensitive: whether it depends on a sensitive value.
    """

    spec: TargetSpec
    content: Content = field(repr=False)
    sensitive: bool


@dataclass(frozen=True, slots=True)
class Actual:
    """One target as it is.

    Attributes:
        content: what a reader gets, or None where there is nothing.
        attributes: what else must agree, as people write it: mode ("0644"), owner, group.
        problem: why it cannot be written as it stands (a FIFO, a symlink that is refused…), or None.
    """

    content: Content | None = field(repr=False)
    attributes: Mapping[str, str]
    problem: str | None = None

    def has(self, attributes: Mapping[str, str]) -> bool:
        """Whether it has these attributes. Others do not count: of a new file nobody said who is to own it."""
        return all(self.attributes.get(name) == value for name, value in attributes.items())


def target_id(spec: TargetSpec) -> str:
    """The identity of a target whose path is final: `file:/etc/app.conf`."""
    return f"{'file' if isinstance(spec, FileTarget) else 'directory'}:{spec.path}"


def spec_from_json(target: str, text: str) -> TargetSpec:
    """The spec that was kept for the target with this id."""
    model = FileTarget if target.startswith("file:") else DirectoryTarget
    return model.model_validate_json(text)
