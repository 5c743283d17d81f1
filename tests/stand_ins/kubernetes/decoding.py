"""From the bytes of a request to an object of its kind, with what was left out filled in."""

from __future__ import annotations

import json
from typing import Any

import yaml

from . import fields, metadata, patches, status
from .go import Undecodable, from_json
from .kinds import Kind, json_type, unknown_fields
from .request import Call
from .status import Json, bad_request, copied

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def body(call: Call, kind: Kind) -> Json:
    """The object a client sent, as JSON or YAML.

    Raises:
        Refused: 400, it cannot be read or is of another kind.
    """
    try:
        found = _from_yaml(call.body) if "yaml" in call.content_type else from_json(call.body)
    except Undecodable as exc:
        raise bad_request(f"{_described(kind)}: {exc}") from exc
    if not isinstance(found, dict):
        target = f"Go value of type {kind.version}.{kind.kind}"
        raise bad_request(f"{_described(kind)}: json: cannot unmarshal {json_type(found)} into {target}")
    version, name = found.get("apiVersion") or kind.api_version, found.get("kind") or kind.kind
    if version != kind.api_version:
        told = f"does not match the expected API version ({kind.api_version})"
        raise bad_request(f"the API version in the data ({version}) {told}")
    if name != kind.kind:
        raise bad_request(f'{name} in version "{kind.version}" cannot be handled as a {kind.kind}')
    return found


def configuration(call: Call, kind: Kind) -> Json:
    """What is to be applied.

    Raises:
        Refused: 400, it cannot be read or is of another version; 500, a field is not one of its kind.
    """
    try:
        found = _from_yaml(call.body)
    except Undecodable as exc:
        raise bad_request(f"error decoding YAML: {exc}") from exc
    if not isinstance(found, dict):
        text = f"json: cannot unmarshal {json_type(found)} into Go value of type map[string]interface {{}}"
        raise bad_request(f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {text}")
    if found.get("apiVersion") != kind.api_version:
        told = f"Specified patch version: {found.get('apiVersion') or ''}, expected: {kind.api_version}"
        raise bad_request(f"Incorrect version specified in apply patch. {told}")
    if not isinstance(found.get("metadata"), dict):
        found["metadata"] = {}
    if found["metadata"].get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    wrong = list(fields.mistakes(kind.shape, found))
    if wrong:
        told = wrong[0] if len(wrong) == 1 else "errors:" + "".join(f"\n  {text}" for text in wrong)
        raise status.internal(f"failed to create typed patch object ({_named(found, kind)}): {told}")
    return found


def decoded(call: Call, kind: Kind, thing: Json, *, patch: bool = False) -> Json:
    """A copy in the form that is kept.

    Args:
        patch: the thing is what a patch made, and is refused as such.

    Raises:
        Refused: 400 or 422, a value is not of its type, or a field unknown where that is forbidden.
    """
    thing = copied(thing)
    thing["apiVersion"], thing["kind"] = kind.api_version, kind.kind
    if not isinstance(thing.get("metadata"), dict):
        thing["metadata"] = {}
    unknown = [f'unknown field "{path}"' for path in unknown_fields(kind.shape, thing)]
    try:
        kind.decode(thing)
        if unknown and call.option("fieldValidation") == "Strict":
            raise Undecodable(f"strict decoding error: {', '.join(unknown)}")
    except Undecodable as exc:
        if not patch:
            raise bad_request(f"{_described(kind)}: {exc}") from exc
        problem = status.invalid_value("patch", patches.compact(thing), str(exc))
        raise status.invalid("", "", "", [problem]) from exc
    if call.option("fieldValidation") != "Ignore":
        call.warnings.extend(unknown)
    _drop_unknown(kind.shape, thing)
    metadata.tidy(thing)
    kind.default(thing)
    return thing


def applied(kind: Kind, thing: Json, config: Json) -> Json:
    """What an apply made, in the form that is kept.

    Raises:
        Refused: 500, a value is not of its type.
    """
    thing = copied(thing)
    try:
        kind.decode(thing)
    except Undecodable as exc:
        what = f"{kind.group}/{kind.version}, Kind={kind.kind}"
        raise status.internal(
            f"failed to convert new object ({_named(config, kind)}) to proper version: "
            f"unable to convert unstructured object to {what}: error decoding from json: {exc}"
        ) from exc
    metadata.tidy(thing)
    kind.default(thing)
    return thing


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


def _described(kind: Kind) -> str:
    return f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}'


def _named(thing: Json, kind: Kind) -> str:
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
