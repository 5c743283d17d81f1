"""Who is told what while an exec's command is replaced: no key of a terminal is lost, and none counts twice."""

from __future__ import annotations

import signal

from confsync.clock import SystemClock
from confsync.environments.execution.child import Exited, Start
from confsync.environments.execution.provision import Provision
from confsync.environments.execution.signalling import Signal
from confsync.environments.execution.supervising import RESTART, Supervisor
from confsync.environments.variables import Collected
from confsync.testing.waiting import eventually

ENDED = Signal(signal.SIGCHLD)


def provision(value):
    return Provision({"A": value}, (), Collected(()), ())


class Events:
    """Those that come, one after the other."""

    def __init__(self, *events):
        self._left = list(events)

    def wait(self, _seconds):
        return self._left.pop(0)


class Command:
    """One that ends whenever it is looked at, in the terminal's foreground as we are."""

    def __init__(self, pid, began):
        self.pid = pid
        self.began = began
        self.told = []

    def signal(self, number):
        self.told.append(number)

    def look(self):
        return Exited(self.pid)

    def is_in_our_group(self):
        return True


def told(*events, began=(0.0, 10.0)):
    """What each of the commands is sent that begin at these moments, when these are the events."""
    commands = [Command(pid, moment) for pid, moment in enumerate(began, start=1)]
    left = iter(commands)
    supervisor = Supervisor(
        Events(*events), lambda _: next(left), lambda _: None, None, on_change=RESTART, patience=5.0,
        clock=SystemClock(),
    )  # fmt: skip
    ended = supervisor.run(provision("one"), lambda: None)

    assert ended == len(began)
    return [command.told for command in commands]


def key(number, at):
    return Signal(number, from_terminal=True, at=at)


def test_a_key_pressed_between_two_commands_reaches_the_second():
    first, second = told(provision("two"), ENDED, key(signal.SIGWINCH, 9.0), key(signal.SIGINT, 9.5), ENDED)

    assert first == [signal.SIGTERM, signal.SIGCONT]
    assert second == [signal.SIGWINCH, signal.SIGINT]


def test_a_key_pressed_once_the_command_is_there_reached_it_already():
    _, second = told(provision("two"), ENDED, key(signal.SIGINT, 10.5), ENDED)

    assert second == []


def test_ctrl_z_before_there_is_what_becomes_the_command_stops_it_all_the_same():
    [command] = told(key(signal.SIGTSTP, 1.0), ENDED, began=(2.0,))

    assert command == [signal.SIGTSTP]


def test_a_command_begins_before_its_process_is_there():
    before = SystemClock().monotonic()
    start = Start((), ())
    child = start.become(["true"], {})
    child.signal(signal.SIGKILL)

    assert before <= child.began <= SystemClock().monotonic()
    eventually(child.look)
