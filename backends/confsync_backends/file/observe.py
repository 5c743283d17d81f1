"""Notices that something moved in some directories, by inotify through watchdog; others find out what."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from typing import Any

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)

from confsync.errors import Unavailable
from confsync_backends.file.places import Place

# Opening and closing after reading are left out: we do that ourselves.
_STRUCTURE: list[type[FileSystemEvent]] = [
    DirCreatedEvent, DirDeletedEvent, DirMovedEvent, FileCreatedEvent, FileDeletedEvent, FileMovedEvent,
]  # fmt: skip
_CONTENT = [*_STRUCTURE, FileModifiedEvent, FileClosedEvent]


class Pulse:
    """A flag to wait for, that stays up until somebody has waited for it. Any thread may raise it."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._raised = False
        self._closed = False

    def beat(self) -> None:
        """Raise the flag."""
        with self._condition:
            self._raised = True
            self._condition.notify_all()

    def close(self) -> None:
        """End all waiting, for ever."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the flag and lower it; false if it was not raised in time, or closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._raised or self._closed, timeout)
            raised, self._raised = self._raised, False
            return raised and not self._closed

    def settle(self, quiet: float, longest: float) -> None:
        """Wait until it was not raised for `quiet` seconds, at most `longest`: one save is many events."""
        end = time.monotonic() + longest
        while self.wait(quiet) and time.monotonic() < end:
            pass


class Observation:
    """Beats the pulse whenever something happens in the places. Its threads live until `close`."""

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self._lock = threading.Lock()
        self._closed = False
        self._observer: Any = None
        self._handlers: dict[str, _Handler] = {}

    def cover(self, wanted: Mapping[str, Place]) -> bool:
        """Observe these directories and no others; gives whether one is observed that was not before.

        Raises:
            Unavailable: the system's limit of inotify watches is reached.
        """
        with self._lock:
            if self._closed:
                return False
            try:
                return self._cover(wanted)
            except OSError as exc:
                hint = (
                    "raise fs.inotify.max_user_watches and max_user_instances with sysctl, or set poll: 10s"
                )
                raise Unavailable(f"cannot watch for changes: {exc.strerror or exc}", hint=hint) from exc

    def close(self) -> None:
        """Stop, and wait for the threads to end. Idempotent."""
        with self._lock:
            self._closed = True
            observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            if observer.is_alive():
                observer.join()

    def _cover(self, wanted: Mapping[str, Place]) -> bool:
        if self._observer is None:
            from watchdog.observers import Observer

            self._observer = Observer()
            self._observer.start()
        identities = {directory: _identity(directory) for directory in wanted}
        for directory, handler in list(self._handlers.items()):
            if not handler.fits(wanted.get(directory), identities.get(directory)):
                self._observer.unschedule(handler.watch)
                del self._handlers[directory]
        new = [one for one in wanted if one not in self._handlers and identities[one] is not None]
        for directory, handler in self._handlers.items():
            handler.place = wanted[directory]
        return sum(self._schedule(one, wanted[one], identities[one]) for one in new) > 0

    def _schedule(self, directory: str, place: Place, identity: tuple[int, int] | None) -> bool:
        handler = _Handler(directory, place, identity, self._pulse)
        filter_ = _CONTENT if place.content else _STRUCTURE
        try:
            handler.watch = self._observer.schedule(
                handler, directory, recursive=place.names is None, event_filter=filter_
            )
        except (FileNotFoundError, NotADirectoryError):
            self._pulse.beat()  # it has gone since it was found: look again
            return False
        self._handlers[directory] = handler
        return True


class _Handler(FileSystemEventHandler):
    """Decides whether what happened in one directory matters. Called in watchdog's thread."""

    watch: Any = None

    def __init__(self, directory: str, place: Place, identity: tuple[int, int] | None, pulse: Pulse) -> None:
        self.place = place
        self._directory = directory
        self._identity = identity
        self._pulse = pulse
        self._gone = False

    def fits(self, wanted: Place | None, identity: tuple[int, int] | None) -> bool:
        """Whether this still observes the directory of that name, for what is wanted of it."""
        if wanted is None or self._gone or identity != self._identity:
            return False
        return (wanted.names is None) == (self.place.names is None) and wanted.content == self.place.content

    def dispatch(self, event: FileSystemEvent) -> None:
        if self._concerns(event):
            self._pulse.beat()

    def _concerns(self, event: FileSystemEvent) -> bool:
        for path in (event.src_path, event.dest_path):
            if not path:
                continue
            relative = os.path.relpath(os.fsdecode(path), self._directory)
            if relative == ".":
                self._gone = self._gone or event.event_type == "deleted"
                return True
            if self.place.concerns(relative):
                return True
        return False


def _identity(directory: str) -> tuple[int, int] | None:
    """What tells a directory from another of its name; None if it is missing or may not be observed."""
    try:
        status = os.stat(directory)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if os.access(directory, os.R_OK) else None
