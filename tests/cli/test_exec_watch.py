"""`confsync exec --watch`: the command is restarted, or told, when what it got really changed; and only then."""

from __future__ import annotations

import os
import signal
import sys
from time import monotonic

import pytest
from stand_ins.executed import execs as execs

SAYS = 'trap "exit 0" TERM; echo "$DB_HOST $$"; while :; do sleep 0.02; done'
"""Says its value and who it is, and ends when it is told to."""

TOLD = (
    "import os, signal, sys\n"
    "path = os.environ['CONFSYNC_FILES'] + '/app/app'\n"
    "def tell(): print(os.getpid(), open(path).read(), flush=True)\n"
    "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])\n"
    "tell()\n"
    "while signal.sigwait([signal.SIGHUP]): tell()\n"
)
"""Says what its file holds, at the start and whenever it gets SIGHUP."""

UNHURRIED = ["--kill-after", "10m"]
"""For a command that ends when the test lets it, however long that takes."""


def host(name, **more):
    return {"dev": {"db": {"host": name}, **more}}


@pytest.fixture
def app(execs):
    """One sync of the same key, in the file source."""
    execs.values(host("one"))
    execs.config(syncs={"app": {"template": {"inline": "{{ values('db/host') }}"}, "to": "app"}})
    return execs


@pytest.fixture
def stored(execs, etcd):
    """The same in a real etcd."""
    etcd.put("/dev/db/host", "one")
    stored_in(execs, etcd, interval="1s")
    return execs


def stored_in(execs, etcd, **defaults):
    execs.config(
        sources={"store": {"backend": "etcd", "endpoints": etcd.endpoints, "sensitive": False}},
        environments={"dev": {"store": "/dev"}},
        defaults=defaults,
        syncs={"app": {"template": {"inline": "{{ store('db/host') }}"}, "to": "app"}},
    )


def said(running):
    value, _, pid = running.line().partition(" ")
    return value, int(pid)


def test_no_value_is_followed_under_a_policy_that_is_another_now(app):
    with app.start("dev", "--watch", "--", "sh", "-c", SAYS) as running:
        _, first = said(running)
        app.config(syncs={}, local={"dev": {"deny": ["db/*"]}})
        app.values(host("two"))

        running.wait_error("the configuration changed; the command goes on with what it has, start it again")
        assert running.children() == [first]
        running.signal(signal.SIGTERM)
        assert running.end() == 0


def test_it_is_restarted_with_the_new_value(app):
    with app.start("dev", "--watch", "--", "sh", "-c", SAYS) as running:
        value, first = said(running)
        assert value == "one"

        app.values(host("two"))

        value, second = said(running)
        assert value == "two"
        assert second != first
        running.signal(signal.SIGTERM)
        assert running.end() == 0
        errors = running.errors()
    assert "values changed; the command is restarted" in errors
    assert "variables=DB_HOST" in errors
    assert "two" not in errors


def test_its_files_are_those_of_the_new_value_in_the_same_place(app):
    script = f'echo "$CONFSYNC_FILES"; cat "$CONFSYNC_FILES/app/app"; echo; {SAYS}'
    with app.start("dev", "--watch", "--sync", "app", "--", "sh", "-c", script) as running:
        place, content, _ = running.line(), running.line(), running.line()

        app.values(host("two"))

        assert (running.line(), running.line()) == (place, "two")
        assert content == "one"
        assert sorted(os.listdir(place)) == ["..2", "..data", "app"]
        running.signal(signal.SIGTERM)
        running.end()
    assert app.left() == []


def test_a_change_in_etcd_restarts_it(stored, etcd):
    with stored.start("dev", "--watch", "--", "sh", "-c", SAYS) as running:
        assert said(running)[0] == "one"

        etcd.put("/dev/db/host", "two")

        assert said(running)[0] == "two"


def test_a_new_key_is_a_new_variable_and_one_that_goes_is_gone(stored, etcd):
    script = 'trap "exit 0" TERM; echo "${NEW-none} $$"; while :; do sleep 0.02; done'
    with stored.start("dev", "--watch", "--", "sh", "-c", script) as running:
        assert said(running)[0] == "none"
        etcd.put("/dev/new", "here")
        assert said(running)[0] == "here"
        etcd.delete("/dev/new")
        assert said(running)[0] == "none"


def test_what_it_did_not_get_does_not_disturb_it(app):
    with app.start("dev", "--watch", "db", "--log-level", "debug", "--", "sh", "-c", SAYS) as running:
        _, first = said(running)
        app.values(host("one", other="new"))
        running.wait_error("looked again: nothing that the command has is another")
        assert running.children() == [first]

        app.values(host("two"))

        assert said(running)[0] == "two"


