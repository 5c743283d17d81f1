"""Custom resources: definitions, and the kinds they define.

A schema that names the fields below `spec` and `status` is kept but not enforced.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from .fields import ANY, ATOMIC_LIST, STRING, Shape, struct
from .kinds import Kind, api_object
from .registry import Registry
from .status import Json, Problem, invalid_value
from .store import Store


class Definitions(Kind):
    group, plural, kind = "apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition"
    namespaced = False
    counted = True
    shape = api_object(
        spec=struct(
            conversion=struct(strategy=STRING, webhook=ANY), group=STRING,
            names=struct(categories=ATOMIC_LIST, kind=STRING, listKind=STRING, plural=STRING, shortNames=ATOMIC_LIST,
                         singular=STRING),
            preserveUnknownFields=Shape("boolean"), scope=STRING, versions=ATOMIC_LIST,
        ),
        status=ANY,
    )  # fmt: skip
    zero: ClassVar[Json] = {"metadata": {}, "spec": {"names": {}}, "status": {}}
    subresources: ClassVar[tuple[str, ...]] = ("status",)

    def default(self, thing: Json) -> None:
        spec = thing.setdefault("spec", {})
        spec.setdefault("conversion", {"strategy": "None"})
        named = spec.setdefault("names", {})
        if named.get("kind"):
            named.setdefault("singular", named["kind"].lower())
            named.setdefault("listKind", f"{named['kind']}List")

    def prepare(self, new: Json, old: Json | None) -> None:
        if old is not None:
            return
        stored = [v["name"] for v in new["spec"].get("versions") or [] if v.get("storage")]
        names = {"kind": "", "plural": ""}
        new["status"] = {"acceptedNames": names, "conditions": None, "storedVersions": stored}

    def content_problems(self, thing: Json) -> Iterator[Problem]:
        spec, name = thing["spec"], thing["metadata"]["name"]
        expected = f"{spec['names'].get('plural')}.{spec.get('group')}"
        if name != expected:
            text = 'must be spec.names.plural+"."+spec.group'
            yield invalid_value("metadata.name", name, text)


class Custom(Kind):
    """One version of a custom resource."""

    counted = True
    needs_revision = True
    whole = True

    def __init__(self, spec: Json, version: Json) -> None:
        values: dict[str, Any] = {
            "group": spec["group"],
            "version": version["name"],
            "plural": spec["names"]["plural"],
            "kind": spec["names"]["kind"],
            "namespaced": spec["scope"] == "Namespaced",
            "shape": api_object(spec=ANY, status=ANY),
            "subresources": tuple(version.get("subresources") or {}),
        }
        vars(self).update(values)

    def wanted(self, thing: Json) -> Any:
        return {
            name: value
            for name, value in thing.items()
            if name not in ("metadata", "status", "apiVersion", "kind")
        }


class CustomKinds:
    """Serves what the definitions in the store define. The caller holds the store's lock."""

    def __init__(self, registry: Registry, store: Store) -> None:
        self._registry = registry
        self._store = store
        registry.add(Definitions())

    def written(self, kind: Kind, thing: Json) -> None:
        """A definition was made or changed."""
        if not isinstance(kind, Definitions):
            return
        self.removed(kind, thing)
        for version in thing["spec"].get("versions") or []:
            if version.get("served"):
                self._registry.add(Custom(thing["spec"], version))

    def removed(self, kind: Kind, thing: Json) -> None:
        if isinstance(kind, Definitions):
            self._registry.remove(thing["spec"]["group"], thing["spec"]["names"]["plural"])
