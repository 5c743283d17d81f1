"""Linux's inotify, as little of it as is needed, without a thread.

watchdog is not used here: it takes a thread for each directory, and its recursive mode, given directories
that come and go together as those of a mounted ConfigMap do, stumbles over watches it has already and can
lose events after an overflow.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

MODIFY = 0x2
ATTRIB = 0x4
CLOSE_WRITE = 0x8
MOVED_FROM = 0x40
MOVED_TO = 0x80
CREATE = 0x100
DELETE = 0x200
DELETE_SELF = 0x400
MOVE_SELF = 0x800
UNMOUNT = 0x2000
OVERFLOW = 0x4000
IGNORED = 0x8000
_MASK_ADD = 0x20000000

_HEADER = struct.Struct("iIII")
_BUFFER = 64 * 1024


class Event(NamedTuple):
    """Something that happened.

    Attributes:
        watch: the number `add` gave.
        mask: which of the bits above.
        name: the entry of the directory, "" for what is watched itself.
    """

    watch: int
    mask: int
    name: str


class Inotify:
    """One inotify instance. For one thread.

    Raises:
        OSError: the system has no more of them, or none at all (ENOSYS).
    """

    def __init__(self) -> None:
        self._libc = _libc()
        self.descriptor = _checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def add(self, path: str, mask: int) -> int:
        """Watch a path for the bits of `mask`; gives the watch's number, the same again for the same inode.

        Raises:
            OSError: there is no such path, it may not be read, or there can be no more watches (ENOSPC).
        """
        added = self._libc.inotify_add_watch(self.descriptor, os.fsencode(path), mask | _MASK_ADD)
        return _checked(added, path)

    def remove(self, watch: int) -> None:
        """Watch no longer; it is no error if the kernel has done so already."""
        self._libc.inotify_rm_watch(self.descriptor, watch)

    def read(self) -> list[Event]:
        """What has happened until now; does not wait."""
        try:
            buffer = os.read(self.descriptor, _BUFFER)
        except BlockingIOError:
            return []
        return list(_events(buffer))

    def close(self) -> None:
        """Give everything back to the system. Once only."""
        os.close(self.descriptor)


def _events(buffer: bytes) -> Iterator[Event]:
    position = 0
    while position < len(buffer):
        watch, mask, _, length = _HEADER.unpack_from(buffer, position)
        position += _HEADER.size
        name = buffer[position : position + length].rstrip(b"\0")
        position += length
        yield Event(watch, mask, os.fsdecode(name))


def _libc() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "inotify_init1"):
        raise OSError(errno.ENOSYS, "this system has no inotify")
    library.inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
    library.inotify_rm_watch.argtypes = (ctypes.c_int, ctypes.c_int)
    return library


def _checked(result: int, path: str | None = None) -> int:
    if result >= 0:
        return result
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), path)
