"""Deletions: under which conditions, and what has to happen first."""

from __future__ import annotations

from typing import Any

from . import metadata, status
from .go import Undecodable, from_json
from .kinds import Kind
from .request import Call
from .status import Json, bad_request

_POLICIES = {"Orphan": ["orphan"], "Foreground": ["foregroundDeletion"], "Background": []}


def options(call: Call) -> Json:
    """The DeleteOptions: from the body, or else from the query.

    Raises:
        Refused: 400 or 422, they are none.
    """
    found: Any = {}
    if call.body.strip():
        try:
            found = from_json(call.body)
        except Undecodable as exc:
            told = 'DeleteOptions in version "v1" cannot be handled as a DeleteOptions'
            raise bad_request(f"{told}: {exc}") from exc
    elif call.option("propagationPolicy"):
        found = {"propagationPolicy": call.option("propagationPolicy")}
    if not isinstance(found, dict):
        raise bad_request("couldn't get version/kind; json parse error: the DeleteOptions are no object")
    policy = found.get("propagationPolicy")
    if policy not in (None, *_POLICIES):
        problem = status.unsupported(
            "propagationPolicy", policy, ["Foreground", "Background", "Orphan", "nil"]
        )
        raise status.invalid("meta.k8s.io", "DeleteOptions", "", [problem])
    return found


def check_preconditions(kind: Kind, old: Json, wanted: Json) -> None:
    """Raises Refused: 409, it is another object than the one that was meant."""
    meta = old["metadata"]
    if wanted.get("uid") and wanted["uid"] != meta["uid"]:
        why = (
            f"the UID in the precondition ({wanted['uid']}) does not match the UID in record ({meta['uid']}). "
            "The object might have been deleted and then recreated"
        )
        raise status.conflict(kind.group, kind.kind, meta["name"], why)
    revision = wanted.get("resourceVersion")
    if revision and revision != meta["resourceVersion"]:
        why = (
            f"the ResourceVersion in the precondition ({revision}) does not match the ResourceVersion in record "
            f"({meta['resourceVersion']}). The object might have been modified"
        )
        raise status.conflict(kind.group, kind.kind, meta["name"], why)


def finalizers(old: Json, wanted: Json) -> list[str]:
    """Those it has, and the one by which the garbage collector handles what it owns."""
    found = list(old["metadata"].get("finalizers") or [])
    policy = wanted.get("propagationPolicy")
    if wanted.get("orphanDependents") is not None:
        policy = "Orphan" if wanted["orphanDependents"] else "Background"
    if policy is None:
        return found
    kept = [name for name in found if name not in ("orphan", "foregroundDeletion")]
    return kept + _POLICIES[policy]


def waits_elsewhere(thing: Json) -> bool:
    """A namespace ends when its spec.finalizers are done."""
    return thing.get("kind") == "Namespace" and bool((thing.get("spec") or {}).get("finalizers"))


def marked(old: Json, left: list[str], now: float) -> Json:
    """The thing as it is while it waits for its finalizers."""
    meta = dict(old["metadata"])
    thing = {**old, "metadata": meta}
    if left != (meta.get("finalizers") or []):
        meta["finalizers"] = left
    if not meta.get("deletionTimestamp"):
        meta["deletionTimestamp"] = metadata.rfc3339(now)
        if thing["kind"] == "Namespace":
            thing["status"] = {**thing["status"], "phase": "Terminating"}
        else:
            meta["deletionGracePeriodSeconds"] = 0
        if "generation" in meta:
            meta["generation"] += 1
    metadata.tidy(thing)
    return thing
