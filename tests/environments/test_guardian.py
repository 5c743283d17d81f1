"""The process that cleans up after an exec that could not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest

from confsync.environments.execution import guardian, starter
from confsync.environments.execution.child import Guardian
from confsync.environments.execution.guardian import Running
from confsync.testing.daemon import PATIENCE
from confsync.testing.waiting import eventually

LIGHT = {
    "ctypes",
    "enum",
    "fcntl",
    "functools",
    "marshal",
    "os",
    "re",
    "select",
    "signal",
    "stat",
    "struct",
    "sys",
}


@pytest.fixture(autouse=True)
def _with_patience(monkeypatch):
    """One that takes its time, as it may where it has nothing to do any more, is killed: not in these tests."""
    monkeypatch.setattr("confsync.environments.execution.child._DISMISSED", PATIENCE)


@pytest.fixture
def command():
    """Starts commands that do not outlive the test."""
    started = []

    def start(script="exec sleep 60"):
        started.append(subprocess.Popen(["sh", "-c", f"echo; {script}"], stdout=subprocess.PIPE))
        started[-1].stdout.readline()
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.wait()
        one.stdout.close()


@pytest.mark.parametrize("program", [guardian, starter])
def test_it_imports_next_to_nothing(program):
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-X", "importtime", program.__file__, "", "0", "0"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    imported = {
        line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import")
    }

    assert {name for name in imported if name.startswith("confsync")} == set()
    assert not imported & {
        "typing",
        "subprocess",
        "shutil",
        "logging",
        "asyncio",
        "inspect",
        "threading",
        "socket",
    }


def test_it_removes_the_directory_when_the_pipe_ends(tmp_path):
    directory = tmp_path / "files"
    (directory / "deep").mkdir(parents=True)
    (directory / "deep/file").write_text("secret")
    guard = Guardian(str(directory), 0.0)
    assert directory.exists()

    guard.dismiss()

    assert not directory.exists()


def test_it_ends_a_command_that_outlives_its_exec_and_only_then_removes_the_directory(tmp_path, command):
    directory = tmp_path / "files"
    directory.mkdir()
    needs = f"test -e '{directory}' || echo without its files >'{tmp_path}/wrong'"
    running = command(f"trap '' TERM; while :; do {needs}; sleep 0.02; done")
    guard = Guardian(str(directory), 0.3)
    guard.look_after(running.pid)
    began = monotonic()

    guard.dismiss()

    assert running.wait(PATIENCE) == -signal.SIGKILL
    assert monotonic() - began >= 0.3
    assert not directory.exists()
    assert not (tmp_path / "wrong").exists()


def test_a_command_that_has_its_end_is_waited_for_no_longer(tmp_path, command):
    running = command("exit 0")
    guard = Guardian(None, 10 * PATIENCE)
    guard.look_after(running.pid)
    running.wait()

    guard.dismiss()

    assert guard._process.returncode == 0, "it was not killed because it waited"


def test_only_the_last_command_is_its_business(command):
    first, second = command(), command()
    guard = Guardian(None, 0.0)
    guard.look_after(first.pid)
    guard.look_after(second.pid)

    guard.dismiss()

    assert second.wait(PATIENCE) == -signal.SIGKILL
    assert first.poll() is None


def test_another_process_with_the_same_number_is_left_alone(command):
    running = command()
    earlier = Running(running.pid)
    earlier._started = "1"  # that one began when the machine did

    earlier.signal(signal.SIGKILL)

    assert not earlier.is_alive()
    assert Running(running.pid).is_alive()
    assert running.poll() is None


def test_it_has_none_of_our_variables_and_a_session_of_its_own(monkeypatch):
    monkeypatch.setenv("VAULT_TOKEN", "secret")
    guard = Guardian(None, 0.0)
    try:
        eventually(lambda: Path(f"/proc/{guard.pid}/cmdline").read_bytes())
        variables = Path(f"/proc/{guard.pid}/environ").read_bytes().split(b"\0")

        assert os.getsid(guard.pid) == guard.pid
        assert {one.partition(b"=")[0] for one in variables} <= {b"", b"LD_LIBRARY_PATH"}
    finally:
        guard.dismiss()
