r"""One flat YAML mapping. Numbers and booleans keep their types; text is always between double quotes.

Plain text is a trap that each YAML version sets elsewhere (`no`, `1e3`, `0o17`, `12:30`, `y`); quoted, it
is text to all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from confsync.render.formats.escaping import Escapes, unicode_escape
from confsync.render.formats.scalars import Plain, as_text, refusal

TYPED = True

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_LONGEST_KEY = 1000
"""A YAML reader looks no further than 1024 characters for the colon."""


def _numeric(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else unicode_escape(code)


_ESCAPES = Escapes({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}, _numeric)


def encode(mapping: Mapping[str, Plain]) -> str:
    """One `key: value` a line. Raises `RenderError`."""
    if not mapping:
        return "{}\n"
    return "".join(f"{_key(key)}: {_value(value)}\n" for key, value in mapping.items())


def parse(text: str) -> dict[str, Any]:
    """The mapping in `text`, as `yaml.safe_load` reads it. Raises `ValueError`."""
    import yaml

    try:
        check_depth(text, 1)
        found = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except yaml.YAMLError as exc:
        raise ValueError("not valid YAML") from exc
    if not isinstance(found, dict):
        raise ValueError("not a YAML mapping")
    return found


def check_depth(text: str, most: int) -> None:
    """Raise `ValueError` where collections are nested deeper than `most`, or `yaml.YAMLError`.

    libyaml's loader calls itself for each level and checks nothing: some 50,000 brackets end the process.
    """
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > most:
            raise ValueError(f"nested more than {most} deep")


def quote(text: str) -> str:
    """`text` as a double-quoted scalar on one line, the same to every version of YAML."""
    return _ESCAPES.quote(text)


def _key(key: str) -> str:
    if _PLAIN_KEY.fullmatch(key) and key.lower() not in _WORDS and len(key) <= _LONGEST_KEY:
        return key
    quoted = quote(key)
    if len(quoted) > _LONGEST_KEY:
        raise refusal("yaml", key[:50], f"a key of {len(key)} characters is too long")
    return quoted


def _value(value: Plain) -> str:
    if isinstance(value, str):
        return quote(value)
    text = as_text(value)
    if isinstance(value, float) and "e" in text and "." not in text:
        return text.replace("e", ".0e")  # YAML 1.1 takes 1e+16 for text
    return text
