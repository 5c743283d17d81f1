"""Run a `check:` on what is staged, before anything is replaced."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

from confsync.config.actions import Check

_TOKEN = re.compile(r"\{(staged|path)\}")


def run_check(
    check: Check,
    *,
    staged: str,
    path: str,
    redact: Callable[[str], str],
    cancelled: threading.Event | None = None,
) -> None:
    """Let a command judge the staged file or directory.

    In the items of `command`, `{staged}` and `{path}` are replaced as they stand, in one pass; other braces
    mean nothing. Both forms find the two in $CONFSYNC_STAGED and $CONFSYNC_PATH.

    Args:
        check: what to run.
        staged: the staged file or directory.
        path: the target it is to replace.
        redact: takes sensitive values out of a text.
        cancelled: once set, the command is stopped.

    Raises:
        ActionError: it did not accept, or could not be run.
    """
    from confsync.actions.process import run

    places = {"staged": staged, "path": path}
    env = {"CONFSYNC_STAGED": staged, "CONFSYNC_PATH": path}
    if check.command is not None:
        argv = [_TOKEN.sub(lambda token: places[token[1]], item) for item in check.command]
        run(argv, what="check", timeout=check.timeout, redact=redact, env=env, cancelled=cancelled)
        return
    line = check.shell or ""
    run(
        ["/bin/sh", "-c", line],
        what="check",
        timeout=check.timeout,
        redact=redact,
        env=env,
        cancelled=cancelled,
        shown=line,
    )
