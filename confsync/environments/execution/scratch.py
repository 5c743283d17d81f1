"""A private directory for the files of an exec, in memory where there is such a place, gone when the exec is.

ROOT/confsync-exec-3f9c…/nginx       -> ..data/nginx     what CONFSYNC_FILES leads to; a link for each sync
ROOT/confsync-exec-3f9c…/..data      -> ..1              the switch: one rename changes every file
ROOT/confsync-exec-3f9c…/..1/nginx/  nginx.conf …        one version, never changed once it is complete

The directory is locked as long as the exec or its guardian (guardian.py) lives. What is not locked was left behind by
one whose guardian was killed too; the next exec removes it. A lock, unlike a process id, means the same to processes in
other containers that share ROOT.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from secrets import token_hex
from tempfile import gettempdir

from confsync.environments.execution.guardian import hold, name_in_the_making, remove_tree
from confsync.errors import ConfsyncError

log = logging.getLogger(__name__)

_HEAD = "confsync-exec-"
_DATA = "..data"
_IN_MEMORY = ("tmpfs", "ramfs")


@dataclass(frozen=True, slots=True)
class File:
    """One file for a command.

    Attributes:
        path: relative to the directory; no part of it leads out of it.
    """

    path: str
    content: bytes = field(repr=False)
    executable: bool = False


def roots() -> list[str]:
    """Where such a directory may be, the best place first: memory before any disk, our own before everybody's."""
    named = os.environ.get("XDG_RUNTIME_DIR", "")
    safe = [root for root in (named, "/dev/shm", _temporary()) if os.path.isabs(root) and _is_safe(root)]  # noqa: S108
    return sorted(safe, key=lambda root: filesystem(root) not in _IN_MEMORY)


def _temporary() -> str:
    """The usual place for temporary files, or "": there is none where every disk is full."""
    try:
        return gettempdir()
    except FileNotFoundError:
        return ""


def _is_safe(root: str) -> bool:
    """Whether nobody but us and root can replace what we make there."""
    try:
        found = os.stat(root)
    except OSError:
        return False
    shared = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not stat.S_ISDIR(found.st_mode) or (shared and not found.st_mode & stat.S_ISVTX):
        return False
    return found.st_uid in (0, os.geteuid()) and os.access(root, os.W_OK | os.X_OK)


def new_path() -> str:
    """Where the next directory is to be; nothing is there yet.

    Raises:
        ConfsyncError: there is no place for it.
    """
    found = roots()
    if not found:
        raise ConfsyncError(
            "there is no directory for the command's files: $XDG_RUNTIME_DIR, /dev/shm and $TMPDIR cannot be used",
            hint="make one that only you can write to, and name it in XDG_RUNTIME_DIR",
        )
    return os.path.join(found[0], _HEAD + token_hex(8))


class Scratch:
    """The directory at `path`, which must not be there yet; made and locked. Belongs to one thread.

    Raises:
        ConfsyncError: it cannot be made.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._versions = 0
        self._switched: str | None = None
        try:
            self._lock = self._made()
        except OSError as exc:
            raise _trouble(path, exc) from exc
        _tell_place(path)

    def _made(self) -> int:
        """Make it under another name, which nobody sweeps before it is locked."""
        making = name_in_the_making(self.path)
        # Not one that is there: process lists show the name, and others may write to the place.
        _make_private(making)
        lock = hold(making)
        if lock is None:
            raise OSError(errno.ENOLCK, "a directory made there is not ours, or cannot be locked")
        os.rename(making, self.path)
        return lock

    def stage(self, files: Iterable[File]) -> str:
        """Write a version of all files, which nobody sees yet; gives its name.

        Raises:
            ConfsyncError: it cannot be written; nothing of it is left.
        """
        self._versions += 1
        version = f"..{self._versions}"
        try:
            _make_private(f"{self.path}/{version}")
            for file in files:
                _write(f"{self.path}/{version}", file)
            for sync in os.listdir(f"{self.path}/{version}"):
                with suppress(FileExistsError):
                    os.symlink(f"{_DATA}/{sync}", f"{self.path}/{sync}")
            os.symlink(version, self._link(version))
        except OSError as exc:
            self.drop(version)
            raise _trouble(self.path, exc) from exc
        return version

    def switch(self, version: str) -> None:
        """Have every file be that of `version`, at once; the version before is removed.

        Raises:
            ConfsyncError: it cannot be done; the files are as they were, and nothing of the version is left.
        """
        try:
            os.rename(self._link(version), f"{self.path}/{_DATA}")
        except OSError as exc:
            self.drop(version)
            raise _trouble(self.path, exc) from exc
        before, self._switched = self._switched, version
        if before is not None:
            self.drop(before)

    def drop(self, version: str) -> None:
        """Remove a version that is not in use."""
        remove_tree(self._link(version))
        remove_tree(f"{self.path}/{version}")

    def _link(self, version: str) -> str:
        """What leads to a version, until it is switched to: that is a rename, which needs no room on a full disk."""
        return f"{self.path}/{version}-link"

    def remove(self) -> None:
        """Remove it with all that is in it, also what the command has put there. Idempotent."""
        if not remove_tree(self.path):
            log.error("could not be removed; remove it yourself", extra={"directory": self.path})
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _make_private(directory: str) -> None:
    """Make a directory that is ours alone, whatever the umask."""
    os.mkdir(directory, 0o700)
    os.chmod(directory, 0o700)


def _write(directory: str, file: File) -> None:
    *parents, name = file.path.split("/")
    for parent in parents:
        directory = f"{directory}/{parent}"
        with suppress(FileExistsError):
            _make_private(directory)
    path = f"{directory}/{name}"
    mode = 0o700 if file.executable else 0o600
    made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with open(made, "wb") as stream:
        os.fchmod(made, mode)
        stream.write(file.content)


def _trouble(path: str, error: OSError) -> ConfsyncError:
    where = os.path.dirname(path)
    return ConfsyncError(f"the command's files cannot be written in {where}: {error.strerror}")


def _is_at(path: str, opened: int) -> bool:
    try:
        there, held = os.lstat(path), os.fstat(opened)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)


def _tell_place(path: str) -> None:
    kind = filesystem(path)
    if kind not in _IN_MEMORY:
        log.info(
            "the command's files are on a disk for as long as it runs: there is no tmpfs",
            extra={"directory": path, "filesystem": kind or "unknown"},
        )


def filesystem(path: str) -> str:
    """The kind of the filesystem that `path` is on, as /proc/self/mountinfo has it, or ""."""
    try:
        device = os.stat(path).st_dev
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as lines:
            found = [line for line in lines if line.split()[2] == f"{os.major(device)}:{os.minor(device)}"]
        return found[-1].partition(" - ")[2].split()[0]
    except (OSError, IndexError):
        return ""


def sweep(places: Sequence[str]) -> None:
    """Remove what killed execs have left in these places."""
    for path in _leftovers(places):
        with suppress(OSError):
            _sweep(path)


def _leftovers(places: Sequence[str]) -> Iterator[str]:
    for root in places:
        with suppress(OSError), os.scandir(root) as entries:
            yield from (entry.path for entry in entries if entry.name.startswith(_HEAD))


def _sweep(path: str) -> None:
    opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = os.fstat(opened).st_uid == os.geteuid() and _is_at(path, opened)
        if is_ours and remove_tree(path):
            log.info("removed what a killed exec has left", extra={"directory": path})
    except BlockingIOError:
        return  # its exec lives
    finally:
        os.close(opened)
