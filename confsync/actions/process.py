"""Run a command so that it can neither hang nor flood us, and leave nothing of it behind when it is stopped.

The command leads a process group of its own. What it prints goes through a pipe into a bounded buffer, so
that it never blocks and never grows our memory. It is over when the command itself ends: a grandchild that
keeps the pipe open is not waited for, and is left alone (a reload may well start a daemon) unless the command
had to be stopped. Such a daemon must send its output elsewhere: the pipe is closed.
"""

from __future__ import annotations

import errno
import os
import select
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from subprocess import DEVNULL, STDOUT, Popen

from confsync.errors import ActionError
from confsync.text import printable
from confsync.units import format_duration

SHOWN = 4096
"""How many characters of the end of its output an error shows."""

# Sixteen times what is shown: a sensitive value that loses its beginning to the bound is not recognised any
# more, and must not be in the part that is shown.
_KEPT = 16 * SHOWN
_PIECE = 65536
_MOST_DRAINED = 1 << 20
_GRACE = 2.0
_LOOK_AT_CANCELLED = 0.05
_LOOK_AT_PROCESS = 0.02
_LEFT_BEHIND = 0.5


def run(
    argv: Sequence[str],
    *,
    what: str,
    timeout: float,
    redact: Callable[[str], str],
    env: Mapping[str, str] | None = None,
    cancelled: threading.Event | None = None,
    shown: str | None = None,
) -> str:
    """Run a command to its end.

    Args:
        argv: the program, looked up in PATH, and its arguments.
        what: what it is for, to begin the message: "check" or "reload".
        timeout: seconds; after them the whole process group gets SIGTERM, and two seconds later SIGKILL.
        redact: takes sensitive values out of a text.
        env: variables besides our own.
        cancelled: once set, the command is stopped as after the timeout.
        shown: how messages name the command, where that is not `argv` quoted for a shell.

    Returns:
        The end of what it printed, standard output and error as they came, safe to show.

    Raises:
        ActionError: it could not be started, failed, or was stopped.
    """
    name = printable(redact(shown if shown is not None else shlex.join(argv)))
    with _started(argv, f"{what} `{name}`", env) as (process, output):
        tail = _Tail()
        stopped = _wait(process, output, tail, time.monotonic() + timeout, cancelled)
        if stopped is not None:
            _stop(process, output, tail, stopped)
        _drain(output, tail)
        status = process.wait()
    text = tail.text(redact)
    if stopped is not None:
        raise _stopped(f"{what} `{name}`", stopped, timeout, text)
    if status != 0:
        raise _failed(f"{what} `{name}`", status, text)
    return text


