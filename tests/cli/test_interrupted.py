"""Ctrl-C at any moment: every command ends with 130 and says so in one line, whatever it was importing or doing."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

SCRIPT = """\
import os, signal, sys
moment, seen = int(sys.argv.pop(1)), 0

def look(event, _):
    global seen
    seen += 1
    if seen == moment:
        os.kill(os.getpid(), signal.SIGINT)

from confsync.__main__ import main
sys.addaudithook(look)
try:
    main()
finally:
    if seen < moment or not moment:
        print("moments", seen, file=sys.stderr)
"""
"""Python tells of every import, open, connect and their like: of those, at the so-manieth comes Ctrl-C; 0: never."""

COMMANDS = (
    "--help", "plan", "status", "get db/host", "diff dev prod", "env dev --out {at}.sh", "check --online", "init {at}",
    "completion bash",
)  # fmt: skip
LINE = "confsync: interrupted\n"
MOMENTS = 2


def run(project, moment, command):
    """The status and what is on stderr."""
    words = ["--state-dir", str(project.state), *command.format(at=moment).split()]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(moment), *words],
        cwd=project.root,
        env=project.environ(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stderr


def interrupted(project, command):
    """How the command ended, interrupted at each of some moments."""
    run(project, 0, command)  # the first time it has more: what is imported is compiled, what is kept is made
    chosen, ended = random.Random(command), {}
    last = _told(run(project, 0, command))
    while len(ended) < MOMENTS:
        at = chosen.randrange(1, last * 19 // 20)  # at its very end it is as good as done
        status, err = run(project, at, command)
        if "moments" in err:
            last = _told((status, err))  # it had fewer
        else:
            ended[at] = status, err
    return ended


def _told(done):
    """How many moments there were."""
    return int(done[1].split()[-1])


@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_ends_with_130_and_one_line(project, command):
    found = interrupted(project, command)
    assert found == dict.fromkeys(found, (130, LINE))


@pytest.mark.parametrize(("command", "statuses"), [("apply", {130}), ("exec dev -- true", {0, 130})])
def test_one_with_signals_of_its_own_shows_no_traceback_either(project, command, statuses):
    for status, err in interrupted(project, command).values():
        assert status in statuses
        assert "Traceback" not in err
        assert err.count("\n") <= 2  # apply says first that it finishes what is under way


def test_who_ignores_ctrl_c_is_not_interrupted(project):
    """A job that a shell without job control starts in the background."""
    ignoring = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n{SCRIPT}"
    done = subprocess.run(
        [sys.executable, "-c", ignoring, "50", "get", "db/host"],
        cwd=project.root,
        env=project.environ(),
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "localhost\n", "")
