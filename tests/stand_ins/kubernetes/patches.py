"""The three patches that say what to change: merge patch (RFC 7386), JSON patch (RFC 6902), strategic merge patch."""

from __future__ import annotations

import json
from typing import Any

from .fields import ANY, Shape
from .go import Undecodable, from_json
from .status import Json, Refused, bad_request, copied

MERGE, JSON, STRATEGIC, APPLY = (
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
_MOST_OPERATIONS = 10_000


def patched(how: str, shape: Shape, live: Json, raw: bytes) -> Json:
    """The object with the patch in it; `live` is not touched.

    Raises:
        Refused: 400 or 422, the patch cannot be read or does not fit.
    """
    if how == JSON:
        return _json_patched(live, raw)
    try:
        patch = from_json(raw)
    except Undecodable as exc:
        raise bad_request(f"error decoding patch: {exc}" if how == MERGE else str(exc)) from exc
    if not isinstance(patch, dict):
        raise bad_request("Invalid JSON Patch" if how == MERGE else "Invalid JSON document")
    result = merged(live, patch) if how == MERGE else strategic(shape, live, patch)
    assert isinstance(result, dict)
    return result


def merged(live: Any, patch: Any) -> Any:
    """RFC 7386: a null removes."""
    if not isinstance(patch, dict):
        return patch
    result = dict(live) if isinstance(live, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def strategic(shape: Shape, live: Any, patch: Any) -> Any:
    """As a merge patch, but lists of named items are merged by name, and sets united."""
    if isinstance(patch, dict):
        return _strategic_map(shape, live if isinstance(live, dict) else {}, patch)
    if not isinstance(patch, list) or not isinstance(live, list):
        return patch
    if shape.unique:
        return live + [item for item in patch if item not in live]
    return _strategic_list(shape, live, patch) if shape.keys else patch


def _strategic_map(shape: Shape, live: Json, patch: Json) -> Json:
    if patch.get("$patch") == "replace":
        return {name: value for name, value in patch.items() if name != "$patch"}
    if patch.get("$patch") == "delete":
        return {}
    result = dict(live)
    for name, value in patch.items():
        if name.startswith("$deleteFromPrimitiveList/"):
            field = name.partition("/")[2]
            result[field] = [item for item in result.get(field) or [] if item not in value]
        elif name.startswith("$"):
            continue
        elif value is None:
            result.pop(name, None)
        else:
            result[name] = strategic(shape.of(name) or ANY, result.get(name), value)
    return result


def _strategic_list(shape: Shape, live: list[Any], patch: list[Any]) -> list[Any]:
    key = shape.keys[0]
    result = list(live)
    for item in patch:
        place = next((i for i, there in enumerate(result) if there.get(key) == item.get(key)), None)
        if item.get("$patch") == "delete":
            result = [there for there in result if there.get(key) != item.get(key)]
        elif place is None:
            result.append(item)
        else:
            result[place] = strategic(shape.element or ANY, result[place], item)
    return result


def _json_patched(live: Json, raw: bytes) -> Json:
    try:
        operations = from_json(raw)
    except Undecodable as exc:
        raise bad_request(f"error decoding patch: {exc}") from exc
    if not isinstance(operations, list):
        text = "json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        raise bad_request(f"error decoding patch: {text}")
    if len(operations) > _MOST_OPERATIONS:
        text = f"The allowed maximum operations in a JSON patch is {_MOST_OPERATIONS}, got {len(operations)}"
        raise Refused(413, "RequestEntityTooLarge", text)
    result: Any = copied(live)
    try:
        for operation in operations:
            result = _operated(result, operation)
    except (LookupError, ValueError, TypeError, AttributeError) as exc:
        message = "the server rejected our request due to an error in our request"
        raise Refused(422, "Invalid", message, {}) from exc
    return dict(result)


def _operated(thing: Any, operation: Json) -> Any:
    """Raises LookupError, ValueError or TypeError when there is nothing at the path, or something else."""
    kind, path = operation["op"], _steps(operation["path"])
    if kind == "test":
        if _found(thing, path) != operation.get("value"):
            raise ValueError("test failed")
        return thing
    if kind == "remove":
        return _removed(thing, path)
    if kind in ("move", "copy"):
        source = _steps(operation["from"])
        value = copied(_found(thing, source))
        return _set(_removed(thing, source) if kind == "move" else thing, path, value, insert=True)
    if kind in ("add", "replace"):
        return _set(thing, path, operation.get("value"), insert=kind == "add")
    raise ValueError(kind)


def _steps(path: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]]


def _found(thing: Any, path: list[str]) -> Any:
    for step in path:
        thing = thing[int(step)] if isinstance(thing, list) else thing[step]
    return thing


def _removed(thing: Any, path: list[str]) -> Any:
    parent = _found(thing, path[:-1])
    del parent[int(path[-1]) if isinstance(parent, list) else path[-1]]
    return thing


def _set(thing: Any, path: list[str], value: Any, *, insert: bool) -> Any:
    if not path:
        return value
    parent, last = _found(thing, path[:-1]), path[-1]
    if isinstance(parent, list) and insert:
        parent.insert(len(parent) if last == "-" else int(last), value)
    elif isinstance(parent, list):
        parent[int(last)] = value
    else:
        if not insert:
            del parent[last]  # a LookupError when there is nothing to replace
        parent[last] = value
    return thing


def compact(value: Any) -> str:
    """JSON as Go writes it."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
