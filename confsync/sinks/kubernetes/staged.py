"""A Secret or ConfigMap as it shall be, rendered and checked, that the cluster does not have yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from confsync.errors import SinkError
from confsync.sinks.base import Staged
from confsync.sinks.kubernetes import manifest
from confsync.sinks.kubernetes.access import Access, is_precondition
from confsync.sinks.kubernetes.failures import ApiFailure, Conflict, sink_error
from confsync.sinks.kubernetes.manifest import Json
from confsync.sinks.kubernetes.objects import KubeObject
from confsync.sinks.kubernetes.private_files import PrivateFiles
from confsync.sinks.kubernetes.resources import Resource


@dataclass(frozen=True, slots=True)
class Order:
    """What to make of one object.

    Attributes:
        target: its id, safe to print.
        access: where it is.
        manifest: what to apply.
        content: what the manifest holds.
        before: the object that is there now, or None.
        force: whether to take fields that others keep.
        created: whether confsync made the object that is there.
        wrote: told what was written.
    """

    target: str
    access: Access
    resource: Resource
    manifest: Json = field(repr=False)
    content: Mapping[str, bytes] = field(repr=False)
    before: KubeObject | None
    force: bool
    created: bool
    wrote: Callable[[KubeObject], None]


class StagedObject(Staged):
    """See `Staged`. Nothing of it is in the cluster before `commit`, and nothing that `close` would have to remove."""

    __slots__ = ("_after", "_files", "_order", "notes")

    def __init__(self, order: Order) -> None:
        self._order = order
        self._after: KubeObject | None = None
        self._files: PrivateFiles | None = None
        self.notes: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """A directory with a file for each key, made when it is first asked for."""
        if self._files is None:
            try:
                self._files = PrivateFiles(self._order.content)
            except OSError as exc:
                why = (
                    f"cannot be written where a check could look at it: {exc.strerror or type(exc).__name__}"
                )
                raise SinkError(self._order.target, why) from exc
        return self._files.path

    def rehearse(self) -> None:
        """Ask the cluster whether it would take it. Raises `SinkError` with its answer where it would not."""
        order = self._order
        try:
            order.access.apply(order.manifest, before=order.before, force=order.force, dry_run=True)
        except ApiFailure as failure:
            raise _refused(order, failure) from failure

    @property
    def remarks(self) -> tuple[str, ...]:
        """What others set that it takes over, or will share, in an object that confsync did not make; for people."""
        order = self._order
        if order.before is None or order.created:
            return ()
        return _taken(order, order.before) if order.force else _shared(order, order.before)

    def commit(self) -> None:
        order = self._order
        try:
            self._after = order.access.apply(order.manifest, before=order.before, force=order.force)
        except ApiFailure as failure:
            self._after = self._made_after_all(failure)
        order.wrote(self._after)
        self.notes = self.remarks

    def rollback(self) -> None:
        order, after = self._order, self._after
        if after is None:
            return
        try:
            if order.before is None:
                order.access.delete(after.name, after.uid, after.resource_version)
            else:
                self._put_back(order.before)
        except ApiFailure as failure:
            if is_precondition(failure):
                raise SinkError(
                    order.target, "cannot be put back: somebody changed it meanwhile"
                ) from failure
            raise sink_error(order.target, failure, "cannot be put back") from failure
        self._after = None

    def close(self) -> None:
        if self._files is not None:
            self._files.close()

    def _put_back(self, before: KubeObject) -> None:
        order = self._order
        thing = manifest.as_it_was(before, order.manifest, order.content, order.resource)
        order.wrote(order.access.apply(thing, before=before, force=True))

    def _made_after_all(self, failure: ApiFailure) -> KubeObject:
        """What we made ourselves, where an answer was lost and the next try found it made.

        Raises:
            SinkError: it is not so.
        """
        order = self._order
        if order.before is None and is_precondition(failure):
            found = _look(order)
            if found is not None and _is_as_ordered(found, order):
                order.access.cache.put(found)
                return found
        raise _refused(order, failure) from failure


def _is_as_ordered(found: KubeObject, order: Order) -> bool:
    """Whether an object has all that was ordered, from us.

    That its checksum is ours is not enough: a salt outlives an object, and one that only lost its label has both.
    """
    metadata = order.manifest["metadata"]
    return (
        manifest.OURS in found.owners
        and metadata["labels"].items() <= found.labels.items()
        and metadata["annotations"].items() <= found.annotations.items()
        and all(found.data.get(key) == value for key, value in order.content.items())
    )


def _look(order: Order) -> KubeObject | None:
    try:
        return order.access.look(order.manifest["metadata"]["name"])
    except ApiFailure:
        return None  # the first failure is the one to tell


def _refused(order: Order, failure: ApiFailure) -> SinkError:
    if is_precondition(failure):
        order.access.cache.forget(order.manifest["metadata"]["name"])  # what is known of it is not so
        what = "deleted it, or made it anew," if order.before is not None else "made it"
        return SinkError(order.target, f"somebody {what} meanwhile", hint="it is looked at again")
    if not isinstance(failure, Conflict):
        return sink_error(order.target, failure, "cannot be written")
    fields = "; ".join(f"{cause.field} is kept by {cause.manager or 'others'}" for cause in failure.causes)
    return SinkError(
        order.target,
        f"conflict: {fields}",
        hint="set `conflicts: take` to take these fields over, or leave them out",
    )


def _taken(order: Order, before: KubeObject) -> tuple[str, ...]:
    """What was taken from others, by whom it was kept."""
    lost = manifest.overwritten(before, order.manifest, order.content)
    names = sorted(lost.keys | lost.labels | lost.annotations)
    others = manifest.keepers(before, lost)
    return (f"takes over from {', '.join(others)}: {', '.join(names)}",) if others else ()


def _shared(order: Order, before: KubeObject) -> tuple[str, ...]:
    """Which keys that become ours have the same value from others already, for the time being."""
    foreign = manifest.foreign_keys(before)
    same = {key for key, value in order.content.items() if before.data.get(key) == value}
    names = sorted((same & foreign.keys()) - manifest.owned_keys(before))
    if not names:
        return ()
    others = ", ".join(sorted({foreign[name] for name in names}))
    return (
        f"also kept by {others}: {', '.join(names)}; a change of them is a conflict, unless `conflicts: take` is set",
    )
