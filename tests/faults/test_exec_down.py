"""A store that is down, hangs or comes back while the command of an exec runs; and what cannot be written."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys

import pytest
from stand_ins.executed import execs as execs
from stand_ins.executed import is_alive

from confsync.testing.daemon import PATIENCE
from confsync.testing.etcd import EtcdCluster
from confsync.testing.waiting import eventually

SAYS = 'trap "exit 0" TERM; echo "$DB_HOST $$"; while :; do sleep 0.02; done'


@pytest.fixture
def own_etcd():
    """A node that a test may stop."""
    with EtcdCluster() as cluster:
        yield cluster


@pytest.fixture
def stored(execs, own_etcd):
    own_etcd.put("/dev/db/host", "one")
    execs.config(
        sources={"store": {"backend": "etcd", "endpoints": own_etcd.endpoints, "timeout": "5s"}},
        environments={"dev": {"store": "/dev"}},
        defaults={"interval": "200ms"},
        syncs={"app": {"template": {"inline": "{{ store('db/host') }}"}, "to": "app"}},
    )
    return execs


def said(running):
    value, _, pid = running.line().partition(" ")
    return value, int(pid)


def test_etcd_that_goes_and_comes_back_does_not_disturb_the_command_of_an_exec(stored, own_etcd):
    with stored.start("dev", "--watch", "--", "sh", "-c", SAYS) as running:
        _, first = said(running)
        own_etcd.members[0].kill()
        running.wait_error("the command goes on with what it has")
        assert running.children() == [first]

        own_etcd.members[0].restart()
        running.wait_error("what the command gets can be made again", within=2 * PATIENCE)
        assert running.children() == [first]
        own_etcd.put("/dev/db/host", "two")

        assert said(running)[0] == "two"


def test_etcd_that_hangs_holds_up_neither_signals_nor_the_end_of_an_exec(stored, own_etcd):
    with stored.start("dev", "--watch", "--", "sh", "-c", SAYS) as running:
        said(running)
        own_etcd.members[0].pause()
        try:
            running.wait_error("the command goes on with what it has")
            running.signal(signal.SIGTERM)
            assert running.end() == 0
        finally:
            own_etcd.members[0].resume()


def test_etcd_that_is_down_at_the_start_keeps_the_command_of_an_exec_from_being_started(stored, own_etcd):
    own_etcd.members[0].stop()

    done = stored.run("dev", "--watch", "--sync", "app", "--", "touch", "ran")

    assert done.returncode == 1
    assert "127.0.0.1" in done.stderr
    assert not (stored.root / "ran").exists()


def small_files(size):
    """How to start a process that can write no larger files: as on a full disk, some bytes are written."""
    limit = f"{size}, resource.getrlimit(resource.RLIMIT_FSIZE)[1]"
    # Else Python would keep half of some bytecode, and find it the next time.
    return {
        "first": f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}))",
        "env": {"PYTHONDONTWRITEBYTECODE": "1"},
    }


def test_files_that_cannot_be_written_keep_the_command_of_an_exec_from_being_started(execs):
    execs.config(syncs={"app": {"template": {"inline": "more than a byte"}, "to": "app"}})

    done = execs.run("dev", "--sync", "app", "--", "touch", "ran", **small_files(1))

    assert done.returncode == 1
    assert f"the command's files cannot be written in {execs.runtime}: File too large" in done.stderr
    assert not (execs.root / "ran").exists()


def test_new_files_that_cannot_be_written_leave_the_command_of_an_exec_with_the_old_ones(execs):
    execs.config(syncs={"app": {"template": {"inline": "{{ values('db/host') }}"}, "to": "app"}})
    script = "echo ready; read line; cat {files}/app/app"
    with execs.start(
        "dev", "--watch", "--sync", "app", "--", "sh", "-c", script, stdin=-1, **small_files(100)
    ) as running:
        assert running.line() == "ready"
        execs.values({"dev": {"db": {"host": "x" * 200}}})
        running.wait_error("File too large")
        running.process.stdin.close()

        assert running.end() == 0
        assert running.process.stdout.read() == b"localhost"


THREADLESS = (
    "from confsync.environments.execution.following import Follower\n"
    'def start(*_): raise RuntimeError("can\'t start new thread")\n'
    "Follower.start = start\n"
    "from confsync.__main__ import main; main()\n"
)
"""confsync, where no thread can be started any more once the command runs."""


def test_an_exec_that_cannot_follow_its_sources_ends_with_a_line_and_its_command_with_it(execs):
    script = "trap '' TERM; echo $$ >pid; exec sleep 60"
    words = execs.exec_command("dev", "--watch", "--kill-after", "300ms", "--", "sh", "-c", script)
    done = subprocess.run(
        [sys.executable, "-c", THREADLESS, *words[words.index("confsync") + 1 :]],
        cwd=execs.root, env=execs.environ(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    pid = execs.root / "pid"

    assert done.returncode == 1
    assert done.stderr.startswith("confsync: no thread can be started: ")
    # It may have been killed before it could write that.
    assert not (pid.exists() and pid.read_text()) or not is_alive(int(pid.read_text()))


def test_an_exec_works_without_proc(execs):
    execs.config(syncs={"app": {"template": {"inline": "x"}, "to": "app"}})
    without = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"]
    if subprocess.run([*without, "true"], capture_output=True).returncode != 0:
        pytest.skip("no /proc can be taken away")
    reading, writing = os.pipe()
    with open(reading, "rb") as pipe:
        script = f"cat {{files}}/app/app >&{writing}"
        words = [*without, *execs.exec_command("dev", "--sync", "app", "--", "bash", "-c", script)]
        done = subprocess.run(
            words, cwd=execs.root, env=execs.environ(), pass_fds=(writing,), capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        os.close(writing)

        assert (done.returncode, done.stderr, pipe.read()) == (0, "", b"x")
    assert execs.left() == []


@pytest.fixture
def watched(execs):
    """One sync of a key that is in a variable too."""
    execs.config(syncs={"app": {"template": {"inline": "{{ values('db/host') }}"}, "to": "app"}})
    return execs


def test_new_files_are_tried_again_until_they_can_be_written(watched):
    with watched.start(
        "dev", "--watch", "--sync", "app", "--", "sh", "-c", SAYS, **small_files(100)
    ) as running:
        assert said(running)[0] == "localhost"
        watched.values({"dev": {"db": {"host": "x" * 200}}})
        running.wait_error("File too large")
        most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.prlimit(running.pid, resource.RLIMIT_FSIZE, most)

        assert said(running)[0] == "x" * 200


IN_THE_WAY = "rm {files}/..data; mkdir {files}/..data;"
"""The command is in the way of its own files."""


def test_files_that_cannot_be_switched_leave_the_command_alone_until_they_can(watched):
    loop = "echo ready; while :; do sleep 0.02; done"
    script = f"{IN_THE_WAY} trap 'cat {{files}}/app/app; echo' HUP; trap 'exit 0' TERM; {loop}"
    options = ["--watch", "--on-change", "HUP", "--sync", "app"]
    with watched.start("dev", *options, "--", "sh", "-c", script) as running:
        assert running.line() == "ready"
        watched.values({"dev": {"db": {"host": "two"}}})
        running.wait_error("the command goes on with the old ones")
        [place] = watched.runtime.glob("confsync-exec-*/..data")
        place.rmdir()

        assert running.line() == "two"


def test_a_restart_whose_files_cannot_be_switched_is_one_with_the_old_values(watched):
    with watched.start(
        "dev", "--watch", "--sync", "app", "--", "sh", "-c", f"{IN_THE_WAY} {SAYS}"
    ) as running:
        _, first = said(running)
        watched.values({"dev": {"db": {"host": "two"}}})

        value, second = said(running)
        assert (value, second == first) == ("localhost", False)
        running.wait_error("the command is started with the old values")


def test_a_place_that_vanishes_under_an_exec_does_not_keep_it_from_ending(execs):
    execs.config(syncs={"app": {"template": {"inline": "x"}, "to": "app"}})
    script = "echo ready; read line"
    with execs.start("dev", "--sync", "app", "--", "sh", "-c", script, stdin=-1) as running:
        assert running.line() == "ready"
        moved = execs.runtime.rename(execs.runtime.with_name(f"{execs.runtime.name}-moved"))
        running.process.stdin.close()

        assert running.end() in (0, 1)
    os.rename(moved, execs.runtime)
    eventually(lambda: not execs.helpers())
