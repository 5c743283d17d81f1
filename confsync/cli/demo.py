"""`confsync demo`: the main job in a minute, with the file source, by running the real commands."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Event
from time import monotonic

import click

from confsync.cli.options import given, global_options
from confsync.errors import ConfsyncError

_PATIENCE = 60.0


@click.command(short_help="Watch confsync work, in a scratch directory, without any server.")
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Work in DIR and leave it there.",
)
@global_options
@click.pass_context
def demo(context: click.Context, keep: Path | None) -> int:
    """Watch confsync work, in a scratch directory, without any server.

    Values change and the file follows; a hand edit is healed; plan, explain and diff show what and why. Every command
    is run for real, and shown.
    """
    given(context)
    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise ConfsyncError(f"{keep} is not empty", hint="name a directory that does not exist yet")
    directory = keep or Path(tempfile.mkdtemp(prefix="confsync-demo-"))
    try:
        _Demo(directory).play()
    finally:
        if keep is None:
            shutil.rmtree(directory, ignore_errors=True)
    return 0


class _Demo:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._environment = {**os.environ, "XDG_STATE_HOME": str(directory / ".state"), "CONFSYNC_CONFIG": ""}
        self._target = directory / "app.conf"
        self._values = directory / "values.yaml"

    def play(self) -> None:
        self._say("1. A configuration, a template and some values")
        self._run("init", ".")
        self._show(self._values)
        self._show(self._directory / "templates/app.conf.j2")

        self._say("2. What would happen? Exit status 2: there are changes")
        self._run("plan")
        self._say("3. Make it so")
        self._run("apply")
        self._show(self._target)

        self._say("4. Now the daemon: change a value, and the file follows")
        with subprocess.Popen(
            self._command("run", "--log-level", "info"), cwd=self._directory, env=self._environment
        ) as daemon:
            try:
                self._watched()
            finally:
                daemon.send_signal(signal.SIGTERM)
        self._say("5. While no daemon runs, a value changes: plan says what, and because of which key")
        self._edit(self._values, "127.0.0.1:9001", "127.0.0.1:9999")
        self._run("plan")
        self._run("apply")
        self._say("6. Where does this file come from? Where does this key go?")
        self._run("explain", "app.conf")
        self._run("explain", "values:db/host")
        self._say("7. How do two environments differ?")
        self._run("diff", "dev", "prod")
        self._run("status")
        click.echo("\nYours: confsync init, then edit confsync.yaml. The manual: docs/quickstart.md")

    def _watched(self) -> None:
        self._until(self._status_is_ok, "the daemon to settle")
        self._edit(self._values, "host: localhost", "host: db.internal")
        self._until(lambda: "database = db.internal" in self._target.read_text(), "the file to follow")
        self._show(self._target)
        self._say("   Somebody edits the file by hand: it is put right, and reported")
        wanted = self._target.read_text()
        with self._target.open("a") as file:
            file.write("debug = true   # just for a minute\n")
        self._until(lambda: self._target.read_text() == wanted, "the edit to be healed")
        click.echo(f"{self._target.name} is as it should be again")

    def _status_is_ok(self) -> bool:
        # The daemon holds its lock before it watches; what it logs of its start comes after the first resync.
        asked = subprocess.run(
            self._command("status"),
            cwd=self._directory,
            env=self._environment,
            capture_output=True,
            check=False,
        )
        return asked.returncode == 0 and b"process" in asked.stderr

    def _command(self, *arguments: str) -> list[str]:
        return [
            sys.executable,
            "-m",
            "confsync",
            *arguments,
            "--config",
            "confsync.yaml",
            "--state-dir",
            str(self._directory / ".state"),
        ]

    def _run(self, *arguments: str) -> None:
        click.echo(click.style(f"$ confsync {' '.join(arguments)}", bold=True))
        self._directory.mkdir(parents=True, exist_ok=True)
        subprocess.run(self._command(*arguments), cwd=self._directory, env=self._environment, check=False)

    @staticmethod
    def _say(text: str) -> None:
        click.echo("\n" + click.style(text, fg="cyan", bold=True))

    @staticmethod
    def _show(path: Path) -> None:
        click.echo(click.style(f"$ cat {path.name}", bold=True))
        click.echo(path.read_text().rstrip())

    @staticmethod
    def _edit(path: Path, old: str, new: str) -> None:
        click.echo(click.style(f"$ sed -i 's/{old}/{new}/' {path.name}", bold=True))
        path.write_text(path.read_text().replace(old, new))

    @staticmethod
    def _until(condition: Callable[[], bool], what: str) -> None:
        deadline = monotonic() + _PATIENCE
        glance = Event()
        while not condition():
            if monotonic() > deadline:
                raise ConfsyncError(f"waited {_PATIENCE:.0f}s in vain for {what}")
            glance.wait(0.02)
