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
from confsync_backends.file.observe import Observation, Pulse
from confsync_backends.file.places import places

_QUIET = 0.02  # without events for so long a save is over
_STORM = 0.2  # the longest a storm of events is waited out
_GRACE = 0.25  # the time a file has to become whole again


class FileWatch(Watch):
    """See `Watch`. Without `poll` it holds watchdog's threads while `__next__` is used, until `close`.

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
        self._poll = poll
        self._pulse = Pulse()
        self._observation = Observation(self._pulse)
        self._empty: frozenset[str] = frozenset()
        self._failure: SourceError | None = None
        self._begun = False
        self._stamps: object = None

    def __next__(self) -> Delta:
        while True:
            self._await()
            if self._failure is not None:
                raise self._failure
            try:
                contents = self._settled()
            except SourceError as exc:
                self._failure = exc
                self._observation.close()
                raise
            delta = self._difference(contents)
            if delta is not None:
                return delta

    def close(self) -> None:
        self._pulse.close()
        self._observation.close()

    def _await(self) -> None:
        """Wait until there is a reason to look. The first time there is: what changed since the reading."""
        while self._begun and self._failure is None and not self._pulse.closed:
            if self._pulse.wait(self._poll):
                self._pulse.settle(_QUIET, _STORM)
                break
            if self._poll is not None and self._loader.stamps() != self._stamps:
                break
        self._begun = True
        if self._pulse.closed:
            raise StopIteration

    def _settled(self) -> Contents:
        end = time.monotonic() + _GRACE
        while True:
            last = time.monotonic() >= end or self._pulse.closed
            try:
                contents = self._load()
                if last or not self._loses_to_emptiness(contents):
                    self._empty = contents.empty
                    return contents
            except SourceError:
                if last:
                    raise
            self._pulse.wait(max(0.0, min(end - time.monotonic(), _GRACE / 2)))

    def _loses_to_emptiness(self, contents: Contents) -> bool:
        return bool(contents.empty - self._empty) and any(self._known.values())

    def _load(self) -> Contents:
        # First observe, then read: whatever changes after the reading is noticed. A directory that came to be
        # observed only now may hold links that lead elsewhere, changed before it was, hence the loop.
        while self._poll is None and self._observation.cover(places(self._loader.path, self._loader.format)):
            pass
        self._stamps = self._loader.stamps()
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
