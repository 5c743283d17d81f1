"""What a sink does: look at a target, stage what is wanted, show it at once, take it back, remove it.

A sink knows nothing of templates, plans or the ledger. It raises `SinkError`, never logs, and never leaves a
half-made target: until `Staged.commit` a reader sees the old content, after it the new, nothing in between.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from confsync.target import Actual, Content, Desired, TargetSpec

__all__ = ["Actual", "Content", "Desired", "Remark", "Sink", "Staged", "TargetSpec"]


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to be known before a target is written; free of values.

    Attributes:
        wrong: whether it will keep something from being done.
    """

    text: str
    wrong: bool = False


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
        """The staged file or directory, for `check:` to look at; modes and owners are final.

        Raises `SinkError` where it is made only when asked for, and cannot be.
        """

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
    """One kind of target. Thread-safe; two calls never run at once for one target."""

    kind: ClassVar[str]

    shared: ClassVar[bool] = False
    """Whether others may write to a target as well, and it is known what of it is ours."""

    remote: ClassVar[bool] = False
    """Whether writing is mostly waiting for somebody else, so that several targets are written at once."""

    def place(self, desired: Desired) -> Iterable[Desired]:
        """The targets `desired` stands for, each at its final place: one for each namespace, say.

        Raises `SinkError` where that cannot be told, or no such target can be.
        """
        return (desired,)

    @abstractmethod
    def locate(self, spec: TargetSpec) -> str:
        """The target's identity within this kind: its place, such as an absolute, normalised path.

        Raises `SinkError` for a place that cannot be one: a path that is relative, `/`, has a NUL.
        """

    @abstractmethod
    def observe(self, spec: TargetSpec, wanted: Collection[str] = ()) -> Actual:
        """Look, changing nothing. Raises `SinkError` where it cannot be read.

        Args:
            wanted: of a target that others write to as well: the names to look at besides those that are ours.
        """

    @abstractmethod
    def attributes(self, desired: Desired, actual: Actual) -> Mapping[str, str]:
        """The attributes `desired` should have, given what is there; comparable with `Actual.attributes`.

        They agree when the two mappings are equal; where nothing is there yet, only what is decided is named.
        Raises `SinkError` for an owner or group that does not exist, or something foreign that is in the way.
        """

    @abstractmethod
    def stage(
        self,
        desired: Desired,
        *,
        undoable: bool = True,
        created: bool = False,
        formerly: str | None = None,
    ) -> Staged:
        """Do all that can fail before the target is touched. Raises `SinkError`, leaving nothing behind.

        Args:
            desired: the target as it should be.
            undoable: whether `rollback` may be asked for; without it `commit` need not keep the old.
            created: whether confsync made the target that is there, as far as the ledger knows.
            formerly: the sync whose it was, as far as the ledger knows: another where it was renamed.
        """

    def rehearse(
        self,
        desired: Desired,  # noqa: ARG002 - most have nobody to ask
        *,
        created: bool = False,  # noqa: ARG002
        formerly: str | None = None,  # noqa: ARG002
    ) -> tuple[Remark, ...]:
        """Ask whoever keeps the target whether they would take `desired`; changes nothing.

        Gives what else is to be known before it is written. Raises `SinkError` where they would not take it.
        """
        return ()

    def rehearse_removal(self, spec: TargetSpec) -> None:  # noqa: B027 - most have nobody to ask
        """Ask whoever keeps the target whether they would let it go; changes nothing.

        Raises `SinkError` where they would not.
        """

    def strays(self, spec: TargetSpec, sync: str, known: Collection[str]) -> tuple[str, ...]:  # noqa: ARG002
        """What says, where `spec` is, that it was made for `sync`, though its id is not `known`; for people."""
        return ()

    def others_keep(self, spec: TargetSpec) -> bool:  # noqa: ARG002 - most share a target with nobody
        """Whether others keep something in the target, so that it outlives us. Raises `SinkError`."""
        return False

    @abstractmethod
    def remove(self, spec: TargetSpec) -> None:
        """Remove the target durably; it is no error if it is gone. Raises `SinkError`."""

    def release(self, spec: TargetSpec) -> None:  # noqa: B027 - most share a target with nobody
        """Withdraw what is ours from a target that others keep, where that can be told. Raises `SinkError`."""

    def leadership_changed(self) -> None:  # noqa: B027 - most have targets that no replica shares
        """Of several replicas another writes now, or this one does again."""

    @abstractmethod
    def sweep(self, specs: Iterable[TargetSpec]) -> None:
        """Remove what a crash may have left beside these targets: stale staging files of ours, nothing else.

        Call it while none of them is being staged. What cannot be removed stays; never raises for it.
        """
