r"""`.env` files, in the part of the dialects that all readers agree on.

There is no standard. A POSIX shell (`set -a; . ./.env`), docker compose, python-dotenv and node's dotenv
were compared; they read these alike, and only these are written:

- `NAME=value` without quotes, where the value has nothing but `A-Za-z0-9_./:@%+,=-` (these alone are read by
  `docker run --env-file` and `kubectl --from-env-file`, which know no quotes) and no `=` first or after a `:` (zsh
  looks for a command of that name);
- `NAME='value'`, taken as it is, line breaks included, where the value has no single quote;
- `NAME="value"` with no escapes, where it has one, and none of `"`, `$`, `` ` ``, `\`.

They differ on everything else, so it is refused: a doubled or final backslash (an escape to python-dotenv
even between single quotes), `${name}` (python-dotenv expands it between any quotes), a carriage return (a
line break to some), and a single quote together with one of `"`, `$`, `` ` ``, `\` (no quoting of that is
common to a shell and node). Readers that expand variables after parsing (dotenv-expand, Vite) expand a `$`
in any value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from confsync.render.formats.names import check_variables
from confsync.render.formats.scalars import Plain, as_text, has_braces, refusal

TYPED = False

_UNQUOTED = re.compile(r"(?!=|.*:=)[A-Za-z0-9_./:@%+,=-]*")
_LINE = re.compile(
    r"(?:export )?(?P<name>[A-Za-z_][A-Za-z0-9_]*)="
    r"(?:(?P<unquoted>[A-Za-z0-9_./:@%+,=-]*)|'(?P<single>[^'\0]*)'|\"(?P<double>[^\"$`\\\0]*)\")\n"
)
_SKIPPED = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*")
_HINT = "format: json or shell can hold it"


def encode(mapping: Mapping[str, Plain]) -> str:
    """One `NAME=value` a line. Raises `RenderError`."""
    check_variables(mapping, "dotenv")
    return "".join(f"{name}={_quoted(name, as_text(value))}\n" for name, value in mapping.items())


def parse(text: str) -> dict[str, str]:
    """The variables in `text`, which must keep to the dialect above. Raises `ValueError` with the line."""
    found: dict[str, str] = {}
    at = _skip(text, 0)
    while at < len(text):
        match = _LINE.match(text, at)
        if match is None:
            raise ValueError(f"line {text.count(chr(10), 0, at) + 1} is not of the dialect all readers share")
        found[match["name"]] = match["unquoted"] or match["single"] or match["double"] or ""
        at = _skip(text, match.end())
    return found


def quote(text: str) -> str:
    """`text` as the value in a line `NAME=…`.

    Raises:
        ValueError: no quoting is read alike by all; says why, without the text.
    """
    problem = _problem(text)
    if problem:
        raise ValueError(f"it has {problem}, which the readers of dotenv files do not read alike")
    if _UNQUOTED.fullmatch(text):
        return text
    return f'"{text}"' if "'" in text else f"'{text}'"


def _quoted(name: str, text: str) -> str:
    try:
        return quote(text)
    except ValueError as exc:
        raise refusal("dotenv", name, str(exc), hint=_HINT) from exc


def _problem(text: str) -> str | None:
    if "\0" in text:
        return "a NUL character"
    if "\r" in text:
        return "a carriage return"
    if "\\\\" in text or text.endswith("\\"):
        return "a doubled or final backslash"
    if has_braces(text):
        return "a ${…}"
    if "'" in text and any(char in text for char in '"$`\\'):
        return 'a single quote together with one of " $ ` \\'
    return None


def _skip(text: str, at: int) -> int:
    match = _SKIPPED.match(text, at)
    return match.end() if match else at
