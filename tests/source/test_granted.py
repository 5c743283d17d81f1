"""A source of which whoever asks may read a part."""

from __future__ import annotations

from threading import Thread

import pytest

from confsync.clock import SystemClock
from confsync.config.models import MassDelete
from confsync.driver import Grant, Reading
from confsync.errors import Denied
from confsync.source.granted import read_as_granted
from confsync.source.source import Source
from confsync.testing.memory import MemoryBackend, MemoryStore
from confsync.testing.waiting import eventually


class Below(Grant):
    """What is below `open`."""

    def refusal(self, prefix, path):
        return None if path.startswith("open/") else Denied(f"{prefix}/{path} is denied")

    def refusal_below(self, prefix, path):
        return self.refusal(prefix, f"{path}/")


class Guarded(MemoryBackend):
    """Denies the prefixes in `closed`; tells what is granted of them if `tells`."""

    closed = frozenset({"prod"})
    tells = True

    def read(self, prefixes):
        if self.closed.intersection(prefixes):
            raise Denied("denied")
        return super().read(prefixes)

    def read_granted(self, prefixes):
        if not self.tells:
            return super().read_granted(prefixes)
        reading = super().read(prefixes)
        trees = {
            prefix: {path: one for path, one in tree.items() if path.startswith("open/")}
            for prefix, tree in reading.trees.items()
        }
        return Reading(reading.revision, trees, grant=Below())


@pytest.fixture
def store():
    store = MemoryStore()
    store.transaction({"prod/open/a": b"1", "prod/shut/b": b"2", "common/c": b"3"})
    return store


@pytest.fixture
def source(store):
    def source(*, partial=True, prefixes=("prod",)):
        return Source(
            "memory", Guarded(store), prefixes, guard=MassDelete(), clock=SystemClock(), partial=partial
        )

    return source


def test_what_is_written_is_made_of_everything_or_not_at_all(source):
    with pytest.raises(Denied):
        source(partial=False).refresh()


def test_a_view_raises_where_something_may_be_that_may_not_be_read(source):
    one = source()
    one.refresh()
    view = one.view(("prod",))
    assert view.find("open/a").entry.value == b"1"
    assert view.find("open/none") is None
    assert view.under("open") == view.children("open") == ["open/a"]
    assert view.absent("open/b").nearest == "open/a"
    for ask in (view.find, view.under, view.children, view.directories):
        with pytest.raises(Denied):
            ask("shut/b")
    with pytest.raises(Denied):
        view.paths()


def test_a_part_is_read_again_at_each_resync_for_it_cannot_be_watched(source, store):
    one = source()
    one.refresh()
    follower = start(one)
    store.put("prod/open/a", b"2")
    try:
        eventually(lambda: one.resync() or one.view(("prod",)).find("open/a").entry.value == b"2")
    finally:
        one.close()
        follower.join(30)
    assert not follower.is_alive()


def start(source):
    thread = Thread(target=source.follow, daemon=True)
    thread.start()
    return thread


def test_where_nobody_tells_what_is_granted_each_prefix_is_read_apart(store):
    backend = Guarded(store)
    backend.tells = False
    reading = read_as_granted(backend, ["prod", "common"])
    assert {prefix: set(tree) for prefix, tree in reading.trees.items()} == {"prod": set(), "common": {"c"}}
    assert reading.grant.refusal("prod", "x").message == "denied"
    assert reading.grant.refusal_below("common", "") is None
    for denied in (["prod"], ["prod", "prod/open"]):
        backend.closed = frozenset(denied)
        with pytest.raises(Denied):
            read_as_granted(backend, denied)
