r"""What a systemd unit's `EnvironmentFile=` reads; a POSIX shell reads it alike (`set -a; . FILE`).

`NAME=value` where the value needs no quotes, else `NAME="value"` with `\` before each of `"`, `\`, `$` and `` ` ``;
line breaks stay as they are. Nothing is expanded: neither `$` nor `%` means anything in such a file.

The rules are those of systemd.exec(5), `EnvironmentFile=`: what may not be in the file are noncharacters, U+FEFF and
NUL, and with one of them none of it is read. Double quotes, because before version 242 a backslash was an escape
between single ones as well. Control characters are allowed since version 249; before, it left such a variable out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from confsync.render.formats.lines import statements
from confsync.render.formats.names import check_variables
from confsync.render.formats.scalars import Plain, as_text, refusal

TYPED = False

_UNQUOTED = re.compile(r"(?!=|.*:=)[A-Za-z0-9_./:@%+,=-]*")  # as in dotenv
_LINE = re.compile(
    r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)="
    r'(?:(?P<plain>[A-Za-z0-9_./:@%+,=-]*)|"(?P<quoted>(?:[^"\\$`\0]+|\\["\\$`])*+)")\n'
)
_SPECIAL = re.compile(r'["\\$`]')
_NONCHARACTERS = "".join(
    [
        *map(chr, range(0xFDD0, 0xFDF0)),
        *(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF)),
    ]
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def encode(mapping: Mapping[str, Plain]) -> str:
    """One `NAME="value"` for each. Raises `RenderError`."""
    check_variables(mapping, "systemd")
    return "".join(f"{name}={_quoted(name, as_text(value))}\n" for name, value in mapping.items())


def parse(text: str) -> dict[str, str]:
    """The variables in what `encode` writes. Raises `ValueError` with the line."""
    return statements(text, _LINE, _value, "an assignment of one value, quoted or not")


def _value(match: re.Match[str]) -> str:
    return match["plain"] or _ESCAPED.sub(r"\1", match["quoted"] or "")


def _quoted(name: str, text: str) -> str:
    problem = _problem(text)
    if problem:
        raise refusal("systemd", name, problem)
    if _UNQUOTED.fullmatch(text):
        return text
    return '"' + _SPECIAL.sub(r"\\\g<0>", text) + '"'


def _problem(text: str) -> str | None:
    if "\0" in text:
        return "it has a NUL character, which no environment variable can hold"
    if "\ufeff" in text:
        return "it has a byte order mark (U+FEFF), which systemd does not allow"
    if not text.isascii() and any(char in text for char in _NONCHARACTERS):
        return "it has a Unicode noncharacter, and systemd reads nothing of a file with one"
    return None
