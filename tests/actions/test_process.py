from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time

import pytest

from confsync.actions.process import SHOWN, run
from confsync.errors import ActionError


def same(text):
    return text


def sh(line, timeout=300.0, redact=same, **options):
    return run(["/bin/sh", "-c", line], what="check", timeout=timeout, redact=redact, **options)


def test_a_command_that_succeeds_returns_what_it_printed():
    assert sh("echo out; echo err >&2") == "out\\nerr"


def test_a_command_that_fails_tells_command_status_and_output():
    with pytest.raises(ActionError) as caught:
        sh("echo broken line 7 >&2; exit 3")

    assert str(caught.value) == (
        "check `/bin/sh -c 'echo broken line 7 >&2; exit 3'` failed with exit status 3: broken line 7"
    )
    assert caught.value.output == "broken line 7"


def test_a_command_killed_by_a_signal_says_which():
    with pytest.raises(ActionError, match="was killed by SIGSEGV"):
        sh("kill -SEGV $$")


def test_no_shell_sees_the_arguments():
    assert run(["echo", "$HOME; *"], what="check", timeout=60, redact=same) == "$HOME; *"


def test_its_input_is_empty_and_its_environment_is_ours_and_more(monkeypatch):
    monkeypatch.setenv("OURS", "1")

    assert sh("cat; echo $OURS $MORE", env={"MORE": "2"}) == "1 2"


class Late:
    """A clock by which ten minutes pass once a file is there."""

    def __init__(self, path):
        self._path = path

    def monotonic(self):
        return time.monotonic() + (600 if self._path.exists() else 0)


def test_a_hanging_command_is_killed_with_its_grandchildren(tmp_path, gone, monkeypatch):
    pids, ready = tmp_path / "pids", tmp_path / "ready"
    monkeypatch.setattr("confsync.actions.process.time", Late(ready))
    begun = time.monotonic()

    with pytest.raises(ActionError, match=r"did not end within 5m and was stopped with all"):
        sh(
            f"sleep 600 & echo $! >> {pids}; (sleep 600 & echo $! >> {pids}; wait) & echo $$ >> {pids}; "
            f"while [ $(wc -l < {pids}) -lt 3 ]; do sleep 0.01; done; touch {ready}; echo ready; wait",
            timeout=300,
        )

    assert time.monotonic() - begun < 240
    assert len(pids.read_text().split()) == 3
    gone(pids)


@pytest.fixture
def stopped_when(until):
    """stopped_when(path): what stops a command as soon as something is in that file."""
    waiting = []

    def stopped_when(path):
        stopped = threading.Event()
        look = lambda: (until(lambda: path.exists() and path.read_text()), stopped.set())  # noqa: E731
        waiting.append(threading.Thread(target=look))
        waiting[-1].start()
        return stopped

    yield stopped_when
    for thread in waiting:
        thread.join()


def test_a_command_deaf_to_sigterm_is_killed_all_the_same(tmp_path, gone, monkeypatch, stopped_when):
    monkeypatch.setattr("confsync.actions.process._GRACE", 0.2)
    pids = tmp_path / "pids"

    with pytest.raises(ActionError, match="was stopped"):
        sh(f"trap '' TERM; echo $$ > {pids}; while :; do sleep 1; done", cancelled=stopped_when(pids))

    gone(pids)


def test_a_command_may_tidy_up_on_sigterm(tmp_path, monkeypatch, stopped_when):
    monkeypatch.setattr("confsync.actions.process._GRACE", 240)
    ready = tmp_path / "ready"

    with pytest.raises(ActionError, match="tidied"):
        sh(
            f"trap 'echo tidied; exit 0' TERM; echo x > {ready}; while :; do sleep 0.01; done",
            cancelled=stopped_when(ready),
        )


def test_what_a_hanging_command_printed_is_shown(tmp_path, stopped_when):
    said = tmp_path / "said"

    with pytest.raises(ActionError) as caught:
        sh(f"echo waiting for the lock; echo x > {said}; exec sleep 600", cancelled=stopped_when(said))

    assert caught.value.output == "waiting for the lock"


def test_a_grandchild_that_keeps_the_pipe_open_does_not_hang_us_and_lives_on(tmp_path):
    pids = tmp_path / "pids"
    begun = time.monotonic()

    assert sh(f"sleep 600 & echo $! > {pids}; echo done") == "done"

    assert time.monotonic() - begun < 60
    os.kill(int(pids.read_text()), signal.SIGKILL)  # it is there, or this would fail


