"""Those who only ask, or leave a note, while another process is at work with the state directory."""

from __future__ import annotations

import fcntl
import itertools
import os
import sqlite3
import subprocess
import sys

import pytest

from confsync.clock import SystemClock
from confsync.errors import LedgerError, LedgerLocked
from confsync.ledger import state_dir
from confsync.ledger.database import copied
from confsync.ledger.ledger import leave_flag, open_ledger
from confsync.ledger.state_dir import Lock

_ASK = """
import sys
from pathlib import Path
from confsync.ledger.state_dir import Lock
print("asking", flush=True)
while True:
    Lock(Path(sys.argv[1])).daemon()
"""


@pytest.fixture
def asking(tmp_path):
    """Two processes that ask without pause which daemon holds the lock."""
    (tmp_path / "lock").touch()
    command = [sys.executable, "-c", _ASK, str(tmp_path / "lock")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "asking\n"
    yield processes
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def dead():
    """The process id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.mark.parametrize("note", ["", "{dead} run"])
def test_asking_for_the_daemon_makes_nobody_fail_to_lock(tmp_path, asking, dead, note):
    for _ in range(300):
        (tmp_path / "lock").write_text(note.format(dead=dead))  # a process that was killed leaves its note
        with Lock(tmp_path / "lock").acquire("apply"):
            pass


def test_somebody_who_asks_and_is_held_up_meanwhile_is_waited_for(tmp_path, monkeypatch):
    (tmp_path / "lock").touch()
    asker = (tmp_path / "lock").open()
    fcntl.flock(asker, fcntl.LOCK_SH)
    tries = itertools.count()
    lock = fcntl.flock

    def flock(descriptor, how):
        if next(tries) == 100:
            asker.close()
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(state_dir, "_TRY_AGAIN", 0)

    with Lock(tmp_path / "lock").acquire("apply"):
        assert next(tries) > 100


def test_those_who_ask_do_not_take_each_other_for_a_daemon_that_was_killed(tmp_path, asking, dead):
    (tmp_path / "lock").write_text(f"{dead} run")
    assert {Lock(tmp_path / "lock").daemon() for _ in range(2000)} == {None}


def test_a_lock_that_is_held_is_refused_at_once(tmp_path):
    with Lock(tmp_path / "lock").acquire("run"):
        with pytest.raises(LedgerLocked, match=str(os.getpid())):
            Lock(tmp_path / "lock").acquire("apply")
        assert Lock(tmp_path / "lock").daemon() == os.getpid()


def test_a_note_reaches_the_process_at_work(tmp_path):
    ledger = open_ledger(tmp_path, SystemClock())
    leave_flag(tmp_path, "allow-mass-delete", "1")
    assert ledger.flag("allow-mass-delete") == "1"
    ledger.close()


def test_a_note_for_a_damaged_ledger_is_refused_and_the_ledger_left_where_it_is(tmp_path):
    damaged = b"this is no ledger" * 100
    (tmp_path / "ledger.db").write_bytes(damaged)

    with pytest.raises(LedgerError, match=r"ledger\.db cannot be written"):
        leave_flag(tmp_path, "allow-mass-delete", "1")

    assert [path.name for path in tmp_path.iterdir()] == ["ledger.db"]
    assert (tmp_path / "ledger.db").read_bytes() == damaged


def test_a_note_makes_no_ledger_where_none_is(tmp_path):
    with pytest.raises(LedgerError):
        leave_flag(tmp_path, "allow-mass-delete", "1")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def written(tmp_path):
    """Where a ledger is that nobody has open."""
    open_ledger(tmp_path, SystemClock()).close()
    return tmp_path / "ledger.db"


def test_a_ledger_that_is_written_while_it_is_looked_at_is_looked_at_again(written, monkeypatch):
    """Half old and half new, it can look as if it were damaged."""
    written_next = [b"half" * 1024, written.read_bytes()]
    connect = sqlite3.connect

    def write_meanwhile(database, **options):
        if database != ":memory:" and written_next:
            written.write_bytes(written_next.pop(0))
        return connect(database, **options)

    monkeypatch.setattr(sqlite3, "connect", write_meanwhile)

    assert copied(written).execute("SELECT count(*) FROM meta").fetchone() is not None
    assert written_next == []


def test_a_ledger_that_is_damaged_is_not_looked_at_again(written, monkeypatch):
    written.write_bytes(b"half" * 1024)
    opened = []
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **o: opened.append(a) or connect(*a, **o))

    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        copied(written)
    assert len(opened) == 2, "what it is copied to, and the ledger"
