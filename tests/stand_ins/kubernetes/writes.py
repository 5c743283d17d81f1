"""Create, update, patch, apply and delete: the way from what a client sent to what is kept.

The order in which things are checked is that of apiserver's endpoints/handlers and registry/generic.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from stand_ins.common.clock import Clock

from . import fields, managed, metadata, patches, status
from .go import Undecodable, from_json
from .kinds import Kind, unknown_fields
from .managed import Owners, Writer
from .request import Call
from .status import Json, bad_request
from .store import Key, Store

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


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
        thing = self._decoded(call, kind, _body(call, kind))
        metadata.place(thing, _namespace(call, kind), "")
        thing["metadata"].pop("managedFields", None)
        return self._create_plainly(call, kind, thing)

    def update(self, call: Call, kind: Kind) -> Written:
        thing = self._decoded(call, kind, _body(call, kind))
        metadata.place(thing, _namespace(call, kind), call.target.name)
        old = self._store.get(_key(call, kind))
        if old is None:
            if not kind.created_by_put:
                raise status.not_found(kind.group, kind.plural, call.target.name)
            return self._create_plainly(call, kind, thing)
        uid = thing["metadata"].get("uid")
        if uid and uid != old["metadata"]["uid"]:
            found = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['metadata']['uid']}"
            where = f"/registry/{kind.path}/{_namespace(call, kind)}/{call.target.name}".replace("//", "/")
            why = f"StorageError: invalid object, Code: 4, Key: {where}, ResourceVersion: 0, "
            why += f"AdditionalErrorMsg: {found}"
            raise status.conflict(kind.group, kind.plural, call.target.name, why)
        if kind.needs_revision and not thing["metadata"].get("resourceVersion"):
            problem = status.invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
            raise status.invalid(kind.group, kind.plural, call.target.name, [problem])
        return self._updated(call, kind, thing, old)

    def patch(self, call: Call, kind: Kind) -> Written:
        if call.content_type == patches.APPLY:
            return self._apply(call, kind)
        old = self._store.get(_key(call, kind))
        if old is None:
            raise status.not_found(kind.group, kind.plural, call.target.name)
        thing = patches.patched(call.content_type, kind.shape, old, call.body)
        thing = self._decoded(call, kind, thing, patch=True)
        metadata.place(thing, _namespace(call, kind), call.target.name)
        return self._updated(call, kind, thing, old)

    def delete(self, call: Call, kind: Kind, options: Json) -> Written:
        key = _key(call, kind)
        old = self._store.get(key)
        if old is None:
            raise status.not_found(kind.group, kind.plural, key.name)
        _check_preconditions(kind, old, options.get("preconditions") or {})
        finalizers = _finalizers(old, options)
        if not finalizers and not _is_finalized_elsewhere(old):
            if not call.dry_run:
                old = self._store.delete(key)
            return Written(old, gone=True)
        return Written(self._marked(call, kind, old, finalizers))

    def _apply(self, call: Call, kind: Kind) -> Written:
        config = _applied_body(call)
        if config.get("apiVersion") != kind.api_version:
            told = f"Specified patch version: {config.get('apiVersion') or ''}, expected: {kind.api_version}"
            raise bad_request(f"Incorrect version specified in apply patch. {told}")
        config.setdefault("metadata", {})
        if config["metadata"].get("managedFields") is not None:
            raise bad_request("metadata.managedFields must be nil")
        wrong = list(fields.mistakes(kind.shape, config))
        if wrong:
            told = wrong[0] if len(wrong) == 1 else "errors:" + "".join(f"\n  {text}" for text in wrong)
            raise status.internal(f"failed to create typed patch object ({_described(config, kind)}): {told}")
        old = self._store.get(_key(call, kind))
        live = old or copy.deepcopy(kind.zero)
        writer = self._writer(call, kind)
        owners = managed.owners_of(live)
        if old is not None and not owners:
            unowned = Writer("before-first-apply", kind.api_version, writer.now)
            owners = managed.updated(kind.shape, kind.zero, old, {}, unowned)
        thing, owners = managed.applied(kind.shape, live, config, owners, writer, force=call.flag("force"))
        thing = copy.deepcopy(thing)
        try:
            kind.decode(thing)
        except Undecodable as exc:
            kind_text = f"{kind.group}/{kind.version}, Kind={kind.kind}"
            raise status.internal(
                f"failed to convert new object ({_described(config, kind)}) to proper version: "
                f"unable to convert unstructured object to {kind_text}: error decoding from json: {exc}"
            ) from exc
        kind.default(thing)
        metadata.place(thing, _namespace(call, kind), call.target.name)
        if old is not None:
            return self._finished_update(call, kind, thing, old, owners)
        if thing["metadata"].get("uid"):
            uid = thing["metadata"]["uid"]
            why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            raise status.conflict(kind.group, kind.plural, call.target.name, why)
        self._admit(call, kind, thing)
        return self._create(call, kind, thing, owners, applied=True)

    def _decoded(self, call: Call, kind: Kind, thing: Json, *, patch: bool = False) -> Json:
        """A copy in the form that is kept, with what was left out."""
        thing = copy.deepcopy(thing)
        thing["apiVersion"], thing["kind"] = kind.api_version, kind.kind
        if not isinstance(thing.get("metadata"), dict):
            thing["metadata"] = {}
        unknown = [f'unknown field "{path}"' for path in unknown_fields(kind.shape, thing)]
        wrong = None
        try:
            kind.decode(thing)
        except Undecodable as exc:
            wrong = str(exc)
        if not wrong and unknown and call.option("fieldValidation") == "Strict":
            wrong = f"strict decoding error: {', '.join(unknown)}"
        if wrong and patch:
            problem = status.invalid_value("patch", patches.compact(thing), wrong)
            raise status.invalid("", "", "", [problem])
        if wrong:
            described = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}'
            raise bad_request(f"{described}: {wrong}")
        if call.option("fieldValidation") != "Ignore":
            call.warnings.extend(unknown)
        _drop_unknown(kind.shape, thing)
        metadata.tidy(thing)
        kind.default(thing)
        return thing

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

    def _create_plainly(self, call: Call, kind: Kind, thing: Json) -> Written:
        """A creation that owns all it says."""
        self._admit(call, kind, thing)
        if "status" in kind.subresources:
            thing.pop("status", None)
        owners = managed.updated(kind.shape, kind.zero, thing, {}, self._writer(call, kind))
        return self._create(call, kind, thing, owners)

    def _create(
        self, call: Call, kind: Kind, thing: Json, owners: Owners, *, applied: bool = False
    ) -> Written:
        if thing["metadata"].get("resourceVersion") and not applied:
            raise status.internal("resourceVersion should not be set on objects to be created")
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
        thing["metadata"].pop("resourceVersion", None)
        key = Key(kind.path, _namespace(call, kind), thing["metadata"]["name"])
        if self._store.get(key) is not None:
            raise status.already_exists(kind.group, kind.plural, key.name)
        metadata.tidy(thing)
        if not call.dry_run:
            thing = self._store.put(key, thing)
        return Written(thing, created=True)

    def _updated(self, call: Call, kind: Kind, thing: Json, old: Json) -> Written:
        """An update that takes the fields it changes."""
        thing = _limited(kind, thing, old, call.target.subresource)
        given = thing["metadata"].get("managedFields")
        if given == [{}]:
            owners: Owners = {}
            tracked = False
        else:
            owners = managed.owners_of(thing) or managed.owners_of(old)
            tracked = bool(owners)
        if tracked:
            owners = managed.updated(kind.shape, old, thing, owners, self._writer(call, kind))
        return self._finished_update(call, kind, thing, old, owners)

    def _finished_update(self, call: Call, kind: Kind, thing: Json, old: Json, owners: Owners) -> Written:
        meta = thing["metadata"]
        revision = old["metadata"]["resourceVersion"]
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
        key = _key(call, kind)
        if (
            meta.get("deletionTimestamp")
            and not meta.get("finalizers")
            and not _is_finalized_elsewhere(thing)
        ):
            if not call.dry_run:
                self._store.delete(key)
            return Written(thing)
        return Written(thing if call.dry_run else self._store.put(key, thing))

    def _marked(self, call: Call, kind: Kind, old: Json, finalizers: list[str]) -> Json:
        """A thing that goes when its finalizers are done."""
        meta = dict(old["metadata"])
        thing = {**old, "metadata": meta}
        if finalizers != (meta.get("finalizers") or []):
            meta["finalizers"] = finalizers
        if not meta.get("deletionTimestamp"):
            meta["deletionTimestamp"] = metadata.rfc3339(self._clock.now())
            if kind.plural == "namespaces":
                thing["status"] = {**thing["status"], "phase": "Terminating"}
            else:
                meta["deletionGracePeriodSeconds"] = 0
            if "generation" in meta:
                meta["generation"] += 1
        metadata.tidy(thing)
        if call.dry_run or _is_same(thing, old):
            return thing
        return self._store.put(_key(call, kind), thing)

    def _writer(self, call: Call, kind: Kind) -> Writer:
        now = metadata.rfc3339(self._clock.now())
        return Writer(call.manager, kind.api_version, now, call.target.subresource)


def _body(call: Call, kind: Kind) -> Json:
    """The object a client sent, as JSON or YAML.

    Raises:
        Refused: 400, it cannot be read or is of another kind.
    """
    described = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}'
    try:
        body = _from_yaml(call.body) if "yaml" in call.content_type else from_json(call.body)
    except Undecodable as exc:
        raise bad_request(f"{described}: {exc}") from exc
    if not isinstance(body, dict):
        raise bad_request(f"{described}: json: cannot unmarshal into Go value of type v1.{kind.kind}")
    version, name = body.get("apiVersion") or kind.api_version, body.get("kind") or kind.kind
    if version != kind.api_version:
        told = f"does not match the expected API version ({kind.api_version})"
        raise bad_request(f"the API version in the data ({version}) {told}")
    if name != kind.kind:
        raise bad_request(f'{name} in version "{kind.version}" cannot be handled as a {kind.kind}')
    return body


def _applied_body(call: Call) -> Json:
    try:
        body = _from_yaml(call.body)
    except Undecodable as exc:
        raise bad_request(f"error decoding YAML: {exc}") from exc
    if not isinstance(body, dict):
        text = "json: cannot unmarshal array into Go value of type map[string]interface {}"
        raise bad_request(f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {text}")
    return body


def _from_yaml(raw: bytes) -> Any:
    """JSON is YAML, and is read faster as what it is."""
    if raw.lstrip()[:1] == b"{":
        try:
            return json.loads(raw)
        except ValueError:
            pass
    try:
        return yaml.load(raw, _LOADER)
    except yaml.YAMLError as exc:
        where = getattr(getattr(exc, "problem_mark", None), "line", 0) + 1
        told = f"line {where}: {getattr(exc, 'problem', None) or exc}"
        raise Undecodable(f"error converting YAML to JSON: yaml: {told}") from exc


def _key(call: Call, kind: Kind) -> Key:
    return Key(kind.path, _namespace(call, kind), call.target.name)


def _namespace(call: Call, kind: Kind) -> str:
    return call.target.namespace if kind.namespaced else ""


def _described(thing: Json, kind: Kind) -> str:
    """As errors of apply name an object."""
    meta = thing["metadata"]
    where = f"{meta.get('namespace') or ''}/{meta.get('name') or ''}"
    return f"{where}; {kind.group}/{kind.version}, Kind={kind.kind}"


def _drop_unknown(shape: fields.Shape, value: Any) -> None:
    """Fields no such object has are not kept."""
    if not isinstance(value, dict) or shape.kind not in ("struct", "map"):
        return
    for name in list(value):
        inner = shape.of(name)
        if inner is None:
            del value[name]
        else:
            _drop_unknown(inner, value[name])


def _limited(kind: Kind, new: Json, old: Json, subresource: str) -> Json:
    """What this update may change: the status only, or all but the status."""
    if subresource == "status":
        meta = {**old["metadata"], "resourceVersion": new["metadata"].get("resourceVersion")}
        return copy.deepcopy({**old, "metadata": meta}) | {"status": new.get("status")}
    if "status" not in kind.subresources:
        return new
    new.pop("status", None)
    return {**new, "status": old["status"]} if "status" in old else new


def _is_same(new: Json, old: Json) -> bool:
    """Whether nothing changed but the times at which managers wrote."""
    return _timeless(new) == _timeless(old)


def _timeless(thing: Json) -> Json:
    entries = thing["metadata"].get("managedFields") or []
    plain = [{name: value for name, value in entry.items() if name != "time"} for entry in entries]
    return {**thing, "metadata": {**thing["metadata"], "managedFields": plain}}


def _check_preconditions(kind: Kind, old: Json, wanted: Json) -> None:
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


def _finalizers(old: Json, options: Json) -> list[str]:
    """Those it has, and the one by which the garbage collector handles what it owns."""
    found = list(old["metadata"].get("finalizers") or [])
    policy = options.get("propagationPolicy")
    if options.get("orphanDependents") is not None:
        policy = "Orphan" if options["orphanDependents"] else "Background"
    if policy is None:
        return found
    found = [name for name in found if name not in ("orphan", "foregroundDeletion")]
    added = {"Orphan": ["orphan"], "Foreground": ["foregroundDeletion"]}.get(policy, [])
    return found + added


def _is_finalized_elsewhere(thing: Json) -> bool:
    """A namespace ends when its spec.finalizers are done."""
    return thing.get("kind") == "Namespace" and bool((thing.get("spec") or {}).get("finalizers"))
