"""The quoting rules of shells: POSIX (XCU 2.2), fish ("Quotes"), PowerShell (about_Quoting_Rules, about_Join)."""

from __future__ import annotations

import re
import string

from . import Misread

_PLAIN = frozenset(string.ascii_letters + string.digits + "_./:@%+,=-")
_ASSIGNED = re.compile(r"(?:export )?([A-Za-z_][A-Za-z0-9_]*)=")


def posix(text: str) -> dict[str, str]:
    """Assignments of one word each, as `set -a; . FILE` has them; comments between them."""
    found = {}
    at = 0
    while at < len(text):
        if text[at] in "\n#":
            at = text.index("\n", at) + 1
            continue
        assigned = _ASSIGNED.match(text, at)
        if assigned is None:
            raise Misread(f"no assignment at {at}")
        found[assigned[1]], at = _word(text, assigned.end())
    return found


def _word(text: str, at: int) -> tuple[str, int]:
    parts = []
    while text[at] != "\n":
        if text[at] == "'":
            end = text.index("'", at + 1)
            parts.append(text[at + 1 : end])
            at = end + 1
        elif text[at] == '"':
            part, at = _double_quoted(text, at + 1)
            parts.append(part)
        elif text[at] == "\\" and text[at + 1] != "\n":
            parts.append(text[at + 1])
            at += 2
        elif text[at] in _PLAIN:
            parts.append(text[at])
            at += 1
        else:
            raise Misread(f"{text[at]!r} outside of quotes at {at}")
    return "".join(parts), at + 1


def _double_quoted(text: str, at: int) -> tuple[str, int]:
    parts = []
    while text[at] != '"':
        if text[at] in "$`":
            raise Misread(f"{text[at]!r} would be expanded at {at}")
        if text[at] == "\\" and text[at + 1] in '$`"\\\n':
            parts.append(text[at + 1].replace("\n", ""))
            at += 2
        else:
            parts.append(text[at])
            at += 1
    return "".join(parts), at + 1


def fish(text: str) -> dict[str, str]:
    """`set -gx NAME 'value'`: between single quotes a backslash escapes a quote and itself."""
    found = {}
    at = 0
    while at < len(text):
        head = re.compile(r"set -gx (\w+) '", re.ASCII).match(text, at)
        if head is None:
            raise Misread(f"no set at {at}")
        body = re.compile(r"((?:[^'\\]|\\.)*)'\n", re.DOTALL).match(text, head.end())
        if body is None:
            raise Misread(f"no end of what begins at {head.end()}")
        found[head[1]] = re.sub(r"\\(['\\])", r"\1", body[1])
        at = body.end()
    return found


SINGLE = "'\u2018\u2019\u201a\u201b"
DOUBLE = '"\u201c\u201d\u201e'
_CHAR = re.compile(r"\[char\](\d+)")


def powershell(text: str, *, encoding: str = "utf-8") -> dict[str, str]:
    """`$env:NAME = EXPRESSION` lines, the file's bytes read as `encoding` (5.1 takes the system's code page)."""
    found = {}
    for line in text.encode().decode(encoding).splitlines():
        head = re.match(r"\$env:(\w+) = ", line, re.ASCII)
        if head is None:
            raise Misread(f"no assignment: {line[:20]!r}")
        value = _powershell_value(line[head.end() :])
        if "\0" in value:
            raise Misread("no environment variable has a NUL")
        found[head[1]] = value
    return found


def _powershell_value(expression: str) -> str:
    if not expression.startswith("-join ("):
        value, end = _powershell_text(expression, 0)
        if end != len(expression):
            raise Misread(f"more than one text: {expression[end:]!r}")
        return value
    at = len("-join (")
    units = b""
    while True:
        char = _CHAR.match(expression, at)
        if char:
            units, at = units + int(char[1]).to_bytes(2, "little"), char.end()
        else:
            part, at = _powershell_text(expression, at)
            units += part.encode("utf-16-le")
        if expression[at:] == ")":
            return units.decode("utf-16-le")
        if not expression.startswith(", ", at):
            raise Misread(f"neither , nor ) at {at}")
        at += 2


def _powershell_text(expression: str, at: int) -> tuple[str, int]:
    """A verbatim text: any of the single quotes begins and ends it, and any two of them in a row are one."""
    if expression[at] not in SINGLE:
        raise Misread(f"{expression[at]!r} begins no verbatim text")
    parts = []
    at += 1
    while True:
        if at >= len(expression):
            raise Misread("a text without an end")
        if expression[at] not in SINGLE:
            parts.append(expression[at])
            at += 1
        elif expression[at + 1 : at + 2] and expression[at + 1] in SINGLE:
            parts.append(expression[at])
            at += 2
        else:
            return "".join(parts), at + 1
