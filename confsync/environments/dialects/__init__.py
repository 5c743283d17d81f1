"""Writing an environment's variables so that their reader gets exactly these values: `confsync env --format`.

Each format is written by the rules of the program that reads it, and a value it would not read back exactly is
refused, never changed. Formats that a data map can have too are `confsync.render.formats`; the others are modules here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, cast

from confsync.config.models import Format
from confsync.environments.dialects.refusals import check, check_variable
from confsync.environments.dialects.written import Written
from confsync.errors import ConfigError
from confsync.render.formats import encode
from confsync.text import did_you_mean

if TYPE_CHECKING:
    from confsync.environments.variables import Variable

__all__ = ["DIALECTS", "FORMATS", "LINE_BASED", "Written", "form_by_name", "write"]

FORMATS: tuple[str, ...] = (
    "dotenv", "shell", "fish", "powershell", "json", "yaml", "toml", "docker", "github", "gitlab", "systemd", "direnv",
    "vscode",
)  # fmt: skip
LINE_BASED: frozenset[str] = frozenset({
    "dotenv", "shell", "fish", "powershell", "docker", "systemd", "direnv",
})  # fmt: skip
"""Where lines can stand beside lines of the user's own, and `#` begins a comment."""

DIALECTS: tuple[str, ...] = ("common", "python-dotenv", "node", "compose", "shell")
"""Whose dotenv it is. `common` is what all of these read alike."""

_BY_NAME = {
    ".json": "json", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".sh": "shell", ".bash": "shell",
    ".zsh": "shell", ".fish": "fish", ".ps1": "powershell", ".envrc": "direnv",
}  # fmt: skip
_Writer = Callable[..., Written]


def form_by_name(path: str) -> str:
    """The format that a file's name tells; dotenv where it tells none."""
    name = os.path.basename(path)
    return _BY_NAME.get(os.path.splitext(name)[1] or name, "dotenv")


def write(
    form: str, variables: Sequence[Variable], *, dialect: str | None = None, reveal: bool = False
) -> Written:
    """`variables`, sorted by name, as the content of a file.

    Args:
        form: one of `FORMATS`.
        dialect: of dotenv, whose reader it is for: one of `DIALECTS`. Without one, what all readers read alike where
            there is such a way, else what python-dotenv reads, with a note.
        reveal: write sensitive values also where they cannot be masked (gitlab).

    Raises:
        ConfigError: no such format or dialect, or a dialect for another format than dotenv.
        RenderError: the format cannot hold some of them; names each, the rule, and what can hold them.
    """
    _check_call(form, dialect)
    ordered = sorted(variables, key=lambda variable: variable.name)
    check(form, ordered, check_variable)
    return _writer(form, dialect, reveal)(ordered)


def _check_call(form: str, dialect: str | None) -> None:
    if form not in FORMATS:
        raise ConfigError(f"there is no format {form!r}{did_you_mean(form, FORMATS)}")
    if dialect is None:
        return
    if form != "dotenv":
        raise ConfigError(f"a dialect is one of dotenv's, and the format is {form}")
    if dialect not in DIALECTS:
        raise ConfigError(f"there is no dialect {dialect!r} of dotenv{did_you_mean(dialect, DIALECTS)}")


def _writer(form: str, dialect: str | None, reveal: bool) -> _Writer:
    if form == "dotenv":
        return partial(_of("dotenv"), dialect=dialect)
    if form == "gitlab":
        return partial(_of("gitlab"), reveal=reveal)
    if form in ("github", "direnv", "vscode", "shell", "powershell"):
        return _of(form)
    return partial(_encoded, cast("Format", form))


def _of(module: str) -> _Writer:
    return cast("_Writer", import_module(f"{__name__}.{module}").write)


def _encoded(form: Format, variables: Sequence[Variable]) -> Written:
    check(form, variables, lambda variable: encode(form, {variable.name: variable.value}))
    return Written(encode(form, {variable.name: variable.value for variable in variables}).decode())
