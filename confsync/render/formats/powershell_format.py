r"""`$env:NAME = 'value'` lines for PowerShell: everything but NUL can be written.

Each assignment is one line of printable ASCII, whatever is in the value; the rest is said as `[char]10`. So the file
is the same to Windows PowerShell 5.1, which reads a script without a byte order mark in the system's code page (there
a byte of `Ñ` is a curly quote, which ends the text), to a pipe that decodes in yet another one, and to
`confsync env … | Invoke-Expression`, which runs each line by itself.

The rules are those of about_Quoting_Rules (between single quotes nothing is expanded, and two quotes are one),
about_Join (the unary `-join` puts texts together) and about_Environment_Variables. Before PowerShell 7.5 an
empty value takes a variable away, which reads the same (`$env:NAME` is then $null, which is '' as text). On Windows
the names ignore case, so two names that differ only by case are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from confsync.render.formats.lines import statements
from confsync.render.formats.names import check_variables
from confsync.render.formats.scalars import Plain, as_text, refusal

TYPED = False

_RUN = re.compile(r"[ -~]+|[^ -~]", re.DOTALL)
_TEXT = r"'(?:[ -&(-~]|'')*+'"
_ELEMENT = rf"(?:{_TEXT}|\[char\]\d{{1,5}})"
_LINE = re.compile(
    r"\$env:(?P<name>[A-Za-z_][A-Za-z0-9_]*) = "
    rf"(?:(?P<plain>{_TEXT})|-join \((?P<joined>{_ELEMENT}(?:, {_ELEMENT})*+)\))\n"
)
_ONE = re.compile(_ELEMENT)


def encode(mapping: Mapping[str, Plain]) -> str:
    """One `$env:NAME = 'value'` for each. Raises `RenderError`."""
    check_variables(mapping, "powershell")
    _check_collisions(mapping)
    return "".join(f"$env:{name} = {_expression(name, as_text(value))}\n" for name, value in mapping.items())


def parse(text: str) -> dict[str, str]:
    """The variables in what `encode` writes. Raises `ValueError` with the line."""
    return statements(text, _LINE, _value, "a $env: of one value")


def _check_collisions(names: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise refusal("powershell", name, f"on Windows it is the same variable as {other!r}")


def _expression(name: str, text: str) -> str:
    if "\0" in text:
        raise refusal("powershell", name, "it has a NUL character, which no environment variable can hold")
    elements = [element for run in _RUN.findall(text) for element in _elements(run)]
    if not elements:
        return "''"
    if len(elements) == 1 and elements[0].startswith("'"):
        return elements[0]
    return f"-join ({', '.join(elements)})"


def _elements(run: str) -> Iterable[str]:
    """A run of printable ASCII as one text; any other character as its one or two UTF-16 units."""
    if run.isascii() and run.isprintable():
        return ["'" + run.replace("'", "''") + "'"]
    units = run.encode("utf-16-le")
    return [f"[char]{int.from_bytes(units[at : at + 2], 'little')}" for at in range(0, len(units), 2)]


def _value(match: re.Match[str]) -> str:
    if match["plain"] is not None:
        return _text(match["plain"])
    units = b"".join(_units(element) for element in _ONE.findall(match["joined"]))
    return units.decode("utf-16-le")


def _units(element: str) -> bytes:
    if element.startswith("'"):
        return _text(element).encode("utf-16-le")
    code = int(element.removeprefix("[char]"))
    if code > 0xFFFF:
        raise ValueError("a [char] beyond 16 bits")
    return code.to_bytes(2, "little")


def _text(quoted: str) -> str:
    return quoted[1:-1].replace("''", "'")
