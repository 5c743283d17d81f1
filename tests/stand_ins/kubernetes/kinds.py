"""A kind of thing the server keeps: where it is served, what it looks like, what its server part does with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from . import metadata, names
from .fields import STRING, Shape
from .go import Undecodable
from .metadata import NameRule
from .status import Json, Problem, copied


class Kind:
    """A resource. What differs between them is said by attributes, and by overriding methods.

    Attributes:
        shape: of the whole object.
        zero: the JSON of an object in which nothing is set: what Go writes for structs that cannot be left out.
        counted: changes of what is wanted are counted in metadata.generation.
        needs_revision: an update must say of which resourceVersion it is.
        created_by_put: a PUT of something that is not there makes it.
        selectable: the fields a field selector may name.
        subresources: served below the name of an object.
        rechecked: an update is checked as a creation is, beside what only an update may get wrong.
        whole: apiVersion and kind stand in the items of a list too.
        name_rule: what its names may look like.
    """

    group: ClassVar[str] = ""
    version: ClassVar[str] = "v1"
    plural: ClassVar[str]
    kind: ClassVar[str]
    namespaced: ClassVar[bool] = True
    shape: ClassVar[Shape]
    zero: ClassVar[Json] = {"metadata": {}}
    counted: ClassVar[bool] = False
    needs_revision: ClassVar[bool] = False
    created_by_put: ClassVar[bool] = False
    selectable: ClassVar[tuple[str, ...]] = ()
    subresources: ClassVar[tuple[str, ...]] = ()
    rechecked: ClassVar[bool] = False
    whole: ClassVar[bool] = False
    name_rule: ClassVar[NameRule] = staticmethod(names.of_subdomain)
    verbs: ClassVar[tuple[str, ...]] = (
        "create", "delete", "deletecollection", "get", "list", "patch", "update", "watch",
    )  # fmt: skip

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def path(self) -> str:
        """Where it is kept: "secrets", "apps/deployments"."""
        return f"{self.group}/{self.plural}" if self.group else self.plural

    def decode(self, thing: Json) -> None:
        """Brings what a client sent into the form that is kept.

        Raises:
            Undecodable: a value is not of its type.
        """
        self._check_types(thing)

    def default(self, thing: Json) -> None:
        """Sets what a client left out."""

    def prepare(self, new: Json, old: Json | None) -> None:
        """Sets what no client can: old is None when it is created."""

    def limited(self, new: Json, old: Json, subresource: str) -> Json:
        """What an update of this subresource ("" is the object itself) may change; `new` may be changed."""
        if subresource:
            return with_only(new, old, "status")
        if "status" not in self.subresources:
            return new
        new.pop("status", None)
        return {**new, "status": old["status"]} if "status" in old else new

    def problems(self, new: Json, old: Json | None) -> Iterator[Problem]:
        """What is wrong with it, in the order in which the server tells it, and as often.

        An update's metadata is checked for every kind, and again for its own.
        """
        if old is not None:
            yield from metadata.problems_of(new["metadata"], names.of_path_segment)
            yield from metadata.changes_refused(new["metadata"], old["metadata"])
            yield from metadata.changes_refused(new["metadata"], old["metadata"])
            yield from self.changes_refused(new, old)
        if old is None or self.rechecked:
            yield from metadata.problems_of(new["metadata"], type(self).name_rule)
        yield from self.content_problems(new)

    def changes_refused(self, new: Json, old: Json) -> Iterator[Problem]:
        """What an update may not do."""
        yield from ()

    def content_problems(self, thing: Json) -> Iterator[Problem]:
        """What is wrong with it beside its metadata."""
        yield from ()

    def wanted(self, thing: Json) -> Any:
        """What metadata.generation counts the changes of."""
        return thing.get("spec")

    def _check_types(self, thing: Json) -> None:
        wrong = _mistyped(self.shape, thing, self.kind, "")
        if wrong:
            raise Undecodable(wrong)


def api_object(**fields: Shape) -> Shape:
    """The shape of a whole object with these fields beside the usual ones."""
    return Shape("struct", {"apiVersion": STRING, "kind": STRING, "metadata": metadata.SHAPE, **fields})


def with_only(new: Json, old: Json, part: str) -> Json:
    """The old object with one part of the new."""
    meta = {**old["metadata"], "resourceVersion": new["metadata"].get("resourceVersion")}
    return {**copied(old), "metadata": copied(meta), part: new.get(part)}


def unknown_fields(shape: Shape, value: Any, where: str = "") -> Iterator[str]:
    """Fields no such object has, as in "spec.typo"."""
    if shape.kind not in ("struct", "map", "list") or value is None:
        return
    if shape.kind == "list":
        for place, item in enumerate(value if isinstance(value, list) else []):
            yield from unknown_fields(shape.element or Shape("any"), item, f"{where}[{place}]")
        return
    for name, below in value.items() if isinstance(value, dict) else ():
        inner, path = shape.of(name), f"{where}.{name}" if where else name
        if inner is None:
            yield path
        else:
            yield from unknown_fields(inner, below, path)


_JSON_TYPES: dict[type, str] = {str: "string", list: "array", dict: "object"}
_GO_TYPES = {"string": "string", "integer": "int64", "boolean": "bool"}


def _mistyped(shape: Shape, value: Any, owner: str, where: str) -> str | None:
    """The first value that Go could not put into its field, in Go's words."""
    if value is None or shape.kind in ("any", "quantity"):
        return None
    path = f"{owner}.{where}"
    if shape.kind in ("struct", "map"):
        if not isinstance(value, dict):
            inner = _GO_TYPES.get((shape.element or shape).kind, "interface {}")
            target = f"map[string]{inner}" if shape.kind == "map" else owner
            return _unmarshal(value, path, target)
        for name, below in value.items():
            known = shape.of(name)
            inner_owner = "ObjectMeta" if name == "metadata" else owner
            inner_where = where if shape.kind == "map" else f"{where}.{name}".lstrip(".")
            wrong = known and _mistyped(known, below, inner_owner, inner_where)
            if wrong:
                return wrong
        return None
    if shape.kind == "list":
        if not isinstance(value, list):
            return _unmarshal(value, path, "[]" + _GO_TYPES.get((shape.element or shape).kind, owner))
        wrongs = (_mistyped(shape.element or Shape("any"), item, owner, where) for item in value)
        return next((wrong for wrong in wrongs if wrong), None)
    fits = {
        "string": isinstance(value, str),
        "boolean": isinstance(value, bool),
        "integer": isinstance(value, int) and not isinstance(value, bool),
    }[shape.kind]
    return None if fits else _unmarshal(value, path, _GO_TYPES[shape.kind])


def _unmarshal(value: Any, path: str, target: str) -> str:
    return f"json: cannot unmarshal {json_type(value)} into Go struct field {path} of type {target}"


def json_type(value: Any) -> str:
    """As Go names the types of JSON."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    return _JSON_TYPES.get(type(value), "null")
