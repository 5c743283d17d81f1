"""Which syncs a changed key concerns."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from confsync.reads import PathRead, Reads


class Dependencies:
    """For each path read, missed or listed, the syncs that did so last. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reads: dict[str, Reads] = {}
        self._by_path: dict[PathRead, set[str]] = {}
        self._by_listing: dict[PathRead, set[str]] = {}

    def put(self, sync: str, reads: Reads) -> None:
        """Replace what `sync` depends on."""
        with self._lock:
            before = self._reads.get(sync)
            if before == reads:
                return
            self._drop(sync)
            self._reads[sync] = reads
            for path in (*reads.keys, *reads.missed):
                self._by_path.setdefault(path, set()).add(sync)
            for path in reads.listed:
                self._by_listing.setdefault(path, set()).add(sync)

    def _drop(self, sync: str) -> None:
        reads = self._reads.pop(sync, None)
        if reads is None:
            return
        for index, paths in ((self._by_path, (*reads.keys, *reads.missed)), (self._by_listing, reads.listed)):
            for path in paths:
                syncs = index.get(path, set())
                syncs.discard(sync)
                if not syncs:
                    index.pop(path, None)

    def reading(self, source: str, paths: Iterable[str]) -> set[str]:
        """The syncs that read one of these paths of `source`, or listed something above it."""
        found: set[str] = set()
        with self._lock:
            for path in paths:
                found |= self._by_path.get(PathRead(source, path), set())
                found |= self._listing(source, path)
        return found

    def _listing(self, source: str, path: str) -> set[str]:
        found: set[str] = set(self._by_listing.get(PathRead(source, ""), ()))
        at = path.find("/")
        while at >= 0:
            found |= self._by_listing.get(PathRead(source, path[:at]), set())
            at = path.find("/", at + 1)
        return found

    def of_source(self, source: str) -> set[str]:
        """The syncs that read anything of `source`."""
        with self._lock:
            return {
                sync
                for sync, reads in self._reads.items()
                if any(p.source == source for p in (*reads.keys, *reads.missed, *reads.listed))
            }

    def using_template(self, changed: Iterable[str]) -> set[str]:
        """The syncs whose templates include one of these."""
        names = set(changed)
        with self._lock:
            return {sync for sync, reads in self._reads.items() if names & set(reads.templates)}
