"""`confsync` for tests, begun in forks of a process that has imported everything: it takes an eighth of the time.

    done = prepared().run(["plan"], cwd=directory, env=environment)
    assert done.returncode == 2

What runs is the real command in a process of its own, from its `main` to its exit. What is not seen is the start: the
imports, and the process's own command line in /proc. Tests of these, of daemons and of signals start it as users do.
The process has one thread and nothing open; it ends with the process that made it, whatever becomes of that.
"""

from __future__ import annotations

import atexit
import faulthandler
import gc
import importlib
import json
import os
import pkgutil
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import IO, Any, NoReturn

_MOMENT = 60.0
_PREPARING = 180.0
"""The first command waits for all the imports, while other workers import as well, on few processors."""
_AT_START = ("PYTHON", "LC_", "LANG", "TZ", "GRPC_")
"""What Python and its modules look at when they start: a command with others of these cannot be prepared."""
_PROGRAMS = ("__main__", "guardian", "starter")
_making = threading.Lock()
_ASKING = (signal.SIGINT, signal.SIGTERM)


class Begun:
    """A command at work; to be closed."""

    def __init__(self, said: socket.socket) -> None:
        self._said = said
        self._text = b""
        self._status: int | None = None
        try:
            self.pid = self._number(_PREPARING, "confsync")
        except BaseException:
            said.close()
            raise

    def wait(self, within: float = _MOMENT, command: str = "confsync") -> int:
        """Wait for its end; gives the exit status, or minus the signal's number.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        if self._status is None:
            self._status = self._number(within, command)
        return self._status

    def signal(self, number: int) -> None:
        """Send it a signal; none if it has ended."""
        os.kill(self.pid, number)  # it stays a zombie as long as this is open

    def close(self) -> None:
        """It is gone, killed if it still runs, and nobody asks any more. Idempotent."""
        if self._said.fileno() < 0:
            return
        self.signal(signal.SIGKILL)
        self.wait()
        self._said.close()

    def _number(self, within: float, command: str) -> int:
        while b"\n" not in self._text:
            if not select.select([self._said], [], [], within)[0]:
                raise subprocess.TimeoutExpired(command, within)
            piece = self._said.recv(4096)
            if not piece:
                raise RuntimeError("the process that prepares commands is gone")
            self._text += piece
        line, _, self._text = self._text.partition(b"\n")
        return int(line)


class Prepared:
    """The process that is prepared. Any thread may begin commands."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._environ = dict(os.environ)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()], cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def begin(
        self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdout: int, stderr: int
    ) -> Begun:
        """Begin `confsync ARGUMENTS`, with nothing to read from its standard input.

        Args:
            stdout: where it writes to, a file descriptor; as `stderr`.
        """
        said, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [b"!"], [theirs.fileno(), stdout, stderr])
        what = {"arguments": list(arguments), "cwd": str(cwd), "env": dict(env)}
        said.sendall(json.dumps(what).encode() + b"\n")
        return Begun(said)

    def run(
        self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], within: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """`confsync ARGUMENTS` to its end, and to the end of whoever it leaves with its output.

        With other variables that Python itself looks at when it starts, it is started anew.

        Raises:
            subprocess.TimeoutExpired: it had to be killed.
        """
        if _at_start(env) != _at_start(self._environ):
            return _run_unprepared(arguments, cwd, env, within)
        out, err = _Output(), _Output()
        begun = self.begin(arguments, cwd=cwd, env=env, stdout=out.writing, stderr=err.writing)
        with closing(begun):
            out.no_more_writers()
            err.no_more_writers()
            status = begun.wait(within, f"confsync {' '.join(arguments)}")
        return subprocess.CompletedProcess(list(arguments), status, out.text(within), err.text(within))


class _Output:
    """A pipe, read by a thread so that nobody waits for room in it."""

    def __init__(self) -> None:
        reading, self.writing = os.pipe()
        self._read = b""
        self._reader = threading.Thread(target=self._read_all, args=(os.fdopen(reading, "rb"),), daemon=True)

    def no_more_writers(self) -> None:
        """The command has its own descriptor: close ours, and read."""
        os.close(self.writing)
        self._reader.start()

    def text(self, within: float) -> str:
        """All of it, as text, once nobody can write any more."""
        self._reader.join(within)
        if self._reader.is_alive():
            raise subprocess.TimeoutExpired("what the command has left behind", within)
        return self._read.decode().replace("\r\n", "\n")

    def _read_all(self, pipe: IO[bytes]) -> None:
        with pipe:
            self._read = pipe.read()


