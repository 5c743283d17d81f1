"""Notices that something moved in some places; what it was, others find out by looking.

Both ways of noticing are used by one thread, and closed by any.
"""

from __future__ import annotations

import errno
import os
import select
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from confsync.errors import Unavailable
from confsync_backends.file import inotify
from confsync_backends.file.inotify import Event, Inotify
from confsync_backends.file.places import Place

# Opening, and closing after reading, are left out: that is what we do ourselves.
_SELF = inotify.DELETE_SELF | inotify.MOVE_SELF
_STRUCTURE = inotify.MOVED_FROM | inotify.MOVED_TO | inotify.CREATE | inotify.DELETE | _SELF
_CONTENT = _STRUCTURE | inotify.MODIFY | inotify.CLOSE_WRITE | inotify.ATTRIB
_LOST = _SELF | inotify.UNMOUNT | inotify.IGNORED


class Observation(ABC):
    """Says when to look again."""

    @abstractmethod
    def cover(self, wanted: Mapping[str, Place]) -> bool:
        """Observe these places and no others; gives whether one is observed that was not before.

        Raises:
            Unavailable: the system's limit is reached.
        """

    @abstractmethod
    def wait(self, timeout: float | None) -> bool:
        """Wait until something happened, at most so many seconds; false if nothing did or it was closed."""

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Whether `close` was called."""

    @abstractmethod
    def close(self) -> None:
        """End all waiting, for ever. Idempotent."""


class Polling(Observation):
    """Compares stamps every so often.

    Args:
        interval: seconds.
        stamps: gives something that is equal to what it gave before if nothing changed.
    """

    def __init__(self, interval: float, stamps: Callable[[], object]) -> None:
        self._interval = interval
        self._stamps = stamps
        self._seen: object = None
        self._closed = threading.Event()

    def cover(self, wanted: Mapping[str, Place]) -> bool:  # noqa: ARG002 - stamps cover everything
        self._seen = self._stamps()
        return False

    def wait(self, timeout: float | None) -> bool:
        end = None if timeout is None else time.monotonic() + timeout
        while end is None or time.monotonic() < end:
            left = self._interval if end is None else min(self._interval, end - time.monotonic())
            if self._closed.wait(left):
                return False
            if self._stamps() != self._seen:
                self._seen = self._stamps()
                return True
        return False

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    def close(self) -> None:
        self._closed.set()


@dataclass(slots=True)
class _Watched:
    number: int
    identity: tuple[int, int]
    place: Place


class Notified(Observation):
    """By inotify: no thread, no CPU while nothing happens."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed = False
        self._used = False  # in `cover` or `wait`; then it is there that the descriptors are given back
        self._released = True  # there is none yet
        self._inotify: Inotify | None = None
        self._watched: dict[str, _Watched] = {}
        self._dirty = False
        with _limits_explained():
            self._waker = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._released = False

    def cover(self, wanted: Mapping[str, Place]) -> bool:
        return self._use(lambda: self._cover(wanted))

    def wait(self, timeout: float | None) -> bool:
        return self._use(lambda: self._wait(timeout))

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._used:
                os.eventfd_write(self._waker, 1)
            else:
                self._release()

    def __del__(self) -> None:
        self.close()

    def _use(self, work: Callable[[], bool]) -> bool:
        with self._lock:
            if self._closed:
                return False
            self._used = True
        try:
            with _limits_explained():
                return work()
        finally:
            with self._lock:
                self._used = False
                if self._closed:
                    self._release()

    def _release(self) -> None:
        """The caller holds the lock."""
        if self._released:
            return
        self._released = True
        os.close(self._waker)
        if self._inotify is not None:
            self._inotify.close()

    def _cover(self, wanted: Mapping[str, Place]) -> bool:
        if self._inotify is None:
            self._inotify = Inotify()
        for path in self._watched.keys() - wanted.keys():
            self._forget(self._inotify, path)
        # Not any(): it would stop at the first.
        return sum(self._add(self._inotify, path, place) for path, place in wanted.items()) > 0

    def _add(self, notify: Inotify, path: str, place: Place) -> bool:
        identity, known = _identity(path), self._watched.get(path)
        if known is not None and known.identity == identity and known.place.content >= place.content:
            known.place = place
            return False
        if known is not None:
            self._forget(notify, path)
        if identity is None:
            return False
        try:
            number = notify.add(path, _CONTENT if place.content else _STRUCTURE)
        except OSError as exc:
            if exc.errno == errno.EACCES:
                return False  # a directory on the way that may be passed, but not read
            if exc.errno not in {errno.ENOENT, errno.ENOTDIR}:
                raise
            self._dirty = True  # gone since it was found: look again
            return False
        self._watched[path] = _Watched(number, identity, place)
        return True

    def _forget(self, notify: Inotify, path: str) -> None:
        gone = self._watched.pop(path)
        # Two paths of one inode (a bind mount) share the number.
        if all(other.number != gone.number for other in self._watched.values()):
            notify.remove(gone.number)

    def _wait(self, timeout: float | None) -> bool:
        end = None if timeout is None else time.monotonic() + timeout
        poll = select.poll()
        poll.register(self._waker, select.POLLIN)
        if self._inotify is not None:
            poll.register(self._inotify.descriptor, select.POLLIN)
        while not self._closed:
            if self._happened():
                return True
            left = None if end is None else (end - time.monotonic()) * 1000
            if left is not None and left <= 0:
                return False
            poll.poll(left)
        return False

    def _happened(self) -> bool:
        happened, self._dirty = self._dirty, False
        while self._inotify is not None and (events := self._inotify.read()):
            happened = sum(self._matters(event) for event in events) > 0 or happened
        return happened

    def _matters(self, event: Event) -> bool:
        if event.mask & inotify.OVERFLOW:
            return True
        paths = [path for path, watched in self._watched.items() if watched.number == event.watch]
        if event.mask & _LOST:
            for path in paths:
                del self._watched[path]
            return bool(paths)
        return any(self._watched[path].place.concerns(event.name) for path in paths)


def observe(poll: float | None, stamps: Callable[[], object]) -> Observation:
    """The way of noticing that the options ask for, or that the system has."""
    if poll is None and hasattr(os, "eventfd"):
        return Notified()
    return Polling(poll or 1.0, stamps)


@contextmanager
def _limits_explained() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        hint = "raise fs.inotify.max_user_watches and max_user_instances with sysctl, or set poll: 10s"
        raise Unavailable(f"cannot watch files for changes: {exc.strerror or exc}", hint=hint) from exc


def _identity(path: str) -> tuple[int, int] | None:
    """What tells an inode from another that has its name later; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
