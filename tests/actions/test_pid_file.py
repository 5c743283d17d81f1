from __future__ import annotations

import os
import signal
import subprocess

import pytest

from confsync.actions import run_reload
from confsync.config.actions import Reload
from confsync.errors import ActionError


@pytest.fixture
def pid_file(tmp_path):
    return tmp_path / "app.pid"


def send(pid_file, name="HUP"):
    run_reload(Reload(signal=name, pid_file=str(pid_file)), redact=lambda text: text)


@pytest.mark.parametrize(("name", "number"), [("HUP", 1), ("SIGUSR1", signal.SIGUSR1), ("15", 15)])
def test_the_process_gets_the_signal(pid_file, name, number):
    with subprocess.Popen(["sleep", "600"]) as process:
        pid_file.write_text(f"{process.pid}\nwhatever a daemon writes below\n")

        send(pid_file, name)

        assert process.wait(timeout=30) == -number


def test_a_missing_pid_file_teaches(pid_file):
    with pytest.raises(ActionError, match=r"there is no pid file.*start the program"):
        send(pid_file)


@pytest.mark.parametrize(
    "text", ["", "\n5", "0", "1", "-1", "-5", "abc", "12x", "1.5", "\uff19\uff19", "2147483648", "9" * 60]
)
def test_what_is_no_single_process_is_refused(pid_file, text):
    pid_file.write_text(text)

    with pytest.raises(ActionError, match="holds no process id above 1"):
        send(pid_file)


def test_a_process_that_is_gone_teaches(pid_file):
    with subprocess.Popen(["true"]) as process:
        process.wait()
    pid_file.write_text(str(process.pid))

    with pytest.raises(ActionError, match=f"there is no process {process.pid}, named in"):
        send(pid_file)


def test_confsync_does_not_signal_itself(pid_file):
    pid_file.write_text(str(os.getpid()))

    with pytest.raises(ActionError, match="confsync itself"):
        send(pid_file)


def test_a_fifo_or_directory_is_no_pid_file_and_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "fifo")

    for path in (tmp_path / "fifo", tmp_path):
        with pytest.raises(ActionError, match="is not a regular file"):
            send(path)


def test_an_unknown_signal_is_named_with_the_nearest(pid_file):
    pid_file.write_text("12345678")

    with pytest.raises(ActionError, match=r"no signal 'HUPP'.*did you mean 'HUP'"):
        send(pid_file, "HUPP")
    with pytest.raises(ActionError, match="no signal '0'"):
        send(pid_file, "0")
