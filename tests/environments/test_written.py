"""The list of written files: kept whole by two at once, private, without a value, whatever is in its place."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from dataclasses import asdict, replace

import pytest

from confsync.environments.dialects import DIALECTS, LINE_BASED
from confsync.environments.output.assignments import grammar_of
from confsync.environments.output.written import WrittenFile, WrittenFiles, directory_for
from confsync.errors import LedgerError
from confsync.testing.daemon import PATIENCE

ONE = WrittenFile(
    path="/home/a/.env",
    config="/home/a/confsync.yaml",
    environment="prod",
    format="dotenv",
    whole=False,
    until=100.0,
    digests=("aa", "bb"),
    statements=(("A B", "cc"), ("", "dd")),
    added="\r\n",
    created=True,
)


class Clock:
    """Stands where it is put."""

    def __init__(self, now):
        self._now = now

    def now(self):
        return self._now

    monotonic = now


@pytest.fixture
def files(tmp_path):
    return WrittenFiles(tmp_path / "state" / "environments")


def test_what_is_noted_is_read_again_until_it_is_forgotten(files):
    other = replace(ONE, path='/home/a/odd\udce9\n"name', until=None)
    with files.changing():
        files.note(ONE)
        files.note(other)
        files.note(replace(ONE, environment="dev"))
    assert files.all() == (other, replace(ONE, environment="dev"))
    assert files.of(other.path) == other
    with files.changing():
        files.forget([other.path, "/never/noted"])
    assert files.all() == (replace(ONE, environment="dev"),)


def test_it_is_private(files):
    before = os.umask(0)
    try:
        with files.changing():
            files.note(ONE)
    finally:
        os.umask(before)
    assert stat.S_IMODE(files.directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in files.directory.iterdir()} == {0o600}


def test_digests_are_of_this_list_only(files, tmp_path):
    other = WrittenFiles(tmp_path / "other")
    with files.changing() as ours, other.changing() as theirs:
        assert ours.content(b"x") != theirs.content(b"x")
        digest = ours.content(b"x")
    with files.changing() as ours:
        assert ours.content(b"x") == digest


def test_where_it_lives(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert directory_for(None) == tmp_path / ".local/state/confsync/environments"
    monkeypatch.setenv("XDG_STATE_HOME", "/var/state")
    assert str(directory_for(None)) == "/var/state/confsync/environments"
    assert directory_for(str(tmp_path / "s")) == tmp_path / "s" / "environments"
    assert directory_for("memory") is None


def test_in_memory_nothing_is_kept():
    files = WrittenFiles(None)
    with files.changing():
        files.note(ONE)
        files.forget([ONE.path])
    assert files.all() == ()


GARBAGE = (
    b"",
    b"{",
    b"\xff\xfe",
    b"[]",
    b'{"files": {}}',
    b'{"files": 1}',
    b"null",
    b"[" * 100000,
    b"\0" * 10,
)


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda one: repr(one[:12]))
def test_garbage_is_an_empty_list_and_is_kept_beside_the_next_one(files, garbage):
    files.directory.mkdir(parents=True)
    files.path.write_bytes(garbage)
    assert files.all() == ()
    assert files.expired() == ()
    with files.changing():
        files.note(ONE)
    assert files.all() == (ONE,)
    assert files.path.with_name("written.json.unreadable").read_bytes() == garbage


BAD = (
    1, None, {}, {"path": 1}, {"path": "relative"}, {"path": "/a\0b"}, {"until": "soon"}, {"until": True},
    {"digests": 1}, {"statements": {}}, {"config": None}, {"environment": []}, {"format": "of a later version"},
    {"until": float("inf")}, {"until": float("nan")}, {"until": -1}, {"until": 1e300}, {"until": 10**400},
    {"path": "/a\ud800b"},
)  # fmt: skip


def test_a_pipe_in_its_place_is_not_waited_for(files):
    files.directory.mkdir(parents=True)
    os.mkfifo(files.path)
    assert (files.all(), files.is_readable()) == ((), False)


def test_every_way_to_read_a_block_may_be_on_it():
    grammars = {grammar_of(form, dialect) for form in LINE_BASED for dialect in (None, *DIALECTS)}
    with_each = [replace(ONE, format=grammar) for grammar in grammars]
    assert [WrittenFile.of(json.loads(json.dumps(asdict(one)))) for one in with_each] == with_each


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: repr(bad)[:40])
def test_an_entry_that_is_none_is_left_out_and_the_others_stay(files, bad):
    with files.changing():
        files.note(ONE)
    document = json.loads(files.path.read_text())
    entry = {**document["files"][0], **bad} if isinstance(bad, dict) and bad else bad
    files.path.write_text(json.dumps({"files": [entry, *document["files"], bad], "of": "a later version"}))
    assert files.all() == (ONE,)


def test_odd_statements_and_line_ends_are_left_out(files):
    with files.changing():
        files.note(ONE)
    document = json.loads(files.path.read_text())
    document["files"][0] |= {"statements": [["A"], ["B", "cc"], 3], "added": "rm -rf", "unknown": 1}
    files.path.write_text(json.dumps(document))
    assert files.all() == (replace(ONE, statements=(("B", "cc"),), added=""),)


def test_expired_are_those_past_their_time_that_are_still_there(tmp_path):
    there, gone = tmp_path / "there", tmp_path / "gone"
    there.touch()
    past = [replace(ONE, path=str(path)) for path in (there, gone)]
    future = replace(ONE, path=str(tmp_path / "future"), until=100.5)
    (tmp_path / "future").touch()
    files = WrittenFiles(tmp_path / "state", Clock(100.0))
    with files.changing():
        for one in (*past, future, replace(ONE, path="/etc/passwd", until=None)):
            files.note(one)
    assert files.expired() == (past[0],)


NOTES = """
import sys
from dataclasses import replace
from pathlib import Path
from confsync.environments.output import written
written._PATIENCE = {patience}
files = written.WrittenFiles(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for turn in range(5):
    with files.changing():
        files.note(replace(written.{one!r}, path=f"/{{sys.argv[2]}}/{{turn}}"))
"""
"""Notes some files when it is told to."""


def test_two_at_once_lose_nothing(files):
    program = NOTES.format(patience=PATIENCE, one=ONE)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, files.directory, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for number in range(4)
    ]
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.close()
    for process in processes:
        with process:
            assert process.wait(PATIENCE) == 0
    assert len(files.all()) == 20


def test_who_reads_waits_for_nobody(files):
    with files.changing():
        files.note(ONE)
        assert files.all() == (ONE,)


def test_who_holds_it_too_long_is_not_waited_for(files, monkeypatch):
    monkeypatch.setattr("confsync.environments.output.written._PATIENCE", 0.05)
    with files.changing():
        told = []

        def change():
            try:
                with files.changing():
                    pass
            except LedgerError as exc:
                told.append(str(exc))

        thread = threading.Thread(target=change)
        thread.start()
        thread.join(PATIENCE)
    assert "another confsync has been changing the list" in told[0]
    assert "--state-dir" in told[0]


def test_a_state_directory_that_cannot_be_used_says_what_to_do(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match="--state-dir"), WrittenFiles(tmp_path / "file" / "x").changing():
        pass
