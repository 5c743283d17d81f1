"""Writing into an existing file, for where rename cannot work: a file that is a mount point of its own.

A reader may see half of the new content while this runs, and a crash may leave it so until the next
reconcile: it is the one exception to "whole or not at all", and `in_place: never` refuses it.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from confsync.sinks.disk import read_all, write_all
from confsync.sinks.ownership import Permissions, give

# Without O_TRUNC: the old content stays until the new is there to take its place.
_OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class InMemory:
    """Staged content that has no directory to be in: a file in memory, seen under /proc by this user only."""

    __slots__ = ("_fd",)

    def __init__(self, content: bytes) -> None:
        self._fd: int | None = os.memfd_create("confsync-staged", os.MFD_CLOEXEC)
        try:
            os.fchmod(self._fd, 0o600)
            write_all(self._fd, content)
        except BaseException:
            self.close()
            raise

    @property
    def path(self) -> str:
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    def close(self) -> None:
        """Give the memory back. Idempotent."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def overwrite(
    path: str, target: str, content: bytes, wanted: Permissions
) -> tuple[bytes, os.stat_result, tuple[str, ...]]:
    """Write `content` into the existing regular file at `path`, durably.

    Bits the new mode lacks are taken away before, those it adds are given after: nobody sees content who may
    not see both.

    Returns:
        The old content and status, and notes on what could not be kept.

    Raises:
        OSError, SinkError: with the old content written back as far as that was possible.
    """
    fd = os.open(path, _OPEN)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EISDIR, "not a regular file")
        old = read_all(fd, found.st_size)
        try:
            notes = _overwrite(fd, target, content, stat.S_IMODE(found.st_mode), wanted)
        except BaseException:
            _restore(fd, target, old, found)
            raise
        return old, found, notes
    finally:
        os.close(fd)


def _overwrite(fd: int, target: str, content: bytes, mode: int, wanted: Permissions) -> tuple[str, ...]:
    with suppress(PermissionError):  # writable though not ours: `give` tells whether that matters
        os.fchmod(fd, mode & wanted.mode)
    _put(fd, content)
    return _give(fd, target, wanted)


def _give(fd: int, target: str, wanted: Permissions) -> tuple[str, ...]:
    try:
        return give(fd, target, wanted)
    except PermissionError:
        if stat.S_IMODE(os.fstat(fd).st_mode) == wanted.mode:
            return ()
        raise


def _put(fd: int, content: bytes) -> None:
    os.lseek(fd, 0, os.SEEK_SET)
    write_all(fd, content)
    os.ftruncate(fd, len(content))
    os.fsync(fd)


def _restore(fd: int, target: str, old: bytes, found: os.stat_result) -> None:
    """Put back what was there: its blocks are still allocated, so that a full disk does not prevent it."""
    with suppress(OSError):
        _put(fd, old)
    with suppress(OSError):
        give(fd, target, Permissions(stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid))
