"""`metadata`: what the server fills in, and what it refuses.

Sources: apimachinery's pkg/api/validation/objectmeta.go, apiserver's pkg/registry/rest.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from . import names
from .fields import INTEGER, STRING, STRINGS, Shape, keyed, struct
from .status import Json, Problem, bad_request, forbidden_field, invalid_value, required, too_long

ANNOTATIONS_LIMIT = 256 * 1024

NameRule = Callable[[str], list[str]]

SHAPE = struct(
    annotations=STRINGS,
    creationTimestamp=STRING,
    deletionGracePeriodSeconds=INTEGER,
    deletionTimestamp=STRING,
    finalizers=Shape("list", element=STRING, unique=True),
    generateName=STRING,
    generation=INTEGER,
    labels=STRINGS,
    managedFields=Shape("list", atomic=True),
    name=STRING,
    namespace=STRING,
    ownerReferences=keyed(
        Shape(
            "struct",
            {
                "apiVersion": STRING,
                "blockOwnerDeletion": Shape("boolean"),
                "controller": Shape("boolean"),
                "kind": STRING,
                "name": STRING,
                "uid": STRING,
            },
            atomic=True,
        ),
        "uid",
    ),
    resourceVersion=STRING,
    selfLink=STRING,
    uid=STRING,
)
"""The fields of `metadata`, and who may share them."""

_OMITTED_WHEN_EMPTY = ("annotations", "labels", "finalizers", "ownerReferences", "managedFields")


def rfc3339(moment: float) -> str:
    """As the API writes a time: to the second."""
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def tidy(thing: Json) -> None:
    """Drops what Go leaves out of JSON: nulls and empty fields of `metadata`."""
    metadata = thing["metadata"]
    for name in [name for name, value in metadata.items() if value is None or value == ""]:
        del metadata[name]
    for name in _OMITTED_WHEN_EMPTY:
        if name in metadata and not metadata[name]:
            del metadata[name]


def place(thing: Json, namespace: str, name: str) -> None:
    """Checks that the object is the one the URL names.

    Args:
        name: "" when the URL names none.

    Raises:
        Refused: 400, it is another one.
    """
    metadata = thing["metadata"]
    if metadata.get("namespace") not in (None, "", namespace) and namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if namespace:
        metadata["namespace"] = namespace
    elif name:
        metadata.pop("namespace", None)
    if not name:
        return
    if not metadata.get("name"):
        raise bad_request(
            f"the name of the object ({name} based on URL) was undeterminable: name must be provided"
        )
    if metadata["name"] != name:
        raise bad_request(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
        )


def begin(thing: Json, now: float) -> None:
    """What a new object gets from the server."""
    metadata = thing["metadata"]
    for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"):
        metadata.pop(name, None)
    if metadata.get("generateName") and not metadata.get("name"):
        metadata["name"] = metadata["generateName"][:58] + _suffix()
    metadata |= {"creationTimestamp": rfc3339(now), "uid": str(uuid.uuid4())}


def carry_on(new: Json, old: Json) -> None:
    """What an update cannot change, whatever it says."""
    ours, theirs = new["metadata"], old["metadata"]
    ours.setdefault("uid", theirs["uid"])
    for name in (
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
    ):
        ours.pop(name, None)
        if name in theirs:
            ours[name] = theirs[name]


def problems_of(metadata: Json, rule: NameRule) -> Iterator[Problem]:
    """What is wrong with the metadata of an object."""
    if metadata.get("generateName"):
        stem = metadata["generateName"].rstrip("-") or "-"
        yield from (invalid_value("metadata.generateName", stem, text) for text in rule(stem))
    name = metadata.get("name", "")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    else:
        yield from (invalid_value("metadata.name", name, text) for text in rule(name))
    yield from label_problems(metadata.get("labels") or {}, "metadata.labels")
    yield from annotation_problems(metadata.get("annotations") or {}, "metadata.annotations")
    yield from _owners(metadata.get("ownerReferences") or [])
    for finalizer in metadata.get("finalizers") or []:
        texts = names.of_label_key(finalizer)
        yield from (invalid_value("metadata.finalizers", finalizer, text) for text in texts)


def changes_refused(new: Json, old: Json) -> Iterator[Problem]:
    """What an update may not do to the metadata."""
    if old.get("deletionTimestamp"):
        extra = sorted(set(new.get("finalizers") or []) - set(old.get("finalizers") or []))
        if extra:
            listed = ", ".join(f'"{name}"' for name in extra)
            why = "no new finalizers can be added if the object is being deleted, found new finalizers "
            yield forbidden_field("metadata.finalizers", f"{why}[]string{{{listed}}}")
    for name in ("name", "namespace", "uid", "creationTimestamp"):
        if new.get(name) != old.get(name):
            yield invalid_value(f"metadata.{name}", new.get(name), "field is immutable")
    yield from label_problems(new.get("labels") or {}, "metadata.labels")
    yield from annotation_problems(new.get("annotations") or {}, "metadata.annotations")
    yield from _owners(new.get("ownerReferences") or [])


def label_problems(found: dict[str, str], where: str) -> Iterator[Problem]:
    for key, value in found.items():
        yield from (invalid_value(where, key, text) for text in names.of_label_key(key))
        yield from (invalid_value(where, value, text) for text in names.of_label_value(value))


def annotation_problems(found: dict[str, str], where: str) -> Iterator[Problem]:
    for key in found:
        yield from (invalid_value(where, key, text) for text in names.of_label_key(key.lower()))
    if sum(len(key.encode()) + len(value.encode()) for key, value in found.items()) > ANNOTATIONS_LIMIT:
        yield too_long(where, ANNOTATIONS_LIMIT)


def _owners(references: list[Any]) -> Iterator[Problem]:
    for reference in references:
        for name in ("apiVersion", "kind", "name", "uid"):
            if not reference.get(name):
                text = "version must not be empty" if name == "apiVersion" else "must not be empty"
                yield invalid_value(f"metadata.ownerReferences.{name}", reference.get(name) or "", text)


def _suffix() -> str:
    return "".join(secrets.choice("bcdfghjklmnpqrstvwxz2456789") for _ in range(5))
