"""A source keeps its last good snapshot, whatever happens to its store."""

from __future__ import annotations

import threading

import pytest

from confsync.config.models import MassDelete
from confsync.errors import Denied, Held, SourceError, Unavailable
from confsync.snapshot import Problem
from confsync.source.changes import Event
from confsync.source.source import Source
from confsync.testing.memory import MemoryBackend, MemoryStore
from confsync.testing.waiting import eventually

TEN = {f"p/k{n}": b"1" for n in range(10)}


class Clock:
    """Wall time that only tests move; the other stands still."""

    def __init__(self):
        self.time = 1000.0

    def now(self):
        return self.time

    def monotonic(self):
        return self.time


class Rig:
    """A store, a source that reads it, and what the source told."""

    def __init__(self, keys=TEN, known=None, prefixes=("p",)):
        self.store = MemoryStore()
        self.store.transaction(keys)
        self.clock = Clock()
        self.events: list[Event] = []
        self.source = Source(
            "s",
            MemoryBackend(self.store),
            prefixes,
            guard=MassDelete(),
            clock=self.clock,
            known=known,
            notify=self.events.append,
        )
        self.thread: threading.Thread | None = None

    def follow(self):
        self.thread = threading.Thread(target=self.source.follow, daemon=True)
        self.thread.start()
        eventually(lambda: self.source._watch is not None)

    def values(self, prefix="p"):
        return {path: entry.value for path, entry in self.source.snapshot().trees[prefix].items()}

    def close(self):
        self.source.close()
        if self.thread:
            self.thread.join(30)
            assert not self.thread.is_alive()


@pytest.fixture
def make():
    made = []

    def make(**options):
        made.append(Rig(**options))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


@pytest.fixture
def rig(make):
    rig = make()
    rig.source.refresh()
    return rig


def delete(count):
    return [f"p/k{n}" for n in range(count)]


def test_a_source_never_read_gives_no_snapshot_and_says_so(make):
    rig = make()
    with pytest.raises(SourceError, match="has not been read yet"):
        rig.source.snapshot()
    rig.store.fail_with(Unavailable("it is down"))
    with pytest.raises(Unavailable):
        rig.source.refresh()
    with pytest.raises(Unavailable, match="it is down"):
        rig.source.snapshot()


def test_a_failing_source_keeps_its_last_snapshot_and_says_since_when(rig):
    good = rig.source.snapshot()
    assert good.problem is None
    rig.store.put("p/k0", b"2")
    rig.store.fail_with(Unavailable("it is down"))
    for _ in range(3):
        rig.clock.time += 10
        with pytest.raises(Unavailable):
            rig.source.refresh()
    stale = rig.source.snapshot()
    assert stale.trees == good.trees
    assert stale.problem == Problem("it is down", 1010.0)


def test_another_failure_is_told_but_does_not_make_it_younger(rig):
    rig.store.fail_with(Unavailable("it is down"))
    with pytest.raises(Unavailable):
        rig.source.refresh()
    rig.clock.time += 60
    rig.store.fail_with(Denied("no longer allowed"))
    with pytest.raises(Denied):
        rig.source.refresh()
    assert rig.source.snapshot().problem.text == "no longer allowed"
    assert rig.source.snapshot().problem.since == 1000.0
    assert len(rig.events) == 3  # the first read, and each kind of failure once


def test_a_source_that_answers_again_is_fresh_and_tells(rig):
    rig.store.fail_with(Unavailable("it is down"))
    with pytest.raises(Unavailable):
        rig.source.refresh()
    rig.store.fail_with(None)
    rig.events.clear()
    rig.source.refresh()
    assert rig.source.snapshot().problem is None
    assert rig.source.snapshot().problem is None
    assert rig.events == [Event("s", None)]
    rig.clock.time += 99
    rig.store.fail_with(Unavailable("down once more"))
    with pytest.raises(Unavailable):
        rig.source.refresh()
    assert rig.source.snapshot().problem.since == 1099.0


def test_reading_again_tells_only_what_changed(rig):
    rig.events.clear()
    rig.source.refresh()
    assert rig.events == []
    rig.store.put("p/k1", b"2")
    rig.store.put("p/new", b"1")
    rig.store.put("p/k2", b"1")  # written, not changed
    rig.store.delete("p/k3")
    rig.store.put("elsewhere", b"1")
    rig.source.refresh()
    assert rig.events == [Event("s", {"p": frozenset({"k1", "new", "k3"})})]


def test_a_snapshot_is_not_touched_by_later_changes(rig):
    before = rig.source.snapshot()
    rig.store.put("p/k0", b"2")
    rig.source.refresh()
    assert before.trees["p"]["k0"].value == b"1"
    assert rig.source.snapshot().trees["p"]["k0"].value == b"2"
    assert rig.source.snapshot().revision > before.revision


# Following


