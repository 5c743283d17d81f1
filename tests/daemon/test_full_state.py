"""A state directory without room, or unlike what the daemon left: it goes on, and says so."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress

import pytest

from confsync.testing.waiting import eventually


def sync(text="{{ values('host') }}"):
    return {"a": {"template": {"inline": text}, "to": "out/a"}}


@pytest.fixture
def small_state(workspace):
    """The state directory on a file system of its own, of 600 kB; skipped where mounting is not allowed."""
    workspace.state.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(workspace.state)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed here")
    yield workspace.state
    workspace.close()
    subprocess.run(["umount", "-l", str(workspace.state)], check=True)


def said(workspace):
    """What the ledger says of a configuration that was not taken up."""
    ledger = workspace.ledger()
    try:
        return ledger.flag("config-error")
    finally:
        ledger.close()


def fill(path):
    filler = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        with suppress(OSError):
            while os.write(filler, b"x" * 1024):
                pass
    finally:
        os.close(filler)


@pytest.mark.root
def test_a_full_state_directory_ends_the_daemon_neither_at_a_signal_nor_at_its_end(workspace, small_state):
    workspace.values({"host": "db1"})
    workspace.config(syncs=sync())
    daemon = workspace.daemon()
    workspace.wait_content("a", "db1")
    workspace.wait_state("a", "ok")
    fill(small_state / "filler")

    workspace.replace(workspace.file, "syncs: [\n")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("the new configuration is invalid")
    daemon.wait_log("could not be noted")
    daemon.signal(signal.SIGUSR1)
    daemon.wait_log("status ends")
    workspace.config(syncs=sync("host={{ values('host') }}"))
    daemon.wait_log("configuration reloaded")

    (small_state / "filler").unlink()
    workspace.wait_content("a", "host=db1")
    fill(small_state / "filler")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait_exit() == 0


def test_a_killed_daemons_staging_files_are_gone_once_the_next_one_runs(workspace):
    workspace.values({"host": "db1"})
    workspace.config(syncs=sync())
    first = workspace.daemon()
    workspace.wait_state("a", "ok")
    first.kill()
    leftover = workspace.out / ".a.confsync-0123456789ab"
    leftover.write_text("half a secret")

    with workspace.daemon():
        assert not leftover.exists()


def test_what_was_said_of_a_configuration_is_forgotten_when_a_daemon_starts_with_another(workspace):
    workspace.values({"host": "db1"})
    workspace.config(syncs=sync())
    with workspace.daemon() as daemon:
        workspace.wait_state("a", "ok")
        workspace.replace(workspace.file, "syncs: [\n")
        daemon.wait_log("the new configuration is invalid")
        eventually(lambda: said(workspace))
    workspace.config(syncs=sync())

    with workspace.daemon():
        assert said(workspace) is None
