"""What is applied, and what is read back of it. Pure.

An object of ours has marks: a label by which it is found, and annotations that name its sync, say whether confsync
made it, and have a checksum of its content. The checksum is keyed with a random salt that stays with the object: who
may read the object has the salt, so that the digest alone, copied to a pod template, gives nothing away.

Which keys, labels and annotations are ours the server keeps: those that our field manager applied. See
https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from confsync.config.kubernetes import MANAGED_BY, PREFIX, KubernetesSecretTarget, KubernetesTarget
from confsync.sinks.kubernetes.objects import APPLY, Fields, KubeObject, Manager
from confsync.sinks.kubernetes.resources import CONFIG_MAP, SECRET, Resource
from confsync.text import printable

T = TypeVar("T")

FIELD_MANAGER = "confsync"
OURS = Manager(FIELD_MANAGER, APPLY)

SYNC = f"{PREFIX}sync"
ORIGIN = f"{PREFIX}origin"
CHECKSUM = f"{PREFIX}checksum"
BASE_NAME = f"{PREFIX}base-name"
CLAIMED_BY = f"{PREFIX}claimed-by"

NOBODY = "nobody"
"""Who keeps what no field manager does; no manager of this name is told from it, which does no harm."""

DIGITS = 10
"""How many hexadecimal digits tell the name of an immutable object from its base name."""

_NONE = Fields()
_SALT = re.compile(r"[0-9a-f]{32}")
_NOT_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_SHORT_TYPES = {
    name: f"kubernetes.io/{name}" for name in ("tls", "dockerconfigjson", "basic-auth", "ssh-auth")
}

Json = dict[str, Any]


class Origin(StrEnum):
    """How an object came to be ours."""

    CREATED = "created"
    ADOPTED = "adopted"


@dataclass(frozen=True, slots=True)
class Marks:
    """What an object says of itself; None where it says nothing.

    Attributes:
        sync: whose it is.
        origin: "created" or "adopted", or whatever somebody wrote there.
        checksum: `SALT.HMAC`.
        base_name: of an immutable object: the name it has in the configuration.
        claimed_by: `SYNC at TIME`: who else wants it.
    """

    sync: str | None
    origin: str | None
    checksum: str | None
    base_name: str | None
    claimed_by: str | None

    @classmethod
    def of(cls, found: KubeObject) -> Marks:
        """The marks of an object, whoever set them."""
        names = (SYNC, ORIGIN, CHECKSUM, BASE_NAME, CLAIMED_BY)
        return cls(*(found.annotations.get(name) for name in names))

    def created_for(self, sync: str) -> bool:
        """Whether confsync made the object for this sync."""
        return self.origin == Origin.CREATED and self.sync == sync


def resource_of(spec: KubernetesTarget) -> Resource:
    """The kind of object a target is."""
    return SECRET if isinstance(spec, KubernetesSecretTarget) else CONFIG_MAP


def full_type(name: str) -> str:
    """A Secret's type as the API has it: "tls" is kubernetes.io/tls."""
    return _SHORT_TYPES.get(name, name)


def base_name(spec: KubernetesTarget) -> str | None:
    """The name a placed immutable target has in the configuration; None of others."""
    return spec.name[: -DIGITS - 1] if spec.immutable else None


def desired_object(
    spec: KubernetesTarget, sync: str, content: Mapping[str, bytes], origin: Origin, checksum: str
) -> Json:
    """What to apply so that a placed target is as it should be."""
    marks = {SYNC: sync, ORIGIN: str(origin), CHECKSUM: checksum}
    base = base_name(spec)
    if base is not None:
        marks[BASE_NAME] = base
    thing = _empty(resource_of(spec), spec.name)
    thing["metadata"]["labels"] = {**spec.labels, MANAGED_BY: FIELD_MANAGER}
    thing["metadata"]["annotations"] = {**spec.annotations, **marks}
    if isinstance(spec, KubernetesSecretTarget):
        thing["type"] = full_type(spec.type)
    if spec.immutable:
        thing["immutable"] = True
    return thing | _data(resource_of(spec), content)


def encoded(thing: Json) -> bytes:
    """As it is sent to be applied: JSON that is YAML as well, since the server reads it as YAML.

    YAML 1.1 has no pairs of surrogates for one character, forbids control characters, and takes some for line breaks
    (libyaml, from which sigs.k8s.io/yaml descends); JSON has no such rules, and Python's escapes break them.
    """
    text = json.dumps(thing, separators=(",", ":"), ensure_ascii=False)
    return _NOT_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()


