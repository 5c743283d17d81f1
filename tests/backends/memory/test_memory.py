"""What the memory store does on order, for the tests of everything above it."""

from __future__ import annotations

from pathlib import Path

import pytest

from confsync.driver import Reading
from confsync.errors import Denied, Gap, Unavailable
from confsync.testing.contract import Follower
from confsync.testing.memory import MemoryBackend, MemoryOptions, MemoryStore, forget_store, shared_store
from confsync.testing.waiting import eventually


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def backend(store):
    backend = MemoryBackend(store)
    yield backend
    backend.close()


@pytest.fixture
def follow(backend):
    def start(prefix="prod"):
        reading = backend.read([prefix])
        return Follower(backend.watch([prefix], reading), reading)

    return start


def test_a_leading_slash_of_a_key_means_nothing(store, backend):
    store.put("/prod/a", b"1")
    store.put("prod/a", b"2")
    assert {path: entry.value for path, entry in backend.read(["/prod"]).trees["/prod"].items()} == {
        "a": b"2"
    }


def test_a_transaction_has_one_revision_for_all_its_keys(store, backend):
    before = backend.read([""]).revision
    assert store.transaction({"prod/a": b"1", "prod/b": b"2"}) == before + 1
    assert {entry.revision for entry in backend.read(["prod"]).trees["prod"].values()} == {before + 1}


def test_deleting_what_is_not_there_changes_nothing(store, backend):
    before = backend.read([""]).revision
    assert store.delete("prod/a") == before


def test_an_ordered_failure_is_raised_by_reads_and_by_watches_until_it_is_taken_back(store, backend, follow):
    follower = follow()
    error = Denied("no")
    store.fail_with(error)
    assert follower.ended()
    assert follower.error is error
    for call in (lambda: backend.read([""]), lambda: backend.watch([""], Reading(1, {}))):
        with pytest.raises(Denied):
            call()
    store.fail_with(None)
    assert backend.read([""]).trees == {"": {}}


def test_dropped_watches_are_unavailable_and_new_ones_work(store, follow):
    follower = follow()
    store.drop_watches()
    assert follower.ended()
    assert isinstance(follower.error, Unavailable)
    again = follow()
    store.put("prod/a", b"1")
    again.wait_for("prod", {"a": b"1"})
    again.watch.close()


def test_after_a_compaction_only_an_old_place_is_a_gap(store, backend, follow):
    old = backend.read(["prod"])
    store.put("prod/a", b"1")
    follower = follow()
    store.compact()
    store.put("prod/a", b"2")
    follower.wait_for("prod", {"a": b"2"})
    follower.watch.close()
    with pytest.raises(Gap):
        backend.watch(["prod"], old)


def test_a_place_in_the_future_is_a_gap(store, backend):
    with pytest.raises(Gap):
        backend.watch([""], Reading(99, {}))


def test_many_writes_may_be_told_as_one_delta_with_the_last_state(store, backend):
    reading = backend.read(["prod"])
    store.put("prod/a", b"1")
    store.put("prod/a", b"2")
    store.put("prod/b", b"1")
    store.delete("prod/b")
    with backend.watch(["prod"], reading) as watch:
        delta = next(watch)
    assert (delta.puts["prod"]["a"].value, delta.deletes["prod"]) == (b"2", {"b"})


def test_backends_of_one_name_share_a_store():
    try:
        shared_store("of-this-test").put("a", b"1")
        backend = MemoryBackend.open(MemoryOptions(name="of-this-test"), Path("."))
        assert backend.read([""]).trees[""]["a"].value == b"1"
        assert backend.address == "memory:of-this-test"
    finally:
        forget_store("of-this-test")
    assert shared_store("of-this-test").revision == 1
    forget_store("of-this-test")


def test_calls_are_counted(store, backend, follow):
    follower = follow()
    eventually(lambda: store.calls == 2)
    follower.watch.close()
