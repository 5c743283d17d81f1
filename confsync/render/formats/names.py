"""The names of environment variables."""

from __future__ import annotations

import re
from collections.abc import Iterable

from confsync.render.formats.scalars import refusal

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_variables(names: Iterable[str], form: str) -> None:
    """Raise `RenderError` for the first name that no shell would take."""
    for name in names:
        if not VARIABLE.fullmatch(name):
            problem = "a variable's name has only letters, digits and _, and no digit first"
            raise refusal(form, name, problem, hint=suggestion(name))


def suggestion(name: str) -> str | None:
    """What to write instead of an illegal name, or None."""
    legal = re.sub(r"[^A-Za-z0-9_]", "_", name)
    if legal[:1].isdigit():
        legal = f"_{legal}"
    return f"call it {legal}" if legal.strip("_") else None
