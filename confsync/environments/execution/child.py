"""The command of an exec as a process: started, signalled, waited for, and looked after when the exec dies.

    start = Start(descriptors, blocked)      # early: what waits to become the command
    child = start.become(words, variables)
    child.signal(signal.SIGTERM)
    child.look()                             # Exited(143), once it has ended

Belongs to the main thread: the kernel ends a command together with the thread that started it.
"""

from __future__ import annotations

import errno
import marshal
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from confsync.clock import SystemClock
from confsync.environments.execution import guardian, starter
from confsync.errors import ConfsyncError
from confsync.text import printable

_DISMISSED = 5.0  # seconds a guardian with nothing to do may take to end
_LONGEST_STRING = 128 * 1024
"""The kernel's MAX_ARG_STRLEN: a word or a variable that is as long cannot be given to a program (execve(2))."""
_MOST = 6 * 1024 * 1024
"""What all of them together can be at the most, whatever the limit of the stack."""


class NotStarted(ConfsyncError):
    """The command could not be started. `status` is what a shell exits with then: 127 not found, else 126."""

    def __init__(self, message: str, status: int, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


@dataclass(frozen=True, slots=True)
class Exited:
    """It has ended. `status` is as a shell has it: 128 and the signal's number where one killed it."""

    status: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """It has been stopped by this signal, and may go on."""

    number: int


def inherited() -> tuple[int, ...]:
    """The descriptors besides 0, 1 and 2 that our caller has given us; ask before anything is opened."""
    found = []
    for descriptor in _descriptors():
        with suppress(OSError):
            if descriptor > 2 and os.get_inheritable(descriptor):
                found.append(descriptor)
    return tuple(found)


def _descriptors() -> Iterable[int]:
    """Those that may be open."""
    try:
        return map(int, os.listdir("/proc/self/fd"))
    except OSError:
        return range(256)  # without /proc; hardly anybody gives one beyond


def _run(program: object, *words: object) -> list[str]:
    """The command line of one of our small programs: no site, nothing of the environment."""
    path = str(getattr(program, "__file__", ""))
    return [sys.executable, "-I", "-S", path, *map(str, words)]


class Guardian:
    """The process that cleans up if this one is killed; see guardian.py.

    Args:
        directory: what it removes, or None.
        patience: seconds a command may take to end, before it is killed.
    """

    def __init__(self, directory: str | None, patience: float) -> None:
        reading, self._pipe = os.pipe()
        try:
            self._process = subprocess.Popen(
                _run(guardian, directory or "", patience),
                stdin=reading,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",  # what it stands in could not be unmounted
                env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
                start_new_session=True,
            )
        except OSError as exc:
            os.close(self._pipe)
            raise ConfsyncError(
                f"no process can be started to clean up after the command: {exc.strerror}"
            ) from exc
        finally:
            os.close(reading)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def look_after(self, pid: int) -> None:
        """Have it end this process, instead of the one before."""
        with suppress(BrokenPipeError):  # somebody killed it; we clean up ourselves
            os.write(self._pipe, f"{pid}\n".encode())

    def dismiss(self) -> None:
        """Tell it that all is over, and wait for its end."""
        os.close(self._pipe)
        try:
            self._process.wait(_DISMISSED)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Start:
    """A process that is to become the command; see starter.py. It ends by itself when it is not told to.

    Args:
        descriptors: the command inherits these, besides 0, 1 and 2.
        blocked: the signals that are to be blocked in the command.
    """

    def __init__(self, descriptors: Iterable[int], blocked: Iterable[int]) -> None:
        self._blocked = list(map(int, blocked))
        self._began = SystemClock().monotonic()
        orders, self._orders = os.pipe()
        self._trouble, trouble = os.pipe()
        try:
            self._process = subprocess.Popen(
                _run(starter, os.getpid(), orders, trouble), pass_fds=(orders, trouble, *descriptors)
            )
        except OSError as exc:
            os.close(self._orders)
            os.close(self._trouble)
            raise ConfsyncError(f"no process can be started for the command: {exc.strerror}") from exc
        finally:
            os.close(orders)
            os.close(trouble)

    @property
    def pid(self) -> int:
        """The process id it has, and the command will have."""
        return self._process.pid

    def become(self, words: Sequence[str], variables: Mapping[bytes, bytes]) -> Child:
        """Have it become the command, looked for in the PATH of `variables`, which are all it gets."""
        told = marshal.dumps(([os.fsencode(word) for word in words], dict(variables), self._blocked))
        with suppress(BrokenPipeError):  # it was killed, which `look` will tell
            _write_all(self._orders, told)
        self._close_orders()
        return Child(self._process, self._trouble, words, variables, self._began)

    def forget(self) -> None:
        """Have it end, unless it has become something. Idempotent."""
        if self._orders < 0:
            return
        self._close_orders()
        os.close(self._trouble)
        self._process.wait()

    def _close_orders(self) -> None:
        os.close(self._orders)
        self._orders = -1


class Child:
    """The running command, or what cannot become it.

    That it runs is not waited for: who presses Ctrl-Z at this moment stops it before it is anything.

    Attributes:
        began: when its process was not there yet, by the monotonic clock: a signal taken before has not reached it.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        trouble: int,
        words: Sequence[str],
        variables: Mapping[bytes, bytes],
        began: float,
    ) -> None:
        self.began = began
        self._process = process
        self._trouble = trouble
        self._words = words
        self._variables = variables
        self.pid = process.pid

    def signal(self, number: int) -> None:
        """Send it a signal, if it has not ended."""
        with suppress(ProcessLookupError, PermissionError):  # it may have become another user's, as sudo does
            os.kill(self.pid, number)

    def look(self) -> Exited | Stopped | None:
        """What has become of it since last asked, without waiting. Not to be asked again once it has ended.

        Raises:
            NotStarted: it has ended, and never was the command.
        """
        found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WSTOPPED | os.WNOHANG)
        if found is None:
            return None
        if found.si_code in (os.CLD_STOPPED, os.CLD_TRAPPED):
            return Stopped(found.si_status)
        killed = found.si_code != os.CLD_EXITED
        self._process.returncode = -found.si_status if killed else found.si_status
        with open(self._trouble, "rb") as pipe:
            error = pipe.read()
        if error:
            raise _not_started(int(error), found.si_status, self._words, self._variables)
        return Exited(128 + found.si_status if killed else found.si_status)

    def is_in_our_group(self) -> bool:
        """Whether what a terminal sends to us reaches it too: unless it has a group of its own, as setsid makes one."""
        try:
            return os.getpgid(self.pid) == os.getpgrp()
        except ProcessLookupError:
            return True  # it has ended

    def is_stopped(self) -> bool:
        """Whether it is stopped now."""
        with suppress(OSError, IndexError):
            stat = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii", errors="replace")
            return stat.rpartition(") ")[2].split()[0] == "T"
        return False


def _write_all(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


_NEEDS_SHELL = re.compile(r"^[A-Za-z_]\w*=|[\s;|&<>$`(){}]")
"""What a shell would read, and is in the name of hardly any program."""
_SHELLS_OWN = frozenset({
    ".", "alias", "case", "cd", "eval", "exec", "export", "for", "if", "set", "source", "trap", "ulimit", "umask",
    "unset", "while",
})  # fmt: skip


def _not_started(
    number: int, status: int, words: Sequence[str], variables: Mapping[bytes, bytes]
) -> NotStarted:
    program = printable(words[0])
    if number == errno.E2BIG:
        why = _too_long(variables) or _too_much(variables)
        return NotStarted(f"{program} cannot be started: {why}", status)
    if number in (errno.ENOENT, errno.ENOTDIR):
        path = os.fsdecode(variables.get(b"PATH", os.defpath.encode()))
        if which(words[0], path=path):
            hint = "correct its #! line, or install the interpreter"
            return NotStarted(
                f"{program} cannot be started: the interpreter it names does not exist", status, hint=hint
            )
        if _NEEDS_SHELL.search(words[0]) or words[0] in _SHELLS_OWN:
            hint = "if a shell is to read it, have one do so: -- sh -c '…'"
            return NotStarted(f"there is no program called {program!r}", status, hint=hint)
        where = "does not exist" if "/" in words[0] else f"is not in PATH ({printable(path)})"
        return NotStarted(f"{program} {where}", status, hint="install it, or write its full path")
    if number == errno.EACCES and "/" in words[0] and os.path.isdir(words[0]):
        return NotStarted(f"{program} is a directory", status)
    meaning, advice = _CANNOT_START.get(number, (os.strerror(number).lower(), None))
    return NotStarted(f"{program} cannot be started: {meaning}", status, hint=advice)


_CANNOT_START: dict[int, tuple[str, str | None]] = {
    errno.EACCES: ("it is not executable for this user", "chmod +x it, or correct the path"),
    errno.EPERM: ("this user may not run it", "look at its permissions and mount options"),
    errno.ENOEXEC: ("it is not a program", "begin a script with a line such as #!/bin/sh"),
}


def too_large(words: Sequence[str], variables: Mapping[bytes, bytes]) -> str | None:
    """Why no program can be given all this, as far as can be told before one is started; or None."""
    strings = [len(os.fsencode(word)) + 1 for word in words]
    strings += [len(name) + len(value) + 2 for name, value in variables.items()]
    if sum(strings) > min(os.sysconf("SC_ARG_MAX"), _MOST):
        return _too_much(variables)
    return _too_long(variables)


def _too_long(variables: Mapping[bytes, bytes]) -> str | None:
    """Which variables no program can be given."""
    long = [name for name, value in variables.items() if len(name) + len(value) + 2 > _LONGEST_STRING]
    if not long:
        return None
    return (
        f"no variable can be longer than 128 KiB, as {os.fsdecode(b', '.join(sorted(long)))} is; leave it out"
    )


def _too_much(variables: Mapping[bytes, bytes]) -> str:
    total = sum(len(name) + len(value) + 2 for name, value in variables.items())
    return f"its variables are {total // 1024} KiB, more than the system gives a program; select fewer"
