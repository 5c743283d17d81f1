"""What is kept, as etcd keeps it: every write is a revision, and old ones stay readable until compacted."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from .status import Json


class Key(NamedTuple):
    """Where a thing is kept; in this order lists are sorted.

    Attributes:
        kind: group and plural, as in "apps/deployments".
        namespace: "" for what is in none.
    """

    kind: str
    namespace: str
    name: str


class Event(NamedTuple):
    """One write.

    Attributes:
        old, new: the thing before and after; None when there was or is none.
    """

    revision: int
    key: Key
    old: Json | None
    new: Json | None


@dataclass
class _Versions:
    """All that is kept of one key; a None is a deletion."""

    revisions: list[int] = field(default_factory=list)
    things: list[Json | None] = field(default_factory=list)

    def at(self, revision: int) -> Json | None:
        place = bisect_right(self.revisions, revision)
        return self.things[place - 1] if place else None

    def forget_before(self, revision: int) -> bool:
        """Keeps what is needed to read at `revision` and later; whether anything is left."""
        place = max(bisect_right(self.revisions, revision) - 1, 0)
        self.revisions, self.things = self.revisions[place:], self.things[place:]
        if self.things and self.things[0] is None and self.revisions[0] <= revision:
            self.revisions, self.things = self.revisions[1:], self.things[1:]
        return bool(self.things)


class Store:
    """Things by key. What is stored must not be changed afterwards; `changed` guards and announces everything.

    Attributes:
        revision: of the latest write.
        compacted: nothing older can be read or watched from.
        changed: its lock guards the store; notified after every write.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.revision = 1
        self.compacted = 0
        self._kinds: dict[str, dict[Key, _Versions]] = {}
        self._events: list[Event] = []

    def get(self, key: Key) -> Json | None:
        versions = self._kinds.get(key.kind, {}).get(key)
        return versions.things[-1] if versions else None

    def put(self, key: Key, thing: Json) -> Json:
        """Stores a thing at the next revision, which becomes its resourceVersion."""
        return self._write(key, thing, self.get(key)) or thing

    def delete(self, key: Key) -> Json:
        """Removes a thing; gives it as it was last, at the revision of its end."""
        old = self.get(key)
        assert old is not None, "only what is there can be deleted"
        self._write(key, None, old)
        return at_revision(old, self.revision)

    def all(self, kind: str, namespace: str = "", revision: int | None = None) -> Iterator[tuple[Key, Json]]:
        """Things of a kind in the order of their keys; of every namespace when none is named."""
        things = self._kinds.get(kind, {})
        at = self.revision if revision is None else revision
        for key in sorted(things):
            if namespace and key.namespace != namespace:
                continue
            thing = things[key].at(at)
            if thing is not None:
                yield key, thing

    def events_after(self, revision: int) -> list[Event]:
        """The writes since, the oldest first."""
        place = bisect_right(self._events, revision, key=lambda event: event.revision)
        return self._events[place:]

    def compact(self, told: int | None = None) -> None:
        """Forgets the past: from now on nothing older than this moment can be read.

        Args:
            told: later events are kept for watches that run and have not seen them; None keeps none.
        """
        with self.changed:
            self.compacted = self.revision
            self._events = self.events_after(self.revision if told is None else told)
            for things in self._kinds.values():
                for key in [k for k, v in things.items() if not v.forget_before(self.revision)]:
                    del things[key]
            self.changed.notify_all()

    def _write(self, key: Key, thing: Json | None, old: Json | None) -> Json | None:
        self.revision += 1
        stored = None if thing is None else at_revision(thing, self.revision)
        versions = self._kinds.setdefault(key.kind, {}).setdefault(key, _Versions())
        versions.revisions.append(self.revision)
        versions.things.append(stored)
        self._events.append(Event(self.revision, key, old, stored))
        self.changed.notify_all()
        return stored


def at_revision(thing: Json, revision: int) -> Json:
    """A copy that says it is of this revision."""
    return {**thing, "metadata": {**thing["metadata"], "resourceVersion": str(revision)}}
