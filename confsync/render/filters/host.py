"""What the process sees of its surroundings, and counting."""

from __future__ import annotations

import os
from typing import Any

from confsync.errors import LimitExceeded, RenderError
from confsync.render.filters.values import integer, shown, text

_REQUIRED: Any = object()
_LONGEST_SEQUENCE = 100_000


def env(name: object, default: Any = _REQUIRED) -> Any:
    """A variable of the process's environment, or `default`: `{{ env('NO_SUCH', default='x') }} → x`."""
    from confsync.render.recorder import current

    wanted, recorder = text(name, "env"), current()
    withheld = recorder is not None and wanted in recorder.credentials
    found = None if withheld else os.environ.get(wanted)
    if found is not None:
        return found
    if default is _REQUIRED and withheld:
        raise RenderError(
            f"env: the variable {shown(wanted)} holds a credential of yours, which no sync is given"
        )
    if default is _REQUIRED:
        hint = "env('NAME', default='…') goes on without"
        raise RenderError(f"env: the variable {shown(wanted)} is not set", hint=hint)
    return default


def hostname() -> str:
    """The host's name as it knows itself: `{{ hostname() == hostname() }} → True`."""
    import socket

    return socket.gethostname()


def seq(first: object, last: object) -> list[int]:
    """The numbers from first to last, both included: `{{ seq(3, 1) }} → [3, 2, 1]`."""
    start, end = integer(first, "seq", 2**63), integer(last, "seq", 2**63)
    if abs(end - start) >= _LONGEST_SEQUENCE:
        raise LimitExceeded(f"seq: more than {_LONGEST_SEQUENCE:,} numbers are not allowed")
    return list(range(start, end + 1) if start <= end else range(start, end - 1, -1))
