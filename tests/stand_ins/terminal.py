"""What a program prints to a terminal, as a person would see it.

shown = printed_to_terminal(["confsync", "plan"], cwd=directory, env=environment)
assert "\x1b[" in shown.terminal
"""

from __future__ import annotations

import os
import pty
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 60.0
ROWS = 40


@dataclass(frozen=True, slots=True)
class Printed:
    """What was printed: to the terminal, and to standard error where that was none; and the exit status."""

    terminal: str
    errors: str
    status: int


def printed_to_terminal(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    columns: int = 120,
    errors_apart: bool = False,
) -> Printed:
    """Run a program to its end with a terminal for its output, an xterm where `env` names no other.

    Args:
        columns: how wide the terminal is.
        errors_apart: whether standard error is a pipe instead.
    """
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (ROWS, columns))
    environ = {"TERM": "xterm", **env}
    environ.pop("COLUMNS", None)  # which would go before what the terminal says
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE if errors_apart else theirs,
    )
    os.close(theirs)
    chunks: list[bytes] = []
    reader = threading.Thread(target=_read_all, args=(ours, chunks))
    reader.start()
    _, errors = process.communicate(timeout=PATIENCE)
    reader.join(PATIENCE)
    os.close(ours)
    return Printed(_text(b"".join(chunks)), _text(errors or b""), process.returncode)


def _read_all(terminal: int, chunks: list[bytes]) -> None:
    try:
        while chunk := os.read(terminal, 65536):
            chunks.append(chunk)
    except OSError:  # EIO: nobody has the other end any more
        return


def _text(data: bytes) -> str:
    return data.decode().replace("\r\n", "\n")
