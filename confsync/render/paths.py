"""Target paths made by templates: what comes from a key becomes one harmless path segment, whatever it contains."""

from __future__ import annotations

import os
from typing import Any

from jinja2.runtime import Undefined

from confsync.config.references import normal_path
from confsync.errors import RenderError

_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.@+=,")
_LONGEST_NAME = 255


def escape_segment(value: Any) -> str:
    """`value` as part of a file name: bytes besides letters, digits and `-_.@+=,` become %XX, as does a leading dot.

    No two values give the same text, and none leaves its directory: `../x` becomes `%2E.%2Fx`.

    Raises:
        RenderError: it is empty.
    """
    if isinstance(value, Undefined):
        return str(value)  # which raises, or notes the missing key
    text = str(value)
    if not text:
        raise RenderError("a path may not be built from an empty name")
    escaped = "".join(char if char in _SAFE else _percent(char) for char in text)
    return f"%2E{escaped[1:]}" if escaped.startswith(".") else escaped


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))


def final_path(path: str, base: str, where: str) -> str:
    """The absolute, normalised form of a rendered target path.

    Raises:
        RenderError: it has a NUL or an over-long name.
    """
    if "\0" in path:
        raise RenderError("the path contains a NUL", where=where)
    joined = normal_path(os.path.join(base, os.path.expanduser(path)))
    long = next((name for name in joined.split("/") if len(os.fsencode(name)) > _LONGEST_NAME), None)
    if long is not None:
        raise RenderError(f"the path has a name longer than {_LONGEST_NAME} bytes: {long[:40]}…", where=where)
    return joined
