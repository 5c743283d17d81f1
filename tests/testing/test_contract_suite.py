"""The suite is worth something only if it fails drivers that break the contract."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from confsync.driver import Entry, Reading
from confsync.errors import SourceError
from confsync.testing import contract_watch
from confsync.testing.contract import BackendContract, Follower, Harness
from confsync.testing.memory import MemoryBackend, MemoryStore, MemoryWatch


class BrokenHarness(Harness):
    def __init__(self, kind):
        self.kind = kind
        self.store = MemoryStore()

    def open(self):
        return self.kind(self.store)

    def put(self, key, value):
        self.store.put(key, value)

    def delete(self, key):
        self.store.delete(key)

    def change(self, puts, deletes=()):
        self.store.transaction(puts, deletes)

    def calls(self):
        return self.store.calls

    def open_broken(self):
        return self.kind(self.store)


class MatchesTextNotPaths(MemoryBackend):
    def read(self, prefixes):
        root = super().read([""])
        under = {
            prefix: {
                f"/{key}"[len(prefix) :]: entry
                for key, entry in root.trees[""].items()
                if f"/{key}".startswith(prefix)
            }
            for prefix in prefixes
        }
        return Reading(root.revision, under)


class ChangesValues(MemoryBackend):
    def read(self, prefixes):
        reading = super().read(prefixes)
        return Reading(
            reading.revision,
            {
                p: {k: Entry(e.value.strip(), e.revision) for k, e in tree.items()}
                for p, tree in reading.trees.items()
            },
        )


class BeginsLate(MemoryBackend):
    def watch(self, prefixes, since):
        return super().watch(prefixes, Reading(self.store.revision, since.trees))


class PollingWatch(MemoryWatch):
    def __next__(self):
        while True:
            with self._store.changed:
                self._store.calls += 1
                delta = self._look()
            if delta is not None:
                return delta
            threading.Event().wait(0.01)


class Polls(MemoryBackend):
    def watch(self, prefixes, since):
        watch = PollingWatch(self.store, prefixes, since.revision)
        self._watches.append(watch)
        return watch


class ReadsWhenOpened(MemoryBackend):
    def __init__(self, store):
        super().__init__(store)
        self.read([""])


class LeavesAThread(MemoryBackend):
    stop = threading.Event()

    def read(self, prefixes):
        threading.Thread(target=self.stop.wait, args=(10,), daemon=True).start()
        return super().read(prefixes)


class RaisesAnything(MemoryBackend):
    def read(self, prefixes):
        raise SourceError("something went wrong")


class ShowsItsPassword(MemoryBackend):
    @property
    def address(self):
        return "memory://root:sesame@here"


class ClosesAlone(MemoryBackend):
    def close(self):
        pass


class HeldWatch(MemoryWatch):
    """Ends as it should; but who is the first to close it is held."""

    over = threading.Event()
    held = False

    def close(self):
        super().close()
        if not self.held:
            self.held = True
            self.over.wait(60)


class HoldsWhoCloses(MemoryBackend):
    def watch(self, prefixes, since):
        watch = HeldWatch(self.store, prefixes, since.revision)
        self._watches.append(watch)
        return watch


def run(name, kind):
    """Run one test of the suite by hand."""
    harness = BrokenHarness(kind)
    harness.credentials = lambda: ["sesame"]
    backend = harness.open()
    followers = []

    def follow(*prefixes, since=None):
        asked = prefixes or (harness.prefix,)
        reading = since or backend.read(asked)
        followers.append(Follower(backend.watch(asked, reading), reading))
        return followers[-1]

    given = {"harness": harness, "backend": backend, "follow": follow}
    test = getattr(BackendContract(), name)
    wanted = test.__code__.co_varnames[1 : test.__code__.co_argcount]
    try:
        test(**{argument: given[argument] for argument in wanted})
    finally:
        for follower in followers:
            follower.watch.close()
        MemoryBackend.close(backend)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (MatchesTextNotPaths, "test_a_prefix_ends_at_a_path_boundary"),
        (MatchesTextNotPaths, "test_paths_are_relative_to_the_prefix_without_a_leading_slash"),
        (ChangesValues, "test_values_are_bytes_and_unchanged"),
        (Polls, "test_an_idle_watch_makes_no_calls_and_no_cpu"),
        (ReadsWhenOpened, "test_open_does_no_io"),
        (RaisesAnything, "test_a_store_without_an_answer_is_a_source_error_with_its_cause"),
        (ShowsItsPassword, "test_the_address_tells_where_but_no_credential"),
    ],
)
def test_a_driver_that_breaks_the_contract_fails(kind, name):
    with pytest.raises(AssertionError):
        run(name, kind)


def test_a_watch_that_outlives_its_backend_fails(monkeypatch):
    monkeypatch.setattr(contract_watch, "_PATIENCE", 0.2)
    with pytest.raises(AssertionError):
        run("test_closing_the_backend_ends_its_watches", ClosesAlone)


def test_a_watch_that_ends_without_letting_go_of_who_closes_it_fails(monkeypatch):
    monkeypatch.setattr(contract_watch, "_MOST", 3)
    monkeypatch.setattr(contract_watch, "_PATIENCE", 0.2)
    HeldWatch.over.clear()
    try:
        with pytest.raises(AssertionError):
            run("test_close_from_another_thread_ends_a_blocked_watch_within_a_second", HoldsWhoCloses)
    finally:
        HeldWatch.over.set()


def test_a_watch_that_begins_too_late_fails(monkeypatch):
    from confsync.testing import harness

    patient = harness.eventually
    monkeypatch.setattr(harness, "eventually", lambda condition, within: patient(condition, 0.2))
    with pytest.raises(AssertionError):
        run("test_a_change_between_read_and_watch_is_not_missed", BeginsLate)


def test_a_thread_left_behind_fails(monkeypatch):
    from confsync.testing import contract

    patient = contract.eventually
    monkeypatch.setattr(contract, "eventually", lambda condition: patient(condition, 0.2))
    LeavesAThread.stop.clear()
    try:
        with pytest.raises(AssertionError, match="not so within"):
            run("test_no_thread_is_left_after_close", LeavesAThread)
    finally:
        LeavesAThread.stop.set()


def test_where_the_store_cannot_be_changed_no_test_of_watches_is_collected():
    class ReadOnly(BackendContract):
        mutable = False

    assert ReadOnly.test_a_watch_tells_of_a_new_key is None
    assert callable(ReadOnly.test_values_are_bytes_and_unchanged)
    assert callable(BackendContract.test_a_watch_tells_of_a_new_key)


def test_the_testing_package_works_without_pytest():
    program = (
        "import sys; sys.modules['pytest'] = None; import confsync.testing.memory, confsync.testing.waiting"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=30)
