"""What is kept of an object: enough to see whose it is and what it holds, and nothing more.

A Secret as the server sends it is mostly `managedFields`. What matters of them is who owns which key, label and
annotation; the rest is dropped, and values are kept as bytes, which take less room than their base64.

Source: FieldsV1 of https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, Self

APPLY = "Apply"
"""The operation of a manager that applies (server-side); all other writes are "Update"."""

_NONE: frozenset[str] = frozenset()


class Manager(NamedTuple):
    """Who owns fields.

    Attributes:
        name: the field manager.
        operation: "Apply" or "Update": one name may own some fields by the one and some by the other.
    """

    name: str
    operation: str


@dataclass(frozen=True, slots=True)
class Fields:
    """What one manager owns of an object.

    Attributes:
        keys: of `data` and `binaryData`.
        labels, annotations: their names.
        others: what else: "type", "immutable", "metadata.finalizers".
    """

    keys: frozenset[str] = _NONE
    labels: frozenset[str] = _NONE
    annotations: frozenset[str] = _NONE
    others: frozenset[str] = _NONE

    def __or__(self, other: Fields) -> Fields:
        return Fields(
            self.keys | other.keys,
            self.labels | other.labels,
            self.annotations | other.annotations,
            self.others | other.others,
        )


@dataclass(frozen=True, slots=True)
class KubeObject:
    """A Secret, a ConfigMap, a namespace, or the metadata of any of them. Its repr shows no value.

    Attributes:
        namespace: "" for what is in none.
        uid: another for an object that was deleted and made again.
        resource_version: changes with each write; "" of what a dry run would have created.
        annotations: may hold values too: `kubectl apply` keeps the whole object in one.
        type: of a Secret, else "".
        data: each key's value, of `data` and `binaryData` alike.
        binary: which keys are in `binaryData`; always none of a Secret, whose values are all binary.
        owners: who owns what.
        deleting: whether it was deleted and only waits for its finalizers.
    """

    name: str
    namespace: str
    uid: str
    resource_version: str
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    annotations: Mapping[str, str] = field(default_factory=dict, repr=False)
    type: str = ""
    immutable: bool = False
    data: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    binary: frozenset[str] = field(default=_NONE, repr=False)
    owners: Mapping[Manager, Fields] = field(default_factory=dict, repr=False)
    deleting: bool = False

    @classmethod
    def parse(cls, json: Mapping[str, Any], kind: str = "") -> Self:
        """The object in an answer of the server.

        Args:
            kind: "Secret", "ConfigMap"…; only items of a list, which do not say it themselves, need it.

        Raises:
            ValueError: it is no such object; the message has no value.
        """
        try:
            return cls._parse(json, kind or json["kind"])
        except (KeyError, TypeError, AttributeError) as exc:
            raise ValueError(f"the server sent what is no object of the API ({type(exc).__name__})") from None

    @classmethod
    def _parse(cls, json: Mapping[str, Any], kind: str) -> Self:
        metadata = json["metadata"]
        data, binary = json.get("data") or {}, json.get("binaryData") or {}
        values = _decoded(data) if kind == "Secret" else {key: value.encode() for key, value in data.items()}
        return cls(
            metadata["name"],
            metadata.get("namespace") or "",
            metadata["uid"],
            metadata.get("resourceVersion") or "",
            dict(metadata.get("labels") or {}),
            dict(metadata.get("annotations") or {}),
            json.get("type") or "",
            bool(json.get("immutable")),
            values | _decoded(binary),
            frozenset(binary),
            _owners(metadata.get("managedFields") or ()),
            bool(metadata.get("deletionTimestamp")),
        )

    def value(self, key: str) -> bytes:
        """What a key holds. Raises `KeyError` for a key that is not there."""
        return self.data[key]


def _decoded(data: Mapping[str, str | None]) -> dict[str, bytes]:
    """Values in base64; Go writes an empty one as null."""
    return {key: base64.b64decode(value or "", validate=True) for key, value in data.items()}


def _owners(entries: Iterable[Mapping[str, Any]]) -> dict[Manager, Fields]:
    """A manager has several entries where it used several versions of the API."""
    owners: dict[Manager, Fields] = {}
    for entry in entries:
        manager = Manager(entry.get("manager") or "", entry["operation"])
        owners[manager] = _shared(owners.get(manager, Fields()) | _fields(entry.get("fieldsV1") or {}))
    return owners


@lru_cache(maxsize=256)
def _shared(fields: Fields) -> Fields:
    """The first of equal ones: most objects of a sync are owned alike, and the sets are the larger half of them."""
    return fields


def _fields(tree: Mapping[str, Any]) -> Fields:
    metadata = tree.get("f:metadata") or {}
    others = _names(tree) - {"data", "binaryData", "metadata"}
    others |= {f"metadata.{name}" for name in _names(metadata) - {"labels", "annotations"}}
    return Fields(
        _names(tree.get("f:data")) | _names(tree.get("f:binaryData")),
        _names(metadata.get("f:labels")),
        _names(metadata.get("f:annotations")),
        others,
    )


def _names(tree: Mapping[str, Any] | None) -> frozenset[str]:
    """The names of the fields in a FieldsV1; "." is the map itself, "k:", "v:" and "i:" are items of a list."""
    return frozenset(step[2:] for step in tree or () if step.startswith("f:"))
