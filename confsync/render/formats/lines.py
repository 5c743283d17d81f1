"""Reading back what was written as one statement after another."""

from __future__ import annotations

import re
from collections.abc import Callable


def statements(
    text: str, pattern: re.Pattern[str], value: Callable[[re.Match[str]], str], meant: str
) -> dict[str, str]:
    """`name` -> value, of a text that is `pattern` again and again.

    Args:
        pattern: has a group `name`, and ends with the line break.
        value: what a match says the value is.
        meant: what each statement should be, for the error.

    Raises:
        ValueError: something else is in between; says in which line.
    """
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = pattern.match(text, at)
        if match is None:
            raise ValueError(f"line {text.count(chr(10), 0, at) + 1} is not {meant}")
        found[match["name"]] = value(match)
        at = match.end()
    return found
