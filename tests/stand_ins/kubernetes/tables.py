"""Objects as rows of a table, which is what `kubectl get` prints.

Source: pkg/printers/internalversion/printers.go; columns that only `-o wide` shows are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from .status import Json, beyond_the_stand_in

Cells = Callable[[Json], list[Any]]


def view_of(plural: str, now: float) -> Callable[[Json], Json]:
    """What makes a table of an object or a list of them.

    Raises:
        Refused: this stand-in has no table for the kind.
    """
    if plural not in _TABLES:
        raise beyond_the_stand_in(f"tables of {plural}")
    columns, cells = _TABLES[plural]

    def row(thing: Json) -> Json:
        meta = thing["metadata"]
        about = {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": meta}
        return {"cells": [meta["name"], *cells(thing), _age(meta, now)], "object": about}

    def table(thing: Json) -> Json:
        revision = thing["metadata"]["resourceVersion"]
        return {
            "apiVersion": "meta.k8s.io/v1",
            "kind": "Table",
            "metadata": {"resourceVersion": revision},
            "columnDefinitions": [_column(name) for name in ("Name", *columns, "Age")],
            "rows": [row(one) for one in thing.get("items", [thing])],
        }

    return table


def _secret(thing: Json) -> list[Any]:
    return [thing["type"], len(thing.get("data") or {})]


def _config_map(thing: Json) -> list[Any]:
    return [len(thing.get("data") or {}) + len(thing.get("binaryData") or {})]


def _namespace(thing: Json) -> list[Any]:
    return [thing["status"]["phase"]]


def _deployment(thing: Json) -> list[Any]:
    status = thing.get("status") or {}
    ready, wanted = status.get("readyReplicas", 0), thing["spec"].get("replicas", 0)
    return [f"{ready}/{wanted}", status.get("updatedReplicas", 0), status.get("availableReplicas", 0)]


_TABLES: dict[str, tuple[tuple[str, ...], Cells]] = {
    "secrets": (("Type", "Data"), _secret),
    "configmaps": (("Data",), _config_map),
    "namespaces": (("Status",), _namespace),
    "deployments": (("Ready", "Up-to-date", "Available"), _deployment),
}


def _column(name: str) -> Json:
    form = "name" if name == "Name" else ""
    return {"name": name, "type": "string", "format": form, "description": "", "priority": 0}


def _age(meta: Json, now: float) -> str:
    """How long ago it was made; a real server changes the unit at other limits."""
    made = datetime.fromisoformat(meta["creationTimestamp"]).timestamp()
    seconds = max(int(now - made), 0)
    return f"{seconds}s" if seconds < 120 else f"{seconds // 60}m"
