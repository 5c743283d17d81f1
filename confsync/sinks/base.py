"""What a sink does: look at a target, stage what is wanted beside it, make it visible at once, take it back, remove it.

A sink knows nothing of templates, plans or the ledger. It raises `SinkError`, never logs, and never leaves a half-made
target: until `Staged.commit` a reader sees the old content, after it the new, and nothing in between.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

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
    content: Content
    sensitive: bool


@dataclass(frozen=True, slots=True)
class Actual:
    """One target as it is.

    Attributes:
        content: what a reader gets, or None where there is nothing.
        attributes: what else must agree, as people write it: mode ("0644"), owner, group.
        problem: why it cannot be written as it stands (a FIFO, a symlink that is refused…), or None.
    """

    content: Content | None
    attributes: Mapping[str, str]
    problem: str | None = None

    @property
    def exists(self) -> bool:
        return self.content is not None


class Staged(ABC):
    """New content, complete and checked for space, that no reader of the target sees yet."""

    @property
    @abstractmethod
    def path(self) -> str:
        """The staged file or directory, for `check:` to look at; modes and owners are final."""

    @abstractmethod
    def commit(self) -> None:
        """Make it visible, at once and durably. Raises `SinkError` with the target as it was."""

    @abstractmethod
    def rollback(self) -> None:
        """After `commit`: put back what was there before. Raises `SinkError`."""

    @abstractmethod
    def close(self) -> None:
        """Remove what staging left behind, whatever happened before. Never raises; idempotent."""


class Sink(ABC):
    """One kind of target. Stateless and thread-safe; two calls never run at once for one target."""

    kind: ClassVar[str]

    @abstractmethod
    def locate(self, spec: TargetSpec) -> str:
        """The target's identity within this kind: its absolute, normalised path."""

    @abstractmethod
    def observe(self, spec: TargetSpec) -> Actual:
        """Look, changing nothing. Raises `SinkError` where it cannot be read."""

    @abstractmethod
    def attributes(self, desired: Desired, actual: Actual) -> Mapping[str, str]:
        """The attributes `desired` should have, given what is there; comparable with `Actual.attributes`.

        Raises `SinkError` for an owner or group that does not exist.
        """

    @abstractmethod
    def stage(self, desired: Desired) -> Staged:
        """Write everything that can fail before the target is touched. Raises `SinkError`, leaving nothing behind."""

    @abstractmethod
    def remove(self, spec: TargetSpec) -> None:
        """Remove the target durably; it is no error if it is gone. Raises `SinkError`."""

    @abstractmethod
    def sweep(self, spec: TargetSpec) -> None:
        """Remove what a crash may have left beside the target: stale staging files of ours, nothing else."""
