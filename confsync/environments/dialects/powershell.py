"""`$env:NAME = 'value'` lines; see `confsync.render.formats.powershell_format`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from confsync.environments.dialects.refusals import check, names
from confsync.environments.dialects.written import Written
from confsync.render.formats import encode

if TYPE_CHECKING:
    from confsync.environments.variables import Variable


def write(variables: Sequence[Variable]) -> Written:
    """The assignments, with a note of those that are empty. Raises `RenderError`."""
    check("powershell", variables, lambda variable: encode("powershell", {variable.name: variable.value}))
    text = encode("powershell", {variable.name: variable.value for variable in variables}).decode()
    empty = [variable for variable in variables if not variable.value]
    if not empty:
        return Written(text)
    return Written(
        text, notes=(f"before 7.5 PowerShell takes a variable away that is set empty: {names(empty)}",)
    )