def test_a_grandchild_that_prints_for_ever_does_not_hang_us(tmp_path):
    ready = tmp_path / "ready"
    prints = f"(echo y; touch {ready}; exec yes) & while [ ! -e {ready} ]; do sleep 0.01; done; sleep 0.05"

    assert "y" in sh(prints)


def test_ten_megabytes_of_output_neither_block_nor_stay_in_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    text = sh("head -c 10000000 /dev/zero | tr '\\0' x; echo; echo the end")

    assert text.endswith("the end")
    assert len(text) <= SHOWN + 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 5000


def test_output_closed_early_is_no_end():
    assert sh("exec >&- 2>&-; sleep 0.05; exit 0") == ""


def test_sensitive_values_are_taken_out_of_output_and_command():
    def redact(text):
        return text.replace("hunter2", "***")

    with pytest.raises(ActionError) as caught:
        sh("echo the password is hunter2; exit 1", redact=redact)

    assert "hunter2" not in str(caught.value)
    assert "the password is ***" in caught.value.output


def test_a_value_cut_in_two_by_the_bound_is_not_shown():
    secret = "s3cret" * 50
    line = (
        "for i in 1 2 3 4 5 6 7 8 9; do head -c 50000 /dev/zero | tr '\\0' .; done; "
        f"echo {secret}; head -c {SHOWN - 100} /dev/zero | tr '\\0' .; exit 1"
    )

    with pytest.raises(ActionError) as caught:
        sh(line, redact=lambda text: text.replace(secret, ""))

    assert "s3cret" not in str(caught.value)


def test_control_characters_are_escaped():
    with pytest.raises(ActionError) as caught:
        sh("printf 'a\\033[2Jb\\001\\377'; exit 1")

    assert caught.value.output == "a\\x1b[2Jb\\x01\ufffd"


def test_a_command_that_does_not_exist_teaches(tmp_path):
    with pytest.raises(ActionError, match="nosuchprogram is not in PATH") as caught:
        run(["nosuchprogram", "-t"], what="check", timeout=60, redact=same)
    assert isinstance(caught.value.__cause__, FileNotFoundError)

    with pytest.raises(ActionError, match=r"does not exist.*full path"):
        run([str(tmp_path / "missing")], what="check", timeout=60, redact=same)


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("#!/bin/sh\n", 0o644, "is not executable"),
        ("#!/no/such/interpreter\n", 0o755, "the interpreter named in the first line"),
        ("echo no first line\n", 0o755, "is not a program.*#!/bin/sh"),
    ],
)
def test_a_script_that_cannot_be_run_says_why(tmp_path, text, mode, message):
    script = tmp_path / "script"
    script.write_text(text)
    script.chmod(mode)

    with pytest.raises(ActionError, match=message):
        run([str(script)], what="check", timeout=60, redact=same)


def test_odd_arguments_are_refused_not_crashed_upon():
    with pytest.raises(ActionError, match="NUL"):
        run(["echo", "a\0b"], what="check", timeout=60, redact=same)
    with pytest.raises(ActionError, match="too many or too long"):
        run(["echo", "x" * 3_000_000], what="check", timeout=60, redact=same, shown="echo")


def test_a_shell_that_does_not_find_its_command_is_explained():
    with pytest.raises(ActionError, match=r"exit status 127.*the shell did not find it"):
        sh("nosuchprogram")


def test_cancelling_stops_a_running_command(tmp_path, gone, stopped_when):
    pids = tmp_path / "pids"

    with pytest.raises(ActionError, match="was stopped: confsync is shutting down"):
        sh(f"echo $$ > {pids}; exec sleep 600", cancelled=stopped_when(pids))

    gone(pids)


_LEAVES_NOTHING = """
import os
from contextlib import suppress
from pathlib import Path
from confsync.actions.process import run
from confsync.errors import ActionError

def children():
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[1] == str(os.getpid()):
                found.add(stat.parent.name)
    return found

before = os.listdir("/proc/self/fd"), children()
for line, timeout in (("echo x", 300), ("sleep 600", 0.01)) * 5:
    with suppress(ActionError):
        run(["/bin/sh", "-c", line], what="check", timeout=timeout, redact=str)
assert (os.listdir("/proc/self/fd"), children()) == before
"""


def test_nothing_is_left_open_and_no_zombie_stays():
    """In a process of its own, where nobody else opens files or has children."""
    subprocess.run([sys.executable, "-c", _LEAVES_NOTHING], check=True, timeout=240)


def test_without_pidfd_the_process_is_looked_at_now_and_then(monkeypatch):
    monkeypatch.delattr(os, "pidfd_open")

    assert sh("sleep 0.05; echo done") == "done"
    with pytest.raises(ActionError, match="did not end"):
        sh("sleep 600", timeout=0.1)
