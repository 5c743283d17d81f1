"""One flat TOML table. Numbers and booleans keep their types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confsync.render.formats.escaping import Escapes, unicode_escape
from confsync.render.formats.scalars import Plain, refusal

TYPED = True

_ESCAPES = Escapes(
    {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"},
    unicode_escape,
)


def encode(mapping: Mapping[str, Plain]) -> str:
    """One `key = value` a line; a key that is not a bare one is quoted. Raises `RenderError`."""
    import tomli_w

    for key, value in mapping.items():
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise refusal("toml", key, "its value is beyond the 64 bits of a TOML number")
    return tomli_w.dumps(mapping)


def parse(text: str) -> dict[str, Any]:
    """The table in `text`. Raises `ValueError`."""
    import tomllib

    return tomllib.loads(text)


def quote(text: str) -> str:
    """`text` as a basic string on one line."""
    return _ESCAPES.quote(text)
