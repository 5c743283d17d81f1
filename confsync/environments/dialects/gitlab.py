"""GitLab CI: a dotenv report (`artifacts: {reports: {dotenv: FILE}}`), which gives later jobs their variables.

`NAME=value` lines, and nothing else: quotes would be part of the value, there are no comments, no empty lines and no
values of several lines; blanks at a value's ends are taken off. That is GitLab's `Ci::ParseDotenvArtifactService`,
which also makes the variables ones that are expanded (`raw: false`), so a `$` is refused. The file must be smaller than
5 KB, and hold no more variables than the instance allows: 150 unless set otherwise, on gitlab.com 50, 100 or 150 by
plan.

What comes by a report is not masked in any log, and whoever may see the pipeline may download it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from confsync.environments.dialects.refusals import check, names
from confsync.environments.dialects.written import Written
from confsync.errors import RenderError
from confsync.render.formats.scalars import refusal
from confsync.text import plural

if TYPE_CHECKING:
    from confsync.environments.variables import Variable

_SIZE = 5 * 1024
_FEWEST_ALLOWED, _MOST_ALLOWED = 50, 150
_LONGEST_NAME = 255
_BLANKS = "\0\t\n\v\f\r "
"""What Ruby's `strip` takes off."""


def write(variables: Sequence[Variable], *, reveal: bool = False) -> Written:
    """The report. Raises `RenderError`: also for sensitive variables, unless `reveal`."""
    _check_sensitive(variables, reveal)
    check("gitlab", variables, _check)
    text = "".join(f"{variable.name}={variable.value}\n" for variable in variables)
    _check_limits(variables, text)
    return Written(text, notes=_notes(variables))


def _check_sensitive(variables: Sequence[Variable], reveal: bool) -> None:
    secret = [variable for variable in variables if variable.sensitive]
    if secret and not reveal:
        raise RenderError(
            f"{plural(len(secret), 'variable')} cannot be written as gitlab: {names(secret)}: GitLab masks nothing "
            f"that comes by a dotenv report",
            hint="run the job's command with confsync exec, or write them all the same with --reveal",
        )


def _check(variable: Variable) -> None:
    problem = _problem(variable.name, variable.value)
    if problem:
        raise refusal("gitlab", variable.name, problem)


def _problem(name: str, value: str) -> str | None:
    if len(name) > _LONGEST_NAME:
        return f"a name has at most {_LONGEST_NAME} characters"
    if "\n" in value or "\r" in value:
        return "it has a line break, and a dotenv report has none in a value"
    if value != value.strip(_BLANKS):
        return "it begins or ends with blanks, which GitLab takes off"
    if "$" in value:
        return "it has a $, which GitLab expands"
    return None


def _check_limits(variables: Sequence[Variable], text: str) -> None:
    hint = "choose fewer with a PREFIX, --key or --sync, or run the job's command with confsync exec"
    if len(variables) > _MOST_ALLOWED:
        raise RenderError(
            f"GitLab takes at most {_MOST_ALLOWED} variables of a report, and there are {len(variables)}",
            hint=hint,
        )
    size = len(text.encode())
    if size >= _SIZE:
        raise RenderError(
            f"a dotenv report of GitLab has to be smaller than {_SIZE} bytes, and this has {size}", hint=hint
        )


def _notes(variables: Sequence[Variable]) -> tuple[str, ...]:
    if len(variables) <= _FEWEST_ALLOWED:
        return ()
    return (
        f"gitlab.com takes {_FEWEST_ALLOWED} variables of a report in its free plan; there are {len(variables)}",
    )
