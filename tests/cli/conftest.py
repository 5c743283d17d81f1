"""A project in a scratch directory, and the real command run on it as a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from stand_ins.terminal import Printed, printed_to_terminal
from stand_ins.vaulted import vault as vault
from stand_ins.vaulted import vault_server as vault_server
from stand_ins.vaulted import vaulted as vaulted

from confsync.testing.prepared import prepared
from confsync.testing.waiting import eventually

CONFIG = """\
sources:
  values: {backend: file, path: values.yaml}
environments:
  dev: {values: dev}
  prod: {values: prod}
defaults: {environment: dev}
syncs:
  app:
    template: app.conf.j2
    to: app.conf
"""
TEMPLATE = """\
# the application
host = {{ values("db/host") }}
port = {{ values("db/port", default="5432") }}
"""
VALUES = {
    "dev": {"db": {"host": "localhost", "port": "5432"}, "name": "shop"},
    "prod": {"db": {"host": "db.example.com", "port": "5432"}, "extra": "yes"},
}


@dataclass(frozen=True)
class Result:
    """How one call of the command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Project:
    """A configuration with its templates and values, and a state directory beside it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.root = directory / "project"
        self.root.mkdir()
        self._started: list[subprocess.Popen[str]] = []

    def write(self, name: str, text: str | bytes) -> Path:
        """Replace a file by rename, as a careful editor does."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(path.name + ".staged")
        staged.write_bytes(text if isinstance(text, bytes) else text.encode())
        staged.rename(path)
        return path

    def config(self, text: str) -> None:
        self.write("confsync.yaml", text)

    def syncs(self, syncs: Mapping[str, Any], **more: Any) -> None:
        """The usual configuration with other syncs."""
        document = {**yaml.safe_load(CONFIG), "syncs": syncs, **more}
        self.config(yaml.safe_dump(document, sort_keys=False))

    def values(self, values: Any) -> None:
        self.write("values.yaml", yaml.safe_dump(values, allow_unicode=True))

    def read(self, name: str) -> str:
        return (self.root / name).read_text()

    def exists(self, name: str) -> bool:
        return (self.root / name).exists()

    def argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "confsync", *arguments]

    def environ(self, **more: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("CONFSYNC") and k != "NO_COLOR"}
        return {**kept, "HOME": str(self.directory), **more}

    def run(self, *arguments: str, env: Mapping[str, str] | None = None, state: bool = True) -> Result:
        """`confsync ARGUMENTS` in the project, to its end."""
        chosen = ["--state-dir", str(self.state)] if state else []
        environ = self.environ(**(env or {}))
        done = prepared().run([*chosen, *arguments], cwd=self.root, env=environ)
        assert "Traceback" not in done.stderr, done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    def shown(self, *arguments: str, columns: int = 120, errors_apart: bool = False, **env: str) -> Printed:
        """What `confsync ARGUMENTS` prints to a terminal."""
        printed = printed_to_terminal(
            self.argv("--state-dir", str(self.state), *arguments),
            cwd=self.root,
            env=self.environ(**env),
            columns=columns,
            errors_apart=errors_apart,
        )
        assert "Traceback" not in printed.terminal + printed.errors, printed
        return printed

    def ok(self, *arguments: str) -> Result:
        """`run`, which must succeed."""
        result = self.run(*arguments)
        assert result.status == 0, result
        return result

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """`confsync ARGUMENTS` in the background, its log in `daemon.log`; ended at the end of the test."""
        with open(self.directory / "daemon.log", "w") as log:
            process = subprocess.Popen(
                self.argv("--state-dir", str(self.state), *arguments),
                cwd=self.root,
                env=self.environ(),
                stdout=log,
                stderr=log,
                text=True,
            )
        self._started.append(process)
        return process

    def daemon(self) -> subprocess.Popen[str]:
        """`confsync run`, once it is at work."""
        process = self.start("run")
        eventually(lambda: "confsync is running" in self.log())
        return process

    def log(self) -> str:
        return (self.directory / "daemon.log").read_text()

    def tree(self) -> dict[str, tuple[int, str]]:
        """Everything there is, state included: path -> mode and digest of the content."""
        found = {}
        for path in sorted(self.directory.rglob("*")):
            status = path.lstat()
            content = (
                path.read_bytes()
                if path.is_file()
                else os.fsencode(os.readlink(path))
                if path.is_symlink()
                else b""
            )
            found[str(path.relative_to(self.directory))] = (
                status.st_mode,
                hashlib.sha256(content).hexdigest(),
            )
        return found

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait(10)


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Project]:
    """A project directory with nothing in it."""
    project = Project(tmp_path)
    yield project
    project.close()


@pytest.fixture
def project(bare: Project) -> Project:
    """One sync, one template, two environments in a file source."""
    bare.config(CONFIG)
    bare.write("templates/app.conf.j2", TEMPLATE)
    bare.values(VALUES)
    return bare
