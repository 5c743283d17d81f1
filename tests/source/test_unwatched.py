"""A source that cannot be watched is read again at each resync, by its own thread."""

from __future__ import annotations

import threading

import pytest

from confsync.clock import SystemClock
from confsync.config.models import MassDelete
from confsync.source.source import Source
from confsync.testing.memory import MemoryBackend, MemoryStore
from confsync.testing.waiting import eventually


class Unwatched(MemoryBackend):
    """Reads only; while `go` is not set it hangs, as a store behind a dead link does."""

    watches = False

    def __init__(self, store):
        super().__init__(store)
        self.go = threading.Event()
        self.go.set()
        self.hangs = threading.Event()

    def read(self, prefixes):
        if not self.go.is_set():
            self.hangs.set()
            self.go.wait(30)
        return super().read(prefixes)


@pytest.fixture
def backend():
    store = MemoryStore()
    store.put("p/a", b"1")
    return Unwatched(store)


@pytest.fixture
def source(backend):
    source = Source("s", backend, ("p",), guard=MassDelete(), clock=SystemClock())
    follower = threading.Thread(target=source.follow, daemon=True)
    follower.start()
    eventually(lambda: source.answered)
    yield source
    source.close()
    backend.go.set()
    follower.join(30)
    assert not follower.is_alive()


def value(source):
    return source.snapshot().trees["p"]["a"].value


def test_it_is_read_again_at_each_resync(backend, source):
    for new in (b"2", b"3"):
        backend.store.put("p/a", new)
        source.resync()
        eventually(lambda new=new: value(source) == new)


def test_a_resync_does_not_wait_for_a_read_that_hangs(backend, source):
    backend.go.clear()
    source.resync()
    assert backend.hangs.wait(30)
    backend.store.put("p/a", b"2")

    source.resync()
    assert value(source) == b"1"

    backend.go.set()
    eventually(lambda: value(source) == b"2")
