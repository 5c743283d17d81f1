"""How an object goes that is no longer wanted: deleted, or rid of what is ours where others keep keys in it."""

from __future__ import annotations

from confsync.errors import SinkError
from confsync.sinks.kubernetes import manifest
from confsync.sinks.kubernetes.access import Access, is_precondition
from confsync.sinks.kubernetes.failures import ApiFailure, Refused, sink_error
from confsync.sinks.kubernetes.objects import KubeObject
from confsync.sinks.kubernetes.placement import Spec, name_of


def remove(
    access: Access, spec: Spec, found: KubeObject, seen: tuple[str, str], *, dry_run: bool = False
) -> None:
    """Delete an object if it is still as it was seen; withdraw from it where others keep keys in it.

    Args:
        found: the object as it is now.
        seen: its uid and resourceVersion when the decision was made.
        dry_run: only ask whether it could be deleted.

    Raises:
        SinkError: it was not done, and nothing was changed.
    """
    if manifest.foreign_keys(found):
        withdraw(access, spec, found)
        return
    try:
        access.delete(found.name, *seen, dry_run=dry_run)
    except ApiFailure as failure:
        raise _not_removed(spec, failure) from failure


def withdraw(access: Access, spec: Spec, found: KubeObject) -> None:
    """Take what is ours out of an object.

    Raises:
        SinkError: it was not done, and nothing was changed.
    """
    foreign = manifest.foreign_keys(found)
    orphans = [key for key, keeper in foreign.items() if keeper == manifest.NOBODY]
    if orphans:  # the server would drop them together with the last key that somebody keeps
        why = f"not removed: nobody keeps {', '.join(orphans)}, which is not ours"
        raise SinkError(name_of(spec), why, hint=_by_hand(spec))
    try:
        access.apply(manifest.withdrawn(found, manifest.resource_of(spec)), before=found)
    except ApiFailure as failure:
        if isinstance(failure, Refused) and foreign and not is_precondition(failure):
            why = (
                f"not removed: others keep {', '.join(foreign)}, and the object needs our keys: {failure.why}"
            )
            raise SinkError(name_of(spec), why, hint=_by_hand(spec)) from failure
        raise _not_removed(spec, failure) from failure


def deleting(spec: Spec) -> str:
    """The command that deletes an object."""
    return f"kubectl -n {spec.namespace} delete {manifest.resource_of(spec).plural} {spec.name}"


def _by_hand(spec: Spec) -> str:
    return f"delete it yourself ({deleting(spec)}), or leave it as it is with `deletion: retain`"


def _not_removed(spec: Spec, failure: ApiFailure) -> SinkError:
    if is_precondition(failure):
        return SinkError(
            name_of(spec), "not removed: somebody changed it meanwhile", hint="it is looked at again"
        )
    return sink_error(name_of(spec), failure, "cannot be removed")
