"""Becomes the command of an exec: a program of its own, started early, that waits to be told what to run.

    python -I -S starter.py PARENT ORDERS TROUBLE

It asks the kernel to send it SIGTERM when PARENT, the exec, is gone, which lasts over the start of the command; reads
what to run from the descriptor ORDERS; and becomes that. Arguments and variables come through the pipe, so that no
process list ever shows a value that is not the command's own. Where the command cannot be started, the number of the
error goes to TROUBLE. It is started with signals blocked; the command has those blocked that the exec's caller had.

prctl(2): PR_SET_PDEATHSIG is kept over execve, but not by programs that change their user (sudo).
"""

from __future__ import annotations

import ctypes
import errno
import marshal
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
NOT_FOUND = 127
NOT_EXECUTABLE = 126


def main(parent: int, orders: int, trouble: int) -> int:
    """Become the command. Returns only where there is none to be, or it cannot be started."""
    die_with_parent()
    if os.getppid() != parent:
        return 1
    with open(orders, "rb") as pipe:
        told = pipe.read()
    try:
        words, variables, blocked = marshal.loads(told)  # noqa: S302 - of the exec, and of nobody else
    except (EOFError, ValueError):
        return 1  # nobody finished telling: the exec is gone, or has no command to start any more
    os.set_inheritable(trouble, False)
    _be_as_before(blocked)
    error = _become(words, variables)
    os.write(trouble, str(error.errno).encode())
    return NOT_FOUND if error.errno in (errno.ENOENT, errno.ENOTDIR) else NOT_EXECUTABLE


def die_with_parent() -> None:
    """Have the kernel end this process with its parent, where it can."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    except (OSError, AttributeError):
        return


def _become(words: list[bytes], variables: dict[bytes, bytes]) -> OSError:
    """Become the command, looked for as shells do; gives why that cannot be.

    For execvp(3) what is nowhere is forbidden (EACCES) if a place in PATH may not be searched.
    """
    if b"/" in words[0]:
        return _try(words[0], words, variables)
    trouble: OSError = FileNotFoundError(errno.ENOENT, "")
    for directory in variables.get(b"PATH", os.defpath.encode()).split(b":"):
        path = os.path.join(directory, words[0])
        error = _try(path, words, variables)
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
            return error
        if error.errno == errno.EACCES and os.path.isfile(path):
            trouble = error
    return trouble


def _try(path: bytes, words: list[bytes], variables: dict[bytes, bytes]) -> OSError:
    try:
        os.execve(path, words, variables)  # noqa: S606 - that is what it is for
    except OSError as exc:
        return exc


def _be_as_before(blocked: list[int]) -> None:
    """Undo what Python and the exec have done about signals."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # one that waits ends this process; no traceback
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


if __name__ == "__main__":
    os._exit(main(*map(int, sys.argv[1:])))
