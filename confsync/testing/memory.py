"""A backend whose store is in memory: real revisions, history and watches, and faults to order.

It is the smallest driver that keeps the whole contract, so it is the one to copy.

    store = shared_store("shop")
    store.put("prod/shop/db/host", b"db1")
    backend = MemoryBackend.open(MemoryOptions(name="shop"), Path("."))
    backend.read(["prod/shop"]).trees["prod/shop"]["db/host"].value     # b"db1"

    store.fail_with(Unavailable("the store is down"))     # reads and watches raise it, until fail_with(None)
    store.drop_watches()                                   # as a cut connection does
    store.compact()                                        # watches that lag behind raise Gap
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field

from confsync.driver import Backend, Delta, DriverOptions, Entry, Reading, Tree, Watch
from confsync.errors import Gap, SourceError, Unavailable


class _Change(NamedTuple):
    """One write in the history; `entry` is None for a delete."""

    revision: int
    key: str
    entry: Entry | None


class MemoryStore:
    """Keys and values with one revision for every transaction. All methods may be called from any thread.

    A leading slash of a key means nothing: `/prod/a` is `prod/a`.

    Attributes:
        changed: held for every access; notified whenever a watch may have something to say.
        calls: how many reads were made and watches opened.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.calls = 0
        self._entries: dict[str, Entry] = {}
        self._history: list[_Change] = []
        self._revision = 1
        self._compacted = 0
        self._drops = 0
        self._fault: SourceError | None = None

    # What tests do to it.

    def put(self, key: str, value: bytes) -> int:
        """Write one key; gives the new revision."""
        return self.transaction({key: value})

    def delete(self, key: str) -> int:
        """Remove one key; gives the revision, a new one only if the key was there."""
        return self.transaction(deletes=[key])

    def transaction(self, puts: Mapping[str, bytes] | None = None, deletes: Iterable[str] = ()) -> int:
        """Write and remove keys at one revision, which it gives."""
        with self.changed:
            revision = self._revision + 1
            gone = [_clean(key) for key in deletes]
            changes = [_Change(revision, key, None) for key in gone if key in self._entries]
            changes += [
                _Change(revision, _clean(key), Entry(value, revision)) for key, value in (puts or {}).items()
            ]
            if changes:
                self._commit(revision, changes)
            return self._revision

    def fail_with(self, error: SourceError | None) -> None:
        """Make reads and watches raise `error`, also those that block now; None ends it."""
        with self.changed:
            self._fault = error
            self.changed.notify_all()

    def drop_watches(self) -> None:
        """Make every open watch raise Unavailable, as a cut connection does."""
        with self.changed:
            self._drops += 1
            self.changed.notify_all()

    def compact(self) -> None:
        """Forget the history: a watch that is to go on from an older revision raises Gap."""
        with self.changed:
            self._compacted = self._revision
            self._history.clear()
            self.changed.notify_all()

    # What the driver calls; the caller holds `changed`.

    @property
    def revision(self) -> int:
        """The newest."""
        return self._revision

    @property
    def drops(self) -> int:
        """How often watches were dropped."""
        return self._drops

    def check(self) -> None:
        """Raise what `fail_with` ordered."""
        if self._fault is not None:
            raise self._fault.with_traceback(None)

    def under(self, prefix: str) -> dict[str, Entry]:
        """Relative path -> entry."""
        start = _start(prefix)
        return {key[len(start) :]: entry for key, entry in self._entries.items() if key.startswith(start)}

    def since(self, revision: int) -> list[_Change]:
        """Every change after `revision`, oldest first.

        Raises:
            Gap: it is no longer, or not yet, in the history.
        """
        if revision < self._compacted or revision > self._revision:
            raise Gap(f"the history after revision {revision} is gone; the store is at {self._revision}")
        return [change for change in self._history if change.revision > revision]

    def _commit(self, revision: int, changes: list[_Change]) -> None:
        self._revision = revision
        self._history += changes
        for change in changes:
            if change.entry is None:
                self._entries.pop(change.key, None)
            else:
                self._entries[change.key] = change.entry
        self.changed.notify_all()


