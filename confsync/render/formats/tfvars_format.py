r"""Terraform variable files (HCL): `name = "text"`. Numbers and booleans keep their types.

Between quotes HCL expands `${` and `%{`; they are written `$${` and `%%{`. Terraform normalises all text to
Unicode NFC, so text in another form cannot be given to it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from confsync.render.formats.escaping import Escapes, unicode_escape
from confsync.render.formats.scalars import Plain, as_text, refusal

TYPED = True

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_INTRODUCER = re.compile(r"(?<![$%])([$%])(?=\{)")
_AFTER_ITS_LIKE = re.compile(r"(?<=[$%])([$%])(?=\{)")
_ESCAPES = Escapes({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}, unicode_escape)
_LINE = re.compile(
    r"([A-Za-z_][A-Za-z0-9_-]*) = "
    r'(?:"((?:[^"\\\n]+|\\.)*+)"|(true|false)|(-?[0-9]+)|(-?[0-9][0-9.e+-]*))\n'
)
_TOKEN = re.compile(r"\\u([0-9a-f]{4})|\\U([0-9a-f]{8})|\\(.)|\$\$\{|%%\{|(\$\{|%\{)")
_CONTROL = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def encode(mapping: Mapping[str, Plain]) -> str:
    """One assignment a line. Raises `RenderError`."""
    for key in mapping:
        if not _NAME.fullmatch(key):
            problem = "a Terraform variable's name has letters, digits, _ and -, and a letter or _ first"
            raise refusal("tfvars", key, problem)
    return "".join(f"{key} = {_value(key, value)}\n" for key, value in mapping.items())


def quote(text: str) -> str:
    """`text` as a quoted template without expansion."""
    quoted = _ESCAPES.quote(text)
    # `$$${` is read differently by different versions; an escape for the last `$` is not.
    quoted = _AFTER_ITS_LIKE.sub(lambda found: unicode_escape(ord(found[1])), quoted)
    return _INTRODUCER.sub(r"\1\1", quoted)


def parse(text: str) -> dict[str, Plain]:
    """The variables in what `encode` writes, as Terraform takes them. Raises `ValueError` with the line."""
    found: dict[str, Plain] = {}
    at = 0
    while at < len(text):
        match = _LINE.match(text, at)
        if match is None:
            raise ValueError(f"line {text.count(chr(10), 0, at) + 1} is not an assignment of one plain value")
        found[match[1]] = _parsed(match)
        at = match.end()
    return found


def _value(key: str, value: Plain) -> str:
    if not isinstance(value, str):
        return as_text(value)
    if unicodedata.normalize("NFC", value) != value:
        raise refusal("tfvars", key, "Terraform would change its value to Unicode normal form C")
    return quote(value)


def _parsed(match: re.Match[str]) -> Plain:
    _, quoted, boolean, whole, number = match.groups()
    if quoted is not None:
        return _TOKEN.sub(_unescaped, quoted)
    if boolean is not None:
        return bool(boolean == "true")
    return int(whole) if whole is not None else float(number)


def _unescaped(match: re.Match[str]) -> str:
    short, long, char, expansion = match.groups()
    if expansion is not None:
        raise ValueError("an expansion instead of plain text")
    if char is not None:
        return _CONTROL[char]
    code = short or long
    return chr(int(code, 16)) if code else match[0][1:]
