"""direnv: an `.envrc`, which is bash.

Exports, and not direnv's own `dotenv FILE`: that reads line by line, so no value has a line break, expands `$` in what
is not between single quotes, and knows no quote within single quotes (direnv's `pkg/dotenv/parse.go`). direnv runs an
`.envrc` again only when it changes, and asks for `direnv allow` each time it did.

What direnv never hands on is in its `internal/cmd/env.go`: `IgnoredKeys`, and what begins with `__fish` or
`BASH_FUNC_`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from confsync.environments.dialects.refusals import check
from confsync.environments.dialects.written import Written
from confsync.render.formats import encode
from confsync.render.formats.scalars import refusal

if TYPE_CHECKING:
    from confsync.environments.variables import Variable

_IGNORED = frozenset({
    "COMP_WORDBREAKS", "DIRENV_BASH", "DIRENV_CONFIG", "DIRENV_IN_ENVRC", "OLDPWD", "PS1", "PWD", "SHELL", "SHELLOPTS",
    "SHLVL", "_",
})  # fmt: skip
_OWN = ("DIRENV_", "__fish", "BASH_FUNC_")
_HEAD = "# direnv watches this file alone: confsync env writes new values, direnv allow takes them\n"


def write(variables: Sequence[Variable]) -> Written:
    """The `.envrc`. Raises `RenderError`."""
    check("direnv", variables, _check)
    return Written(_HEAD + encode("shell", {one.name: one.value for one in variables}).decode())


def _check(variable: Variable) -> None:
    if variable.name in _IGNORED or variable.name.startswith(_OWN):
        raise refusal("direnv", variable.name, "direnv keeps this variable to itself")
    encode("shell", {variable.name: variable.value})