def claim(found: KubeObject, resource: Resource, text: str | None) -> Json:
    """What to apply so that an object says who else wants it; or, without a text, no longer does."""
    thing = _empty(resource, found.name)
    if text is not None:
        thing["metadata"]["annotations"] = {CLAIMED_BY: text}
    return thing


def as_it_was(before: KubeObject, applied: Json, content: Mapping[str, bytes], resource: Resource) -> Json:
    """What to apply so that an object has again what it had before `applied`, which has `content`, was.

    That is what was ours, and what others had set and `applied` took from them. Whose it was cannot be put back.
    """
    fields = fields_of(before) | overwritten(before, applied, content)
    thing = _empty(resource, before.name)
    thing["metadata"] |= _filled(
        labels=_some(before.labels, fields.labels), annotations=_some(before.annotations, fields.annotations)
    )
    return thing | _fixed(before) | _data(resource, _some(before.data, fields.keys))


def overwritten(before: KubeObject, applied: Json, content: Mapping[str, bytes]) -> Fields:
    """What has another value once `applied`, which has `content`, is applied."""
    metadata = applied["metadata"]
    return Fields(
        _changed(before.data, content),
        _changed(before.labels, metadata.get("labels", {})),
        _changed(before.annotations, metadata.get("annotations", {})),
    )


def withdrawn(found: KubeObject, resource: Resource) -> Json:
    """What to apply so that an object lives on without what is ours in it, as far as the server lets it.

    An immutable object keeps its content; and a type that nobody else set stays, since without it the object would
    have another.
    """
    thing = _empty(resource, found.name)
    if found.immutable:
        return thing | _fixed(found) | _data(resource, content_of(found))
    if found.type not in ("", "Opaque") and not keepers(found, Fields(others=frozenset({"type"}))):
        thing["type"] = found.type
    return thing


def fields_of(found: KubeObject) -> Fields:
    """What of an object is ours, alone or together with others."""
    return found.owners.get(OURS, _NONE)


def owned_keys(found: KubeObject) -> frozenset[str]:
    """The keys that are ours, alone or together with others."""
    return fields_of(found).keys


def foreign_keys(found: KubeObject) -> dict[str, str]:
    """The keys that are not ours alone -> who else keeps them: field managers, or NOBODY."""
    foreign = {}
    for key in sorted(found.data):
        others = keepers(found, Fields(keys=frozenset({key})))
        if others or key not in owned_keys(found):
            foreign[key] = ", ".join(others) or NOBODY
    return foreign


def keepers(found: KubeObject, fields: Fields) -> list[str]:
    """The other field managers that keep any of these fields."""
    others = (
        manager
        for manager, owned in found.owners.items()
        if manager != OURS
        and (
            owned.keys & fields.keys
            or owned.labels & fields.labels
            or owned.annotations & fields.annotations
            or owned.others & fields.others
        )
    )
    return sorted({_shown(manager) for manager in others})


def content_of(found: KubeObject, keys: Iterable[str] = ()) -> dict[str, bytes]:
    """What an object holds under the keys that are ours, and under `keys`."""
    return _some(found.data, owned_keys(found) | frozenset(keys))


def attributes_of(found: KubeObject, spec: KubernetesTarget, wanted: Iterable[str] = ()) -> dict[str, str]:
    """What else of an object must agree: with `attributes_wanted` where it is as it should be.

    Labels and annotations are those that `spec` sets or that are ours; what others set besides does not count.

    Args:
        wanted: the keys to look at besides those that are ours.
    """
    marks, ours = Marks.of(found), fields_of(found)
    labels = (ours.labels - {MANAGED_BY}) | spec.labels.keys()
    annotations = {name for name in ours.annotations if not name.startswith(PREFIX)} | spec.annotations.keys()
    attributes = {
        "managed by": ", ".join(_managers(found, wanted, spec)),
        "sync": marks.sync or "(none)",
        "marks": "as set" if _are_right(marks, found, spec) else "changed",
        "immutable": _yes_no(found.immutable),
    }
    if isinstance(spec, KubernetesSecretTarget):
        attributes["type"] = found.type
    return attributes | _named(_some(found.labels, labels), _some(found.annotations, annotations))


