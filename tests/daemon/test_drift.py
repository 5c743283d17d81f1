"""A target changed by someone else is put right at once, and said so."""

from __future__ import annotations

import mmap
import os
import shutil
import signal
import stat

import pytest

from confsync.testing.waiting import eventually, pause


@pytest.fixture
def running(workspace):
    """A daemon that keeps one file and one directory; nothing but drift can make it write."""
    workspace.values({"host": "db1", "cert": "CERT", "key": "KEY"})
    workspace.config(
        defaults={"interval": "1h"},
        syncs={
            "app": {
                "template": {"inline": "host={{ values('host') }}\n"},
                "to": {"file": {"path": "out/app.conf", "mode": "0640"}},
            },
            "tls": {
                "templates": {
                    "tls.crt": {"inline": "{{ values('cert') }}"},
                    "tls.key": {"inline": "{{ values('key') }}"},
                },
                "to": {"directory": "out/tls"},
            },
        },
    )
    daemon = workspace.daemon()
    workspace.wait_content("app.conf", "host=db1\n")
    workspace.wait_content("tls/tls.key", "KEY")
    for sync in ("app", "tls"):
        workspace.wait_state(sync, "ok")
        daemon.wait_log("target created", sync=sync)
    yield daemon
    if daemon.process.poll() is None:
        daemon.stop()


def append(path):
    with path.open("a") as file:
        file.write("debug = true\n")


def replace(path):
    other = path.with_name("other")
    other.write_text("host=evil\n")
    other.rename(path)


def truncate(path):
    os.truncate(path, 0)


@pytest.mark.parametrize("harm", [append, replace, truncate, os.unlink])
def test_a_changed_target_is_healed_at_once_and_reported(workspace, running, harm):
    harm(workspace.out / "app.conf")

    running.wait_log("target healed", sync="app", target="out/app.conf")
    workspace.wait_content("app.conf", "host=db1\n")
    assert "by someone else" in running.lines("target healed")[0].facts["why"]
    assert running.lines("target healed")[0].facts["level"] == "warning"


def test_a_changed_mode_is_healed_and_says_what_it_was(workspace, running):
    path = workspace.out / "app.conf"
    path.chmod(0o666)

    eventually(lambda: stat.S_IMODE(path.stat().st_mode) == 0o640)
    assert "0666" in running.wait_log("target ", sync="app", why="should be").facts["why"]


def test_drift_is_healed_every_time(workspace, running):
    for times in range(1, 11):
        append(workspace.out / "app.conf")
        running.wait_log("target healed", sync="app", times=times)
        workspace.wait_content("app.conf", "host=db1\n")


def test_a_deleted_file_of_a_directory_target_is_healed(workspace, running):
    (workspace.out / "tls/tls.key").unlink()

    running.wait_log("target healed", sync="tls")
    workspace.wait_content("tls/tls.key", "KEY")


def test_an_edited_file_of_a_directory_target_is_healed(workspace, running):
    append(workspace.out / "tls/tls.crt")

    running.wait_log("target healed", sync="tls")
    workspace.wait_content("tls/tls.crt", "CERT")


def test_a_deleted_directory_target_is_healed(workspace, running):
    pause(running.pid)  # or it puts a file back before the directory can be removed
    try:
        shutil.rmtree(workspace.out / "tls")
    finally:
        running.signal(signal.SIGCONT)

    running.wait_log("target healed", sync="tls")
    workspace.wait_content("tls/tls.crt", "CERT")
    workspace.wait_content("tls/tls.key", "KEY")

    # The directory it watched is gone; the new one is watched too.
    (workspace.out / "tls/tls.crt").unlink()
    running.wait_log("target healed", sync="tls", times=2)
    workspace.wait_content("tls/tls.crt", "CERT")


def test_reading_a_target_wakes_nobody(workspace, running):
    before = (workspace.out / "app.conf").stat()
    for _ in range(100):
        workspace.read("app.conf")
    append(workspace.out / "app.conf")
    running.wait_log("target healed", sync="app")

    assert len(running.lines("target ")) == 3
    assert before.st_ino != (workspace.out / "app.conf").stat().st_ino


def test_drift_while_the_daemon_was_away_is_healed_at_its_start(workspace, running):
    running.stop()
    append(workspace.out / "app.conf")

    with workspace.daemon() as daemon:
        daemon.wait_log("target healed", sync="app")
        workspace.wait_content("app.conf", "host=db1\n")


def test_what_is_noticed_late_is_watched_again(workspace, running):
    """A directory of targets is moved away and another put in its place: no event tells of that."""
    os.rename(workspace.out, workspace.root / "elsewhere")
    workspace.out.mkdir()
    running.signal(signal.SIGHUP)
    running.wait_log("target healed", sync="app")
    running.wait_log("target healed", sync="tls")
    workspace.wait_content("app.conf", "host=db1\n")
    workspace.wait_content("tls/tls.key", "KEY")

    append(workspace.out / "app.conf")

    running.wait_log("target healed", sync="app", times=2)
    workspace.wait_content("app.conf", "host=db1\n")


def test_what_no_watch_sees_is_found_by_the_resync(workspace, running):
    running.stop()
    workspace.replace(workspace.file, workspace.file.read_text().replace("1h", "300ms"))
    with workspace.daemon() as daemon:
        workspace.wait_state("app", "ok")
        descriptor = os.open(workspace.out / "app.conf", os.O_RDWR)
        try:
            # No event comes of a write through a mapping.
            with mmap.mmap(descriptor, 0) as mapping:
                mapping[0:4] = b"HOST"
        finally:
            os.close(descriptor)
        daemon.wait_log("target healed", sync="app")
        workspace.wait_content("app.conf", "host=db1\n")