class _Tail:
    """The end of a stream of bytes."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = bytearray()

    def add(self, piece: bytes) -> None:
        self._data += piece
        if len(self._data) > 2 * _KEPT:
            del self._data[:-_KEPT]

    def text(self, redact: Callable[[str], str]) -> str:
        """What is shown of it: redacted first and cut after that, so that no half of a value is shown."""
        whole = redact(self._data.decode("utf-8", "replace")).strip()
        return printable(whole if len(whole) <= SHOWN else "…" + whole[-SHOWN:])


@contextmanager
def _started(
    argv: Sequence[str], name: str, env: Mapping[str, str] | None
) -> Iterator[tuple[Popen[bytes], int]]:
    """Start it; yields it and the end of its output. However the block is left, it is reaped."""
    output, inlet = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            process = Popen(
                list(argv),
                stdin=DEVNULL,
                stdout=inlet,
                stderr=STDOUT,
                env={**os.environ, **env} if env else None,
                start_new_session=True,
            )
        except (OSError, ValueError) as exc:
            raise _not_started(argv[0], name, exc) from exc
        finally:
            os.close(inlet)
        os.set_blocking(output, False)
        try:
            yield process, output
        finally:
            if process.returncode is None:
                _signal(process, signal.SIGKILL)
                process.wait()
    finally:
        os.close(output)


def _wait(
    process: Popen[bytes], output: int, tail: _Tail, deadline: float, cancelled: threading.Event | None
) -> str | None:
    """Collect output until it has ended; it is not reaped. Returns None, or why it must be stopped."""
    with _end_of(process) as ended:
        poller = select.poll()
        poller.register(output, select.POLLIN)
        tick = _LOOK_AT_CANCELLED if cancelled is not None else 3600.0
        if ended is None:
            tick = _LOOK_AT_PROCESS
        else:
            poller.register(ended, select.POLLIN)
        while not _has_ended(process):
            left = deadline - time.monotonic()
            if left <= 0:
                return "timeout"
            if cancelled is not None and cancelled.is_set():
                return "cancelled"
            for fd, _ in poller.poll(min(left, tick) * 1000 + 1):
                if fd == output and not _read(output, tail):
                    poller.unregister(output)  # nobody can write any more; it may still run
    return None


@contextmanager
def _end_of(process: Popen[bytes]) -> Iterator[int | None]:
    """A descriptor that becomes readable when the process ends, where the system has such a thing."""
    try:
        fd = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        yield None
        return
    try:
        yield fd
    finally:
        os.close(fd)


def _has_ended(process: Popen[bytes]) -> bool:
    """Whether it has ended; it stays a zombie, so that its process group's number cannot become another's."""
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    try:
        return os.waitid(os.P_PID, process.pid, flags) is not None
    except ChildProcessError:
        return True


def _stop(process: Popen[bytes], output: int, tail: _Tail, why: str) -> None:
    """End the whole group: politely, then not; returns when its leader has ended."""
    _signal(process, signal.SIGTERM)
    _wait(process, output, tail, time.monotonic() + (_GRACE if why == "timeout" else _GRACE / 4), None)
    _signal(process, signal.SIGKILL)
    _wait(process, output, tail, time.monotonic() + _GRACE, None)
    _read_until_closed(output, tail, time.monotonic() + _LEFT_BEHIND)


def _signal(process: Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _read(output: int, tail: _Tail) -> bool:
    """Take one piece. Returns whether there may be more, now or later."""
    try:
        piece = os.read(output, _PIECE)
    except BlockingIOError:
        return True
    tail.add(piece)
    return bool(piece)


def _read_until_closed(output: int, tail: _Tail, deadline: float) -> None:
    """Until the last of a killed group is gone, which closes the pipe; or one that left the group."""
    poller = select.poll()
    poller.register(output, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0:
        if poller.poll(left * 1000 + 1) and not _read(output, tail):
            return


def _drain(output: int, tail: _Tail) -> None:
    """Take what is in the pipe, but not what a grandchild goes on writing for ever."""
    for _ in range(_MOST_DRAINED // _PIECE):
        try:
            piece = os.read(output, _PIECE)
        except BlockingIOError:
            return
        if not piece:
            return
        tail.add(piece)


def _not_started(program: str, name: str, error: OSError | ValueError) -> ActionError:
    if isinstance(error, ValueError):
        return ActionError(
            f"{name} cannot be started: it contains a NUL character", hint="correct the command"
        )
    shown = printable(program)
    if error.errno == errno.ENOENT and os.path.exists(program):
        return ActionError(
            f"{name} cannot be started: the interpreter named in the first line of {shown} does not exist",
            hint="correct its #! line, or install the interpreter",
        )
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        where = "does not exist" if "/" in program else f"is not in PATH ({os.environ.get('PATH', '')})"
        return ActionError(
            f"{name} cannot be started: {shown} {where}", hint="install it, or write its full path"
        )
    meaning = _CANNOT_START.get(error.errno or 0)
    if meaning is None:
        return ActionError(f"{name} cannot be started: {(error.strerror or '').lower()}")
    return ActionError(f"{name} cannot be started: {shown} {meaning[0]}", hint=meaning[1])


_CANNOT_START = {
    errno.EACCES: ("is not executable for this user", "chmod +x it, or correct the path"),
    errno.EPERM: ("may not be run by this user", "look at its permissions and mount options"),
    errno.ENOEXEC: ("is not a program", "begin a script with a line such as #!/bin/sh"),
    errno.E2BIG: ("was given too many or too long arguments", "shorten the command"),
}


def _failed(name: str, status: int, text: str) -> ActionError:
    if status < 0:
        return ActionError(f"{name} was killed by {_signal_name(-status)}", output=text)
    hints = {126: "the shell found it but may not run it", 127: "the shell did not find it"}
    return ActionError(f"{name} failed with exit status {status}", output=text, hint=hints.get(status))


def _stopped(name: str, why: str, timeout: float, text: str) -> ActionError:
    if why == "cancelled":
        return ActionError(f"{name} was stopped: confsync is shutting down", output=text)
    return ActionError(
        f"{name} did not end within {format_duration(timeout)} and was stopped with all it had started",
        output=text,
        hint="find out what it waits for, or raise `timeout`",
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
