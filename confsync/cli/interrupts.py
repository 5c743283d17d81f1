"""Ctrl-C at any moment, imports included: one line, status 130, no traceback.

Three spans of a command's life. Until a command has been imported nothing is open, and after it has ended nothing is
left to be undone: there the handler ends the process. In between Ctrl-C is Python's KeyboardInterrupt, so that what is
open is closed. C code that calls Python may make another error of it, or none (a callback of the garbage collector):
that it came is kept, and decides the status. `run`, `apply` and `exec` have handlers of their own for their work.

What Ctrl-C does while Python itself starts, in its first hundredths of a second, is Python's affair.

Where Ctrl-C is ignored from the start, as in a shell's background job, it stays so. For the main thread.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

STATUS = 130
_came = False


def end_at_once() -> None:
    """From now on, Ctrl-C ends the process as it stands."""
    if _is_ours():
        signal.signal(signal.SIGINT, _end)


def unwind() -> None:
    """From now on, Ctrl-C is a KeyboardInterrupt; `came` tells of it."""
    if _is_ours():
        sys.unraisablehook = _tell_unraisable
        atexit.register(_ignore)
        signal.signal(signal.SIGINT, _raise)


def came() -> bool:
    """Whether there was one to unwind for."""
    return _came


def say() -> None:
    """The line, on stderr; not by a stream, whose lock whoever is interrupted may hold."""
    with suppress(OSError):
        begun = b"\n" if os.isatty(2) else b""  # the terminal's ^C stands there
        os.write(2, begun + b"confsync: interrupted\n")


def end() -> NoReturn:
    """Say it and be gone."""
    say()
    os._exit(STATUS)


def _is_ours() -> bool:
    return signal.getsignal(signal.SIGINT) is not signal.SIG_IGN


def _end(_number: int, _frame: FrameType | None) -> None:
    end()


def _raise(_number: int, _frame: FrameType | None) -> None:
    global _came
    _came = True
    raise KeyboardInterrupt


def _tell_unraisable(what: UnraisableHookArgs) -> None:
    if not isinstance(what.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(what)


def _ignore() -> None:
    """Python is taking itself down, in a moment; it would restore the handler that kills, without a word."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
