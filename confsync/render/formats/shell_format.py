"""`export NAME='value'` lines for any POSIX shell: everything but NUL can be written."""

from __future__ import annotations

import re
from collections.abc import Mapping

from confsync.render.formats.names import check_variables
from confsync.render.formats.scalars import Plain, as_text, refusal

TYPED = False

_READ_ONLY = frozenset({"BASHOPTS", "BASH_VERSINFO", "EUID", "PPID", "SHELLOPTS", "UID"})
_KEPT = frozenset({
    "BASHPID", "BASH_ARGC", "BASH_ARGV", "BASH_COMMAND", "BASH_LINENO", "BASH_SOURCE", "BASH_SUBSHELL",
    "DIRSTACK", "EPOCHREALTIME", "EPOCHSECONDS", "FUNCNAME", "GROUPS", "HISTCMD", "LINENO", "OPTIND",
    "RANDOM", "SECONDS", "SRANDOM", "_",
})  # fmt: skip
_LINE = re.compile(r"export ([A-Za-z_][A-Za-z0-9_]*)='((?:[^'\0]+|'\\'')*+)'\n")


def encode(mapping: Mapping[str, Plain]) -> str:
    """One `export NAME='value'` for each. Raises `RenderError`."""
    check_variables(mapping, "shell")
    return "".join(f"export {name}={_quoted(name, as_text(value))}\n" for name, value in mapping.items())


def parse(text: str) -> dict[str, str]:
    """The variables in what `encode` writes. Raises `ValueError` with the line."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _LINE.match(text, at)
        if match is None:
            raise ValueError(f"line {text.count(chr(10), 0, at) + 1} is not an export of one quoted value")
        found[match[1]] = match[2].replace("'\\''", "'")
        at = match.end()
    return found


def quote(text: str) -> str:
    """`text` as one word between single quotes. Raises `ValueError` for NUL, which no shell can hold."""
    if "\0" in text:
        raise ValueError("it has a NUL character, which no shell variable or argument can hold")
    return "'" + text.replace("'", "'\\''") + "'"


def _quoted(name: str, text: str) -> str:
    if name in _READ_ONLY:
        raise refusal("shell", name, "bash keeps this variable read-only, and stops reading the file there")
    if name in _KEPT:
        raise refusal("shell", name, "shells give this variable values of their own")
    try:
        return quote(text)
    except ValueError as exc:
        raise refusal("shell", name, str(exc)) from exc
