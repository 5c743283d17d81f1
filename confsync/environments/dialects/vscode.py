"""VS Code: a `settings.json` for the terminals that it opens, on each system.

VS Code substitutes `${…}` in these values (`${env:HOME}`, `${workspaceFolder}`, and what extensions add) and has no
escape for it, so a value with one is refused: its "Variables reference", and `parseVariable` in
`configurationResolverExpression.ts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from confsync.environments.dialects.refusals import check
from confsync.environments.dialects.written import Written
from confsync.render.formats.scalars import has_braces, refusal

if TYPE_CHECKING:
    from confsync.environments.variables import Variable

_SYSTEMS = ("linux", "osx", "windows")


def write(variables: Sequence[Variable]) -> Written:
    """The settings. Raises `RenderError`."""
    import json

    check("vscode", variables, _check)
    values = {variable.name: variable.value for variable in variables}
    settings = {f"terminal.integrated.env.{system}": values for system in _SYSTEMS}
    return Written(json.dumps(settings, indent=2, ensure_ascii=False) + "\n")


def _check(variable: Variable) -> None:
    if has_braces(variable.value):
        raise refusal("vscode", variable.name, "it has a ${…}, which VS Code substitutes")