def test_a_burst_is_one_restart(stored, etcd):
    stored_in(stored, etcd, wait={"min": "1s"})
    with stored.start("dev", "--watch", "--", "sh", "-c", SAYS) as running:
        said(running)
        began, seen = monotonic(), []
        for number in range(30):
            etcd.put("/dev/db/host", f"v{number}")

        while "v29" not in seen:
            seen.append(said(running)[0])
        assert len(seen) - 1 <= monotonic() - began, "one a second, where the burst takes so long"


def test_on_change_hup_tells_the_running_command_after_its_files_have_changed(app):
    with app.start(
        "dev", "--watch", "--on-change", "HUP", "--sync", "app", "--", sys.executable, "-c", TOLD
    ) as running:
        pid, content = running.line().split()
        assert content == "one"

        app.values(host("two"))

        assert running.line().split() == [pid, "two"]
        running.signal(signal.SIGTERM)
        running.end()
        assert "variables changed, which only a new start gives to the command" in running.errors()


def test_what_cannot_be_rendered_leaves_the_command_with_what_it_has_until_it_can(app):
    with app.start("dev", "--watch", "--sync", "app", "--", "sh", "-c", SAYS) as running:
        _, first = said(running)
        app.values({"dev": {"other": "x"}})
        running.wait_error("the command goes on with what it has")
        assert running.children() == [first]

        app.values(host("three"))

        assert said(running)[0] == "three"


def test_a_value_too_large_for_a_variable_leaves_the_command_with_what_it_has(app):
    with app.start("dev", "--watch", "--", "sh", "-c", SAYS) as running:
        _, first = said(running)
        app.values(host("x" * 200_000))
        running.wait_error("no variable can be longer than 128 KiB, as DB_HOST is; leave it out")
        assert running.children() == [first]

        app.values(host("two"))

        assert said(running)[0] == "two"


def test_more_than_a_program_can_be_given_leaves_the_command_with_what_it_has(app):
    little = (
        "resource.setrlimit(resource.RLIMIT_STACK, (4 << 20, resource.getrlimit(resource.RLIMIT_STACK)[1]))"
    )
    with app.start("dev", "--watch", "--", "sh", "-c", SAYS, first=little) as running:
        _, first = said(running)
        app.values(host("one", **{f"k{number}": "x" * 100_000 for number in range(11)}))
        running.wait_error("KiB, more than the system gives a program; select fewer")
        assert running.children() == [first]


def test_a_command_that_ends_by_itself_is_the_end(app):
    with app.start("dev", "--watch", "--", "sh", "-c", "exit 4") as running:
        assert running.end() == 4


def test_a_command_that_ignores_sigterm_is_killed_to_be_restarted(app):
    script = 'trap "" TERM; echo "$DB_HOST $$"; while :; do sleep 0.02; done'
    with app.start("dev", "--watch", "--kill-after", "200ms", "--", "sh", "-c", script) as running:
        said(running)
        app.values(host("two"))

        assert said(running)[0] == "two"
        for pid in running.children():
            os.kill(pid, signal.SIGKILL)
        assert running.end() == 137


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_while_it_restarts_nothing_is_started_again(app, number):
    script = (
        "trap 'echo ending; until test -e go; do sleep 0.02; done; exit 3' TERM; trap '' INT; echo ready;"
        "while :; do sleep 0.02; done"
    )
    with app.start("dev", "--watch", *UNHURRIED, "--", "sh", "-c", script) as running:
        assert running.line() == "ready"
        app.values(host("two"))
        assert running.line() == "ending"

        running.signal(number)
        (app.root / "go").write_text("")

        assert running.end() == 3
        assert b"ready" not in running.process.stdout.read()


def test_a_value_that_changes_while_the_command_ends_on_ctrl_c_starts_nothing_again(app):
    script = (
        "trap 'echo ending; until test -e go; do sleep 0.02; done; exit 3' INT; trap '' TERM; echo ready;"
        "while :; do sleep 0.02; done"
    )
    with app.start("dev", "--watch", *UNHURRIED, "--", "sh", "-c", script) as running:
        assert running.line() == "ready"
        running.signal(signal.SIGINT)
        assert running.line() == "ending"

        app.values(host("two"))
        running.wait_error("values changed; the command is restarted")
        (app.root / "go").write_text("")

        assert running.end() == 3
        assert b"ready" not in running.process.stdout.read()


def test_a_value_that_changes_back_while_the_command_ends_is_the_one_it_gets(app):
    script = (
        'trap "echo ending; until test -e go; do sleep 0.02; done; exit 0" TERM; echo "$DB_HOST $$";'
        "while :; do sleep 0.02; done"
    )
    with app.start("dev", "--watch", *UNHURRIED, "--log-level", "debug", "--", "sh", "-c", script) as running:
        said(running)
        app.values(host("two"))
        assert running.line() == "ending"
        app.values(host("one"))
        running.wait_error("values changed again before the command has ended")
        (app.root / "go").write_text("")

        assert said(running)[0] == "one"
