"""The ledger keeps what it was given, whole or not at all, and tells nothing to who lacks its key."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import stat
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confsync.clock import SystemClock
from confsync.digest import Hasher
from confsync.errors import LedgerError, LedgerLocked
from confsync.ledger import state_dir
from confsync.ledger.ledger import memory_ledger, open_ledger, read_ledger
from confsync.ledger.records import OwedReload, State, SyncRecord, TargetRecord
from confsync.reads import KeyRead, PathRead, Reads
from confsync.testing.waiting import eventually

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
times = st.floats(min_value=0, max_value=4e9)
path_reads = st.builds(PathRead, text, text)
all_reads = st.builds(
    Reads,
    keys=st.dictionaries(
        path_reads, st.builds(KeyRead, text, st.integers(0, 2**62), text, times), max_size=3
    ),
    missed=st.frozensets(path_reads, max_size=3),
    listed=st.frozensets(path_reads, max_size=3),
    templates=st.dictionaries(text, text, max_size=2),
    impure=st.booleans(),
)
syncs = st.builds(
    SyncRecord,
    text,
    text,
    st.none() | text,
    all_reads,
    st.sampled_from(State),
    text,
    times,
    st.none() | times,
)
targets = st.builds(
    TargetRecord,
    text,
    text,
    text,
    st.none() | text,
    st.dictionaries(text, text, max_size=3),
    st.booleans(),
    st.booleans(),
    st.none() | times,
    st.booleans(),
)


@pytest.fixture
def ledger(tmp_path):
    ledger = open_ledger(tmp_path, SystemClock())
    yield ledger
    ledger.close()


def reopened(tmp_path):
    return open_ledger(tmp_path, SystemClock())


def target(name="file:/x", sync="app", **more):
    facts = {
        "digest": "d",
        "attributes": {"mode": "0644"},
        "created": True,
        "sensitive": False,
        "written_at": 1.0,
    }
    return TargetRecord(name, sync, "{}", **{**facts, **more})


@given(st.lists(syncs, max_size=4))
def test_syncs_come_back_as_they_were_given(records):
    ledger = memory_ledger(SystemClock())
    for record in records:
        ledger.put_sync(record)
    last = {record.name: record for record in records}
    assert ledger.syncs() == last
    assert ledger.sync_names() == sorted(last)
    for name, record in last.items():
        assert ledger.sync(name) == record
    ledger.close()


@given(st.lists(targets, max_size=4))
def test_targets_come_back_as_they_were_given(records):
    ledger = memory_ledger(SystemClock())
    for record in records:
        ledger.put_target(record)
    last = {record.id: record for record in records}
    assert ledger.targets() == last
    for record in last.values():
        assert ledger.targets(record.sync)[record.id] == record
        ledger.forget_target(record.id, record.sync)
    assert ledger.targets() == {}
    ledger.close()


def test_what_was_committed_is_there_after_reopening(tmp_path, ledger):
    ledger.put_sync(SyncRecord("app", state=State.OK))
    ledger.put_target(target())
    ledger.owe_reload(OwedReload("app", "r1", 5.0, "why"))
    ledger.put_key_counts("etcd", {"/prod": 7})
    ledger.put_flag("note", "x")
    ledger.close()
    again = reopened(tmp_path)
    assert again.sync("app").state is State.OK
    assert set(again.targets()) == {"file:/x"}
    assert again.owed_reloads() == [OwedReload("app", "r1", 5.0, "why")]
    assert again.key_counts("etcd") == {"/prod": 7}
    assert again.flag("note") == "x"
    again.close()


def test_a_transaction_that_fails_leaves_nothing_behind(ledger):
    ledger.put_target(target("file:/kept"))

    def half():
        with ledger.transaction(durable=True):
            ledger.put_target(target("file:/new"))
            ledger.forget_target("file:/kept", "app")
            ledger.note("app", "file:/new", "created")
            raise ValueError("midway")

    with pytest.raises(ValueError, match="midway"):
        half()
    assert set(ledger.targets()) == {"file:/kept"}
    assert ledger.history() == []
    ledger.put_target(target("file:/after"))
    assert "file:/after" in ledger.targets()


def test_an_inner_transaction_belongs_to_the_outer_one(ledger):

    def half():
        with ledger.transaction():
            with ledger.transaction(durable=True):
                ledger.put_target(target())
            raise ValueError("outer")

    with pytest.raises(ValueError, match="outer"):
        half()
    assert ledger.targets() == {}


def test_a_forgotten_sync_owes_nothing_and_its_targets_stay(ledger):
    ledger.put_sync(SyncRecord("app"))
    ledger.put_target(target())
    ledger.owe_reload(OwedReload("app", "r", 1.0))
    ledger.owe_reload(OwedReload("other", "r", 1.0))
    ledger.forget_sync("app")
    assert ledger.sync("app") is None
    assert [debt.sync for debt in ledger.owed_reloads()] == ["other"]
    assert set(ledger.targets()) == {"file:/x"}


def test_reloads_are_owed_oldest_first_and_once_each(ledger):
    for since, sync in ((3.0, "c"), (1.0, "a"), (2.0, "b")):
        ledger.owe_reload(OwedReload(sync, "r", since))
    ledger.owe_reload(OwedReload("a", "r", 1.0, "failed"))
    assert [(debt.sync, debt.error) for debt in ledger.owed_reloads()] == [
        ("a", "failed"),
        ("b", ""),
        ("c", ""),
    ]
    ledger.settle_reload("a", "r")
    ledger.settle_reload("a", "r")
    assert [debt.sync for debt in ledger.owed_reloads()] == ["b", "c"]


def test_history_is_newest_first_and_bounded(ledger):
    with ledger.transaction():
        for number in range(2100):
            ledger.note("app", f"file:/{number % 3}", "updated", str(number))
    assert [entry.detail for entry in ledger.history(limit=3)] == ["2099", "2098", "2097"]
    assert [entry.detail for entry in ledger.history("file:/0", limit=2)] == ["2097", "2094"]
    assert len(ledger.history(limit=10_000)) == 2000


def test_a_flag_is_there_until_it_is_removed(ledger):
    ledger.put_flag("allow-mass-delete", "1")
    assert ledger.flag("allow-mass-delete") == "1"
    ledger.put_flag("allow-mass-delete", None)
    assert ledger.flag("allow-mass-delete") is None


def test_readers_see_whole_transactions_while_another_writes(tmp_path, ledger):
    done = threading.Event()
    seen: set[int] = set()
    wrong: list[object] = []

    def read():
        while not done.is_set():
            reader = read_ledger(tmp_path, SystemClock())
            found = {record.digest for record in reader.targets().values()}
            seen.add(len(reader.targets()))
            if len(found) > 1:
                wrong.append(found)
            reader.close()

    thread = threading.Thread(target=read)
    thread.start()

    def write(number):
        with ledger.transaction():
            for name in range(20):
                ledger.put_target(target(f"file:/{name}", digest=str(number)))

    numbers = itertools.count()
    for _ in range(60):
        write(next(numbers))
    eventually(lambda: write(next(numbers)) or 20 in seen)  # a busy machine may not have let it read yet
    done.set()
    thread.join(30)
    assert wrong == []
    assert seen <= {0, 20}
    assert 20 in seen


def test_threads_may_write_at_once(ledger):
    def write(name):
        for number in range(50):
            with ledger.transaction():
                ledger.put_target(target(f"file:/{name}/{number}"))

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(ledger.targets()) == 200


def test_a_ledger_that_is_read_is_left_as_it_is(tmp_path, ledger):
    ledger.put_target(target())
    ledger.close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    reader = read_ledger(tmp_path, SystemClock())
    assert set(reader.targets()) == {"file:/x"}
    with pytest.raises(LedgerError):
        reader.put_target(target("file:/y"))
    reader.close()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_directory_with_signs_that_urls_know_is_read_too(tmp_path):
    odd = tmp_path / "50% of? this#one ü"
    odd.mkdir()
    ledger = open_ledger(odd, SystemClock())
    ledger.put_target(target())
    ledger.close()
    reader = read_ledger(odd, SystemClock())
    assert set(reader.targets()) == {"file:/x"}
    reader.close()


def test_without_a_ledger_a_reader_finds_nothing_and_makes_nothing(tmp_path):
    reader = read_ledger(tmp_path / "none", SystemClock())
    assert reader.targets() == {}
    reader.close()
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_ledger_cannot_be_read_but_is_begun_anew_by_a_writer(tmp_path):
    (tmp_path / "ledger.db").write_bytes(b"garbage" * 1000)
    with pytest.raises(LedgerError, match="sets a damaged ledger aside"):
        read_ledger(tmp_path, SystemClock())
    ledger = open_ledger(tmp_path, SystemClock())
    assert ledger.targets() == {}
    ledger.close()
    (aside,) = tmp_path.glob("ledger.db.damaged-*")
    assert aside.read_bytes() == b"garbage" * 1000


@pytest.mark.parametrize("lost", ["missing", "replaced", "cut"])
def test_without_its_key_digests_are_forgotten_and_ownership_is_not(tmp_path, ledger, lost):
    ledger.put_target(target())
    ledger.put_sync(SyncRecord("app", identity="i"))
    ledger.close()
    key = tmp_path / "ledger.key"
    {
        "missing": key.unlink,
        "replaced": lambda: key.write_bytes(os.urandom(32)),
        "cut": lambda: os.truncate(key, 5),
    }[lost]()
    reader = read_ledger(tmp_path, SystemClock())
    assert reader.targets()["file:/x"].digest is None
    reader.close()
    again = reopened(tmp_path)
    assert again.targets()["file:/x"].digest is None
    assert again.targets()["file:/x"].created
    assert again.sync("app").identity is None
    again.close()


# The key and its digests


def test_files_of_the_state_directory_are_for_their_owner_only(tmp_path):
    directory = tmp_path / "state"
    state_dir.prepare(directory)
    ledger = open_ledger(directory, SystemClock())
    ledger.put_target(target())
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for path in directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    ledger.close()


def test_a_directory_open_to_others_is_closed(tmp_path):
    tmp_path.chmod(0o777)
    state_dir.prepare(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_a_short_secret_has_another_digest_under_another_key():
    one, two = Hasher(b"1" * 32), Hasher(b"2" * 32)
    assert one.content(b"1234") != two.content(b"1234")
    assert one.value(b"1234") != two.value(b"1234")
    assert one.parts("1234") != two.parts("1234")


def test_the_key_stays_and_is_in_no_ledger(tmp_path, ledger):
    ledger.put_target(target(digest=Hasher(ledger.key).content(b"1234")))
    ledger.close()
    assert state_dir.load_key(tmp_path) == ledger.key
    assert ledger.key not in (tmp_path / "ledger.db").read_bytes()
    assert ledger.key.hex().encode() not in (tmp_path / "ledger.db").read_bytes()


parts = st.lists(st.one_of(st.text(max_size=4), st.binary(max_size=4)), max_size=4)


@given(parts, parts)
def test_no_two_sequences_have_one_digest(one, other):
    hasher = Hasher(b"k" * 32)

    def plain(sequence):
        return [
            part if isinstance(part, bytes) else part.encode("utf-8", "surrogateescape") for part in sequence
        ]

    try:
        same = plain(one) == plain(other)
    except UnicodeEncodeError:
        return
    assert (hasher.parts(*one) == hasher.parts(*other)) == same


files = st.dictionaries(st.text(st.sampled_from("ab"), max_size=2), st.binary(max_size=2), max_size=3)


@given(files, files)
def test_no_two_directories_have_one_digest(one, other):
    hasher = Hasher(b"k" * 32)
    assert (hasher.content(one) == hasher.content(other)) == (one == other)


# Disks that refuse


def small_disk(tmp_path):
    """A file system of 256 kB, or a skip where mounting is not allowed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mounting is not allowed here")
    return disk


