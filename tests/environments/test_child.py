"""What waits to become the command of an exec: it becomes that or nothing, and outlives nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from stand_ins.executed import is_alive

from confsync.environments.execution.child import Exited, NotStarted, Start, Stopped, inherited
from confsync.testing.waiting import eventually


def variables(**more):
    return {b"PATH": os.environb[b"PATH"], **{name.encode(): value.encode() for name, value in more.items()}}


@pytest.fixture
def start():
    made = Start((), ())
    yield made
    made.forget()


def test_it_becomes_the_command_with_these_variables_and_no_others(start, tmp_path):
    child = start.become(["sh", "-c", f"env > {tmp_path}/env; exit 3"], variables(ODD="a\nb ü"))

    assert eventually(child.look) == Exited(3)
    assert {"ODD=a", "b ü"} <= set((tmp_path / "env").read_text().splitlines())
    assert "HOME" not in (tmp_path / "env").read_text()


def test_one_that_is_forgotten_ends(start):
    start.forget()

    assert not os.path.exists(f"/proc/{start.pid}")


@pytest.mark.parametrize("told", ["", "half"])
def test_one_whose_exec_dies_before_all_is_told_becomes_nothing(tmp_path, told):
    """The exec dies by SIGKILL, with half of the orders written or none."""
    program = (
        "import os, marshal, signal, sys\n"
        "from confsync.environments.execution.child import Start\n"
        "start = Start((), ())\n"
        f"orders = marshal.dumps(([b'touch', b'{tmp_path}/ran'], dict(os.environb), []))\n"
        f"os.write(start._orders, orders[:len(orders) // 2 if {told!r} else 0])\n"
        "print(start.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == -signal.SIGKILL
    eventually(lambda: not is_alive(int(done.stdout)))
    assert not (tmp_path / "ran").exists()


def test_one_that_was_killed_before_it_was_told_is_an_ended_command(start):
    os.kill(start.pid, signal.SIGKILL)

    child = start.become(["true"], variables())

    assert eventually(child.look) == Exited(128 + signal.SIGKILL)


def test_what_cannot_be_started_is_told_and_leaves_no_process(start):
    child = start.become(["no-such-program"], variables())

    with pytest.raises(NotStarted, match="no-such-program is not in PATH") as told:
        eventually(child.look)
    assert told.value.status == 127
    assert not os.path.exists(f"/proc/{start.pid}")


def test_a_stopped_command_is_told_of_and_may_go_on(start):
    child = start.become(["sleep", "60"], variables())
    child.signal(signal.SIGSTOP)

    assert eventually(child.look) == Stopped(signal.SIGSTOP)
    assert child.is_stopped()
    child.signal(signal.SIGCONT)
    eventually(lambda: not child.is_stopped())
    child.signal(signal.SIGKILL)
    assert eventually(child.look) == Exited(137)
    child.signal(signal.SIGTERM)  # it has ended: nothing happens


def test_very_many_variables_and_words_arrive(start, tmp_path):
    many = {f"NAME_{number}": "x" * 1000 for number in range(1000)}
    words = [
        sys.executable,
        "-c",
        "import os, sys; sys.exit(len(os.environ) >= 1000 and len(sys.argv) == 1001)",
    ]

    child = start.become([*words, *map(str, range(1000))], variables(**many))

    assert eventually(child.look) == Exited(1)


def test_what_we_have_inherited_is_known(tmp_path):
    with open(tmp_path / "file", "w") as ours:
        assert ours.fileno() not in inherited()
        os.set_inheritable(ours.fileno(), True)
        assert ours.fileno() in inherited()
