"""A workspace in which `confsync exec` runs: its own place for the commands' files, and nothing that outlives a test.

from stand_ins.executed import execs

    execs.config(syncs={})
    assert execs.run("dev", "--", "true").returncode == 0
    with execs.start("dev", "--", "sh", "-c", "echo ready; exec sleep 60") as running:
        assert running.line() == "ready"
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from time import monotonic
from types import TracebackType
from typing import Any, Self

import pytest

from confsync.testing.daemon import PATIENCE, Workspace
from confsync.testing.waiting import eventually
from stand_ins.vault.fixtures import ADDRESS, Vault, vault, vault_server
from stand_ins.vaulted import VaultWorkspace

__all__ = ["ExecWorkspace", "Running", "after", "execs", "vault", "vault_execs", "vault_server"]

MEMORY = "/dev/shm"
GUARDIAN = b"guardian.py"
STARTER = b"starter.py"


def after(first: str, command: list[str]) -> list[str]:
    """A command that runs in a process which has done `first`, Python.

    subprocess's preexec_fn would do it between a fork of a process with threads and the program's start.
    """
    if not first:
        return command
    program = f"import os, resource, signal, sys\n{first}\nos.execvp(sys.argv[1], sys.argv[1:])"
    return [sys.executable, "-c", program, *command]


class Executing(Workspace):
    """A workspace with `runtime` for the files of commands: in memory where there is any, as that is preferred."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        memory = MEMORY if os.access(MEMORY, os.W_OK | os.X_OK) else self.root
        self.runtime = Path(mkdtemp(prefix="confsync-test-", dir=memory))

    def close(self) -> None:
        """Kill what still runs; nothing is left in memory."""
        super().close()
        rmtree(self.runtime, ignore_errors=True)

    def environ(self, **more: str) -> dict[str, str]:
        """The variables of whoever calls: none of confsync's, nor of the clients of stores."""
        heads = ("CONFSYNC", "VAULT_", "ETCDCTL_", "LC_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(heads)}
        return {**kept, "HOME": str(self.root), "XDG_RUNTIME_DIR": str(self.runtime), **more}

    def run(
        self, *arguments: str, within: float = 60.0, first: str = "", **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """`confsync exec ARGUMENTS` to its end, in a process that has done `first`; nothing of it is left then."""
        env = self.environ(**more.pop("env", {}))
        done = subprocess.run(
            after(first, self.exec_command(*arguments)), cwd=self.root, env=env, capture_output=True, text=True,
            timeout=within, check=False, **more,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        assert self.left() == []
        return done

    def exec_command(self, *arguments: str) -> list[str]:
        """The command line."""
        return [sys.executable, "-X", "faulthandler", "-m", "confsync", *self.exec_words(*arguments)]

    def exec_words(self, *arguments: str) -> list[str]:
        """The arguments of the command."""
        places = ["--config", str(self.file), "--state-dir", str(self.state)]
        return [*places, "exec", *arguments]

    def start(self, *arguments: str, first: str = "", **more: Any) -> Running:
        """`confsync exec ARGUMENTS` in the background, in a process that has done `first`."""
        env = self.environ(**more.pop("env", {}))
        return Running(after(first, self.exec_command(*arguments)), cwd=self.root, env=env, **more)

    def left(self) -> list[str]:
        """What is in the place for the commands' files."""
        return sorted(os.listdir(self.runtime))

    def helpers(self) -> list[int]:
        """The guardians and starters at work for this workspace."""
        return [pid for pid in processes() if self._is_ours(pid)]

    def _is_ours(self, pid: int) -> bool:
        words = cmdline(pid)
        if not any(word.endswith((GUARDIAN, STARTER)) for word in words):
            return False
        if any(os.fsencode(self.runtime) in word for word in words):
            return True
        return os.fsencode(f"XDG_RUNTIME_DIR={self.runtime}") in environ(pid)

    def wait_clean(self, within: float = PATIENCE) -> None:
        """Wait until nothing is left of any exec: no files, no helper."""

        def check() -> bool:
            assert (self.left(), self.helpers()) == ([], [])
            return True

        eventually(check, within)


class ExecWorkspace(Executing):
    """One with two environments of one file source."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.values({"dev": {"db": {"host": "localhost"}}, "prod": {"db": {"host": "db.example.com"}}})
        self.config(syncs={})

    def config(
        self, *, syncs: Mapping[str, Any], sources: Mapping[str, Any] | None = None, **more: Any
    ) -> None:
        """Write the configuration; without `sources` there are `dev` and `prod` of `values.yaml`."""
        if sources is None:
            more = {"environments": {"dev": {"values": "dev"}, "prod": {"values": "prod"}}, **more}
        super().config(syncs=syncs, sources=sources, **more)


class VaultExecWorkspace(Executing, VaultWorkspace):
    """One with a Vault; its environment is `prod`."""


class Running:
    """A running `confsync exec`. As a context manager: killed at the end, if it still runs, with its command."""

    def __init__(self, command: list[str], **more: Any) -> None:
        self.process = subprocess.Popen(
            command, stdin=more.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, **more,
        )  # fmt: skip
        self._text = b""
        self._errors = b""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def line(self, within: float = PATIENCE) -> str:
        """The next line of the command's output."""
        assert self.process.stdout is not None
        deadline = monotonic() + within
        while b"\n" not in self._text:
            if not select.select([self.process.stdout], [], [], max(0, deadline - monotonic()))[0]:
                raise AssertionError(f"no line within {within:g} s; so far {self._text!r}")
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                raise AssertionError(f"it has ended; so far {self._text!r}; {self.errors()}")
            self._text += piece
        line, _, self._text = self._text.partition(b"\n")
        return line.decode()

    def signal(self, number: int) -> None:
        """Send the exec a signal."""
        self.process.send_signal(number)

    def end(self, within: float = PATIENCE) -> int:
        """Wait for its end; gives the exit status."""
        return self.process.wait(within)

    def wait_error(self, text: str, within: float = PATIENCE) -> None:
        """Wait until it has written `text` to stderr."""
        assert self.process.stderr is not None
        deadline = monotonic() + within
        while text.encode() not in self._errors:
            if not select.select([self.process.stderr], [], [], max(0, deadline - monotonic()))[0]:
                raise AssertionError(f"no {text!r} within {within:g} s; so far {self._errors.decode()}")
            piece = os.read(self.process.stderr.fileno(), 65536)
            if not piece:
                raise AssertionError(f"it has ended; so far {self._errors.decode()}")
            self._errors += piece

    def errors(self) -> str:
        """All it wrote to stderr, once it has ended."""
        assert self.process.stderr is not None
        if not self.process.stderr.closed:
            self._errors += self.process.stderr.read()
        return self._errors.decode()

    def children(self) -> list[int]:
        """Its child processes but for the guardian: the command."""
        found = [pid for pid in processes() if parent(pid) == self.pid]
        return [pid for pid in found if not any(word.endswith(GUARDIAN) for word in cmdline(pid))]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            for pid in [*self.children(), self.pid]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def processes() -> list[int]:
    """The id of every process."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def cmdline(pid: int) -> list[bytes]:
    """The words of a process's command line."""
    return _read(pid, "cmdline").split(b"\0")


def environ(pid: int) -> list[bytes]:
    """The variables a process was started with."""
    return _read(pid, "environ").split(b"\0")


def parent(pid: int) -> int:
    """The parent of a process, or 0."""
    fields = _read(pid, "stat").rpartition(b") ")[2].split()
    return int(fields[1]) if fields else 0


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    return state(pid) not in ("", "Z", "X")


def state(pid: int) -> str:
    """The state of a process, as ps(1) has it, or ""."""
    return _read(pid, "stat").rpartition(b") ")[2][:1].decode()


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


@pytest.fixture
def execs(tmp_path: Path) -> Iterator[ExecWorkspace]:
    """A workspace of its own."""
    workspace = ExecWorkspace(tmp_path)
    yield workspace
    workspace.close()


@pytest.fixture
def vault_execs(tmp_path: Path, vault: Vault, request: pytest.FixtureRequest) -> Iterator[VaultExecWorkspace]:
    """A workspace of its own, and a mount of its own; a Vault that is a stand-in is `server`."""
    server = None if os.environ.get(ADDRESS) else request.getfixturevalue("vault_server")
    workspace = VaultExecWorkspace(tmp_path, vault, server)
    yield workspace
    workspace.close()
