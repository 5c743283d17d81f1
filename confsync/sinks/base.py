"""What a sink does: look at a target, stage what is wanted, show it at once, take it back, remove it.

A sink knows nothing of templates, plans or the ledger. It raises `SinkError`, never logs, and never leaves a
half-made target: until `Staged.commit` a reader sees the old content, after it the new, nothing in between.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar

from confsync.target import Actual, Content, Desired, TargetSpec

__all__ = ["Actual", "Content", "Desired", "Sink", "Staged", "TargetSpec"]


class Staged(ABC):
    """New content, complete and checked for space, that no reader of the target sees yet.

    The order is `commit`, perhaps `rollback`, and always `close`; one thread at a time.

    Attributes:
        notes: what did not fail and should still be told: an owner that could not be kept, a write in place.
            Final after `commit`; free of sensitive values.
    """

    notes: tuple[str, ...] = ()

    @property
    @abstractmethod
    def path(self) -> str:
        """The staged file or directory, for `check:` to look at; modes and owners are final."""

    @abstractmethod
    def commit(self) -> None:
        """Make it visible, at once and durably. Raises `SinkError` with the target as it was."""

    @abstractmethod
    def rollback(self) -> None:
        """After `commit`: put back what was there before.

        Raises `SinkError`, also where the old was not kept because it was staged as not undoable.
        """

    @abstractmethod
    def close(self) -> None:
        """Remove what staging left behind, whatever happened before. Never raises; idempotent."""


class Sink(ABC):
    """One kind of target. Stateless and thread-safe; two calls never run at once for one target."""

    kind: ClassVar[str]

    @abstractmethod
    def locate(self, spec: TargetSpec) -> str:
        """The target's identity within this kind: its absolute, normalised path.

        Raises `SinkError` for a path that cannot be one: relative, `/`, with a NUL.
        """

    @abstractmethod
    def observe(self, spec: TargetSpec) -> Actual:
        """Look, changing nothing and waiting for nobody. Raises `SinkError` where it cannot be read."""

    @abstractmethod
    def attributes(self, desired: Desired, actual: Actual) -> Mapping[str, str]:
        """The attributes `desired` should have, given what is there; comparable with `Actual.attributes`.

        They agree when the two mappings are equal; where nothing is there yet, only what is decided is named.
        Raises `SinkError` for an owner or group that does not exist, or something foreign that is in the way.
        """

    @abstractmethod
    def stage(self, desired: Desired, *, undoable: bool = True) -> Staged:
        """Do all that can fail before the target is touched. Raises `SinkError`, leaving nothing behind.

        Args:
            desired: the target as it should be.
            undoable: whether `rollback` may be asked for; without it `commit` need not keep the old.
        """

    @abstractmethod
    def remove(self, spec: TargetSpec) -> None:
        """Remove the target durably; it is no error if it is gone. Raises `SinkError`."""

    @abstractmethod
    def sweep(self, specs: Iterable[TargetSpec]) -> None:
        """Remove what a crash may have left beside these targets: stale staging files of ours, nothing else.

        Call it while none of them is being staged. What cannot be removed stays; never raises for it.
        """
