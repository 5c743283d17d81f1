r"""Which lines of a file belong together, and which variables they set: enough of each format to merge a block into it.

A value is never looked at, only where it ends. What was read of it:

- dotenv: a quote is one only where the value begins with it, and may span lines (python-dotenv's `parser.py`); node
  knows no escapes in it (`src/node_dotenv.cc`);
- docker: a line is a line, and a name alone takes its value from outside (docker/cli's `pkg/kvfile`);
- systemd: quotes and final backslashes span lines, comments begin with `#` or `;` (systemd.exec(5), EnvironmentFile=);
- shell and direnv: POSIX quoting, `$'…'`, comments, here-documents (POSIX.1-2017, 2.2 and 2.7.4);
- fish: https://fishshell.com/docs/current/language.html#quotes;
- powershell: about_Quoting_Rules, about_Environment_Variables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
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
      | (?P<name>[^=\n]*?) [^\S\n]* = [^\S\n]*+
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
    if found is None or (found["name"] and not found["end"] and text.endswith("\\\n")):
        return None, ()
    return found.end(), ((found["name"],) if found["name"] else ())


_POSIX_TOKEN = re.compile(
    r"""
    (?P<escaped> \\. )
    | (?P<quoted> \$'(?: \\. | [^'\\] )*+' | '[^']*+' | "(?: \\. | [^"\\] )*+" )
    | (?<!<) <<-? [^\S\n]*+ (?P<mark>['"\\]?) (?P<heredoc>[A-Za-z_]\w*+) (?P=mark)?
    | (?P<comment> (?<![^\s;&|()]) \#[^\n]*+ )
    | (?P<plain> [^'"\\\n\#$<]++ | [\#$<] )
    """,
    _FLAGS,
)
_FISH_TOKEN = re.compile(
    r"""
    (?P<escaped> \\. )
    | (?P<quoted> '(?: \\. | [^'\\] )*+' | "(?: \\. | [^"\\] )*+" )
    | (?P<comment> (?<![^\s;&|()]) \#[^\n]*+ )
    | (?P<plain> [^'"\\\n\#]++ | \# )
    """,
    _FLAGS,
)
_POWERSHELL_TOKEN = re.compile(
    r"""
    (?P<escaped> `. )
    | (?P<quoted>
        @(?P<sign>['"])[^\S\n]*+\n .*? (?: (?<=\n)(?P=sign)@ | (?P<document> \Z ) )
      | '(?: '' | [^'] )*+' | "(?: `. | "" | [^"`] )*+"
      )
    | (?P<comment> <\# .*? (?: \#> | (?P<remark> \Z ) ) | (?<![^\s;&|(){}]) \#[^\n]*+ )
    | (?P<plain> [^'"`\n\#<@]++ | [\#<@] )
    """,
    _FLAGS,
)


def _script(token: re.Pattern[str], names: Callable[[str], Iterator[str]]) -> _Reader:
    """The reader of a shell's language: tokens to the end of the line, quoted parts hidden from `names`."""

    def read(text: str, at: int) -> tuple[int | None, tuple[str, ...]]:
        seen: list[str] = []
        documents: list[str] = []
        while at < len(text) and text[at] != "\n":
            found = token.match(text, at)
            if found is None:
                return None, ()
            groups = found.groupdict()
            if groups.get("document") is not None or groups.get("remark") is not None:
                return None, ()
            if groups.get("heredoc"):
                documents.append(groups["heredoc"])
            seen.append(_without_values(groups))
            at = found.end()
            if at == len(text) and groups["escaped"] and found[0].endswith("\n"):
                return None, ()
        end: int | None = min(at + 1, len(text))
        for mark in documents:
            end = _end_of_document(text, end, mark)
        return end, tuple(dict.fromkeys(names("".join(seen))))

    return read


def _without_values(groups: dict[str, str | None]) -> str:
    """What is left of a token where only the names of what is set matter."""
    if groups["comment"]:
        return " "
    if groups["escaped"] and groups["escaped"].endswith("\n"):
        return ""  # the line goes on
    return groups["plain"] or "Q"


def _end_of_document(text: str, at: int | None, mark: str) -> int | None:
    found = re.compile(rf"^\t*{re.escape(mark)}\r?(?:\n|\Z)", re.MULTILINE).search(text, at) if at else None
    return found.end() if found else None


_COMMANDS = re.compile(r"[;&|(){}\n]|\b(?:if|then|elif|else|do)\b")
_ASSIGNED = re.compile(rf"({_NAME})\+?=.*", re.DOTALL)
_DECLARES = frozenset({"export", "declare", "typeset", "readonly", "local"})


def _set_in_posix(text: str) -> Iterator[str]:
    for command in _COMMANDS.split(text.lstrip("\ufeff")):
        words = command.split()
        declares = bool(words) and words[0] in _DECLARES
        found = [_ASSIGNED.fullmatch(word) for word in words[declares:] if not (declares and word[0] == "-")]
        if declares or all(found):  # `NAME=value command` sets it for that command only
            yield from (one[1] for one in found if one)


_FISH_SET = re.compile(
    rf"set(?P<flags>(?:\s+-[-\w]+)*)\s+(?P<name>{_NAME})(?:\s|\Z)|export\s+(?P<exported>{_NAME})="
)
_FISH_LOOKS = re.compile(r"\s(?:-\w*[eqnS]|--(?:erase|query|names|show)\b)")


def _set_in_fish(text: str) -> Iterator[str]:
    for command in re.split(r"[;&|()\n]", text.lstrip("\ufeff")):
        found = _FISH_SET.match(command.strip())
        if found and not _FISH_LOOKS.search(found["flags"] or ""):
            yield found["name"] or found["exported"]


def _set_in_powershell(text: str) -> Iterator[str]:
    yield from re.findall(rf"\$\{{?env:({_NAME})\}}?\s*=", text, flags=re.IGNORECASE)


_posix = _script(_POSIX_TOKEN, _set_in_posix)
_READERS: dict[str, _Reader] = {
    "dotenv": _dotenv(_WITH_ESCAPES),
    "dotenv:node": _dotenv(_WITHOUT_ESCAPES),
    "dotenv:shell": _posix,
    "docker": _docker,
    "systemd": _systemd,
    "shell": _posix,
    "direnv": _posix,
    "fish": _script(_FISH_TOKEN, _set_in_fish),
    "powershell": _script(_POWERSHELL_TOKEN, _set_in_powershell),
}
