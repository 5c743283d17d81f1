"""A mass loss that is held stays held until it is confirmed, the keys return, or the limits are other ones."""

from __future__ import annotations

import pytest

from confsync.clock import SystemClock
from confsync.config.models import MassDelete
from confsync.errors import Held
from confsync.source.source import Source
from confsync.testing.memory import MemoryBackend, MemoryStore


@pytest.fixture
def store():
    store = MemoryStore()
    store.transaction({f"p/k{n}": b"1" for n in range(10)})
    return store


def source_of(store, known=None, prefixes=("p",), notify=lambda _: None):
    return Source(
        "s",
        MemoryBackend(store),
        prefixes,
        guard=MassDelete(),
        clock=SystemClock(),
        known=known,
        notify=notify,
    )


def held(source):
    with pytest.raises(Held):
        source.refresh()
    return source.held


def test_a_hold_found_at_a_restart_does_not_end_when_the_same_is_read_again(store):
    source = source_of(store, known={"p": 100})
    assert held(source)
    assert held(source)


def test_a_hold_found_at_a_restart_does_not_end_by_an_unrelated_write(store):
    source = source_of(store, known={"p": 100})
    assert held(source)
    store.put("p/new", b"1")
    assert held(source)
    assert "89 of 100" in str(source._held)


def test_a_hold_ends_when_the_limits_of_a_new_configuration_allow_the_loss(store):
    events = []
    source = source_of(store, notify=events.append)
    source.refresh()
    store.transaction(deletes=[f"p/k{n}" for n in range(8)])
    assert held(source)
    events.clear()

    source.set_guard(MassDelete(percent=100))

    assert not source.held
    assert len(source.snapshot().trees["p"]) == 2
    assert [event.changes for event in events] == [None]


def test_limits_that_do_not_allow_the_loss_do_not_end_a_hold(store):
    source = source_of(store, known={"p": 100})
    assert held(source)
    source.set_guard(MassDelete(percent=60))
    assert source.held


def test_counts_of_prefixes_that_are_not_read_now_are_kept(store):
    source = source_of(store, known={"p": 10, "prod": 7})
    source.refresh()
    assert source.key_counts() == {"p": 10, "prod": 7}