def test_a_followed_source_tells_each_change_and_only_it(rig):
    rig.follow()
    rig.events.clear()
    rig.store.transaction({"p/k1": b"2", "p/k2": b"1"}, ["p/k3"])
    eventually(lambda: rig.values().get("k1") == b"2")
    eventually(lambda: rig.events)
    assert rig.events == [Event("s", {"p": frozenset({"k1", "k3"})})]


def test_a_watch_that_is_cut_goes_on_where_it_was_without_going_stale(rig):
    rig.follow()
    rig.store.drop_watches()
    rig.store.put("p/k1", b"2")
    eventually(lambda: rig.values()["k1"] == b"2")
    assert rig.source.snapshot().problem is None
    assert all(event.changes is not None for event in rig.events[1:])


def test_a_watch_that_lost_its_place_reads_everything_again(rig):
    rig.follow()
    rig.store.fail_with(Unavailable("cut"))
    eventually(lambda: rig.source.snapshot().problem is not None)
    rig.store.put("p/k1", b"2")
    rig.store.delete("p/k2")
    rig.store.compact()
    rig.store.fail_with(None)
    eventually(lambda: rig.source.snapshot().problem is None)
    assert rig.values()["k1"] == b"2"
    assert "k2" not in rig.values()
    rig.store.put("p/k4", b"3")
    eventually(lambda: rig.values()["k4"] == b"3")


def test_a_followed_source_that_is_down_is_stale_and_recovers_by_itself(rig):
    rig.follow()
    rig.store.fail_with(Unavailable("it is down"))
    eventually(lambda: "it is down" in str(rig.source.snapshot().problem))
    assert rig.values() == {f"k{n}": b"1" for n in range(10)}
    rig.store.fail_with(None)
    eventually(lambda: rig.source.snapshot().problem is None)


def test_a_warning_is_logged_only_where_nobody_else_tells_of_a_failure(make, caplog):
    caplog.set_level("INFO")
    once, followed = make(), make()
    for rig in (once, followed):
        rig.store.fail_with(Unavailable("it is down"))
    with pytest.raises(Unavailable):
        once.source.refresh()
    followed.thread = threading.Thread(target=followed.source.follow, daemon=True)
    followed.thread.start()
    eventually(lambda: len(followed.events) == 1)

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "source cannot be read"), ("WARNING", "source cannot be read"),
    ]  # fmt: skip


def test_a_source_that_is_down_at_the_start_is_followed_once_it_answers(make):
    rig = make()
    rig.store.fail_with(Unavailable("it is down"))
    rig.thread = threading.Thread(target=rig.source.follow, daemon=True)
    rig.thread.start()
    eventually(lambda: len(rig.events) == 1)
    rig.store.fail_with(None)
    eventually(lambda: rig.source._watch is not None)
    assert len(rig.values()) == 10


def test_a_followed_source_that_is_quiet_makes_no_calls(rig):
    rig.follow()
    calls = rig.store.calls
    threading.Event().wait(0.3)
    assert rig.store.calls == calls


def test_closing_ends_following_at_once(rig):
    rig.follow()
    rig.source.close()
    rig.source.close()
    rig.thread.join(30)
    assert not rig.thread.is_alive()


# Mass loss


def lose_by_reading(rig, keys):
    rig.store.transaction(deletes=keys)
    with pytest.raises(Held):
        rig.source.refresh()


def lose_by_watching(rig, keys):
    rig.follow()
    rig.store.transaction(deletes=keys)
    eventually(lambda: rig.source.held)


def lose_by_watching_one_by_one(rig, keys):
    rig.follow()
    for key in keys:
        rig.store.delete(key)
    eventually(lambda: rig.source.held)


LOSSES = [lose_by_reading, lose_by_watching]


@pytest.mark.parametrize("lose", LOSSES)
@pytest.mark.parametrize("count", [6, 10])
def test_a_mass_loss_is_held_and_changes_nothing(rig, lose, count):
    before = rig.values()
    lose(rig, delete(count))
    snapshot = rig.source.snapshot()
    assert rig.values() == before
    assert snapshot.problem is not None
    assert f"{count} of 10 keys in s:p" in snapshot.problem.text
    assert "--allow-mass-delete" in snapshot.problem.text
    assert snapshot.problem.since == 1000.0
    assert rig.events[-1] == Event("s", None)


def test_a_loss_in_many_small_steps_is_accepted_step_by_step_until_nothing_is_left(rig):
    rig.follow()
    for number in range(9):
        rig.store.delete(f"p/k{number}")
        eventually(lambda number=number: f"k{number}" not in rig.values())
    rig.store.delete("p/k9")
    eventually(lambda: rig.source.held)
    assert rig.values() == {"k9": b"1"}


