"""Wait for a condition, with a deadline; tests never sleep for a guess."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_FIRST = 0.001
_LONGEST = 0.05


def eventually(condition: Callable[[], T], within: float = 30.0) -> T:
    """Call `condition` until it gives something true, and give that back.

    An AssertionError raised by the condition counts as "not yet": the last one is what the deadline reports.

    Args:
        condition: looked at again and again; must not block for long.
        within: the longest to wait, in seconds.

    Raises:
        AssertionError: it was not true in time.
    """
    deadline = time.monotonic() + within
    pause = _FIRST
    while True:
        try:
            found, problem = condition(), None
        except AssertionError as exc:
            found, problem = None, exc
        if found:
            return found
        if time.monotonic() >= deadline:
            raise problem or AssertionError(f"not so within {within:g} s: {_describe(condition)}")
        threading.Event().wait(pause)
        pause = min(pause * 2, _LONGEST)


def _describe(condition: Callable[[], object]) -> str:
    code = getattr(condition, "__code__", None)
    where = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
    return f"{getattr(condition, '__qualname__', condition)}{where}"
