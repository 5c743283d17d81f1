"""The backend: what a user writes, reading, and the revisions that files do not have."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from confsync.driver import Backend, DriverOptions, Reading
from confsync.fields import Timespan
from confsync_backends.file.contents import Contents, Loader, tree

if TYPE_CHECKING:
    from confsync_backends.file.watch import FileWatch


class FileOptions(DriverOptions):
    """Options of a file source."""

    path: Annotated[
        str,
        Field(min_length=1, description="The file or directory: absolute, or relative to the configuration."),
    ]
    format: Annotated[
        Literal["yaml", "json", "toml", "dotenv"] | None,
        Field(description="The file's format; by default told by its name: .yaml, .yml, .json, .toml, .env."),
    ] = None
    watch: Annotated[bool, Field(description="Notice changes at once, instead of at the next interval.")] = (
        True
    )
    poll: Annotated[
        Timespan | None,
        Field(description="Look for changes every so often: for network file systems, unseen by inotify."),
    ] = None


class FileBackend(Backend):
    """A file, or a directory of files."""

    Options = FileOptions

    def __init__(self, options: FileOptions, base: Path) -> None:
        self._path = os.path.join(os.path.abspath(base), os.path.expanduser(options.path))
        self._poll = options.poll
        self._loader = Loader(self._path, options.format)
        self._numbers = _Numbers()
        self._lock = threading.Lock()
        self._closed = False
        self._watches: weakref.WeakSet[FileWatch] = weakref.WeakSet()

    @classmethod
    def open(cls, options: FileOptions, base: Path) -> FileBackend:
        """No I/O happens here: whether there is such a file is found by `read`."""
        return (cls if options.watch else UnwatchedFileBackend)(options, base)

    @property
    def address(self) -> str:
        return self._path

    def read(self, prefixes: Sequence[str]) -> Reading:
        contents = self._loader.load()
        revision = self._numbers.number(contents)
        return Reading(revision, {prefix: tree(contents.entries, prefix) for prefix in prefixes})

    def watch(self, prefixes: Sequence[str], since: Reading) -> FileWatch:
        """See `Backend.watch`. `since.trees` must be what is known: files have no history."""
        from confsync_backends.file.watch import FileWatch

        watch = FileWatch(self._loader, prefixes, since, self._numbers.number, self._poll)
        with self._lock:
            self._watches.add(watch)
            closed = self._closed
        if closed:
            watch.close()
        return watch

    def close(self) -> None:
        with self._lock:
            self._closed = True
            watches = list(self._watches)
        for watch in watches:
            watch.close()


class UnwatchedFileBackend(FileBackend):
    """With `watch: false`."""

    watches = False


class _Numbers:
    """Revisions: the newest modification time, and more than before whenever the files differ from before.

    A file that is restored from a backup, or deleted, makes the newest time go back; the revision must not.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._identity: object = None
        self._last = 0

    def number(self, contents: Contents, at_least: int = 0) -> int:
        """The revision of these contents."""
        with self._lock:
            if contents.identity != self._identity:
                self._last = max(contents.newest, self._last + 1)
                self._identity = contents.identity
            self._last = max(self._last, at_least)
            return self._last
