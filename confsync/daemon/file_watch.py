"""Watches files for what the daemon must notice: the configuration, the templates, and targets changed by someone else.

Events only say where to look again. One watch serves each directory, whatever is interesting in it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from watchdog.events import (
    EVENT_TYPE_DELETED,
    EVENT_TYPE_MOVED,
    FileClosedNoWriteEvent,
    FileOpenedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import ObservedWatch

log = logging.getLogger(__name__)


class FileWatch:
    """Calls back when something below a directory, or one path in it, changed. Thread-safe.

    Args:
        on_path: called with a path registered by `watch_path` that changed, and whether it is no longer watched, since
            its directory is gone; from a thread of the watcher.
        on_tree: called with a directory registered by `watch_tree` and the path below it that changed.
    """

    def __init__(self, on_path: Callable[[str, bool], None], on_tree: Callable[[str, str], None]) -> None:
        self._on_path = on_path
        self._on_tree = on_tree
        self._observer = Observer()
        # The observer calls us with its own lock held and takes that lock when something is scheduled: what `dispatch`
        # needs must have a lock that is never held during a call to the observer.
        self._lock = threading.Lock()
        self._paths: dict[str, set[str]] = {}
        self._gone: set[str] = set()
        self._scheduling = threading.Lock()
        self._watches: dict[tuple[str, bool], _Scheduled] = {}
        self._warned = False

    def start(self) -> None:
        """Begin."""
        self._observer.start()

    def stop(self) -> None:
        """End, and wait for it."""
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join(timeout=5)

    def watch_path(self, path: str) -> bool:
        """Notice when `path` is changed, replaced or removed, or, for a directory, anything in it. Idempotent.

        Called again it makes sure that the watch is on the directory that is there now.

        Returns:
            Whether a watch begins only now: what happened before was not noticed.
        """
        directory = os.path.dirname(path)
        self._know(directory, path)
        begun = self._schedule(directory, recursive=False)
        if os.path.isdir(path) and not os.path.islink(path):
            self._know(path, path)
            begun |= self._schedule(path, recursive=True)
        return begun

    def _know(self, directory: str, path: str) -> None:
        with self._lock:
            self._paths.setdefault(directory, set()).add(path)

    def forget_path(self, path: str) -> None:
        """Stop noticing `path`. Idempotent."""
        for directory, recursive in ((os.path.dirname(path), False), (path, True)):
            with self._lock:
                known = self._paths.get(directory, set())
                known.discard(path)
                if known:
                    continue
                self._paths.pop(directory, None)
            with self._scheduling:
                self._unschedule(directory, recursive=recursive)

    def watch_tree(self, directory: Path) -> None:
        """Notice any change below `directory`. Idempotent; a directory that does not exist is not watched."""
        if directory.is_dir():
            self._schedule(str(directory), recursive=True, tree=True)

    def _schedule(self, directory: str, *, recursive: bool, tree: bool = False) -> bool:
        try:
            found = os.stat(directory)
            identity = (found.st_dev, found.st_ino)
            scheduled = self._watches.get((directory, recursive))
            if scheduled is not None and scheduled.identity == identity and directory not in self._gone:
                return False
            with self._scheduling:
                self._unschedule(directory, recursive=recursive)
                handler = _Handler(self, directory, tree=tree)
                watch = self._observer.schedule(handler, directory, recursive=recursive)
                self._watches[directory, recursive] = _Scheduled(watch, identity)
        except OSError as exc:
            self._warn(directory, exc)
            return False
        return True

    def _unschedule(self, directory: str, *, recursive: bool) -> None:
        with self._lock:
            self._gone.discard(directory)
        scheduled = self._watches.pop((directory, recursive), None)
        if scheduled is not None:
            with suppress(KeyError, OSError):  # the directory went away, and its watch with it
                self._observer.unschedule(scheduled.watch)

    def _warn(self, directory: str, error: OSError) -> None:
        # The resync finds drift too, only later: worth one line, not one for each directory.
        if not self._warned:
            log.warning(
                "cannot watch for changes; the resync will find them",
                extra={"directory": directory, "error": str(error)},
            )
            self._warned = True

    def dispatch(self, directory: str, tree: bool, event: FileSystemEvent) -> None:
        """Find out whom an event concerns."""
        touched = {os.fsdecode(path) for path in (event.src_path, event.dest_path) if path}
        if tree:
            for path in touched:
                self._on_tree(directory, path)
            return
        with self._lock:
            known = self._paths.get(directory, set())
            concerned = {path for path in known if path in touched or path == directory}
            # A directory is "modified" whenever something in it is made or removed; only when it is removed or
            # moved itself is its watch gone, and everything in it.
            gone = event.event_type in (EVENT_TYPE_DELETED, EVENT_TYPE_MOVED)
            unwatched = gone and os.fsdecode(event.src_path) == directory
            if unwatched:
                concerned |= known
                self._gone.add(directory)
        for path in concerned:
            self._on_path(path, unwatched)


@dataclass(frozen=True, slots=True)
class _Scheduled:
    """A watch, and the directory it is on: a watch goes with its directory when that is moved away."""

    watch: ObservedWatch
    identity: tuple[int, int]


class _Handler(FileSystemEventHandler):
    def __init__(self, watch: FileWatch, directory: str, *, tree: bool) -> None:
        self._watch = watch
        self._directory = directory
        self._tree = tree

    def on_any_event(self, event: FileSystemEvent) -> None:
        if isinstance(event, FileOpenedEvent | FileClosedNoWriteEvent):
            return  # somebody looked
        self._watch.dispatch(self._directory, self._tree, event)