def attributes_wanted(spec: KubernetesTarget, sync: str) -> dict[str, str]:
    """The attributes a placed target should have."""
    attributes = {
        "managed by": FIELD_MANAGER,
        "sync": sync,
        "marks": "as set",
        "immutable": _yes_no(spec.immutable),
    }
    if isinstance(spec, KubernetesSecretTarget):
        attributes["type"] = full_type(spec.type)
    return attributes | _named(spec.labels, spec.annotations)


def new_salt() -> str:
    """A salt nobody can guess."""
    return secrets.token_hex(16)


def salt_of(found: KubeObject | None) -> str | None:
    """The salt of an object's checksum; None where it has none that could be."""
    mark = found.annotations.get(CHECKSUM, "") if found is not None else ""
    salt = mark.partition(".")[0]
    return salt if _SALT.fullmatch(salt) else None


def checksum(content: Mapping[str, bytes], salt: str) -> str:
    """`SALT.HMAC` of a content: HMAC-SHA256 over its names and values in the order of the names.

    Args:
        salt: 32 hexadecimal digits.
    """
    digest = hmac.new(bytes.fromhex(salt), digestmod=hashlib.sha256)
    for name, value in sorted(content.items()):
        for part in (name.encode(), value):
            digest.update(len(part).to_bytes(8, "big") + part)
    return f"{salt}.{digest.hexdigest()}"


def _are_right(marks: Marks, found: KubeObject, spec: KubernetesTarget) -> bool:
    """Whether the marks, whatever the sync, are as we set them, and still ours."""
    names = {SYNC, ORIGIN, CHECKSUM} | ({BASE_NAME} if spec.immutable else set())
    ours, salt = fields_of(found), salt_of(found)
    return (
        found.labels.get(MANAGED_BY) == FIELD_MANAGER
        and MANAGED_BY in ours.labels
        and names <= ours.annotations
        and marks.origin in tuple(Origin)
        and marks.base_name == base_name(spec)
        and salt is not None
        and marks.checksum == checksum(content_of(found), salt)
    )


def _managers(found: KubeObject, wanted: Iterable[str], spec: KubernetesTarget) -> list[str]:
    """Who keeps what we want: confsync, where all of it is ours."""
    ours = fields_of(found)
    lost = Fields(
        frozenset(wanted) & found.data.keys() - ours.keys,
        frozenset(spec.labels) & found.labels.keys() - ours.labels,
        frozenset(spec.annotations) & found.annotations.keys() - ours.annotations,
    )
    return (keepers(found, lost) or [NOBODY]) if lost != _NONE else [FIELD_MANAGER]


def _shown(manager: Manager) -> str:
    name = printable(manager.name) or "unnamed"
    return f"{name} (without applying)" if name == FIELD_MANAGER else name


def _empty(resource: Resource, name: str) -> Json:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}}


def _data(resource: Resource, content: Mapping[str, bytes]) -> Json:
    """The fields for a content: of a ConfigMap what is UTF-8 is text, the rest binary."""
    if resource == SECRET:
        return _filled(data={key: _base64(value) for key, value in content.items()})
    texts = {key: text for key, value in content.items() if (text := _text(value)) is not None}
    binary = {key: _base64(value) for key, value in content.items() if key not in texts}
    return _filled(data=texts, binaryData=binary)


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _fixed(found: KubeObject) -> Json:
    """The fields that cannot be changed, where they are ours."""
    others = fields_of(found).others
    fixed: Json = {"type": found.type} if "type" in others else {}
    return fixed | ({"immutable": True} if found.immutable and "immutable" in others else {})


def _named(labels: Mapping[str, str], annotations: Mapping[str, str]) -> dict[str, str]:
    """Labels and annotations as attributes."""
    named = {f"label {name}": value for name, value in sorted(labels.items())}
    return named | {f"annotation {name}": value for name, value in sorted(annotations.items())}


def _changed(before: Mapping[str, T], after: Mapping[str, T]) -> frozenset[str]:
    """The names that were there before, with another value."""
    return frozenset(name for name, value in after.items() if name in before and before[name] != value)


def _some(values: Mapping[str, T], names: Collection[str]) -> dict[str, T]:
    return {name: value for name, value in values.items() if name in names}


def _filled(**fields: Mapping[str, str]) -> Json:
    """Without those that are empty."""
    return {name: dict(value) for name, value in fields.items() if value}


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"
