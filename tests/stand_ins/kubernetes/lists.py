"""Lists: by selector, in pages, and as of which revision."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from itertools import islice

from . import selectors, status
from .kinds import Kind
from .request import Call
from .status import Json, Refused, bad_request
from .store import Key, Store

_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list "
    "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
    "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
    "modified, or deleted between the time the first chunk was returned and now may show up in the list."
)


@dataclass(frozen=True)
class _Continue:
    """Where a page ended.

    Attributes:
        revision: the list's; -1 goes on with what there is now.
        start: the first name that was not shown.
    """

    revision: int
    start: str

    def token(self) -> str:
        text = json.dumps(
            {"v": "meta.k8s.io/v1", "rv": self.revision, "start": self.start}, separators=(",", ":")
        )
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def selected(call: Call, kind: Kind) -> selectors.Test:
    """The test that labelSelector and fieldSelector are together."""
    by_label, by_field = call.option("labelSelector"), call.option("fieldSelector")
    labels = selectors.labels_fit(by_label) if by_label else selectors.everything
    fields = (
        selectors.fields_fit(by_field, kind.selectable, kind.api_version, kind.kind)
        if by_field
        else selectors.everything
    )
    return lambda thing: labels(thing) and fields(thing)


def listed(store: Store, call: Call, kind: Kind) -> Json:
    """The list that was asked for. The caller holds the store's lock.

    Raises:
        Refused: 400 a bad option, 410 a page of what is compacted, 504 a revision of the future.
    """
    fits, limit = selected(call, kind), _limit(call)
    revision, after = _from_where(store, call, kind)
    namespace = call.target.namespace if kind.namespaced else ""
    found = [
        (_start(key, namespace), thing)
        for key, thing in store.all(kind.path, namespace, revision)
        if _start(key, namespace) >= after and fits(thing)
    ]
    page = list(islice(found, limit)) if limit else found
    meta: Json = {"resourceVersion": str(revision)}
    if len(page) < len(found):
        meta["continue"] = _Continue(revision, page[-1][0] + "\0").token()
        if not call.option("labelSelector") and not call.option("fieldSelector"):
            meta["remainingItemCount"] = len(found) - len(page)
    items = [thing if kind.whole else _without_type(thing) for _, thing in page]
    return {"apiVersion": kind.api_version, "kind": f"{kind.kind}List", "metadata": meta, "items": items}


def revision_asked(call: Call, kind: Kind) -> int | None:
    """The resourceVersion option; None when there is none.

    Raises:
        Refused: 422, it is no number.
    """
    text = call.option("resourceVersion")
    if not text:
        return None
    if not text.isdigit():
        why = f'strconv.ParseUint: parsing "{text}": invalid syntax'
        problem = status.invalid_value("resourceVersion", text, why)
        raise status.invalid(kind.group, kind.plural, "", [problem])
    return int(text)


def check_not_of_the_future(store: Store, revision: int) -> None:
    """Raises Refused: 504, after the time a server waits for a revision it has not seen (here, at once)."""
    if revision <= store.revision:
        return
    cause = {"message": "Too large resource version", "reason": "ResourceVersionTooLarge"}
    details = {"causes": [cause], "retryAfterSeconds": 1}
    told = f"Timeout: Too large resource version: {revision}, current: {store.revision}"
    raise Refused(504, "Timeout", told, details, headers={"Retry-After": "1"})


def _from_where(store: Store, call: Call, kind: Kind) -> tuple[int, str]:
    """The revision to read at, and the name to begin with."""
    asked, match = revision_asked(call, kind), call.option("resourceVersionMatch")
    if call.option("continue"):
        return _continued(store, call, kind)
    _check_match(call, kind, asked, match)
    if not asked:
        return store.revision, ""
    check_not_of_the_future(store, asked)
    if match != "Exact":
        return store.revision, ""
    if asked < store.compacted:
        raise status.expired(f"The provided resource version is too old: {asked} ({store.compacted})")
    return asked, ""


def _check_match(call: Call, kind: Kind, asked: int | None, match: str) -> None:
    if not match:
        return
    if asked is None:
        problem = status.forbidden_field(
            "resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"
        )
    elif match not in ("Exact", "NotOlderThan"):
        problem = status.unsupported("resourceVersionMatch", match, ["Exact", "NotOlderThan", ""])
    elif match == "Exact" and asked == 0:
        text = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        problem = status.forbidden_field("resourceVersionMatch", text)
    else:
        return
    raise status.invalid("meta.k8s.io", "ListOptions", "", [problem])


def _continued(store: Store, call: Call, kind: Kind) -> tuple[int, str]:
    if revision_asked(call, kind):
        raise bad_request("specifying resource version is not allowed when using continue")
    page = _read_token(call.option("continue"))
    if page.revision < 0:
        return store.revision, page.start
    if page.revision < store.compacted:
        raise status.expired(_TOO_OLD, _Continue(-1, page.start).token())
    return page.revision, page.start


def _read_token(token: str) -> _Continue:
    try:
        found = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        if found["v"] != "meta.k8s.io/v1" or not found["start"]:
            raise KeyError("start")
        return _Continue(int(found["rv"]), str(found["start"]))
    except (binascii.Error, ValueError, KeyError, TypeError) as exc:
        raise bad_request(f"continue key is not valid: {exc}") from exc


def _limit(call: Call) -> int:
    text = call.option("limit")
    if not text:
        return 0
    if not text.lstrip("-").isdigit():
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return max(int(text), 0)


def _start(key: Key, namespace: str) -> str:
    """The part of a key below the prefix that is listed."""
    return f"{key.namespace}/{key.name}" if key.namespace and not namespace else key.name


def _without_type(thing: Json) -> Json:
    return {name: value for name, value in thing.items() if name not in ("apiVersion", "kind")}
