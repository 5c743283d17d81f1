"""A driver that breaks its contract is an unavailable source, not the end of one."""

from __future__ import annotations

import threading

import pytest

from confsync.clock import SystemClock
from confsync.config.models import MassDelete
from confsync.driver import Reading, Watch
from confsync.errors import Unavailable
from confsync.source.source import Source
from confsync.testing.memory import MemoryBackend, MemoryStore
from confsync.testing.waiting import eventually


class Buggy(MemoryBackend):
    """A memory backend that raises what no driver may raise, while `broken`."""

    broken = False

    def read(self, prefixes):
        if self.broken:
            raise RuntimeError("hunter2 is the password")
        return super().read(prefixes)

    def watch(self, prefixes, since: Reading) -> Watch:
        if self.broken:
            raise RuntimeError("can't start new thread")
        return super().watch(prefixes, since)


@pytest.fixture
def backend():
    store = MemoryStore()
    store.put("a", b"1")
    backend = Buggy(store)
    yield backend
    backend.close()


def source_of(backend) -> Source:
    return Source("m", backend, ("",), guard=MassDelete(), clock=SystemClock())


def test_a_bug_in_read_is_an_unavailable_source_that_does_not_repeat_the_text(backend, caplog):
    backend.broken = True
    with pytest.raises(Unavailable) as failed:
        source_of(backend).refresh()

    assert "RuntimeError" in str(failed.value)
    assert "hunter2" not in str(failed.value)


def test_a_bug_in_watch_is_survived(backend, caplog):
    source = source_of(backend)
    source.refresh()
    backend.broken = True
    follower = threading.Thread(target=source.follow)
    follower.start()
    try:
        eventually(lambda: source.snapshot().problem is not None)
        backend.broken = False
        eventually(lambda: source.snapshot().problem is None)
        backend.store.put("a", b"2")
        eventually(lambda: source.snapshot().trees[""]["a"].value == b"2")
    finally:
        source.close()
        follower.join(30)


def test_a_confirmation_does_not_stay_in_force(backend):
    class Clock(SystemClock):
        late = 0.0

        def monotonic(self) -> float:
            return super().monotonic() + self.late

    clock = Clock()
    source = Source("m", backend, ("",), guard=MassDelete(), clock=clock)
    source.refresh()
    source.allow_mass_delete()
    clock.late = 3600
    backend.store.delete("a")

    with pytest.raises(Exception, match="vanished at once"):
        source.refresh()
