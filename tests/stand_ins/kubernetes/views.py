"""What of an object is sent: all of it, its metadata only, or a row of a table, as the Accept header wishes.

Source: apiserver's endpoints/handlers/negotiation and response.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from . import tables
from .request import Call
from .status import Json, Refused, beyond_the_stand_in

View = Callable[[Json], Json]

_KINDS = {"PartialObjectMetadata", "PartialObjectMetadataList"}


def view_of(call: Call, now: float) -> View:
    """How the answer to a get, list or watch is shown.

    Args:
        now: the epoch time, in seconds; a table has ages in it.

    Raises:
        Refused: 406, nothing that is accepted can be served.
    """
    accepted = call.headers.get("accept", "")
    for kind, options in _wishes(accepted):
        wanted = options.get("as")
        if wanted is not None and kind in ("application/json", "*/*"):
            if wanted == "Table":
                return tables.view_of(call.target.plural, now)
            if wanted not in _KINDS:
                raise beyond_the_stand_in(f"answers as {wanted}")
            return _metadata_only
        if kind in ("application/json", "application/*", "*/*", ""):
            return _whole
    if "application/vnd.kubernetes.protobuf" in accepted or "application/yaml" in accepted:
        raise beyond_the_stand_in(f"answers of the type {accepted}")
    told = "only the following media types are accepted: "
    known = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    raise Refused(406, "NotAcceptable", told + known, {})


def _wishes(accepted: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The media types, in the order in which they are wished for, and their options."""
    for wish in accepted.split(","):
        kind, *options = [part.strip() for part in wish.split(";")]
        yield kind, dict(option.partition("=")[::2] for option in options)


def _whole(thing: Json) -> Json:
    return thing


def _metadata_only(thing: Json) -> Json:
    version = {"apiVersion": "meta.k8s.io/v1"}
    if "items" in thing:
        items = [
            version | {"kind": "PartialObjectMetadata", "metadata": t["metadata"]} for t in thing["items"]
        ]
        return version | {
            "kind": "PartialObjectMetadataList",
            "metadata": thing["metadata"],
            "items": items,
        }
    return version | {"kind": "PartialObjectMetadata", "metadata": thing["metadata"]}
