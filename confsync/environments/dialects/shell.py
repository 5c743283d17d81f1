"""`export NAME='value'` lines, for any shell; see `confsync.render.formats.shell_format`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from confsync.environments.dialects.refusals import check, names
from confsync.environments.dialects.written import Written
from confsync.render.formats import encode
from confsync.render.formats.shell_format import ZSH_KEEPS

if TYPE_CHECKING:
    from confsync.environments.variables import Variable


def write(variables: Sequence[Variable]) -> Written:
    """The exports, with a note of what zsh would not take. Raises `RenderError`."""
    check("shell", variables, lambda variable: encode("shell", {variable.name: variable.value}))
    text = encode("shell", {variable.name: variable.value for variable in variables}).decode()
    kept = [variable for variable in variables if variable.name in ZSH_KEEPS]
    if not kept:
        return Written(text)
    return Written(text, notes=(f"zsh keeps to itself, and bash and sh do not: {names(kept)}",))
