"""What a process does while signals may come: the work ends, or is left behind; nothing that came is lost."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, signal, threading
from confsync.environments.execution.signalling import Interrupted, Signals
signals = Signals()
def work():
    {work}
try:
    print("gave", signals.run(work))
except Interrupted as exc:
    print("interrupted by", exc)
except ValueError as exc:
    print("raised", exc)
for _ in range({more}):
    event = signals.wait(50)
    print("then", getattr(event, "number", event))
while (event := signals.wait(0)) is not None:
    print("and", getattr(event, "number", event))
"""


def said(work, more=0):
    """What is said when this is the work and so many events are waited for. A process of its own: it blocks signals."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(work=work, more=more)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.splitlines()


def test_what_the_work_gives_or_raises_is_given_or_raised():
    assert said("return 3") == ["gave 3"]
    assert said("raise ValueError('no')") == ["raised no"]


def test_a_signal_ends_the_wait_for_work_that_never_ends():
    hangs = "os.kill(os.getpid(), signal.SIGTERM); threading.Event().wait()"

    assert said(hangs) == ["interrupted by SIGTERM"]


def test_one_that_came_before_the_work_was_begun_counts_and_it_is_not_waited_for():
    program = PROGRAM.replace("def work", "os.kill(os.getpid(), signal.SIGINT)\ndef work")
    done = subprocess.run(
        [sys.executable, "-c", program.format(work="threading.Event().wait()", more=0)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip

    assert done.stdout == "interrupted by SIGINT\n"


def test_what_else_comes_meanwhile_is_kept_in_its_order():
    comes = "os.kill(os.getpid(), signal.SIGUSR1); signals.put('one'); signals.put('two'); return 3"

    gave, *later = said(comes, more=3)

    assert gave == "gave 3"
    assert "then 10" in later
    assert [one for one in later if one != "then 10"] == ["then one", "then two"]
