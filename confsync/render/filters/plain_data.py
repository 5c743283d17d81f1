"""Template values as plain dicts, lists, text and numbers, counted on the way.

A structure with shared parts (YAML aliases, a list that holds one list many times) is small in memory and
can be endless when written out; the count is of what would be written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jinja2.runtime import Undefined

from confsync.errors import LimitExceeded, RenderError
from confsync.render.filters.values import MOST, allow, describe

DEEPEST = 100


def plain_data(value: object, name: str) -> Any:
    """`value` made of dict, list, str, int, float, bool and None only; dates become ISO 8601 text.

    Raises:
        RenderError: something else is in it, such as bytes, or it is nested more than 100 deep.
        LimitExceeded: written out it would have more than a million parts.
    """
    return _Copy(name).of(value, 0)


class _Copy:
    """One pass over one value."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._parts = 0
        self._length = 0

    def of(self, value: object, depth: int) -> Any:
        self._count(1)
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            self._count_text(len(value))
            return str.__str__(value)
        if depth >= DEEPEST:
            raise RenderError(f"{self._name}: nested more than {DEEPEST} deep")
        if isinstance(value, Mapping):
            return {self._key(key): self.of(item, depth + 1) for key, item in value.items()}
        if isinstance(value, Undefined):
            value.note()  # raises, unless it is a missing key
            return ""
        if (
            isinstance(value, Iterable)
            and not isinstance(value, bytes | set | frozenset)
            and not callable(value)
        ):
            return [self.of(item, depth + 1) for item in value]
        return self._date(value)

    def _date(self, value: object) -> str:
        import datetime as dt

        if isinstance(value, dt.date | dt.time):
            return value.isoformat()
        hint = "b64encode it" if isinstance(value, bytes) else None
        raise RenderError(f"{self._name} cannot take {describe(value)}", hint=hint)

    def _key(self, key: object) -> str:
        if isinstance(key, str):
            self._count_text(len(key))
            return str.__str__(key)
        if isinstance(key, bool):
            return "true" if key else "false"
        if isinstance(key, int | float):
            return repr(key)
        if key is None:
            return "null"
        return self._date(key)

    def _count(self, parts: int) -> None:
        self._parts += parts
        if self._parts > MOST:
            raise LimitExceeded(f"{self._name}: written out this would have more than {MOST:,} parts")

    def _count_text(self, length: int) -> None:
        self._length += length
        allow(self._length)
