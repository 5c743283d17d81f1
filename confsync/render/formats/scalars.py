"""The values of a data map, and the error for one that a format cannot hold."""

from __future__ import annotations

import math
from collections.abc import Mapping

from confsync.errors import Unwritable
from confsync.text import printable

Scalar = str | int | float | bool | bytes
Plain = str | int | float | bool

_MOST_BITS = 4096
"""Beyond this an integer cannot be printed: Python refuses more than 4300 digits."""


def refusal(form: str, key: str, problem: str, hint: str | None = None) -> Unwritable:
    """The error for `key`; `problem` holds nothing of its value."""
    message = f"{printable(key)!r} cannot be written as {form}: {problem}"
    return Unwritable(message, key=key, problem=problem, hint=hint)


def plain(mapping: Mapping[str, Scalar], form: str) -> dict[str, Plain]:
    """The mapping with bytes turned into text. Raises `RenderError` for what no format can hold."""
    return {_key(key, form): _value(key, value, form) for key, value in mapping.items()}


def as_text(value: Plain) -> str:
    """A value in a format without types: true, 5432, 0.5, text as it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


def has_braces(text: str) -> bool:
    """Whether there is a `${…}`. A regular expression would take time by the square where nothing ends many `${`."""
    _, opening, rest = text.partition("${")
    return bool(opening) and "}" in rest


def _key(key: str, form: str) -> str:
    if _has_surrogates(key):
        raise refusal(form, key, "the key is not valid Unicode")
    return key


def _value(key: str, value: Scalar, form: str) -> Plain:
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as exc:
            problem = f"its value is not UTF-8 text (byte {exc.start})"
            hint = "encode it: {template: \"{{ SOURCE.bytes('KEY')|b64encode }}\"}"
            raise refusal(form, key, problem, hint=hint) from exc
    if isinstance(value, str) and _has_surrogates(value):
        raise refusal(form, key, "its value is not valid Unicode")
    if isinstance(value, float) and not math.isfinite(value):
        raise refusal(form, key, "its value is not a finite number")
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise refusal(form, key, "its value is a number of absurd size")
    return value


def _has_surrogates(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
