"""What a format cannot hold: every variable of it named in one error, with the formats that can."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from confsync.config.models import Format
from confsync.errors import RenderError, Unwritable
from confsync.render.formats import encode
from confsync.render.formats.names import check_variables
from confsync.render.formats.scalars import plain, refusal
from confsync.text import plural, printable

if TYPE_CHECKING:
    from confsync.environments.variables import Variable

Check = Callable[["Variable"], object]

_SUGGESTED: tuple[Format, ...] = ("shell", "json", "yaml", "systemd", "fish", "powershell")


def check(form: str, variables: Sequence[Variable], one: Check, *, hint: str | None = None) -> None:
    """Call `one` with each variable; it raises `Unwritable` for what the format cannot hold.

    Raises:
        RenderError: names every variable that was refused, and why.
    """
    refused = [(variable, problem) for variable in variables if (problem := _problem(one, variable))]
    if refused:
        hint = hint or _hint([variable for variable, _ in refused])
        raise RenderError(_message(form, refused), hint=hint)


def check_variable(variable: Variable) -> None:
    """Raise `Unwritable` for what no environment variable can be."""
    check_variables([variable.name], "an environment variable")
    plain({variable.name: variable.value}, "an environment variable")
    if "\0" in variable.value:
        raise refusal(
            "an environment variable",
            variable.name,
            "it has a NUL character, which no environment variable can hold",
        )


def names(variables: Iterable[Variable]) -> str:
    """`A, B, C`."""
    return ", ".join(printable(variable.name) for variable in variables)


def _problem(one: Check, variable: Variable) -> str | None:
    try:
        one(variable)
    except Unwritable as exc:
        return exc.problem
    return None


def _message(form: str, refused: Sequence[tuple[Variable, str]]) -> str:
    by_problem: dict[str, list[Variable]] = {}
    for variable, problem in refused:
        by_problem.setdefault(problem, []).append(variable)
    reasons = "; ".join(f"{names(variables)}: {problem}" for problem, variables in by_problem.items())
    return f"{plural(len(refused), 'variable')} cannot be written as {form}: {reasons}"


def _hint(variables: Sequence[Variable]) -> str | None:
    able = [form for form in _SUGGESTED if all(_holds(form, variable) for variable in variables)][:3]
    if not able:
        return None
    listed = " or ".join([", ".join(able[:-1]), able[-1]] if len(able) > 1 else able)
    return f"--format {listed} can hold {'it' if len(variables) == 1 else 'them'}"


def _holds(form: Format, variable: Variable) -> bool:
    try:
        check_variable(variable)
        encode(form, {variable.name: variable.value})
    except RenderError:
        return False
    return True
