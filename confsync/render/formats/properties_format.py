r"""Java properties, as `java.util.Properties.load` reads them: ASCII, with `\uXXXX` for everything else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from confsync.render.formats.scalars import Plain, as_text

TYPED = False

_NAMED = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f"}
_CONTROL = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
_BLANKS = " \t\f"


class _Table(dict[int, str]):
    """For `str.translate`: everything that is not printable ASCII becomes `\\uXXXX`, in UTF-16 units."""

    _PRINTABLE: ClassVar[range] = range(0x20, 0x7F)

    def __missing__(self, code: int) -> str:
        if code in self._PRINTABLE:
            return chr(code)
        units = chr(code).encode("utf-16-be")
        return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


_VALUE = _Table({ord(char): escape for char, escape in _NAMED.items()})
_KEY = _Table({**_VALUE, **{ord(char): f"\\{char}" for char in " :=#!"}})


def encode(mapping: Mapping[str, Plain]) -> str:
    """One `key=value` a line."""
    return "".join(f"{escape_key(key)}={escape_value(as_text(value))}\n" for key, value in mapping.items())


def escape_key(text: str) -> str:
    """`text` as a key."""
    return text.translate(_KEY)


def escape_value(text: str) -> str:
    """`text` as a value: only a leading blank needs care besides the escapes."""
    escaped = text.translate(_VALUE)
    return f"\\{escaped}" if escaped.startswith(" ") else escaped


def parse(text: str) -> dict[str, str]:
    r"""The properties in `text`. Raises `ValueError` for a broken `\uXXXX`."""
    found: dict[str, str] = {}
    for line in _logical_lines(text):
        end = _key_end(line)
        rest = line[end:].lstrip(_BLANKS)
        if rest[:1] in ("=", ":"):
            rest = rest[1:].lstrip(_BLANKS)
        found[_unescape(line[:end])] = _unescape(rest)
    return found


def _logical_lines(text: str) -> list[str]:
    """Lines without comments, those that end in an odd number of backslashes joined with the next."""
    lines: list[str] = []
    pending: str | None = None
    for natural in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        stripped = natural.lstrip(_BLANKS)
        if pending is None and (not stripped or stripped[0] in "#!"):
            continue
        line = (pending or "") + stripped
        pending = None
        if (len(line) - len(line.rstrip("\\"))) % 2:
            pending = line[:-1]
        else:
            lines.append(line)
    return lines if pending is None else [*lines, pending]


def _key_end(line: str) -> int:
    at = 0
    while at < len(line) and line[at] not in "=: \t\f":
        at += 2 if line[at] == "\\" else 1
    return min(at, len(line))


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    parts: list[str] = []
    at = 0
    while at < len(text):
        backslash = text.find("\\", at)
        if backslash < 0 or backslash + 1 >= len(text):
            parts.append(text[at:].removesuffix("\\"))
            break
        parts.append(text[at:backslash])
        char = text[backslash + 1]
        at = backslash + 2
        if char == "u":
            parts.append(chr(int(text[at : at + 4], 16)))
            at += 4
        else:
            parts.append(_CONTROL.get(char, char))
    # Java's strings are UTF-16: two escapes may be halves of one character.
    return "".join(parts).encode("utf-16-le", "surrogatepass").decode("utf-16-le")
