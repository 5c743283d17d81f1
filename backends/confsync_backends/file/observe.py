"""Notices that something moved in some places; what it was, others find out by looking.

watchdog tells at once of what happens by a name in a directory. Of the rest it tells nothing: a file that is
written by another name (a hard link, or from outside of a bind mount), a mount, events that the kernel had to
drop, a directory that may be passed but not read. So file times are compared too, seldom enough to cost nothing;
`poll` is nothing but that.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from confsync.errors import Unavailable
from confsync_backends.file.places import Place

_SELDOM = 1.0  # seconds between two comparisons of file times, while watchdog tells of most changes
_SHARE = 0.01  # of one CPU: the most that those comparisons may take
_COARSE = 2.0  # seconds in which the times of two writings of a file may be the same: FAT has such, NFS one of a second
_MOST = 200  # directories that watchdog is given: it takes a thread for each

# Opening, and closing after reading, are left out: that is what we do ourselves.
_STRUCTURE: list[type[FileSystemEvent]] = [
    DirCreatedEvent, DirDeletedEvent, DirMovedEvent, FileCreatedEvent, FileDeletedEvent, FileMovedEvent,
]  # fmt: skip
_CONTENT = [*_STRUCTURE, FileAttribEvent, FileClosedEvent, FileModifiedEvent]

# An "error" of watchdog's whenever a watch is ended just as something happens; nothing is wrong then.
logging.getLogger("watchdog.observers.inotify").addFilter(
    lambda record: "called when the thread is inactive" not in record.msg
)


class Polling:
    """Says when to look again: when file times differ. Used by one thread, closed by any.

    A file that is written again at once may have the times that it had before. So after each difference there is
    one more reason to look, when whatever is written later has later times.

    Args:
        interval: seconds between two comparisons.
        stamps: gives something that is equal to what it gave before if nothing changed.
    """

    def __init__(self, interval: float, stamps: Callable[[], object]) -> None:
        self._interval = interval
        self._stamps = stamps
        self._seen: object = None
        self._sure_from: float | None = None  # None: the times that were seen tell of all writing
        self._woken = threading.Event()
        self._closed = False

    def cover(self, wanted: Mapping[str, Place]) -> bool:  # noqa: ARG002 - stamps cover everything
        """Observe these places and no others; gives whether one is observed that was not before.

        Raises:
            Unavailable: the system's limit is reached.
        """
        self._compare()
        return False

    def wait(self, timeout: float | None) -> bool:
        """Wait until something happened, at most so many seconds; false if nothing did or it was closed."""
        end = float("inf") if timeout is None else time.monotonic() + timeout
        while not self._closed:
            if self._woken.wait(max(0.0, min(self._interval, end - time.monotonic()))):
                self._woken.clear()
                return not self._closed
            if self._differs():
                return True
            if time.monotonic() >= end:
                return False
        return False

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def close(self) -> None:
        """End all waiting, for ever. Idempotent."""
        self._closed = True
        self._woken.set()

    def _differs(self) -> bool:
        return self._compare() or self._is_sure_at_last()

    def _compare(self) -> bool:
        before, self._seen = self._seen, self._stamps()
        if self._seen == before:
            return False
        self._sure_from = time.monotonic() + _COARSE
        return True

    def _is_sure_at_last(self) -> bool:
        if self._sure_from is None or time.monotonic() < self._sure_from:
            return False
        self._sure_from = None
        return True


class Notified(Polling):
    """By watchdog, without delay."""

    def __init__(self, stamps: Callable[[], object]) -> None:
        super().__init__(_SELDOM, stamps)
        self._lock = threading.Lock()  # between `cover` and `close`; no thread of watchdog's takes it
        self._observer: BaseObserver | None = None
        self._scheduled: dict[str, tuple[_Handler, ObservedWatch]] = {}

    def cover(self, wanted: Mapping[str, Place]) -> bool:
        with self._lock, _limits_explained():
            if self._closed:
                return False
            if self._observer is None:
                self._observer = Observer()
                self._observer.start()
            for path in self._scheduled.keys() - wanted.keys():
                self._forget(self._observer, path)
            # Not any(): it would stop at the first.
            added = sum(self._add(self._observer, path, place) for path, place in wanted.items()) > 0
        super().cover(wanted)
        return added

    def close(self) -> None:
        super().close()
        with self._lock:
            observer, self._observer = self._observer, None
            if observer is not None:
                observer.stop()
                observer.join()

    def __del__(self) -> None:
        self.close()

    def _differs(self) -> bool:
        began = time.monotonic()
        differs = super()._differs()
        self._interval = max(_SELDOM, (time.monotonic() - began) / _SHARE)
        return differs

    def _add(self, observer: BaseObserver, path: str, place: Place) -> bool:
        identity = _identity(path)
        known = self._scheduled.get(path)
        if known is not None:
            if known[0].still_serves(identity, place):
                return False
            self._forget(observer, path)
        if identity is None or len(self._scheduled) >= _MOST:
            return False
        handler = _Handler(path, identity, place, self._woken)
        try:
            watch = observer.schedule(handler, path, event_filter=_CONTENT if place.content else _STRUCTURE)
        except OSError as exc:
            if exc.errno not in {errno.ENOENT, errno.ENOTDIR}:
                raise
            self._woken.set()  # gone since it was found: look again
            return False
        self._scheduled[path] = handler, watch
        return True

    def _forget(self, observer: BaseObserver, path: str) -> None:
        _, watch = self._scheduled.pop(path)
        observer.unschedule(watch)


class _Handler(FileSystemEventHandler):
    """Knows which of a directory's events matter. Holds no lock: watchdog calls it while holding its own."""

    def __init__(self, path: str, identity: tuple[int, int], place: Place, woken: threading.Event) -> None:
        self._path = path
        self._identity = identity
        self._place = place
        self._woken = woken
        self._gone = False

    def still_serves(self, identity: tuple[int, int] | None, place: Place) -> bool:
        """Whether it sees what happens in `place`, if this is now the directory's identity."""
        if self._gone or identity != self._identity or place.content > self._place.content:
            return False
        self._place = place
        return True

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.src_path == self._path:
            # Once it was deleted it is watched no longer, even if there is one of its name and inode again.
            self._gone = self._gone or isinstance(event, DirDeletedEvent)
            self._woken.set()
            return
        names = [os.path.basename(os.fsdecode(path)) for path in (event.src_path, event.dest_path) if path]
        if any(self._place.concerns(name) for name in names):
            self._woken.set()


def observe(poll: float | None, stamps: Callable[[], object]) -> Polling:
    """The way of noticing that the options ask for."""
    return Notified(stamps) if poll is None else Polling(poll, stamps)


@contextmanager
def _limits_explained() -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as exc:  # RuntimeError: no more threads
        hint = "raise fs.inotify.max_user_watches and max_user_instances with sysctl, or set poll: 10s"
        reason = getattr(exc, "strerror", None) or exc
        raise Unavailable(f"cannot watch files for changes: {reason}", hint=hint) from exc


def _identity(path: str) -> tuple[int, int] | None:
    """What tells a directory from another that has its name later; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None
