"""Which syncs a changed key concerns."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import NamedTuple

from confsync.reads import PathRead, Reads


class Dependencies:
    """For each path read, missed or listed, the syncs that did so last. Thread-safe.

    What a sync read when it was last in order is known beside it: what it wrote then is still in use while it fails,
    and a render that failed did not come to read all of it.

    Most paths are read by one sync, and there are as many as keys: so it holds tuples, not sets.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of_sync: dict[str, _Wanted] = {}
        self._in_use: dict[str, _Wanted] = {}  # what those read before that are not in order now
        self._by_path: dict[PathRead, tuple[str, ...]] = {}
        self._by_listing: dict[PathRead, tuple[str, ...]] = {}

    def put(self, sync: str, reads: Reads) -> None:
        """Replace what `sync` depends on; what it read before stays in use until `in_order`."""
        wanted = _Wanted(
            (*reads.keys, *reads.missed, *reads.unkept), tuple(reads.listed), tuple(reads.templates)
        )
        with self._lock:
            before = self._of_sync.get(sync)
            if before == wanted:
                return
            if before is not None:
                self._in_use.setdefault(sync, before)
                _remove(self._by_path, before.paths, sync)
                _remove(self._by_listing, before.listed, sync)
            self._of_sync[sync] = wanted
            _add(self._by_path, wanted.paths, sync)
            _add(self._by_listing, wanted.listed, sync)

    def in_order(self, sync: str) -> None:
        """All that `sync` wrote is of what it read last."""
        with self._lock:
            self._in_use.pop(sync, None)

    def sources(self, sync: str) -> set[str] | None:
        """The sources `sync` depends on, or None where nothing is known of it."""
        wanted = self._of_sync.get(sync)
        return None if wanted is None else {path.source for path in (*wanted.paths, *wanted.listed)}

    def paths(self, source: str, syncs: Iterable[str] | None = None) -> set[str]:
        """What these syncs (or all) read and listed of `source`, last or when they were last in order."""
        with self._lock:
            names = list(self._of_sync if syncs is None else syncs)
            wanted = [
                known[name] for name in names for known in (self._of_sync, self._in_use) if name in known
            ]
        return {path for one in wanted for name, path in (*one.paths, *one.listed) if name == source}

    def reading(self, source: str, paths: Iterable[str]) -> set[str]:
        """The syncs that read one of these paths of `source`, or listed something above it."""
        found: set[str] = set()
        with self._lock:
            for path in paths:
                found |= set(self._by_path.get(PathRead(source, path), ()))
                found |= self._listing(source, path)
        return found

    def _listing(self, source: str, path: str) -> set[str]:
        found = set(self._by_listing.get(PathRead(source, ""), ()))
        at = path.find("/")
        while at >= 0:
            found.update(self._by_listing.get(PathRead(source, path[:at]), ()))
            at = path.find("/", at + 1)
        return found

    def of_source(self, source: str) -> set[str]:
        """The syncs that read anything of `source`."""
        with self._lock:
            return {sync for sync in self._of_sync if source in (self.sources(sync) or ())}

    def using_template(self, changed: Iterable[str] | None) -> set[str]:
        """The syncs whose templates include one of these, or any."""
        names = None if changed is None else set(changed)
        with self._lock:
            return {
                sync
                for sync, wanted in self._of_sync.items()
                if (wanted.templates if names is None else not names.isdisjoint(wanted.templates))
            }


class _Wanted(NamedTuple):
    paths: tuple[PathRead, ...]
    listed: tuple[PathRead, ...]
    templates: tuple[str, ...]


_Index = dict[PathRead, tuple[str, ...]]


def _add(index: _Index, paths: Iterable[PathRead], sync: str) -> None:
    for path in paths:
        index[path] = (*index.get(path, ()), sync)


def _remove(index: _Index, paths: Iterable[PathRead], sync: str) -> None:
    for path in paths:
        left = tuple(name for name in index.get(path, ()) if name != sync)
        if left:
            index[path] = left
        else:
            index.pop(path, None)
