"""Lists read to their end, page by page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from confsync.sinks.kubernetes.client import Client
from confsync.sinks.kubernetes.failures import Asked, Gone, Unreachable
from confsync.sinks.kubernetes.resources import Resource

PAGE = 500
"""Objects a request: kubectl's, and what the server answers in well under a second."""

METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""What to accept where only names, labels and the like are wanted: no value is sent."""

_STARTS = 5

T = TypeVar("T")


def read_all(
    client: Client,
    resource: Resource,
    namespace: str | None,
    parse: Callable[[dict[str, Any]], T],
    *,
    query: Mapping[str, str] | None = None,
    accept: str = "application/json",
) -> tuple[list[T], str]:
    """Everything there is, as it was at one moment.

    Where the server forgets that moment between two pages (410), all is read again.

    Args:
        parse: makes of an item what is kept of it; raises ValueError for what is none. Only one page is in memory
            as it came.

    Returns:
        What was made of the items, and the resourceVersion of the moment.

    Raises:
        ApiFailure: a page could not be had.
    """
    for start in range(1, _STARTS + 1):
        try:
            return _pages(client, resource, namespace, parse, dict(query or {}), accept)
        except Gone:
            if start == _STARTS:
                raise
    raise AssertionError("the last start returns or raises")


def _pages(
    client: Client,
    resource: Resource,
    namespace: str | None,
    parse: Callable[[dict[str, Any]], T],
    query: dict[str, str],
    accept: str,
) -> tuple[list[T], str]:
    found: list[T] = []
    query["limit"] = str(PAGE)
    while True:
        body = client.request("GET", resource, namespace, query=query, accept=accept).body
        try:
            found += [parse(item) for item in body["items"] or ()]
            metadata = body["metadata"]
            revision, more = str(metadata["resourceVersion"]), metadata.get("continue")
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            asked = Asked(client.name, "list", resource, namespace)
            why = f"the answer is no list of {resource.plural} ({type(exc).__name__})"
            raise Unreachable(asked, why) from None
        if not more:
            return found, revision
        query["continue"] = str(more)