def fill(path):
    filler = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        with contextlib.suppress(OSError):
            while os.write(filler, b"x" * 1024):
                pass
    finally:
        os.close(filler)


def put_many(ledger):
    for number in range(1000):
        ledger.put_target(target(f"file:/{number}", digest="d" * 500))


@pytest.mark.root
def test_a_full_disk_is_a_ledger_error_and_loses_nothing_committed(tmp_path):
    disk = small_disk(tmp_path)
    try:
        ledger = open_ledger(disk, SystemClock())
        ledger.put_target(target())
        fill(disk / "filler")
        with pytest.raises(LedgerError, match="cannot be written"):
            put_many(ledger)
        assert "file:/x" in ledger.targets()
        (disk / "filler").unlink()
        ledger.put_target(target("file:/after"))
        assert "file:/after" in ledger.targets()
        ledger.close()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.root
def test_a_read_only_disk_is_a_ledger_error(tmp_path):
    disk = small_disk(tmp_path)
    try:
        ledger = open_ledger(disk, SystemClock())
        ledger.put_target(target())
        ledger.close()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(LedgerError):
            open_ledger(disk, SystemClock())
        lock = state_dir.Lock(disk / "lock")
        with pytest.raises(LedgerError):
            lock.acquire("apply")
        reader = read_ledger(disk, SystemClock())
        assert set(reader.targets()) == {"file:/x"}
        reader.close()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("what", ["a file", "below a file"])
