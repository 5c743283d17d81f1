r"""dotenv, for each of its readers.

What all of them read alike (`confsync.render.formats.dotenv_format`) is written so in every dialect. The rest:

- python-dotenv: between single quotes `\'` and `\\` are escapes, between double quotes those of C; then `${NAME}` and
  `${NAME:-default}` are expanded, between any quotes (its `parser.py`, `variables.py`). `${:-$}` is a `$`: no
  variable has an empty name.
- node (`--env-file`, `util.parseEnv`): what is between a quote and the next one like it (`'`, `"`, `` ` ``) is taken as
  it is, but `\n` between double quotes is a line break; carriage returns are dropped (node's `src/node_dotenv.cc`).
  The npm package dotenv reads the same, but for a final backslash in a value that needs quotes.
- compose: between double quotes there are escapes, of which `\$` keeps a `$` from being expanded and `\0140` is a
  backtick (compose-go's `dotenv/parser.go`, version 2).
- shell: `'it'\''s'`, for `set -a; . ./.env`.

A store's values are hostile, and a `.env` written for one reader is given to another sooner or later: so none but
node's has anything a shell would run. `$(` and backticks stand between single quotes, or are spelled in a way that is
an error or text to a shell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from confsync.environments.dialects.refusals import check, names
from confsync.environments.dialects.written import Written
from confsync.render.formats.dotenv_format import quote as quote_for_all
from confsync.render.formats.scalars import refusal
from confsync.render.formats.shell_format import name_problem
from confsync.render.formats.shell_format import quote as quote_for_shells

if TYPE_CHECKING:
    from confsync.environments.variables import Variable


class _Line(NamedTuple):
    """One variable, written.

    Attributes:
        common: whether every reader reads it alike.
        runs: whether a shell could run a part of it.
    """

    text: str
    common: bool = False
    runs: bool = False


def write(variables: Sequence[Variable], *, dialect: str | None = None) -> Written:
    """The file. Raises `RenderError`."""
    writer = _WRITERS[dialect or "python-dotenv"]
    form = f"dotenv of the {dialect} dialect" if dialect else "dotenv"
    check(form, variables, writer)
    lines = [(variable, writer(variable)) for variable in variables]
    notes = [*_notes_of_readers(lines, dialect), *_notes_of_shells(lines)]
    return Written("".join(line.text for _, line in lines), notes=tuple(notes))


def _notes_of_readers(lines: Sequence[tuple[Variable, _Line]], dialect: str | None) -> list[str]:
    if dialect:
        return []
    special = [variable for variable, line in lines if not line.common]
    if not special:
        return []
    return [
        f"readers of dotenv differ on {names(special)}: written for python-dotenv; or choose another with --dialect"
    ]


def _notes_of_shells(lines: Sequence[tuple[Variable, _Line]]) -> list[str]:
    running = [variable for variable, line in lines if line.runs]
    if not running:
        return []
    return [f"a shell that reads this file could run what is in these values: {names(running)}"]


def _common(variable: Variable) -> _Line:
    problem = name_problem(variable.name, variable.value)
    if problem:
        raise refusal("dotenv", variable.name, problem)
    try:
        return _Line(f"{variable.name}={quote_for_all(variable.value)}\n", common=True)
    except ValueError as exc:
        raise refusal("dotenv", variable.name, str(exc)) from exc


def _in_dialect(special: Callable[[str, str], _Line]) -> Callable[[Variable], _Line]:
    def line(variable: Variable) -> _Line:
        try:
            text = f"{variable.name}={quote_for_all(variable.value)}\n"
        except ValueError:
            return special(variable.name, variable.value)
        return _Line(text, common=name_problem(variable.name, variable.value) is None)

    return line


def _python_dotenv(name: str, value: str) -> _Line:
    if "'" not in value and "\r" not in value:
        text = value.replace("\\", "\\\\").replace("${", "${:-$}{")
        return _Line(f"{name}='{_closed(text)}'\n")
    text = value.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r").replace("\n", "\\n")
    for opening in "{([":
        text = text.replace(f"${opening}", f"${{:-$}}{opening}")
    if "`" not in text:
        return _Line(f'{name}="{_closed(text)}"\n')
    # No escape is a backtick, and a shell runs one between double quotes: the variable itself holds it first.
    text = text.replace("`", f"${{{name}}}")
    return _Line(f"{name}='`'\n{name}=\"{_closed(text)}\"\n")


def _closed(text: str) -> str:
    """Before 1.2 python-dotenv took a final `\\\\'` for an escaped quote: an empty default comes in between."""
    return f"{text}${{:-}}" if text.endswith("\\") else text


def _node(name: str, value: str) -> _Line:
    if "\r" in value:
        raise refusal("dotenv", name, "it has a carriage return, which node drops")
    if value.endswith("\\") and _stands_unquoted(
        value
    ):  # the npm package dotenv takes \' for an escaped quote
        return _Line(f"{name}={value}\n", runs=True)
    if "'" not in value:
        return _Line(f"{name}='{value}'\n")
    if '"' not in value and "\\n" not in value:
        return _Line(f'{name}="{value}"\n', runs="$" in value or "`" in value)
    if "`" not in value:
        return _Line(f"{name}=`{value}`\n", runs=True)
    if _stands_unquoted(value):
        return _Line(f"{name}={value}\n", runs=True)
    raise refusal(
        "dotenv", name, "it has each of the quotes that node knows, and node has no escape for them"
    )


def _stands_unquoted(value: str) -> bool:
    """Whether node, and the npm package dotenv, take what is between `=` and the line's end for just this value."""
    trimmed = value.strip().strip("\ufeff")
    return value == trimmed and "\n" not in value and "#" not in value and value[:1] not in "'\"`"


def _compose(name: str, value: str) -> _Line:
    text = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\0140")
    text = text.replace("\r", "\\r").replace("\n", "\\n")
    return _Line(f'{name}="{text}"\n')


def _shell(variable: Variable) -> _Line:
    problem = name_problem(variable.name, variable.value)
    if problem:
        raise refusal("dotenv", variable.name, problem)
    return _in_dialect(lambda name, value: _Line(f"{name}={quote_for_shells(value)}\n"))(variable)


_WRITERS: dict[str, Callable[[Variable], _Line]] = {
    "common": _common,
    "python-dotenv": _in_dialect(_python_dotenv),
    "node": _in_dialect(_node),
    "compose": _in_dialect(_compose),
    "shell": _shell,
}
