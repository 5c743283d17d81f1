"""Signal the process whose id is in a file."""

from __future__ import annotations

import os
import signal
import stat

from confsync.errors import ActionError
from confsync.text import did_you_mean, printable

_LONGEST = 64
_MOST = 2**31 - 1


def send_signal(name: str, pid_file: str) -> None:
    """Send a signal (`HUP`, `SIGHUP` or a number) to the process in `pid_file`.

    Raises:
        ActionError: no such signal, no usable process id in the file, no such process, or not permitted.
    """
    number = _signal_number(name)
    pid = _read_pid(pid_file)
    shown = f"process {pid}, named in {printable(pid_file)}"
    try:
        os.kill(pid, number)
    except ProcessLookupError as exc:
        raise ActionError(
            f"reload: there is no {shown}", hint="start the program, or remove the file it left behind"
        ) from exc
    except PermissionError as exc:
        raise ActionError(
            f"reload: uid {os.geteuid()} may not send {number.name} to {shown}",
            hint="run confsync as that process's user or with CAP_KILL",
        ) from exc


def _signal_number(name: str) -> signal.Signals:
    try:
        if name.isdigit():
            return signal.Signals(int(name))
        return signal.Signals[name if name.startswith("SIG") else f"SIG{name}"]
    except (ValueError, KeyError) as exc:
        known = [one.name.removeprefix("SIG") for one in signal.Signals]
        near = did_you_mean(name.removeprefix("SIG"), known)
        raise ActionError(
            f"reload: there is no signal {name!r}{near}", hint="write for example HUP, USR1 or TERM"
        ) from exc


def _read_pid(pid_file: str) -> int:
    """The process id in the file. Never blocks, and never gives one that means more than a single process."""
    shown = printable(pid_file)
    try:
        fd = os.open(pid_file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError as exc:
        raise ActionError(
            f"reload: there is no pid file {shown}", hint="start the program, or correct `pid_file`"
        ) from exc
    except (OSError, ValueError) as exc:
        why = (getattr(exc, "strerror", None) or "not a path").lower()
        raise ActionError(
            f"reload: the pid file {shown} cannot be read: {why}",
            hint="correct `pid_file` or its permissions",
        ) from exc
    try:
        regular = stat.S_ISREG(os.fstat(fd).st_mode)
        text = os.read(fd, _LONGEST) if regular else b""
    finally:
        os.close(fd)
    if not regular:
        raise ActionError(f"reload: {shown} is not a regular file", hint="correct `pid_file`")
    return _parse_pid(text, shown)


def _parse_pid(text: bytes, shown: str) -> int:
    first = (text.splitlines() or [b""])[0].strip()
    pid = int(first) if first.isdigit() and len(first) <= len(str(_MOST)) else 0
    if not 1 < pid <= _MOST:
        raise ActionError(
            f"reload: the pid file {shown} holds no process id above 1",
            hint="its first line must be the number of the process to signal; correct `pid_file`",
        )
    if pid == os.getpid():
        raise ActionError(
            f"reload: the pid file {shown} names confsync itself", hint="the file is stale, or the wrong one"
        )
    return pid
