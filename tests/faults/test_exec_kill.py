"""exec is killed, or asked to end, at any moment: nothing of it is left, no file and no process."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import time
from contextlib import closing

import pytest
from stand_ins.executed import execs as execs
from stand_ins.executed import is_alive
from stand_ins.moments import wait_in

from confsync.testing.prepared import prepared
from confsync.testing.waiting import eventually

KILLS = 30
ASKING = [signal.SIGINT, signal.SIGTERM]
SETTLED = 0.05  # seconds after the command was seen to run, within which moments are still of interest


@pytest.fixture
def with_files(execs):
    execs.config(
        syncs={
            "app": {"template": {"inline": "{{ values('db/host') }}"}, "to": "app"},
            "map": {"data": {"HOST": "values:db/host"}, "to": ["map.env", {"directory": "map"}]},
        }
    )
    return execs


SLEEPS = "echo $$ > pid; exec sleep 60"


def arguments(script=SLEEPS, patience="20s"):
    return ["dev", "--kill-after", patience, "--sync", "app", "--sync", "map", "--", "sh", "-c", script]


def begun(execs, *said):
    return execs.start(*arguments(*said))


class Forked:
    """Begins execs, one at a time, in forks of a process that has imported everything: then most moments of an exec's
    life are at work. Not in forks of our own: their threads would take signals that an exec waits for."""

    def __init__(self, execs):
        self._execs = execs
        self._words = execs.exec_words(*arguments())
        self._begun = None

    def begin(self):
        """Begin one; gives its process id."""
        (self._execs.root / "pid").unlink(missing_ok=True)
        with open(os.devnull, "w") as null:
            self._begun = prepared().begin(
                self._words, cwd=self._execs.root, env=self._execs.environ(),
                stdout=null.fileno(), stderr=null.fileno(),
            )  # fmt: skip
        return self._begun.pid

    def ended(self):
        """Wait for its end; gives its exit status."""
        with closing(self._begun) as begun:
            self._begun = None
            return begun.wait()

    def close(self):
        """Kill one that still runs."""
        if self._begun is not None:
            self._begun.close()


@pytest.fixture
def forked(with_files):
    forked = Forked(with_files)
    yield forked
    forked.close()


def _await_moment(execs, pid, seed, longest):
    """Wait for a moment of its life; one is when the command runs, however slow the machine has become since."""
    if seed == 0:
        eventually(lambda: command(execs))
    else:
        wait_in(pid, random.Random(seed).uniform(0, longest))


def lifetime(execs, forked):
    """Seconds an exec takes until its command runs, where nothing holds it up."""
    return min(_lifetime(execs, forked) for _ in range(3))


def _lifetime(execs, forked):
    began = time.perf_counter()
    pid = forked.begin()
    eventually(lambda: command(execs))
    took = time.perf_counter() - began
    os.kill(pid, signal.SIGTERM)
    forked.ended()
    gone(execs)
    return took


def command(execs):
    """The process id of the command, if it ran."""
    try:
        return int((execs.root / "pid").read_text())
    except (FileNotFoundError, ValueError):
        return None


def gone(execs):
    execs.wait_clean()
    pid = command(execs)
    eventually(lambda: pid is None or not is_alive(pid))
    return pid is not None


@pytest.mark.timeout(200)
def test_killed_at_any_moment_it_leaves_no_file_and_no_command(with_files, forked):
    longest = lifetime(with_files, forked) + SETTLED
    ran = 0
    for seed in range(KILLS):
        pid = forked.begin()
        _await_moment(with_files, pid, seed, longest)
        os.kill(pid, signal.SIGKILL)
        forked.ended()
        ran += gone(with_files)

    assert 0 < ran < KILLS, "the moments were not of its whole life"


@pytest.mark.timeout(200)
@pytest.mark.parametrize("number", ASKING)
def test_asked_to_end_at_any_moment_it_leaves_nothing_and_says_how_it_ended(with_files, forked, number):
    longest = lifetime(with_files, forked) + SETTLED
    ran = 0
    for seed in range(KILLS // 2):
        pid = forked.begin()
        _await_moment(with_files, pid, seed, longest)
        os.kill(pid, number)

        assert forked.ended() in (128 + number, -number)
        ran += gone(with_files)
    assert 0 < ran < KILLS // 2, "the moments were not of its whole life"


def test_killed_with_a_command_that_ignores_sigterm_the_guardian_kills_it_and_then_removes_its_files(
    with_files,
):
    script = "trap '' TERM; echo $$ > pid; while test -e \"$CONFSYNC_FILES/app/app\"; do sleep 0.02; done; echo > lost"
    with begun(with_files, script, "500ms") as running:
        eventually(lambda: command(with_files))
        running.signal(signal.SIGKILL)
        running.end()

        assert gone(with_files)
    assert not (with_files.root / "lost").exists(), "its files went before it did"


TIDIES = (
    "trap 'until test -e go; do sleep 0.02; done; cat \"$CONFSYNC_FILES/app/app\" > tidied; exit' TERM;"
    "echo $$ > pid; while :; do sleep 0.02; done"
)
"""Told to end, it waits for a file, and then needs its own."""


def test_a_command_whose_exec_is_killed_is_told_to_end_and_may_tidy_up(with_files):
    with begun(with_files, TIDIES, "10m") as running:
        eventually(lambda: command(with_files))
        running.signal(signal.SIGKILL)
        running.end()
        with with_files.start("dev", "--", "true") as other:  # which sweeps
            assert other.end() == 0
        (with_files.root / "go").write_text("")

        assert gone(with_files)
    assert (with_files.root / "tidied").read_text() == "localhost"


def test_a_stopped_command_whose_exec_is_killed_is_woken_to_end(with_files):
    (with_files.root / "go").write_text("")
    with begun(with_files, TIDIES, "10m") as running:
        eventually(lambda: command(with_files))
        os.kill(command(with_files), signal.SIGSTOP)
        running.signal(signal.SIGKILL)
        running.end()

        assert gone(with_files)
    assert (with_files.root / "tidied").read_text() == "localhost"


def test_killed_with_its_guardian_its_files_are_removed_by_the_next_exec_and_its_command_ends(with_files):
    with begun(with_files) as running:
        eventually(lambda: command(with_files))
        pid = command(with_files)
        [guardian] = with_files.helpers()
        os.kill(guardian, signal.SIGKILL)
        running.signal(signal.SIGKILL)
        running.end()
        eventually(lambda: not is_alive(pid))
        assert with_files.left()

    assert with_files.run("dev", "--", "true").returncode == 0
    assert with_files.left() == []


def test_the_files_of_an_exec_that_runs_are_left_alone_by_others(with_files):
    with begun(with_files) as running:
        eventually(lambda: command(with_files))
        [guardian] = with_files.helpers()
        os.kill(guardian, signal.SIGKILL)
        before = with_files.left()

        with with_files.start("dev", "--sync", "app", "--", "true") as other:
            assert other.end() == 0
        assert with_files.left() == before
        running.signal(signal.SIGTERM)
        assert running.end() == 128 + signal.SIGTERM
        assert with_files.left() == []


def crashed(*words, **more):
    """Crash a program that says it is ready, where crashes leave a core; whether it has left one."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **more) as process:
        process.stdout.readline()
        resource.prlimit(process.pid, resource.RLIMIT_CORE, (most, most))
        process.send_signal(signal.SIGSEGV)
        _, status = os.waitpid(process.pid, 0)
        process.returncode = -os.WTERMSIG(status)
    return os.WCOREDUMP(status)


def test_a_crash_leaves_no_core_with_all_the_values_in_it(with_files, tmp_path):
    command = ["sh", "-c", "echo ready; exec sleep 60"]
    if not crashed(*command, cwd=tmp_path):
        pytest.skip("here no crash leaves a core")

    of_exec = crashed(
        *with_files.exec_command("dev", "--", *command), cwd=with_files.root, env=with_files.environ()
    )

    assert not of_exec
    with_files.wait_clean()


def test_a_command_that_is_killed_leaves_nothing(with_files):
    with begun(with_files) as running:
        eventually(lambda: command(with_files))
        os.kill(command(with_files), signal.SIGKILL)

        assert running.end() == 128 + signal.SIGKILL
        assert with_files.left() == []
        assert gone(with_files)


def test_a_guardian_that_somebody_wants_to_end_stays(with_files):
    with begun(with_files) as running:
        eventually(lambda: command(with_files))
        [guardian] = with_files.helpers()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            os.kill(guardian, number)
        running.signal(signal.SIGKILL)
        running.end()

        assert gone(with_files)
