"""Who owns which field: `metadata.managedFields`, kept up to date by every write, and asked by server-side apply.

The rules are those of sigs.k8s.io/structured-merge-diff (merge.Updater) and apimachinery's managedfields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from . import fields
from .fields import Fields, Shape
from .status import Json, Refused

_STRIPPED: Fields = frozenset(
    {("f:apiVersion",), ("f:kind",), ("f:metadata",)}
    | {
        ("f:metadata", f"f:{name}")
        for name in (
            "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields",
            "resourceVersion",
        )
    }
)  # fmt: skip
"""Fields nobody owns: the server's."""


class Manager(NamedTuple):
    """One line of `managedFields`. An applier is the same whatever version it speaks; `version` is "" then."""

    name: str
    operation: str
    version: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        """As a conflict names it."""
        text = f'"{self.name}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return f"{text} using {self.version}" if self.operation == "Update" else text


@dataclass(frozen=True)
class Owned:
    """What a manager owns, and since when; versions of one kind do not differ here."""

    fields: Fields
    version: str
    time: str


Owners = dict[Manager, Owned]


@dataclass(frozen=True)
class Writer:
    """Who writes.

    Attributes:
        api_version: of the object, as in "apps/v1".
        now: the time of the write, as the API writes times.
    """

    name: str
    api_version: str
    now: str
    subresource: str = ""

    def as_updater(self) -> Manager:
        return Manager(self.name or "unknown", "Update", self.api_version, self.subresource)

    def as_applier(self) -> Manager:
        return Manager(self.name or "unknown", "Apply", "", self.subresource)


def owners_of(thing: Json) -> Owners:
    """What `managedFields` says; nothing when it cannot be read."""
    found: Owners = {}
    for entry in thing["metadata"].get("managedFields") or []:
        if entry.get("operation") not in ("Apply", "Update") or entry.get("fieldsType") != "FieldsV1":
            return {}
        version = entry["apiVersion"] if entry["operation"] == "Update" else ""
        manager = Manager(entry.get("manager", ""), entry["operation"], version, entry.get("subresource", ""))
        owned = fields.from_fields_v1(entry.get("fieldsV1") or {})
        found[manager] = Owned(owned, entry["apiVersion"], entry.get("time", ""))
    return found


def write_owners(thing: Json, owners: Owners) -> None:
    """Puts `managedFields` into an object, appliers first, the oldest first."""
    entries = [_entry(manager, owned) for manager, owned in owners.items()]
    entries.sort(key=lambda e: (e["operation"], e.get("time", ""), e["manager"], e.get("subresource", "")))
    thing["metadata"].pop("managedFields", None)
    if entries:
        thing["metadata"]["managedFields"] = entries


def updated(shape: Shape, live: Json, new: Json, owners: Owners, writer: Writer) -> Owners:
    """The owners after a create, update or patch: what was changed is the writer's from now on."""
    changes = fields.compare(shape, _typed(live), _typed(new))
    changed = changes.added | changes.modified
    left = {
        manager: Owned(owned.fields - changed - changes.removed, owned.version, owned.time)
        for manager, owned in owners.items()
    }
    ours = changed - _STRIPPED
    if ours:
        manager = writer.as_updater()
        before = left[manager].fields if manager in left else frozenset()
        left[manager] = Owned(before | ours, writer.api_version, writer.now)
    return _stripped(left)


def applied(
    shape: Shape, live: Json, config: Json, owners: Owners, writer: Writer, *, force: bool
) -> tuple[Json, Owners]:
    """A configuration applied: the object and the owners after it.

    Raises:
        Refused: 409, when it sets fields to other values than their owners did, and `force` is not given.
    """
    me = writer.as_applier()
    last = owners.get(me)
    mine = fields.leaves(shape, config)
    managers = owners | {me: Owned(mine, writer.api_version, last.time if last else "")}
    merged = fields.merge(shape, live, config)
    if last and not last.fields <= mine:
        merged = _pruned(shape, merged, managers, last.fields)
    changes = fields.compare(shape, _typed(live), _typed(merged))
    changed = changes.added | changes.modified
    conflicts = {m: owned.fields & changed for m, owned in managers.items() if m != me}
    if not force and any(conflicts.values()):
        raise _conflict({m: paths for m, paths in conflicts.items() if paths})
    left = {
        m: owned if m == me else Owned(owned.fields - changed - changes.removed, owned.version, owned.time)
        for m, owned in managers.items()
    }
    if changed or changes.removed:
        left[me] = Owned(mine, writer.api_version, writer.now)
    return merged, _stripped(left)


def _pruned(shape: Shape, merged: Json, managers: Mapping[Manager, Owned], last: Fields) -> Json:
    """Without what the applier owned before, does not name now, and nobody else owns."""

    def named(paths: Fields) -> Fields:
        return fields.with_named_parents(shape, paths)

    everything = named(fields.leaves(shape, merged))
    left = fields.remove(shape, merged, named(last))
    owned = frozenset[fields.Path]().union(*(owned.fields for owned in managers.values()))
    unowned = everything - (named(fields.leaves(shape, left)) | named(owned))
    left = fields.remove(shape, merged, unowned)
    gone = (everything - named(fields.leaves(shape, left))) & named(last)
    result: Json = fields.remove(shape, merged, gone)
    return result


def _conflict(conflicts: dict[Manager, Fields]) -> Refused:
    each = [(manager, path) for manager in sorted(conflicts, key=str) for path in sorted(conflicts[manager])]
    causes = [
        {
            "field": fields.readable(path),
            "message": f"conflict with {manager}",
            "reason": "FieldManagerConflict",
        }
        for manager, path in each
    ]
    if len(each) == 1:
        (manager, path) = each[0]
        told = f"1 conflict: conflict with {manager}: {fields.readable(path)}"
    else:
        lines = []
        for manager in sorted(conflicts, key=str):
            lines.append(f"conflicts with {manager}:")
            lines += [f"- {fields.readable(path)}" for path in sorted(conflicts[manager])]
        told = f"{len(each)} conflicts: " + "\n".join(lines)
    return Refused(409, "Conflict", f"Apply failed with {told}", {"causes": causes})


def _typed(thing: Json) -> Json:
    """As the comparison sees it: without the bookkeeping itself."""
    metadata = {
        name: value for name, value in (thing.get("metadata") or {}).items() if name != "managedFields"
    }
    return {**thing, "metadata": metadata}


def _stripped(owners: Owners) -> Owners:
    clean = {m: Owned(owned.fields - _STRIPPED, owned.version, owned.time) for m, owned in owners.items()}
    return {manager: owned for manager, owned in clean.items() if owned.fields}


def _entry(manager: Manager, owned: Owned) -> Json:
    entry: Json = {
        "apiVersion": owned.version,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields.to_fields_v1(owned.fields),
        "manager": manager.name,
        "operation": manager.operation,
    }
    if owned.time:
        entry["time"] = owned.time
    if manager.subresource:
        entry["subresource"] = manager.subresource
    return entry
