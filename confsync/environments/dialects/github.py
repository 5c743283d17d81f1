"""GitHub Actions: what is appended to the file that `$GITHUB_ENV` names, and the masks for the job's log.

Each variable is `NAME<<DELIMITER`, the value as it is, and the delimiter on a line of its own; the delimiter is random,
so that no value can end early and set other variables. So does actions/toolkit (`prepareKeyValueMessage`). What reads
it is actions/runner, `src/Runner.Worker/FileCommandManager.cs`: on Windows `\\r\\n` ends a line too, so a carriage
return at a value's end is lost. It refuses NODE_OPTIONS (whatever its case), and GitHub's "Variables reference" says
that GITHUB_* and RUNNER_* cannot be set.

A mask is `::add-mask::VALUE` with `%25`, `%0D` and `%0A` for `%` and line breaks (`ActionCommandManager.cs`); one for
each line too, because a log is masked line by line.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from confsync.environments.dialects.refusals import check
from confsync.environments.dialects.written import Written
from confsync.render.formats.scalars import refusal

if TYPE_CHECKING:
    from confsync.environments.variables import Variable

_LINE_BREAK = re.compile(r"[\r\n]+")


def write(variables: Sequence[Variable]) -> Written:
    """What to append to `$GITHUB_ENV`, and the masks. Raises `RenderError`."""
    check("github", variables, _check)
    delimiter = _delimiter(variables)
    text = "".join(f"{one.name}<<{delimiter}\n{one.value}\n{delimiter}\n" for one in variables)
    return Written(text, masks=_masks(one.value for one in variables if one.sensitive))


def _check(variable: Variable) -> None:
    problem = _problem(variable.name.upper(), variable.value)
    if problem:
        raise refusal("github", variable.name, problem)


def _problem(name: str, value: str) -> str | None:
    if name.startswith(("GITHUB_", "RUNNER_")):
        return "GitHub keeps GITHUB_* and RUNNER_* to itself"
    if name == "NODE_OPTIONS":
        return "the runner takes no NODE_OPTIONS from $GITHUB_ENV"
    if value.endswith("\r"):
        return "it ends in a carriage return, which a runner on Windows takes off"
    return None


def _delimiter(variables: Sequence[Variable]) -> str:
    while True:
        delimiter = f"ghadelimiter_{secrets.token_hex(16)}"
        if not any(delimiter in variable.value for variable in variables):
            return delimiter


def _masks(values: Iterable[str]) -> str:
    masked = dict.fromkeys(
        part for value in values for part in (value, *_LINE_BREAK.split(value)) if part.strip()
    )
    return "".join(f"::add-mask::{_escaped(part)}\n" for part in masked)


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
