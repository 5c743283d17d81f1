"""`confsync exec` and signals: each reaches the command once, from a terminal or from anybody; job control is sane."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from time import monotonic

import pytest
from stand_ins.executed import after, is_alive, state
from stand_ins.executed import execs as execs

from confsync.testing.daemon import PATIENCE
from confsync.testing.waiting import eventually

NAMES = ("INT", "TERM", "HUP", "QUIT", "USR1", "USR2", "WINCH")
COUNTING = (
    "import signal, sys, threading\n"
    f"numbers = [getattr(signal, 'SIG' + name) for name in {NAMES}]\n"
    "signal.pthread_sigmask(signal.SIG_BLOCK, numbers)\n"
    "def told():\n"
    "    while True: print(signal.Signals(signal.sigwait(numbers)).name, flush=True)\n"
    "threading.Thread(target=told, daemon=True).start()\n"
    "print('ready', flush=True)\n"
    "for line in sys.stdin: print('line ' + line.strip(), flush=True)\n"
    "print('end', flush=True)\n"
)
"""Says each signal it gets and each line it reads, until its input ends. It waits for them: a handler of Python's would
not run while the line is waited for, if the signal came just before."""


@pytest.fixture
def counting(execs):
    command = [sys.executable, "-c", COUNTING]
    with execs.start("dev", "--kill-after", "10m", "--", *command, stdin=-1) as running:
        assert running.line() == "ready"
        yield running


def drained(running):
    """What the command says until its end, once its input has ended."""
    running.process.stdin.close()
    said = []
    while (line := running.line()) != "end":
        said.append(line)
    return said


def test_each_signal_to_us_reaches_the_command_once(counting):
    for name in NAMES:
        counting.signal(getattr(signal, f"SIG{name}"))
        assert counting.line() == f"SIG{name}"

    assert drained(counting) == []
    assert counting.end() == 0


def test_what_the_command_sends_to_its_whole_group_does_not_come_back_to_it(execs):
    script = "trap 'echo told' TERM; kill -TERM 0; sleep 0.1; echo over"
    with execs.start("dev", "--", "sh", "-c", script, start_new_session=True) as running:
        assert [running.line(), running.line()] == ["told", "over"]
        assert running.end() == 0


def test_a_command_that_ignores_sigterm_is_killed_when_its_time_is_up(execs):
    script = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    with execs.start("dev", "--kill-after", "300ms", "--", "sh", "-c", script) as running:
        assert running.line() == "ready"
        began = monotonic()
        running.signal(signal.SIGTERM)

        assert running.end() == 128 + signal.SIGKILL
        assert monotonic() - began >= 0.3
        assert "the command did not end after SIGTERM; it is killed" in running.errors()


def test_a_command_that_takes_its_time_after_sigterm_has_it(execs):
    script = "trap 'sleep 0.3; echo tidy; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    with execs.start("dev", "--kill-after", "10m", "--", "sh", "-c", script) as running:
        assert running.line() == "ready"
        running.signal(signal.SIGTERM)

        assert running.line() == "tidy"
        assert running.end() == 5


def test_only_sigterm_sets_a_time(execs):
    command = [sys.executable, "-c", COUNTING]
    with execs.start("dev", "--kill-after", "0", "--", *command, stdin=-1) as running:
        assert running.line() == "ready"
        for name in ("INT", "QUIT", "HUP"):
            running.signal(getattr(signal, f"SIG{name}"))
            assert running.line() == f"SIG{name}"
        running.process.stdin.write(b"still here\n")
        running.process.stdin.flush()

        assert running.line() == "line still here"
        assert drained(running) == []
        assert running.end() == 0


TAKES_TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)"


class Terminal:
    """A process with a terminal of its own, whose foreground it is in."""

    def __init__(self, execs, command):
        self._said = b""
        self._fd, theirs = os.openpty()
        try:
            self._process = subprocess.Popen(
                after(TAKES_TERMINAL, command), cwd=execs.root, env=execs.environ(TERM="dumb", PS1="> "),
                stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(theirs)
        self.pid = self._process.pid

    def type(self, text):
        os.write(self._fd, text.encode())

    def wait(self, text, within=PATIENCE):
        """Read until the terminal shows `text`; gives all it showed since the last time."""
        deadline = monotonic() + within
        while text.encode() not in self._said:
            assert select.select([self._fd], [], [], max(0, deadline - monotonic()))[0], self._said
            try:
                piece = os.read(self._fd, 65536)
            except OSError:
                piece = b""
            assert piece, self._said
            self._said += piece
        shown, _, self._said = self._said.partition(text.encode())
        return shown.decode()

    def rest(self):
        """All it shows until the end."""
        said = self._said
        while True:
            try:
                piece = os.read(self._fd, 65536)
            except OSError:
                return said.decode()
            if not piece:
                return said.decode()
            said += piece

    def end(self):
        return self._process.wait(PATIENCE)

    def close(self):
        os.close(self._fd)
        self._process.kill()
        self._process.wait()


@pytest.fixture
def terminal(execs):
    opened = []

    def start(*command):
        opened.append(Terminal(execs, list(command)))
        return opened[-1]

    yield start
    for one in opened:
        one.close()
    execs.wait_clean()


@pytest.mark.parametrize(("key", "name"), [("\x03", "SIGINT"), ("\x1c", "SIGQUIT")])
def test_a_key_at_a_terminal_reaches_the_command_once(execs, terminal, key, name):
    shown = terminal(*execs.exec_command("dev", "--", sys.executable, "-c", COUNTING))
    shown.wait("ready")

    shown.type(key)
    shown.wait(name)
    shown.type("here\n\x04")

    assert name not in shown.rest()
    assert shown.end() == 0


def test_ctrl_c_ends_a_command_that_does_not_mind_it_with_130(execs, terminal):
    execs.config(syncs={"app": {"template": {"inline": "x"}, "to": "app"}})
    shown = terminal(
        *execs.exec_command("dev", "--sync", "app", "--", "sh", "-c", "echo ready; exec sleep 60")
    )
    shown.wait("ready")

    shown.type("\x03")

    assert shown.rest().replace("^C", "").strip() == ""
    assert shown.end() == 130
    assert execs.left() == []


def test_ctrl_c_reaches_also_a_command_that_has_left_the_terminal(execs, terminal):
    away = "import os; os.setsid(); print('ready', flush=True); os.execvp('sleep', ['sleep', '60'])"
    shown = terminal(*execs.exec_command("dev", "--", sys.executable, "-c", away))
    shown.wait("ready")

    shown.type("\x03")

    assert shown.end() == 130


def test_the_terminal_is_the_commands(execs, terminal):
    shown = terminal(
        *execs.exec_command("dev", "--", "sh", "-c", "test -t 0 -a -t 1 -a -t 2 && stty -echo && tty")
    )

    assert "/dev/pts/" in shown.rest()
    assert shown.end() == 0


def test_ctrl_z_stops_both_and_fg_wakes_both(execs, terminal):
    shell = terminal("bash", "--norc", "--noprofile", "-i")
    shell.wait("> ")
    shell.type("stty -echo; echo o''n\n")
    shell.wait("on\r\n")
    script = "echo rea''dy; read line; echo $line; read line; echo over"
    words = (f"'{word}'" for word in execs.exec_command("dev", "--", "sh", "-c"))
    command = " ".join([*words, f'"{script}"'.replace("$", "\\$")])
    shell.type(f"{command}\n")
    shell.wait("ready")

    shell.type("\x1a")
    shell.wait("Stopped")
    shell.type("echo shell ans''wers\n")
    shell.wait("shell answers")
    shell.type("fg\n")
    shell.type("to the command\n")
    shell.wait("to the command")
    shell.type("\x04")
    shell.wait("over")
    shell.type("echo status $?\n")

    shell.wait("status 0")


def test_ctrl_z_while_the_sources_are_read_stops_it_once_there_is_a_command(execs, terminal, etcd):
    etcd.put("/dev/a", "b")
    execs.config(
        sources={"store": {"backend": "etcd", "endpoints": etcd.endpoints, "timeout": "1m"}},
        environments={"dev": {"store": "/dev"}},
        syncs={},
    )
    shell = terminal("bash", "--norc", "--noprofile", "-i")
    shell.wait("> ")
    command = " ".join(f"'{word}'" for word in execs.exec_command("dev", "--", "printenv", "A"))
    etcd.members[0].pause()
    try:
        shell.type(f"{command}\n")
        eventually(execs.helpers, PATIENCE)
        shell.type("\x1a")
        shell.wait("^Z")
    finally:
        etcd.members[0].resume()
    shell.wait("Stopped")
    shell.type("fg\n")

    shell.wait("\nb\r\n")


def test_a_session_leader_does_not_stop_with_its_command_as_nobody_would_wake_it(execs, terminal):
    script = "echo pid $$ .; exec sleep 60"
    shown = terminal(*execs.exec_command("dev", "--kill-after", "100ms", "--", "sh", "-c", script))
    shown.wait("pid ")
    pid = int(shown.wait(" ."))
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: state(pid) == "T")

    os.kill(shown.pid, signal.SIGTERM)

    assert shown.end() == 128 + signal.SIGKILL


def test_a_terminal_that_goes_takes_all_along(execs, terminal):
    execs.config(syncs={"app": {"template": {"inline": "x"}, "to": "app"}})
    shown = terminal(
        *execs.exec_command("dev", "--sync", "app", "--", "sh", "-c", "echo pid $$ .; exec sleep 60")
    )
    shown.wait("pid ")
    pid = int(shown.wait(" ."))

    os.close(shown._fd)
    shown._fd = os.open(os.devnull, os.O_RDWR)

    assert shown.end() == 128 + signal.SIGHUP
    eventually(lambda: not is_alive(pid))
    assert execs.left() == []


@pytest.fixture
def silent():
    """A store that takes connections and answers nothing; and how to wait until somebody has asked it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        yield f"http://127.0.0.1:{server.getsockname()[1]}", server.accept


@pytest.mark.parametrize(
    ("backend", "number"),
    [("etcd", signal.SIGINT), ("etcd", signal.SIGTERM), ("vault", signal.SIGINT), ("vault", signal.SIGHUP)],
)
def test_a_signal_while_the_sources_are_read_ends_it_before_anything_is_started(
    execs, silent, backend, number
):
    address, asked = silent
    more = (
        {"endpoints": [address]}
        if backend == "etcd"
        else {"address": address, "auth": {"method": "token", "env": "T"}}
    )
    execs.config(
        sources={"store": {"backend": backend, "timeout": "1m", **more}},
        environments={"dev": {"store": "a"}},
        syncs={"app": {"template": {"inline": "x"}, "to": "app"}},
    )
    with execs.start("dev", "--sync", "app", "--", "touch", "ran", env={"T": "t"}) as running:
        connection, _ = asked()
        running.signal(number)

        assert running.end() == 128 + number
        assert "interrupted before the command was started" in running.errors()
        connection.close()
    assert not (execs.root / "ran").exists()
    execs.wait_clean()
