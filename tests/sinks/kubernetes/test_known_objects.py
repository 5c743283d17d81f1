"""What is known agrees with the server once all is told, in whatever order lists, events and our own answers come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from confsync.sinks.kubernetes.known_objects import KnownObjects, is_later
from confsync.sinks.kubernetes.objects import KubeObject

SALT = {"confsync.dev/checksum": "salt.hmac"}


def thing(name: str = "app", uid: str = "u-1", revision: int | str = 1, **more: object) -> KubeObject:
    return KubeObject(name, "shop", uid, str(revision), **more)


class TestOneTruth:
    def test_an_event_of_what_we_overwrote_since_is_ignored(self) -> None:
        known = KnownObjects()
        known.put(thing(revision=12))

        assert not known.put(thing(revision=11))
        assert known.objects["app"].resource_version == "12"

    def test_the_event_of_our_own_write_is_nothing_new(self) -> None:
        known = KnownObjects()
        known.put(thing(revision=12))

        assert not known.put(thing(revision=12))

    def test_an_answer_that_comes_after_the_event_of_a_later_change_is_ignored(self) -> None:
        known = KnownObjects()
        known.put(thing(revision=13))

        known.put(thing(revision=12))

        assert known.objects["app"].resource_version == "13"

    def test_what_a_dry_run_answers_is_no_object(self) -> None:
        known = KnownObjects()

        assert not known.put(thing(revision=""))
        assert not known.objects

    def test_the_end_of_an_earlier_object_of_the_name_does_not_remove_the_later(self) -> None:
        known = KnownObjects()
        known.put(thing(uid="u-1", revision=10))
        known.put(thing(uid="u-2", revision=12))

        assert not known.deleted(thing(uid="u-1", revision=11))
        assert known.objects["app"].uid == "u-2"

    def test_the_end_of_an_object_we_do_not_know_does_not_remove_the_one_we_know(self) -> None:
        known = KnownObjects()
        known.put(thing(uid="u-1", revision=10))

        assert not known.deleted(thing(uid="u-2", revision=12))
        assert known.objects["app"].uid == "u-1"

    def test_a_label_we_put_back_before_we_heard_that_it_was_gone(self) -> None:
        known = KnownObjects()
        known.put(thing(revision=10))
        known.put(thing(revision=12))

        assert not known.deleted(thing(revision=11))
        assert "app" in known.objects

    def test_an_object_that_got_its_label_back_is_known_again(self) -> None:
        known = KnownObjects()
        known.put(thing(revision=10))
        known.deleted(thing(revision=11))

        assert known.put(thing(revision=12))
        assert known.tombstone("app") is None

    def test_what_we_deleted_is_not_brought_back_by_a_late_event(self) -> None:
        known = KnownObjects()
        known.put(thing(revision=10))
        known.forget("app")

        assert not known.put(thing(revision=10))
        assert not known.objects

    def test_an_object_that_waits_for_its_finalizers_is_still_there(self) -> None:
        known = KnownObjects()
        known.put(thing(revision=10))
        known.forget("app")

        assert known.put(thing(revision=11, deleting=True))
        assert known.objects["app"].deleting

    def test_another_object_of_the_name_is_not_forgotten_with_the_one_we_deleted(self) -> None:
        known = KnownObjects()
        known.put(thing(uid="u-2", revision=12))

        assert not known.forget("app", "u-1")
        assert known.forget("app", "u-2")

    def test_the_end_of_an_object_whose_version_is_no_number(self) -> None:
        known = KnownObjects()
        known.put(thing(revision="a"))

        assert known.deleted(thing(revision="b"))

    def test_a_version_that_is_no_number_counts_when_it_is_another(self) -> None:
        assert is_later(thing(revision="b"), thing(revision="a"))
        assert not is_later(thing(revision="a"), thing(revision="a"))
        assert is_later(thing(revision="9" * 40), thing(revision="8" * 40))


class TestLists:
    def test_a_list_says_what_is_different(self) -> None:
        known = KnownObjects()
        same, before, gone = thing("same"), thing("changed", revision=2), thing("gone", revision=3)
        known.begin_list()
        assert known.listed([same, before, gone], "5") == {"same", "changed", "gone"}

        known.begin_list()
        after, new = replace(before, resource_version="6"), thing("new", revision=7)
        assert known.listed([same, after, new], "8") == {"changed", "gone", "new"}
        assert known.objects == {"same": same, "changed": after, "new": new}

    def test_what_was_written_while_a_list_was_on_its_way(self) -> None:
        known = KnownObjects()
        known.put(thing("deleted", revision=3))
        known.begin_list()
        known.put(thing("changed", revision=9))
        known.put(thing("created", revision=10))
        known.forget("deleted")

        changed = known.listed([thing("changed", revision=2), thing("deleted", revision=3)], "8")

        assert {name: found.resource_version for name, found in known.objects.items()} == {
            "changed": "9",
            "created": "10",
        }
        assert not changed

    def test_a_list_that_knows_more_than_what_was_written_while_it_was_on_its_way(self) -> None:
        known = KnownObjects()
        known.begin_list()
        known.put(thing("changed", revision=4))
        known.put(thing("deleted", revision=5))

        assert known.listed([thing("changed", revision=6)], "8") == {"changed", "deleted"}
        assert known.objects == {"changed": thing("changed", revision=6)}

    def test_events_from_before_a_list_are_ignored(self) -> None:
        known = KnownObjects()
        known.begin_list()
        known.listed([], "8")

        assert not known.put(thing(revision=7))
        assert not known.deleted(thing(revision=8))
        assert known.put(thing(revision=9))

    def test_a_restored_backup_is_believed_though_its_numbers_are_lower(self) -> None:
        known = KnownObjects()
        known.begin_list()
        known.listed([thing(revision=90), thing("later", revision=95)], "100")

        known.begin_list()
        assert known.listed([thing(revision=40)], "50") == {"app", "later"}
        assert known.objects == {"app": thing(revision=40)}
        assert known.put(thing(revision=51))


class TestTombstones:
    @pytest.mark.parametrize("way", ["we deleted it", "a watch says so", "a list lacks it"])
    def test_it_keeps_the_marks_but_no_value(self, way: str) -> None:
        known = KnownObjects()
        known.put(thing(annotations=SALT, data={"password": b"hunter2"}))
        if way == "we deleted it":
            known.forget("app")
        elif way == "a watch says so":
            known.deleted(thing(revision=2, annotations=SALT, data={"password": b"hunter2"}))
        else:
            known.begin_list()
            known.listed([], "9")

        tombstone = known.tombstone("app")
        assert tombstone is not None
        assert (tombstone.annotations, tombstone.data) == (SALT, {})
        assert known.tombstone("other") is None

    def test_it_goes_when_the_name_is_in_use_again(self) -> None:
        known = KnownObjects()
        known.put(thing())
        known.forget("app")
        known.begin_list()
        known.listed([thing(uid="u-2", revision=4)], "5")

        assert known.tombstone("app") is None

    def test_a_thousand_are_kept(self) -> None:
        known = KnownObjects()
        for number in range(1001):
            known.put(thing(str(number)))
            known.forget(str(number))

        assert known.tombstone("0") is None
        assert known.tombstone("1") is not None


@dataclass
class Server:
    """The truth, and the history a watch tells."""

    revision: int = 0
    uids: int = 0
    things: dict[str, KubeObject] = field(default_factory=dict)
    unlabelled: dict[str, KubeObject] = field(default_factory=dict)
    events: list[tuple[str, KubeObject]] = field(default_factory=list)

    def write(self, name: str) -> KubeObject:
        self.revision += 1
        old = self.things.get(name) or self.unlabelled.pop(name, None)
        told = "MODIFIED" if name in self.things else "ADDED"
        if old is None:
            self.uids += 1
            new = thing(name, f"u-{self.uids}", self.revision)
        else:
            new = replace(old, resource_version=str(self.revision))
        self.things[name] = new
        self.events.append((told, new))
        return new

    def delete(self, name: str) -> None:
        self.revision += 1
        self.lose(name)

    def unlabel(self, name: str) -> None:
        """It no longer fits the selector; the next write makes it fit again."""
        self.revision += 1
        self.unlabelled[name] = self.lose(name)

    def lose(self, name: str) -> KubeObject:
        last = replace(self.things.pop(name), resource_version=str(self.revision))
        self.events.append(("DELETED", last))
        return last


class AnyOrder(RuleBasedStateMachine):
    """Others and we write; events, answers and lists arrive late, events in order.

    `told` is what somebody knows who is told of changes, and of our own writes by ourselves.
    """

    names = st.sampled_from(["a", "b"])

    def __init__(self) -> None:
        super().__init__()
        self.server = Server()
        self.known = KnownObjects()
        self.told: dict[str, KubeObject] = {}
        self.place = 0  # in the history, of the watch
        self.answers: list[Callable[[], None]] = []
        self.list_asked = False
        self.snapshot: tuple[list[KubeObject], str] | None = None
        self.latest: dict[str, int] = {}
        self.there: set[str] = set()

    @rule(name=names)
    def somebody_writes(self, name: str) -> None:
        self.server.write(name)

    @rule(name=names)
    def somebody_deletes(self, name: str) -> None:
        if name in self.server.things:
            self.server.delete(name)

    @rule(name=names)
    def somebody_takes_the_label_off(self, name: str) -> None:
        if name in self.server.things:
            self.server.unlabel(name)

    @rule(name=names, late=st.booleans())
    def we_write(self, name: str, late: bool) -> None:
        written = self.server.write(name)
        self.answer(name, lambda: self.known.put(written), late)

    @rule(name=names, late=st.booleans())
    def we_delete(self, name: str, late: bool) -> None:
        """Only what has not changed since we saw it, as the precondition says."""
        seen = self.known.objects.get(name)
        if seen is not None and seen == self.server.things.get(name):
            self.server.delete(name)
            self.answer(name, lambda: self.known.forget(name, seen.uid), late)

    def answer(self, name: str, take: Callable[[], object], late: bool) -> None:
        def arrive() -> None:
            take()
            self.mirror(name)

        if late:
            self.answers.append(arrive)
        else:
            arrive()

    @precondition(lambda self: self.answers)
    @rule(data=st.data())
    def an_answer_arrives(self, data: st.DataObject) -> None:
        self.answers.pop(data.draw(st.integers(0, len(self.answers) - 1)))()

    @precondition(lambda self: self.place < len(self.server.events))
    @rule()
    def an_event_arrives(self) -> None:
        kind, told = self.server.events[self.place]
        self.place += 1
        learnt = self.known.deleted(told) if kind == "DELETED" else self.known.put(told)
        self.hear({told.name} if learnt else set())

    @precondition(lambda self: not self.list_asked)
    @rule()
    def a_list_is_asked_for(self) -> None:
        self.list_asked = True
        self.known.begin_list()

    @precondition(lambda self: self.list_asked and self.snapshot is None)
    @rule()
    def the_list_is_read(self) -> None:
        self.snapshot = list(self.server.things.values()), str(self.server.revision)

    @precondition(lambda self: self.snapshot is not None)
    @rule()
    def the_list_arrives(self) -> None:
        assert self.snapshot is not None
        self.hear(self.known.listed(*self.snapshot))
        self.list_asked, self.snapshot = False, None

    def hear(self, names: set[str]) -> None:
        for name in names:
            self.mirror(name)

    def mirror(self, name: str) -> None:
        found = self.known.objects.get(name)
        if found is None:
            self.told.pop(name, None)
        else:
            self.told[name] = found

    @invariant()
    def whatever_changed_was_told(self) -> None:
        assert self.told == self.known.objects

    @invariant()
    def nothing_goes_back(self) -> None:
        for name, found in self.known.objects.items():
            revision, before = int(found.resource_version), self.latest.get(name, 0)
            assert revision > before or (revision == before and name in self.there)
            self.latest[name] = revision
        self.there = set(self.known.objects)

    def teardown(self) -> None:
        if self.list_asked and self.snapshot is None:
            self.the_list_is_read()
        if self.snapshot is not None:
            self.the_list_arrives()
        for answer in self.answers:
            answer()
        while self.place < len(self.server.events):
            self.an_event_arrives()

        assert self.known.objects == self.server.things


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
