"""Secrets and ConfigMaps. Source: pkg/apis/core/validation of Kubernetes."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import ClassVar

from . import names
from .fields import BOOLEAN, STRING, STRINGS
from .go import Undecodable, from_base64, from_json
from .kinds import Kind, api_object, json_type
from .status import Json, Problem, forbidden_field, invalid_value, required, too_long

LIMIT = 1024 * 1024

_REDACTED = "<secret contents redacted>"
_IMMUTABLE = "field is immutable when `immutable` is set"

_JSON_KEYS = {
    "kubernetes.io/dockercfg": ".dockercfg",
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
}


class Secrets(Kind):
    plural, kind = "secrets", "Secret"
    shape = api_object(data=STRINGS, immutable=BOOLEAN, stringData=STRINGS, type=STRING)
    rechecked = True
    selectable: ClassVar[tuple[str, ...]] = ("type",)

    def decode(self, thing: Json) -> None:
        self._check_types(thing)
        _drop_nulls(thing, "data", "stringData")
        for value in (thing.get("data") or {}).values():
            from_base64(value)
        plain = thing.pop("stringData", None) or {}
        if plain:
            thing["data"] = {
                **(thing.get("data") or {}),
                **{key: _base64(value) for key, value in plain.items()},
            }
        _drop_empty(thing, "data", "immutable", "type")

    def default(self, thing: Json) -> None:
        thing.setdefault("type", "Opaque")

    def changes_refused(self, new: Json, old: Json) -> Iterator[Problem]:
        if new.get("type") != old.get("type"):
            yield invalid_value("type", new.get("type", ""), "field is immutable")
        yield from _immutable(new, old, "data")

    def content_problems(self, thing: Json) -> Iterator[Problem]:
        data = thing.get("data") or {}
        yield from _bad_keys(data, "data")
        if sum(len(from_base64(value)) for value in data.values()) > LIMIT:
            yield too_long("data", LIMIT)
        yield from _of_type(thing["type"], data, thing["metadata"])


class ConfigMaps(Kind):
    plural, kind = "configmaps", "ConfigMap"
    rechecked = True
    shape = api_object(binaryData=STRINGS, data=STRINGS, immutable=BOOLEAN)

    def decode(self, thing: Json) -> None:
        self._check_types(thing)
        _drop_nulls(thing, "data", "binaryData")
        for value in (thing.get("binaryData") or {}).values():
            from_base64(value)
        _drop_empty(thing, "data", "binaryData", "immutable")

    def changes_refused(self, new: Json, old: Json) -> Iterator[Problem]:
        yield from _immutable(new, old, "data", "binaryData")

    def content_problems(self, thing: Json) -> Iterator[Problem]:
        data, binary = thing.get("data") or {}, thing.get("binaryData") or {}
        yield from _bad_keys(data, "data")
        for key in data.keys() & binary.keys():
            yield invalid_value(f"data[{key}]", key, "duplicate of key present in binaryData")
        yield from _bad_keys(binary, "binaryData")
        size = sum(len(value.encode()) for value in data.values())
        if size + sum(len(from_base64(value)) for value in binary.values()) > LIMIT:
            yield too_long("[]", LIMIT)


def _bad_keys(data: Json, where: str) -> Iterator[Problem]:
    for key in data:
        yield from (invalid_value(f"{where}[{key}]", key, text) for text in names.of_config_key(key))


def _immutable(new: Json, old: Json, *parts: str) -> Iterator[Problem]:
    if not old.get("immutable"):
        return
    if not new.get("immutable"):
        yield forbidden_field("immutable", _IMMUTABLE)
    for part in parts:
        if new.get(part) != old.get(part):
            yield forbidden_field(part, _IMMUTABLE)


def _of_type(kind: str, data: Json, meta: Json) -> Iterator[Problem]:
    """What a Secret of this type must hold."""
    if kind == "kubernetes.io/service-account-token":
        if not (meta.get("annotations") or {}).get("kubernetes.io/service-account.name"):
            yield required("metadata.annotations[kubernetes.io/service-account.name]")
    elif kind in _JSON_KEYS:
        yield from _json_object(data, _JSON_KEYS[kind])
    elif kind == "kubernetes.io/basic-auth":
        if "username" not in data and "password" not in data:
            yield required("data[username]")
            yield required("data[password]")
    elif kind == "kubernetes.io/ssh-auth":
        if not data.get("ssh-privatekey"):
            yield required("data[ssh-privatekey]")
    elif kind == "kubernetes.io/tls":
        yield from (required(f"data[{key}]") for key in ("tls.crt", "tls.key") if key not in data)


def _json_object(data: Json, key: str) -> Iterator[Problem]:
    if key not in data:
        yield required(f"data[{key}]")
        return
    try:
        found = from_json(from_base64(data[key]))
    except Undecodable as exc:
        yield invalid_value(f"data[{key}]", _REDACTED, str(exc))
        return
    if found is not None and not isinstance(found, dict):
        text = f"json: cannot unmarshal {json_type(found)} into Go value of type map[string]interface {{}}"
        yield invalid_value(f"data[{key}]", _REDACTED, text)


def _drop_nulls(thing: Json, *parts: str) -> None:
    """A null in a map of Go's is an empty value."""
    for part in parts:
        if thing.get(part):
            thing[part] = {key: "" if value is None else value for key, value in thing[part].items()}


def _drop_empty(thing: Json, *parts: str) -> None:
    for part in parts:
        if part in thing and thing[part] in (None, {}, ""):
            del thing[part]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
