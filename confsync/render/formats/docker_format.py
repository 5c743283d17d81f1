"""What `docker run --env-file` reads (and `kubectl --from-env-file`): `NAME=value`, without quotes.

The value is everything from the first `=` to the end of the line as it is, blanks and quotes included. The rules
are those of the docker CLI's `pkg/kvfile`: lines as Go's `bufio.ScanLines` has them, which takes a carriage return
off a line's end and gives up at 64 KiB.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from confsync.render.formats.lines import statements
from confsync.render.formats.names import check_variables
from confsync.render.formats.scalars import Plain, as_text, refusal

TYPED = False

_LINE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>[^\n\0]*)\n")
_LONGEST = 64 * 1024 - 1
"""Bytes of a line, without its end."""


def encode(mapping: Mapping[str, Plain]) -> str:
    """One `NAME=value` a line. Raises `RenderError`."""
    check_variables(mapping, "docker")
    return "".join(_line(name, as_text(value)) for name, value in mapping.items())


def parse(text: str) -> dict[str, str]:
    """The variables in what `encode` writes. Raises `ValueError` with the line."""
    return statements(text, _LINE, lambda match: match["value"].removesuffix("\r"), "NAME=value")


def _line(name: str, text: str) -> str:
    problem = _problem(text)
    line = f"{name}={text}"
    if problem is None and len(line.encode()) > _LONGEST:
        problem = "its line would be longer than the 64 KiB that docker reads"
    if problem:
        raise refusal("docker", name, problem)
    return f"{line}\n"


def _problem(text: str) -> str | None:
    if "\0" in text:
        return "it has a NUL character, which no environment variable can hold"
    if "\n" in text:
        return "it has a line break, for which docker's env-file has no quotes and no escape"
    if text.endswith("\r"):
        return "it ends in a carriage return, which docker takes off a line"
    return None