def test_a_state_directory_that_cannot_be_one_is_a_ledger_error(tmp_path, what):
    (tmp_path / "file").write_text("")
    directory = tmp_path / "file" if what == "a file" else tmp_path / "file" / "state"
    with pytest.raises(LedgerError, match="--state-dir"):
        state_dir.prepare(directory)


# The lock


def test_the_second_to_lock_is_told_who_was_first(tmp_path):
    second = state_dir.Lock(tmp_path / "lock")
    with state_dir.Lock(tmp_path / "lock").acquire("run") as first:
        assert first.daemon() == os.getpid()
        with pytest.raises(LedgerLocked, match=rf"confsync run, process {os.getpid()}"):
            second.acquire("apply")
    with state_dir.Lock(tmp_path / "lock").acquire("apply") as again:
        assert again.daemon() is None
    assert state_dir.Lock(tmp_path / "lock").daemon() is None


def test_a_lock_ends_with_its_process(tmp_path):
    code = (
        "import sys, pathlib, os\nfrom confsync.ledger.state_dir import Lock\n"
        "Lock(pathlib.Path(sys.argv[1])).acquire('run')\nprint('held', flush=True)\nsys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(LedgerLocked, match=f"process {process.pid}"):
            state_dir.Lock(tmp_path / "lock").acquire("apply")
    finally:
        process.kill()
        process.communicate(timeout=60)
    state_dir.Lock(tmp_path / "lock").acquire("apply").release()


def test_a_database_of_another_program_is_set_aside(tmp_path):
    connection = sqlite3.connect(tmp_path / "ledger.db")
    connection.execute("CREATE TABLE other (x)")
    connection.execute("PRAGMA user_version = 7")
    connection.commit()
    connection.close()
    ledger = open_ledger(tmp_path, SystemClock())
    assert ledger.targets() == {}
    ledger.close()
    assert list(tmp_path.glob("ledger.db.damaged-*"))