_stores: dict[str, MemoryStore] = {}
_stores_lock = threading.Lock()


def shared_store(name: str) -> MemoryStore:
    """The store that every backend with this name reads; made when first asked for."""
    with _stores_lock:
        return _stores.setdefault(name, MemoryStore())


def forget_store(name: str) -> None:
    """Let the next `shared_store` begin anew; backends that are open keep the old one."""
    with _stores_lock:
        _stores.pop(name, None)


class MemoryOptions(DriverOptions):
    """Options of a memory source."""

    name: Annotated[str, Field(description="Which of the process's memory stores.")] = "default"


class MemoryBackend(Backend):
    """Reads a `MemoryStore`."""

    Options = MemoryOptions

    def __init__(self, store: MemoryStore, name: str = "default") -> None:
        self.store = store
        self._name = name
        self._lock = threading.Lock()
        self._watches: list[MemoryWatch] = []

    @classmethod
    def open(cls, options: MemoryOptions, base: Path) -> MemoryBackend:
        return cls(shared_store(options.name), options.name)

    @property
    def address(self) -> str:
        return f"memory:{self._name}"

    def read(self, prefixes: Sequence[str]) -> Reading:
        with self.store.changed:
            self.store.calls += 1
            self.store.check()
            return Reading(self.store.revision, {prefix: self.store.under(prefix) for prefix in prefixes})

    def watch(self, prefixes: Sequence[str], since: Reading) -> MemoryWatch:
        watch = MemoryWatch(self.store, prefixes, since.revision)
        with self._lock:
            self._watches.append(watch)
        return watch

    def close(self) -> None:
        with self._lock:
            watches, self._watches = self._watches, []
        for watch in watches:
            watch.close()


class MemoryWatch(Watch):
    """Waits for the store to change, and tells what did since the revision it told last."""

    def __init__(self, store: MemoryStore, prefixes: Sequence[str], revision: int) -> None:
        self._store = store
        self._prefixes = tuple(prefixes)
        self._revision = revision
        self._closed = False
        with store.changed:
            store.calls += 1
            store.check()
            store.since(revision)
            self._drops = store.drops

    def __next__(self) -> Delta:
        with self._store.changed:
            while True:
                delta = self._look()
                if delta is not None:
                    return delta
                self._store.changed.wait()

    def close(self) -> None:
        with self._store.changed:
            self._closed = True
            self._store.changed.notify_all()

    def _look(self) -> Delta | None:
        if self._closed:
            raise StopIteration
        self._store.check()
        if self._drops != self._store.drops:
            raise Unavailable("the connection to the memory store was cut")
        changes = self._store.since(self._revision)
        self._revision = self._store.revision
        return self._delta(changes)

    def _delta(self, changes: Sequence[_Change]) -> Delta | None:
        last = {change.key: change.entry for change in changes}
        puts = {prefix: _puts(prefix, last) for prefix in self._prefixes}
        deletes = {prefix: _deletes(prefix, last) for prefix in self._prefixes}
        if not any(puts.values()) and not any(deletes.values()):
            return None
        return Delta(
            self._revision,
            {prefix: tree for prefix, tree in puts.items() if tree},
            {prefix: gone for prefix, gone in deletes.items() if gone},
        )


def _puts(prefix: str, last: Mapping[str, Entry | None]) -> Tree:
    start = _start(prefix)
    return {
        key[len(start) :]: entry for key, entry in last.items() if entry is not None and key.startswith(start)
    }


def _deletes(prefix: str, last: Mapping[str, Entry | None]) -> frozenset[str]:
    start = _start(prefix)
    return frozenset(
        key[len(start) :] for key, entry in last.items() if entry is None and key.startswith(start)
    )


def _start(prefix: str) -> str:
    """What the keys under a prefix begin with; the slash keeps `prod/shop` from matching `prod/shopping`."""
    clean = prefix.strip("/")
    return f"{clean}/" if clean else ""


def _clean(key: str) -> str:
    return key.lstrip("/")
