"""Objects as trees of fields: what a tree holds, how two differ, one laid over another.

The rules are those of sigs.k8s.io/structured-merge-diff, on which server-side apply is built. A path is a tuple
of elements as `managedFields` writes them: f:name, k:{"name":"c"}, v:"a value of a set".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str, ...]
Fields = frozenset[Path]


@dataclass(frozen=True)
class Shape:
    """What a value looks like, and who may share it.

    Attributes:
        kind: string, integer, boolean, quantity (a number or a string), struct, map, list, or any: as the value looks.
        fields: of a struct.
        element: of a map or list.
        atomic: owned as a whole.
        keys: of a list of maps: the fields that tell one item from another.
        unique: a list that is a set of strings.
    """

    kind: str
    fields: Mapping[str, Shape] = field(default_factory=dict)
    element: Shape | None = None
    atomic: bool = False
    keys: tuple[str, ...] = ()
    unique: bool = False

    def of(self, name: str) -> Shape | None:
        """The shape of a field; None when there is no such field."""
        if self.kind == "struct":
            return self.fields.get(name)
        return self.element or ANY


ANY = Shape("any")
STRING, INTEGER, BOOLEAN, QUANTITY = Shape("string"), Shape("integer"), Shape("boolean"), Shape("quantity")
STRINGS = Shape("map", element=STRING)
ATOMIC_LIST = Shape("list", element=ANY, atomic=True)
ATOMIC_MAP = Shape("map", element=ANY, atomic=True)


def struct(**fields: Shape) -> Shape:
    return Shape("struct", fields)


def keyed(element: Shape, *keys: str) -> Shape:
    return Shape("list", element=element, keys=keys)


@dataclass(frozen=True)
class Changes:
    """Where a new tree differs from an old one."""

    added: Fields
    modified: Fields
    removed: Fields


def mistakes(shape: Shape, value: Any, where: str = "") -> Iterator[str]:
    """What does not fit the shape, as the server words it."""
    if value is None or shape.kind == "any":
        return
    if shape.kind in ("struct", "map"):
        if not isinstance(value, dict):
            yield f"{where}: expected map, got {_go(value)}"
            return
        for name, below in value.items():
            inner = shape.of(name)
            if inner is None:
                yield f"{where}.{name}: field not declared in schema"
            else:
                yield from mistakes(inner, below, f"{where}.{name}")
    elif shape.kind == "list":
        if not isinstance(value, list):
            yield f"{where}: expected list, got {_go(value)}"
            return
        for place, below in enumerate(value):
            yield from mistakes(shape.element or ANY, below, f"{where}[{place}]")
    elif not _is(shape.kind, value):
        expected = {"integer": "numeric", "boolean": "boolean"}.get(shape.kind, "string")
        yield f"{where}: expected {expected}, got {_go(value)}"


def leaves(shape: Shape, value: Any) -> Fields:
    """The fields an applied configuration owns."""
    return frozenset(_leaves(shape, value, ()))


def compare(shape: Shape, old: Any, new: Any) -> Changes:
    added: set[Path] = set()
    modified: set[Path] = set()
    removed: set[Path] = set()
    _compare(shape, old, new, (), (added, modified, removed))
    return Changes(frozenset(added - {()}), frozenset(modified), frozenset(removed - {()}))


def merge(shape: Shape, live: Any, config: Any) -> Any:
    """The configuration laid over what there is; neither is touched."""
    if config is None:
        return live
    if not _is_shared(shape, config) or not isinstance(live, type(config)):
        return config
    if isinstance(config, dict):
        names = dict.fromkeys([*live, *config])
        return {
            name: merge(shape.of(name) or ANY, live.get(name), config.get(name))
            if name in config
            else live[name]
            for name in names
        }
    ours, theirs = _items(shape, config), _items(shape, live)
    element = shape.element or ANY
    both = [merge(element, item, ours.get(key)) for key, item in theirs.items()]
    return both + [item for key, item in ours.items() if key not in theirs]


def remove(shape: Shape, value: Any, paths: Fields) -> Any:
    """Without these fields and all below them."""
    return _remove(shape, value, paths, ())


def with_named_parents(shape: Shape, paths: Fields) -> Fields:
    """And the struct fields that lead to them."""
    found = set(paths)
    for path in paths:
        inner: Shape | None = shape
        for place, element in enumerate(path[:-1]):
            known = inner.of(element[2:]) if inner and element.startswith("f:") else None
            if inner and inner.kind == "struct" and known:
                found.add(path[: place + 1])
            inner = known if element.startswith("f:") else (inner.element if inner else None)
    return frozenset(found)


def readable(path: Path) -> str:
    """ ".spec.containers[name="c"].image" """
    return "".join(_readable(element) for element in path)


def to_fields_v1(paths: Fields) -> dict[str, Any]:
    """As `fieldsV1` nests them."""
    tree: dict[str, Any] = {}
    for path in sorted(paths):
        node = tree
        for element in path:
            node = node.setdefault(element, {})
        node["."] = {}
    return {name: _without_dots(below) for name, below in tree.items()}


def from_fields_v1(tree: Mapping[str, Any]) -> Fields:
    return frozenset(_paths(tree, ()))


def _paths(tree: Mapping[str, Any], prefix: Path) -> Iterator[Path]:
    for element, below in tree.items():
        if element == ".":
            yield prefix
        elif not below:
            yield (*prefix, element)
        else:
            yield from _paths(below, (*prefix, element))


def _without_dots(node: dict[str, Any]) -> dict[str, Any]:
    """A field with nothing below it needs no dot to say it is one."""
    if list(node) == ["."]:
        return {}
    return {name: below if name == "." else _without_dots(below) for name, below in node.items()}


def _leaves(shape: Shape, value: Any, path: Path) -> Iterator[Path]:
    if not _is_shared(shape, value) or not value:
        if path:
            yield path
        return
    if isinstance(value, dict):
        for name, below in value.items():
            inner = shape.of(name) or ANY
            if shape.kind != "struct":
                yield (*path, f"f:{name}")
            yield from _leaves(inner, below, (*path, f"f:{name}"))
        return
    for key, item in _items(shape, value).items():
        yield (*path, key)
        if isinstance(item, dict):
            yield from _leaves(shape.element or ANY, item, (*path, key))


def _compare(shape: Shape, old: Any, new: Any, path: Path, found: tuple[set[Path], ...]) -> None:
    """`_ABSENT` is what is not there; None is a null that is."""
    added, modified, removed = found
    if old is _ABSENT:
        added.add(path)
    elif new is _ABSENT:
        removed.add(path)
    if not (_is_shared(shape, old) or _is_shared(shape, new)):
        if old is not _ABSENT and new is not _ABSENT and old != new:
            modified.add(path)
        return
    before, after = _parts(shape, old), _parts(shape, new)
    for element in dict.fromkeys([*before, *after]):
        name = element[2:] if element.startswith("f:") else None
        inner = shape.of(name) if name is not None else shape.element
        _compare(
            inner or ANY, before.get(element, _ABSENT), after.get(element, _ABSENT), (*path, element), found
        )


def _parts(shape: Shape, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {f"f:{name}": below for name, below in value.items()}
    return _items(shape, value) if isinstance(value, list) else {}


def _remove(shape: Shape, value: Any, paths: Fields, path: Path) -> Any:
    if not _is_shared(shape, value):
        return value
    if isinstance(value, dict):
        return {
            name: _remove(shape.of(name) or ANY, below, paths, (*path, f"f:{name}"))
            for name, below in value.items()
            if (*path, f"f:{name}") not in paths
        }
    return [
        _remove(shape.element or ANY, item, paths, (*path, key))
        for key, item in _items(shape, value).items()
        if (*path, key) not in paths
    ]


def _is_shared(shape: Shape, value: Any) -> bool:
    """Whether the parts of the value may have owners of their own."""
    if shape.atomic:
        return False
    if isinstance(value, dict):
        return shape.kind in ("struct", "map", "any")
    return isinstance(value, list) and (bool(shape.keys) or shape.unique)


def _items(shape: Shape, value: list[Any]) -> dict[str, Any]:
    """The items of a keyed list or a set, by path element."""
    if shape.unique:
        return {f"v:{_compact(item)}": item for item in value}
    return {f"k:{_compact({key: item[key] for key in shape.keys if key in item})}": item for item in value}


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def _readable(element: str) -> str:
    kind, text = element[:2], element[2:]
    if kind == "f:":
        return f".{text}"
    if kind == "k:":
        return "[" + ",".join(f"{key}={_compact(value)}" for key, value in json.loads(text).items()) + "]"
    return f"[={text}]"


def _is(kind: str, value: Any) -> bool:
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "quantity":
        return isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return isinstance(value, str)


def _go(value: Any) -> str:
    """As Go prints the wrapper of a value that was not of the type expected."""
    return f"&value.valueUnstructured{{Value:{_go_syntax(value)}}}"


def _go_syntax(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{_compact(k)}:{_go_syntax(v)}" for k, v in sorted(value.items()))
        return f"map[string]interface {{}}{{{inner}}}"
    if isinstance(value, list):
        return f"[]interface {{}}{{{', '.join(_go_syntax(item) for item in value)}}}"
    return _compact(value)


class _Absent:
    """Not there at all, which is not the same as null."""


_ABSENT = _Absent()
