"""Create, update, patch, apply and delete: the way from what a client sent to what is kept.

The order in which things are checked is that of apiserver's endpoints/handlers and registry/generic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stand_ins.common.clock import Clock

from . import decoding, deletion, managed, metadata, patches, status
from .kinds import Kind
from .managed import Owners, Writer
from .request import Call
from .status import Json, copied
from .store import Key, Store


@dataclass(frozen=True)
class Written:
    """What became of a write.

    Attributes:
        thing: as it is now; after a deletion, as it was last.
        gone: it was removed.
    """

    thing: Json
    created: bool = False
    gone: bool = False


class Writes:
    """Changes the store. The caller holds its lock.

    Args:
        may_create: called with the call before an apply creates something; raises Refused when it may not.
    """

    def __init__(self, store: Store, clock: Clock, may_create: Callable[[Call], None]) -> None:
        self._store = store
        self._clock = clock
        self._may_create = may_create

    def create(self, call: Call, kind: Kind) -> Written:
        thing = decoding.decoded(call, kind, decoding.body(call, kind))
        metadata.place(thing, _namespace(call, kind), "")
        thing["metadata"].pop("managedFields", None)
        return self._create_as_said(call, kind, thing)

    def update(self, call: Call, kind: Kind) -> Written:
        thing = decoding.decoded(call, kind, decoding.body(call, kind))
        metadata.place(thing, _namespace(call, kind), call.target.name)
        old = self._store.get(_key(call, kind))
        if old is None:
            if not kind.created_by_put:
                raise status.not_found(kind.group, kind.plural, call.target.name)
            return self._create_as_said(call, kind, thing)
        self._check_update(call, kind, thing, old)
        return self._update_as_said(call, kind, thing, old)

    def patch(self, call: Call, kind: Kind) -> Written:
        if call.content_type == patches.APPLY:
            return self._apply(call, kind)
        old = self._store.get(_key(call, kind))
        if old is None:
            raise status.not_found(kind.group, kind.plural, call.target.name)
        thing = patches.patched(call.content_type, kind.shape, old, call.body)
        thing = decoding.decoded(call, kind, thing, patch=True)
        metadata.place(thing, _namespace(call, kind), call.target.name)
        return self._update_as_said(call, kind, thing, old)

    def delete(self, call: Call, kind: Kind, options: Json) -> Written:
        """Removes an object, or marks it as being deleted while it has finalizers."""
        key = _key(call, kind)
        old = self._store.get(key)
        if old is None:
            raise status.not_found(kind.group, kind.plural, key.name)
        deletion.check_preconditions(kind, old, options.get("preconditions") or {})
        left = deletion.finalizers(old, options)
        if not left and not deletion.waits_elsewhere(old):
            return Written(old if call.dry_run else self._store.delete(key), gone=True)
        thing = deletion.marked(old, left, self._clock.now())
        if call.dry_run or _is_same(thing, old):
            return Written(thing)
        return Written(self._store.put(key, thing))

    def _apply(self, call: Call, kind: Kind) -> Written:
        config = decoding.configuration(call, kind)
        old = self._store.get(_key(call, kind))
        live = old or copied(kind.zero)
        writer = self._writer(call, kind)
        owners = managed.owners_of(live)
        if old is not None and not owners:
            nobody = Writer("before-first-apply", kind.api_version, writer.now)
            owners = managed.updated(kind.shape, kind.zero, old, {}, nobody)
        thing, owners = managed.applied(kind.shape, live, config, owners, writer, force=call.flag("force"))
        thing = decoding.applied(kind, thing, config)
        if old is None and thing["metadata"].get("uid"):
            uid = thing["metadata"]["uid"]
            why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            raise status.conflict(kind.group, kind.plural, call.target.name, why)
        metadata.place(thing, _namespace(call, kind), call.target.name)
        if old is not None:
            return self._finish_update(call, kind, thing, old, owners)
        self._admit(call, kind, thing)
        return self._finish_creation(call, kind, thing, owners, applied=True)

    def _admit(self, call: Call, kind: Kind, thing: Json) -> None:
        """Nothing can be made in a namespace that is not there, or is going away."""
        if not kind.namespaced:
            return
        namespace = call.target.namespace
        found = self._store.get(Key("namespaces", "", namespace))
        if found is None:
            raise status.not_found("", "namespaces", namespace)
        if found["metadata"].get("deletionTimestamp"):
            name = thing["metadata"].get("name") or ""
            cause = {
                "field": "metadata.namespace",
                "message": f"namespace {namespace} is being terminated",
                "reason": "NamespaceTerminating",
            }
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise status.forbidden(kind.group, kind.plural, name, why, [cause])

    def _create_as_said(self, call: Call, kind: Kind, thing: Json) -> Written:
        """A creation by which the writer owns all there is."""
        self._admit(call, kind, thing)
        if "status" in kind.subresources:
            thing.pop("status", None)
        owners = managed.updated(kind.shape, kind.zero, thing, {}, self._writer(call, kind))
        return self._finish_creation(call, kind, thing, owners)

    def _finish_creation(
        self, call: Call, kind: Kind, thing: Json, owners: Owners, *, applied: bool = False
    ) -> Written:
        if thing["metadata"].get("resourceVersion") and not applied:
            raise status.internal("resourceVersion should not be set on objects to be created")
        thing["metadata"].pop("resourceVersion", None)
        metadata.begin(thing, self._clock.now())
        kind.prepare(thing, None)
        if kind.counted:
            thing["metadata"]["generation"] = 1
        managed.write_owners(thing, owners)
        problems = list(kind.problems(thing, None))
        if problems:
            raise status.invalid(kind.group, kind.kind, thing["metadata"].get("name", ""), problems)
        if applied:
            self._may_create(call)
        key = Key(kind.path, _namespace(call, kind), thing["metadata"]["name"])
        if self._store.get(key) is not None:
            raise status.already_exists(kind.group, kind.plural, key.name)
        metadata.tidy(thing)
        return Written(thing if call.dry_run else self._store.put(key, thing), created=True)

    def _check_update(self, call: Call, kind: Kind, thing: Json, old: Json) -> None:
        """Raises Refused: 409, a PUT means another object; 422, it does not say which state of it."""
        uid, found = thing["metadata"].get("uid"), old["metadata"]["uid"]
        if uid and uid != found:
            steps = ("/registry", kind.path, _namespace(call, kind), call.target.name)
            where = "/".join(step for step in steps if step)
            why = (
                f"StorageError: invalid object, Code: 4, Key: {where}, ResourceVersion: 0, AdditionalErrorMsg: "
                f"Precondition failed: UID in precondition: {uid}, UID in object meta: {found}"
            )
            raise status.conflict(kind.group, kind.plural, call.target.name, why)
        if kind.needs_revision and not thing["metadata"].get("resourceVersion"):
            problem = status.invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
            raise status.invalid(kind.group, kind.plural, call.target.name, [problem])

    def _update_as_said(self, call: Call, kind: Kind, thing: Json, old: Json) -> Written:
        """An update by which the writer owns what it changes."""
        thing = kind.limited(thing, old, call.target.subresource)
        if thing["metadata"].get("managedFields") == [{}]:
            return self._finish_update(call, kind, thing, old, {})
        owners = managed.owners_of(thing) or managed.owners_of(old)
        if owners:  # what nobody tracked so far stays so until the first apply
            owners = managed.updated(kind.shape, old, thing, owners, self._writer(call, kind))
        return self._finish_update(call, kind, thing, old, owners)

    def _finish_update(self, call: Call, kind: Kind, thing: Json, old: Json, owners: Owners) -> Written:
        meta, revision = thing["metadata"], old["metadata"]["resourceVersion"]
        if meta.get("resourceVersion") not in (None, "", revision):
            raise status.modified(kind.group, kind.plural, call.target.name)
        meta["resourceVersion"] = revision
        metadata.carry_on(thing, old)
        kind.prepare(thing, old)
        if kind.counted and kind.wanted(thing) != kind.wanted(old):
            meta["generation"] = old["metadata"]["generation"] + 1
        managed.write_owners(thing, owners)
        metadata.tidy(thing)
        problems = list(kind.problems(thing, old))
        if problems:
            raise status.invalid(kind.group, kind.kind, meta.get("name", ""), problems)
        if _is_same(thing, old):
            return Written(old)
        if call.dry_run:
            return Written(thing)
        if (
            meta.get("deletionTimestamp")
            and not meta.get("finalizers")
            and not deletion.waits_elsewhere(thing)
        ):
            self._store.delete(_key(call, kind))
            return Written(thing, gone=True)
        return Written(self._store.put(_key(call, kind), thing))

    def _writer(self, call: Call, kind: Kind) -> Writer:
        now = metadata.rfc3339(self._clock.now())
        return Writer(call.manager, kind.api_version, now, call.target.subresource)


def _key(call: Call, kind: Kind) -> Key:
    return Key(kind.path, _namespace(call, kind), call.target.name)


def _namespace(call: Call, kind: Kind) -> str:
    return call.target.namespace if kind.namespaced else ""


def _is_same(new: Json, old: Json) -> bool:
    """Whether nothing changed but the times at which managers wrote."""
    return _timeless(new) == _timeless(old)


def _timeless(thing: Json) -> Json:
    entries = thing["metadata"].get("managedFields") or []
    plain = [{name: value for name, value in entry.items() if name != "time"} for entry in entries]
    return {**thing, "metadata": {**thing["metadata"], "managedFields": plain}}