def prepared() -> Prepared:
    """The one of this process, made when it is first asked for. From any thread."""
    with _making:
        return _made()


@cache
def _made() -> Prepared:
    return Prepared()


def _run_unprepared(
    arguments: Sequence[str], cwd: Path, env: Mapping[str, str], within: float
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "confsync", *arguments], cwd=cwd, env=env, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=within, check=False,
    )  # fmt: skip


def _at_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_AT_START)}


# What runs in the prepared process


def _main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    faulthandler.enable()
    _import_everything()
    gc.freeze()
    _Server(control).serve()


@dataclass(frozen=True, slots=True)
class _Command:
    """One that was begun.

    Attributes:
        ending: a descriptor that tells of its end.
        asker: whoever began it, and may send it signals until this is closed: as long its process id stays its own.
    """

    pid: int
    ending: int
    asker: socket.socket

    def tell_end(self) -> None:
        """Say how it ended."""
        os.close(self.ending)
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        _tell(self.asker, ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status)

    def reap(self) -> None:
        """Nobody asks any more."""
        os.waitpid(self.pid, 0)
        self.asker.close()


class _Server:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._events = selectors.DefaultSelector()
        self._events.register(control, selectors.EVENT_READ)

    def serve(self) -> None:
        """Begin what is asked for, until there is nobody to ask."""
        while True:
            for key, _ in self._events.select():
                if key.data is not None:
                    self._has_news(key)
                elif not self._begin():
                    return

    def _begin(self) -> bool:
        message, fds, _, _ = socket.recv_fds(self._control, 1, 3)
        if not message:
            return False
        asker, out, err = fds
        command = _fork(socket.socket(fileno=asker), out, err, self._close)
        self._events.register(command.ending, selectors.EVENT_READ, command)
        return True

    def _close(self) -> None:
        for key in self._events.get_map().values():
            if key.data is not None:
                key.data.asker.close()
        self._events.close()
        self._control.close()

    def _has_news(self, key: selectors.SelectorKey) -> None:
        command: _Command = key.data
        self._events.unregister(key.fileobj)
        if key.fileobj is command.asker:
            command.reap()
            return
        command.tell_end()
        self._events.register(command.asker, selectors.EVENT_READ, command)


def _import_everything() -> None:
    """Also what a command imports when it needs it; but for what is itself a program."""
    from confsync.config.models import Config, Sync

    drivers = {driver.module.partition(".")[0] for driver in entry_points(group="confsync.backends")}
    for name in ("confsync", *sorted(drivers)):
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if ".testing" not in module.name and not module.name.endswith(_PROGRAMS):
                importlib.import_module(module.name)
    Config.model_rebuild()
    Sync.model_rebuild()


def _fork(asker: socket.socket, out: int, err: int, close: Callable[[], None]) -> _Command:
    """Begin a command; `close` closes there what is not its own."""
    with asker.makefile("rb") as asked:
        what = json.loads(asked.readline())
    # What comes while Python's own hooks run after a fork is lost: what is started as usual has none.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ASKING)
    pid = os.fork()
    if pid == 0:
        close()
        asker.close()
        _become(what, out, err, before)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.close(out)
    os.close(err)
    _tell(asker, pid)
    return _Command(pid, os.pidfd_open(pid), asker)


def _tell(asker: socket.socket, number: int) -> None:
    with suppress(OSError):  # whoever asked may be gone
        asker.sendall(b"%d\n" % number)


def _become(what: dict[str, Any], out: int, err: int, mask: Collection[int]) -> NoReturn:
    """Be the command, and end as it does."""
    from confsync import __main__ as program

    status = 1
    try:
        os.chdir(what["cwd"])
        os.environ.clear()
        os.environ.update(what["env"])
        for fd, stream in ((out, 1), (err, 2)):
            os.dup2(fd, stream)
            os.close(fd)
        # As `python -m confsync` would have it.
        sys.modules["__main__"] = program
        sys.argv = [str(program.__file__), *what["arguments"]]
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        program.main()
        status = 0
    except SystemExit as exc:
        status = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except BaseException:  # noqa: BLE001 - as Python does with what nobody has caught
        sys.excepthook(*sys.exc_info())
    finally:
        _end(status)


def _end(status: int) -> NoReturn:
    """What Python does at its end, but for taking itself apart: that would copy all the memory the fork shares."""
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - as multiprocessing's processes do
    atexit._run_exitfuncs()  # noqa: SLF001
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        status = 120
    os._exit(status)


if __name__ == "__main__":
    _main()
