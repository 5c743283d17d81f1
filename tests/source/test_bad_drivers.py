"""What a driver gets wrong, whatever it is, costs no more than its own source, and no longer than it lasts."""

from __future__ import annotations

import logging
import threading

import pytest

from confsync.clock import SystemClock
from confsync.config.models import MassDelete
from confsync.driver import Reading
from confsync.source.source import Source
from confsync.testing.memory import MemoryBackend, MemoryStore
from confsync.testing.waiting import eventually


class Backend(MemoryBackend):
    """A memory backend that can forget a prefix, or fail to watch."""

    forgetful = False
    blind = False

    def read(self, prefixes):
        reading = super().read(prefixes)
        return Reading(reading.revision, {}) if self.forgetful else reading

    def watch(self, prefixes, since):
        if self.blind:
            raise RuntimeError("can't start new thread")
        return super().watch(prefixes, since)


@pytest.fixture
def backend():
    store = MemoryStore()
    store.put("p/a", b"1")
    return Backend(store)


@pytest.fixture
def source(backend):
    source = Source("s", backend, ("p",), guard=MassDelete(), clock=SystemClock())
    follower = threading.Thread(target=source.follow, daemon=True)
    follower.start()
    eventually(lambda: source._watch is not None)
    yield source
    source.close()
    follower.join(30)
    assert not follower.is_alive()


def value(source):
    return source.snapshot().trees["p"]["a"].value


def test_a_source_whose_watch_fails_by_a_bug_is_read_instead_and_not_called_stale(backend, source, caplog):
    backend.blind = True
    backend.store.drop_watches()
    backend.store.put("p/a", b"2")

    eventually(lambda: value(source) == b"2")
    assert source.snapshot().problem is None

    backend.blind = False
    backend.store.put("p/a", b"3")
    eventually(lambda: value(source) == b"3")


def test_a_reading_that_lacks_a_prefix_is_survived_and_its_traceback_logged_once(backend, source, caplog):
    backend.forgetful = backend.blind = True
    with caplog.at_level(logging.ERROR):
        backend.store.drop_watches()
        eventually(lambda: "KeyError" in str(source.snapshot().problem))
        calls = backend.store.calls
        eventually(lambda: backend.store.calls >= calls + 3)
    assert [record.exc_info[0] for record in caplog.records if record.exc_info].count(KeyError) == 1

    backend.forgetful = backend.blind = False
    backend.store.put("p/a", b"2")
    eventually(lambda: value(source) == b"2")
