r"""Which lines of a file belong together, and which variables they set: enough of each format to merge a block into it.

A value is never looked at, only where it ends. What was read of it:

- dotenv: a quote is one only where the value begins with it, and may span lines (python-dotenv's `parser.py`); node
  knows no escapes in it (`src/node_dotenv.cc`);
- docker: a line is a line, and a name alone takes its value from outside (docker/cli's `pkg/kvfile`);
- systemd: quotes and final backslashes span lines, comments begin with `#` or `;` (systemd.exec(5), EnvironmentFile=).

A script is read by its shell alone: what it sets, and where a here-document or a substitution ends, is known to whoever
runs it. So only the block in one is read, where nothing is expected but comments and plain settings (POSIX.1-2017,
2.2; fish's manual, "Quotes"; about_Quoting_Rules of PowerShell).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_FLAGS = re.VERBOSE | re.DOTALL


@dataclass(frozen=True, slots=True)
class Statement:
    """Lines that are read as one.

    Attributes:
        lines: as they stand in the file, line ends included.
        first: the number of the first among those that were read, from 1.
        names: the variables they set.
    """

    lines: tuple[str, ...] = field(repr=False)
    first: int
    names: tuple[str, ...]


class Unclosed(ValueError):
    """A quote, or a last line, that goes on where the text ends. `line` is where it begins, from 1."""

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line} opens a quote, or goes on, and nothing ends it")
        self.line = line


def grammar_of(form: str, dialect: str | None = None) -> str:
    """The rules a format of lines is read by, a name for `statements`."""
    special = f"{form}:{dialect}"
    return special if special in _READERS else form


def statements(grammar: str, lines: Sequence[str]) -> list[Statement]:
    """What `lines`, line ends included, are made of.

    Args:
        grammar: one of those `grammar_of` gives.

    Raises:
        Unclosed: what comes after them would be part of a value.
    """
    text = "".join(lines)
    read = _READERS[grammar]
    found = []
    at = number = 0
    while at < len(text):
        end, names = read(text, at)
        if end is None:
            raise Unclosed(number + 1)
        count = text.count("\n", at, end) + (not text.endswith("\n", at, end))
        found.append(Statement(tuple(lines[number : number + count]), number + 1, names))
        at, number = end, number + count
    return found


_Reader = Callable[[str, int], tuple[int | None, tuple[str, ...]]]
"""Where the statement at a place ends, after its line end, or None where nothing ends it; and what it sets."""


def _end_of_line(text: str, at: int) -> int:
    return text.find("\n", at) + 1 or len(text)


_DOTENV_HEAD = re.compile(r"\ufeff?[^\S\n]*(?:export[^\S\n]+)?(?P<name>[^\s=#'\"`]+)[^\S\n]*=[^\S\n]*")
_WITH_ESCAPES = re.compile(r"""'(?:\\.|[^'\\])*+'|"(?:\\.|[^"\\])*+"|`[^`]*+`""", _FLAGS)
_WITHOUT_ESCAPES = re.compile(r"""'[^']*+'|"[^"]*+"|`[^`]*+`""")


def _dotenv(quotes: re.Pattern[str]) -> _Reader:
    def read(text: str, at: int) -> tuple[int | None, tuple[str, ...]]:
        end = _end_of_line(text, at)
        head = _DOTENV_HEAD.match(text, at, end)
        if head is None:
            return end, ()
        value = head.end()
        if text[value : value + 1] not in ("'", '"', "`"):
            return end, (head["name"],)
        quoted = quotes.match(text, value)
        return (_end_of_line(text, quoted.end()) if quoted else None), (head["name"],)

    return read


_DOCKER_NAME = re.compile(r"\ufeff?\s*([^\s=#][^\s=]*)")


def _docker(text: str, at: int) -> tuple[int | None, tuple[str, ...]]:
    end = _end_of_line(text, at)
    name = _DOCKER_NAME.match(text, at, end)
    return end, ((name[1],) if name else ())


_SYSTEMD = re.compile(
    r"""
    [^\S\n]*+
    (?: [#;] (?: \\. | [^\\\n] )*+
      | (?P<name>[^=\n]*+) = [^\S\n]*+
        (?: (?: '[^']*+' | "(?: \\. | [^"\\] )*+" ) [^\S\n]*+ )*+
        (?: (?: \\. | [^\s'"\\] ) (?: \\. | [^\\\n] )*+ )?+
      | [^=\n]*+
    )
    (?P<end> \n | \Z )
    """,
    _FLAGS,
)


def _systemd(text: str, at: int) -> tuple[int | None, tuple[str, ...]]:
    found = _SYSTEMD.match(text, at)
    name = (found["name"] or "").rstrip() if found else ""
    if found is None or (name and not found["end"] and text.endswith("\\\n")):
        return None, ()
    return found.end(), ((name,) if name else ())


_SCRIPT_LINE = r"""
    [^\S\n]*+ (?: \#[^\n]*+ )?+ (?: \n | \Z )
  | [^\S\n]*+ {setting}
    [^\S\n]*+ (?: (?<=\s) \#[^\n]*+ )?+ (?: \n | \Z )
"""


def _script(setting: str) -> _Reader:
    """The reader of a block in a script: comments and plain settings; of whatever else, it cannot tell the end."""
    pattern = re.compile(_SCRIPT_LINE.format(setting=setting), _FLAGS | re.IGNORECASE)

    def read(text: str, at: int) -> tuple[int | None, tuple[str, ...]]:
        found = pattern.match(text, at)
        if found is None:
            return None, ()
        return found.end(), ((found["name"],) if found["name"] else ())

    return read


_posix = _script(
    rf"""(?: export [^\S\n]++ )?+ (?P<name> {_NAME} ) =
    (?: '[^']*+' | "(?: \\. | \$(?![({{]) | [^"\\$`] )*+" | \\[^\n] | [^\s'"\\$`;&|()<>] )*+"""
)
_READERS: dict[str, _Reader] = {
    "dotenv": _dotenv(_WITH_ESCAPES),
    "dotenv:node": _dotenv(_WITHOUT_ESCAPES),
    "dotenv:shell": _posix,
    "docker": _docker,
    "systemd": _systemd,
    "shell": _posix,
    "direnv": _posix,
    "fish": _script(
        rf"""set [^\S\n]++ (?: -(?: [gxlUuf]++ | -global | -export | -local | -universal ) [^\S\n]++ )*+
        (?P<name> {_NAME} ) [^\S\n]++
        (?: '(?: \\. | [^'\\] )*+' | "(?: \\. | \$(?!\() | [^"\\$] )*+" | \\[^\n] | [^\s'"\\;&|()<>] )*+"""
    ),
    "powershell": _script(
        rf"""\$env: (?P<name> {_NAME} ) [^\S\n]*+ = [^\S\n]*+
        (?: '(?: '' | [^'] )*+' | "(?: `. | "" | \$(?!\() | [^"`$] )*+" | [^\n'"`\#<@$;&|] )*+"""
    ),
}
SCRIPTS = frozenset({"dotenv:shell", "shell", "direnv", "fish", "powershell"})
"""What a shell runs. Only running it tells what it sets, so that of these nothing but a block is read."""
