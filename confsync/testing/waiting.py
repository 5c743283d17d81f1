"""Wait for a condition, with a deadline; tests never sleep for a guess."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_FIRST = 0.001
_LONGEST = 0.05


def eventually(condition: Callable[[], T], within: float = 60.0) -> T:
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


def pause(pid: int) -> None:
    """SIGSTOP a process, and wait until each of its threads has stopped: they obey a moment after it was sent."""
    os.kill(pid, signal.SIGSTOP)
    threads = Path(f"/proc/{pid}/task")
    eventually(lambda: all(_is_stopped(thread) for thread in threads.iterdir()))


def _is_stopped(thread: Path) -> bool:
    try:
        return (thread / "stat").read_text().rpartition(") ")[2].startswith("T")
    except (FileNotFoundError, ProcessLookupError):
        return False  # it has just ended: look at those that are left


def _describe(condition: Callable[[], object]) -> str:
    code = getattr(condition, "__code__", None)
    where = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
    return f"{getattr(condition, '__qualname__', condition)}{where}"
