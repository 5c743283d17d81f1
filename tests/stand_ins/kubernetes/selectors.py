"""Label selectors and field selectors, as query strings have them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from .status import Json, bad_request

Test = Callable[[Json], bool]

_SET = re.compile(r"\s*([^\s,()!=<>]+)\s+(in|notin)\s*\(([^()]*)\)\s*")
_ORDER = re.compile(r"\s*([^\s,()!=<>]+)\s*(=|==|!=|>|<)\s*([^\s,()!=<>]*)\s*")
_EXISTS = re.compile(r"\s*(!?)\s*([^\s,()!=<>]+)\s*")


def everything(thing: Json) -> bool:
    return True


def labels_fit(selector: str) -> Test:
    """The test a label selector is.

    Raises:
        Refused: 400, it cannot be read.
    """
    tests = [_label_test(part, selector) for part in _parts(selector)]
    return lambda thing: all(test(thing["metadata"].get("labels") or {}) for test in tests)


def fields_fit(selector: str, known: Iterable[str], group_version: str, kind: str) -> Test:
    """The test a field selector is.

    Args:
        known: the fields of this kind that can be selected by, beside metadata.name and metadata.namespace.

    Raises:
        Refused: 400, it cannot be read or names a field that cannot be selected by.
    """
    allowed = {"metadata.name", "metadata.namespace", *known}
    tests = [_field_test(part, allowed) for part in selector.split(",") if part.strip()]
    return lambda thing: all(test(thing) for test in tests)


def _parts(selector: str) -> list[str]:
    """Split at the commas outside of brackets."""
    return [part for part in re.split(r",(?![^()]*\))", selector) if part.strip()]


def _label_test(part: str, selector: str) -> Callable[[dict[str, str]], bool]:
    if found := _SET.fullmatch(part):
        name, operator, values = found[1], found[2], {value.strip() for value in found[3].split(",")}
        return lambda labels: (labels.get(name) in values) is (operator == "in")
    if found := _ORDER.fullmatch(part):
        name, operator, value = found[1], found[2], found[3]
        if operator in ("=", "=="):
            return lambda labels: labels.get(name) == value
        if operator == "!=":
            return lambda labels: labels.get(name) != value
        return lambda labels: _in_order(labels.get(name), operator, value)
    if found := _EXISTS.fullmatch(part):
        name, wanted = found[2], not found[1]
        return lambda labels: (name in labels) is wanted
    raise bad_request(f"unable to parse requirement: found '{part.strip()}', expected: a label selector")


def _in_order(value: str | None, operator: str, limit: str) -> bool:
    if value is None or not value.lstrip("-").isdigit():
        return False
    return int(value) > int(limit) if operator == ">" else int(value) < int(limit)


def _field_test(part: str, allowed: set[str]) -> Test:
    found = _ORDER.fullmatch(part)
    if not found or found[2] in "<>":
        raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
    name, operator, value = found[1], found[2], found[3]
    if name not in allowed:
        raise bad_request(f"field label not supported: {name}")
    return lambda thing: (_field(thing, name) == value) is (operator != "!=")


def _field(thing: Json, name: str) -> str:
    value: Any = thing
    for step in name.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return "" if value is None else str(value)
