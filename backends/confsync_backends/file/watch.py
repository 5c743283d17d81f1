"""A watch on files: whenever something moved, read again and tell what is different from before.

Editors and tools save in many ways and steps. So a storm of events is waited out, and a file that is then
malformed, empty or missing gets a moment to become whole before it is believed. What stays malformed ends the
watch: the error must be seen, and the caller, which tries again with back-off, keeps what was good.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from confsync.driver import Delta, Reading, Tree, Watch
from confsync.errors import SourceError
from confsync_backends.file.contents import Contents, Loader, tree
from confsync_backends.file.observe import observe
from confsync_backends.file.places import places

_QUIET = 0.02  # without events for so long a save is over
_STORM = 0.2  # the longest a storm of events is waited out
_GRACE = 0.3  # without events for so long a file that is not whole will not become so by itself
_PATIENCE = 2.0  # the longest somebody who keeps writing is waited for


class FileWatch(Watch):
    """See `Watch`. Has no thread of its own.

    Args:
        loader: reads the files.
        prefixes: what to tell of.
        since: what is known already.
        number: gives contents their revision, which is to be at least so much.
        poll: look every so many seconds instead of waiting for inotify.
    """

    def __init__(
        self,
        loader: Loader,
        prefixes: Sequence[str],
        since: Reading,
        number: Callable[[Contents, int], int],
        poll: float | None,
    ) -> None:
        self._loader = loader
        self._known: dict[str, Tree] = {prefix: dict(since.trees.get(prefix, {})) for prefix in prefixes}
        self._revision = since.revision
        self._number = number
        self._observation = observe(poll, loader.stamps)
        self._empty: frozenset[str] = frozenset()
        self._failure: SourceError | None = None
        self._looked = False

    def __next__(self) -> Delta:
        if self._failure is not None and not self._observation.closed:
            raise self._failure
        try:
            return self._next()
        except SourceError as exc:
            self._failure = exc
            raise

    def close(self) -> None:
        self._observation.close()

    def _next(self) -> Delta:
        while True:
            # The first time there is reason to look without any event: what changed since the reading.
            if self._looked and self._observation.wait(None):
                self._settle()
            self._looked = True
            contents = self._whole()
            if self._observation.closed:
                raise StopIteration
            delta = self._difference(contents)
            if delta is not None:
                return delta

    def _settle(self) -> None:
        """Wait for the end of a storm of events: one save is many."""
        end = time.monotonic() + _STORM
        while self._observation.wait(_QUIET) and time.monotonic() < end:
            pass

    def _whole(self) -> Contents:
        """What is there; what is malformed, missing or newly empty only if it stays so."""
        end = time.monotonic() + _PATIENCE
        last = False
        while True:
            if self._observation.closed:
                raise StopIteration
            try:
                contents = self._load()
            except SourceError:
                if last:
                    raise
            else:
                if last or not self._newly_empty(contents):
                    self._empty = contents.empty
                    return contents
            last = not self._observation.wait(_GRACE) or time.monotonic() > end

    def _newly_empty(self, contents: Contents) -> bool:
        return bool(contents.empty - self._empty) and any(self._known.values())

    def _load(self) -> Contents:
        # First observe, then read: whatever changes after the reading is noticed. A directory that came to be
        # observed only now may hold links that lead elsewhere, changed before it was, hence the loop.
        while self._observation.cover(places(self._loader.path, self._loader.format)):
            pass
        return self._loader.load()

    def _difference(self, contents: Contents) -> Delta | None:
        puts: dict[str, Tree] = {}
        deletes: dict[str, frozenset[str]] = {}
        for prefix, old in self._known.items():
            new = tree(contents.entries, prefix)
            changed = {
                path: entry
                for path, entry in new.items()
                if path not in old or old[path].value != entry.value
            }
            gone = frozenset(old.keys() - new.keys())
            if changed:
                puts[prefix] = changed
            if gone:
                deletes[prefix] = gone
            self._known[prefix] = new
        if not puts and not deletes:
            return None
        self._revision = self._number(contents, self._revision + 1)
        return Delta(self._revision, puts, deletes)
