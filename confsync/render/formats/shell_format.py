"""`export NAME='value'` lines for any POSIX shell: everything but NUL can be written.

Shells keep some names for themselves, and some they take for arithmetic: bash and zsh would run what `x[$(…)]` has
in it. Those lists were made by exporting each name that bash 5.2, dash 0.5.12 and zsh 5.9 know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from confsync.render.formats.lines import statements
from confsync.render.formats.names import check_variables
from confsync.render.formats.scalars import Plain, as_text, refusal

TYPED = False

_READ_ONLY = frozenset({"BASHOPTS", "BASH_VERSINFO", "EUID", "PPID", "SHELLOPTS", "UID"})
_KEPT = frozenset({
    "BASHPID", "BASH_ALIASES", "BASH_ARGC", "BASH_ARGV", "BASH_CMDS", "BASH_COMMAND", "BASH_LINENO", "BASH_SOURCE",
    "BASH_SUBSHELL", "DIRSTACK", "EPOCHREALTIME", "EPOCHSECONDS", "FUNCNAME", "GROUPS", "HISTCMD", "LINENO", "OPTIND",
    "PIPESTATUS", "RANDOM", "SECONDS", "SHLVL", "SRANDOM", "_",
})  # fmt: skip
_NUMBERS = frozenset({
    "COLUMNS", "EGID", "FUNCNEST", "GID", "HISTSIZE", "KEYTIMEOUT", "LINES", "LISTMAX", "MAILCHECK", "SAVEHIST",
    "TRY_BLOCK_ERROR", "TRY_BLOCK_INTERRUPT",
})  # fmt: skip
_NUMBER = re.compile(r"0|-?[1-9][0-9]*")
ZSH_KEEPS = frozenset({
    "ARGC", "EGID", "GID", "KEYBOARD_HACK", "TTYIDLE", "USERNAME", "WATCH", "ZSH_EVAL_CONTEXT", "ZSH_SUBSHELL",
    "aliases", "argv", "builtins", "cdpath", "commands", "dirstack", "dis_aliases", "dis_builtins", "dis_functions",
    "dis_functions_source", "dis_galiases", "dis_patchars", "dis_reswords", "dis_saliases", "fignore", "fpath",
    "funcfiletrace", "funcsourcetrace", "funcstack", "functions", "functions_source", "functrace", "galiases",
    "history", "historywords", "jobdirs", "jobstates", "jobtexts", "keymaps", "mailpath", "manpath", "module_path",
    "modules", "nameddirs", "options", "parameters", "patchars", "path", "pipestatus", "psvar", "reswords", "saliases",
    "signals", "status", "termcap", "terminfo", "userdirs", "usergroups", "watch", "widgets", "zsh_eval_context",
    "zsh_scheduled_events",
})  # fmt: skip
"""Names that bash and sh take like any other, and zsh does not."""
_LINE = re.compile(r"export (?P<name>[A-Za-z_][A-Za-z0-9_]*)='(?P<value>(?:[^'\0]+|'\\'')*+)'\n")


def encode(mapping: Mapping[str, Plain]) -> str:
    """One `export NAME='value'` for each. Raises `RenderError`."""
    check_variables(mapping, "shell")
    return "".join(f"export {name}={_quoted(name, as_text(value))}\n" for name, value in mapping.items())


def parse(text: str) -> dict[str, str]:
    """The variables in what `encode` writes. Raises `ValueError` with the line."""
    return statements(
        text, _LINE, lambda match: match["value"].replace("'\\''", "'"), "an export of one quoted value"
    )


def quote(text: str) -> str:
    """`text` as one word between single quotes. Raises `ValueError` for NUL, which no shell can hold."""
    if "\0" in text:
        raise ValueError("it has a NUL character, which no shell variable or argument can hold")
    return "'" + text.replace("'", "'\\''") + "'"


def name_problem(name: str, text: str) -> str | None:
    """Why no shell could be given `text` as its variable `name`, or None."""
    if name in _READ_ONLY:
        return "bash keeps this variable read-only, and stops reading the file there"
    if name in _KEPT:
        return "shells give this variable values of their own"
    if name in _NUMBERS and not _NUMBER.fullmatch(text):
        return "zsh takes this variable for arithmetic, so it must be a number"
    return None


def _quoted(name: str, text: str) -> str:
    problem = name_problem(name, text)
    if problem:
        raise refusal("shell", name, problem)
    try:
        return quote(text)
    except ValueError as exc:
        raise refusal("shell", name, str(exc)) from exc