@pytest.mark.parametrize("lose", LOSSES)
def test_what_changes_during_a_hold_is_not_shown_before_its_end(rig, lose):
    before = rig.values()
    lose(rig, delete(8))
    rig.store.put("p/k9", b"2")
    if rig.thread is None:
        with pytest.raises(Held):
            rig.source.refresh()
    assert rig.values() == before


@pytest.mark.parametrize("lose", LOSSES)
def test_keys_that_return_end_the_hold(rig, lose):
    before = rig.values()
    lose(rig, delete(8))
    rig.store.transaction(dict.fromkeys(delete(8), b"1"))
    if rig.thread is None:
        rig.source.refresh()
    eventually(lambda: not rig.source.held)
    assert rig.values() == before
    assert rig.source.snapshot().problem is None
    assert rig.source.snapshot().problem is None
    assert rig.events[-1] == Event("s", None)


@pytest.mark.parametrize("lose", LOSSES)
def test_a_confirmed_loss_is_believed_once(rig, lose):
    lose(rig, delete(8))
    rig.source.allow_mass_delete()
    assert set(rig.values()) == {"k8", "k9"}
    assert not rig.source.held
    assert rig.events[-1] == Event("s", None)
    rig.store.transaction({f"p/n{n}": b"1" for n in range(8)})
    if rig.thread is None:
        rig.source.refresh()
    eventually(lambda: len(rig.values()) == 10)
    rig.store.transaction(deletes=[f"p/n{n}" for n in range(8)])
    if rig.thread is None:
        with pytest.raises(Held):
            rig.source.refresh()
    eventually(lambda: rig.source.held)


def test_a_loss_may_be_confirmed_before_it_is_seen(rig):
    rig.source.allow_mass_delete()
    rig.store.transaction(deletes=delete(10))
    rig.source.refresh()
    assert rig.values() == {}


def test_a_few_keys_or_less_than_half_may_go(rig):
    rig.store.transaction(deletes=delete(5))
    rig.source.refresh()
    assert len(rig.values()) == 5


def test_three_of_four_keys_may_go_but_not_the_last(make):
    rig = make(keys={f"p/k{n}": b"1" for n in range(4)})
    rig.source.refresh()
    rig.store.transaction(deletes=delete(3))
    rig.source.refresh()
    assert set(rig.values()) == {"k3"}
    rig.store.delete("p/k3")
    with pytest.raises(Held):
        rig.source.refresh()


def test_replacing_most_keys_by_others_is_a_loss(rig):
    rig.store.transaction({f"p/new{n}": b"1" for n in range(10)}, delete(10))
    with pytest.raises(Held):
        rig.source.refresh()
    assert "k0" in rig.values()


def test_a_loss_under_one_prefix_holds_the_whole_source(make):
    rig = make(keys={**TEN, "q/a": b"1"}, prefixes=("p", "q"))
    rig.source.refresh()
    rig.store.transaction({"q/a": b"2"}, delete(10))
    with pytest.raises(Held):
        rig.source.refresh()
    assert rig.values("q") == {"a": b"1"}


def test_a_loss_while_nobody_looked_is_held_after_a_restart(make):
    rig = make(keys={"p/k0": b"1"}, known={"p": 10})
    with pytest.raises(Held, match="9 of 10 keys"):
        rig.source.refresh()
    with pytest.raises(SourceError):
        rig.source.snapshot()
    assert rig.source.key_counts() == {"p": 10}
    rig.store.transaction(TEN)
    rig.source.refresh()
    assert len(rig.values()) == 10


def test_a_loss_held_after_a_restart_can_be_confirmed(make):
    rig = make(keys={"p/k0": b"1"}, known={"p": 10})
    with pytest.raises(Held):
        rig.source.refresh()
    rig.source.allow_mass_delete()
    assert rig.values() == {"k0": b"1"}
    assert rig.source.key_counts() == {"p": 1}


def test_a_source_that_was_always_empty_is_no_loss(make):
    rig = make(keys={})
    rig.source.refresh()
    assert rig.values() == {}
    assert not rig.source.held


def test_a_source_that_is_down_during_a_hold_stays_held(rig):
    lose_by_reading(rig, delete(8))
    rig.store.fail_with(Unavailable("it is down"))
    with pytest.raises(Unavailable):
        rig.source.refresh()
    assert rig.source.held
    assert len(rig.values()) == 10
    rig.store.fail_with(None)
    with pytest.raises(Held):
        rig.source.refresh()
    assert len(rig.values()) == 10


def test_a_view_tells_of_a_problem_also_where_one_was_asked_for_before_it(rig):
    rig.source.refresh()
    assert rig.source.view(("p",)).problem([]) is None
    rig.store.fail_with(Unavailable("it is down"))
    with pytest.raises(Unavailable):
        rig.source.refresh()
    assert rig.source.view(("p",)).problem(["k1"]) == Problem("it is down", rig.clock.now())
    rig.store.fail_with(None)
    rig.source.refresh()
    assert rig.source.view(("p",)).problem(["k1"]) is None
