"""A real `confsync run` for tests: its own directory, its own process, its log line by line.

    workspace = Workspace(tmp_path)
    workspace.values({"db": {"host": "db1"}})
    workspace.config(syncs={"app": {"template": {"inline": "{{ values('db/host') }}"}, "to": "out/app.conf"}})
    with workspace.daemon() as daemon:
        daemon.wait_log("target created", sync="app")

Every wait has a deadline. A daemon that does not end by itself is killed by its pid.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from confsync.clock import SystemClock
from confsync.ledger.ledger import Ledger, read_ledger
from confsync.ledger.records import State, SyncRecord
from confsync.testing.prepared import prepared
from confsync.testing.waiting import eventually

PATIENCE = 60.0
"""Seconds a test waits for what takes milliseconds where nothing is busy; longer than the longest back-off."""


class Workspace:
    """A directory with a configuration, templates, values, a state directory, and `out` for targets."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.file = root / "confsync.yaml"
        self.templates = root / "templates"
        self.state = root / "state"
        self.out = root / "out"
        for directory in (self.templates, self.out):
            directory.mkdir(parents=True, exist_ok=True)
        self._daemons: list[DaemonProcess] = []

    def config(
        self, *, syncs: Mapping[str, Any], sources: Mapping[str, Any] | None = None, **more: Any
    ) -> None:
        """Write the configuration; without `sources` there is one, `values`, a file source."""
        sources = sources or {"values": {"backend": "file", "path": "values.yaml", "sensitive": False}}
        self.replace(self.file, yaml.safe_dump({"sources": sources, "syncs": syncs, **more}))

    def values(self, tree: Mapping[str, Any]) -> None:
        """Write `values.yaml`, as an editor does."""
        self.replace(self.root / "values.yaml", yaml.safe_dump(tree, allow_unicode=True))

    def template(self, name: str, text: str) -> None:
        """Write a template."""
        path = self.templates / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self.replace(path, text)

    def script(self, name: str, body: str) -> str:
        """Write an executable shell script; gives its path."""
        path = self.root / name
        path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    @staticmethod
    def replace(path: Path, text: str) -> None:
        """Write a file and rename it into place."""
        staged = path.with_name(f".{path.name}.staged")
        staged.write_text(text, encoding="utf-8")
        staged.rename(path)

    def read(self, name: str) -> str | None:
        """What the target `out/NAME` holds, or None when it is not there."""
        try:
            return (self.out / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def wait_content(self, name: str, content: str, within: float = PATIENCE) -> None:
        """Wait until `out/NAME` holds exactly `content`."""

        def check() -> bool:
            assert self.read(name) == content
            return True

        eventually(check, within)

    # The ledger

    def ledger(self) -> Ledger:
        """The ledger, for reading; the caller closes it."""
        return read_ledger(self.state, SystemClock())

    def syncs(self) -> dict[str, SyncRecord]:
        """How each sync stands, by the ledger."""
        ledger = self.ledger()
        try:
            return dict(ledger.syncs())
        finally:
            ledger.close()

    def wait_state(self, sync: str, state: str, within: float = PATIENCE, detail: str = "") -> SyncRecord:
        """Wait until a sync stands so, and its detail contains `detail`; gives its record."""

        def check() -> SyncRecord:
            record = self.syncs().get(sync, SyncRecord(sync))
            assert (record.state, detail in record.detail) == (State(state), True), record
            return record

        return eventually(check, within)

    # Processes

    def command(self, *arguments: str) -> list[str]:
        """The command line of `confsync ARGUMENTS` in this workspace."""
        return [sys.executable, "-X", "faulthandler", "-m", "confsync", *self._words(arguments)]

    def _words(self, arguments: Sequence[str]) -> list[str]:
        return [*arguments, "--config", str(self.file), "--state-dir", str(self.state)]

    def confsync(self, *arguments: str, within: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return prepared().run(self._words(arguments), cwd=self.root, env=os.environ, within=within)

    def daemon(self, *arguments: str, start: bool = True) -> DaemonProcess:
        """Start a daemon (and wait until it says that it runs); `close` kills it."""
        daemon = DaemonProcess(self.command("run", "--log-format", "json", *arguments), self.root)
        self._daemons.append(daemon)
        if start:
            daemon.wait_log("confsync is running")
        return daemon

    def close(self) -> None:
        """Kill every daemon that still runs."""
        for daemon in self._daemons:
            daemon.kill()


@dataclass
class Line:
    """One line of the log."""

    message: str
    facts: dict[str, Any] = field(default_factory=dict)


class DaemonProcess:
    """A running `confsync run`. As a context manager: at the end SIGTERM, and it must exit with 0."""

    def __init__(self, command: Sequence[str], directory: Path) -> None:
        self.process = subprocess.Popen(
            command, cwd=directory, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL, text=True, errors="replace",
        )  # fmt: skip
        self._lines: list[Line] = []
        self._changed = threading.Lock()
        self._reader = threading.Thread(target=self._read, name="daemon-log", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            for text in stream:
                line = _parse(text)
                with self._changed:
                    self._lines.append(line)

    def log(self) -> str:
        """Everything it said, for a failure's message or to look for what must not be there."""
        with self._changed:
            return "\n".join(f"{line.message} {line.facts}" for line in self._lines)

    def lines(self, message: str = "", **facts: Any) -> list[Line]:
        """The lines so far whose message contains `message` and whose facts contain these."""
        with self._changed:
            return [
                line
                for line in self._lines
                if message in line.message
                and all(str(v) in str(line.facts.get(k, "")) for k, v in facts.items())
            ]

    def wait_log(self, message: str, *, times: int = 1, within: float = PATIENCE, **facts: Any) -> Line:
        """Wait for a line (the `times`-th of its kind), and give it back."""

        def check() -> Line:
            found = self.lines(message, **facts)
            if len(found) < times:
                ended = self.process.poll()
                state = "still runs" if ended is None else f"exited with {ended}"
                raise AssertionError(
                    f"no {message!r} {facts} in the log of the daemon, which {state}:\n{self.log()}"
                )
            return found[times - 1]

        return eventually(check, within)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait_exit(self, within: float = PATIENCE) -> int:
        """Wait for its end; gives the exit status, with the whole log read."""
        try:
            status = self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGABRT)  # faulthandler writes where every thread is
            self.process.wait(30)
            self._reader.join(30)
            raise AssertionError(f"the daemon did not end within {within:g} s:\n{self.log()}") from None
        self._reader.join(30)
        return status

    def stop(self, within: float = PATIENCE) -> None:
        """SIGTERM; it must end in order, in time, without having met a bug."""
        self.signal(signal.SIGTERM)
        status = self.wait_exit(within)
        if status != 0:
            raise AssertionError(f"the daemon exited with {status}:\n{self.log()}")
        if bugs := self.lines("a bug: please report it"):
            raise AssertionError("\n".join(str(line.facts.get("trace")) for line in bugs))

    def kill(self) -> None:
        """Make sure that it is gone. Idempotent."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.wait_exit()

    def cpu_seconds(self) -> float:
        """Processor time it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if error is None:
            self.stop()
        else:
            self.kill()
            error.add_note(f"the daemon's log:\n{self.log()}")


def _parse(text: str) -> Line:
    try:
        facts = json.loads(text)
        return Line(str(facts.pop("message")), facts)
    except (ValueError, KeyError, AttributeError):
        return Line(text.rstrip("\n"))
