"""Content as files that only this user may read, for a `check:` to look at: in memory where there is such a place."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress

_PREFIX = "confsync-check-"


class PrivateFiles:
    """A directory (0700) with a file (0600) for each name, until `close`. One thread at a time.

    Attributes:
        path: the directory's.
    """

    def __init__(self, content: Mapping[str, bytes]) -> None:
        """Write them all, or nothing.

        Args:
            content: names that are one step of a path -> what is in them.

        Raises:
            OSError: there is no room, or no place to write to.
        """
        self.path = tempfile.mkdtemp(prefix=_PREFIX, dir=_folder())
        self._lock = -1
        try:
            self._lock = _locked(self.path)
            for name, data in content.items():
                _write(f"{self.path}/{name}", data)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove them. Never raises; idempotent."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def sweep() -> None:
    """Remove what killed processes of this user left behind. What is in use stays; never raises."""
    folder = _folder() or tempfile.gettempdir()
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX) and entry.is_dir(follow_symlinks=False):
                _remove_abandoned(entry)


def _remove_abandoned(entry: os.DirEntry[str]) -> None:
    with suppress(OSError):
        if entry.stat(follow_symlinks=False).st_uid != os.geteuid():
            return
        lock = _locked(entry.path)  # fails while its process lives
        try:
            shutil.rmtree(entry.path, ignore_errors=True)
        finally:
            os.close(lock)


def _folder() -> str | None:
    """A place in memory; None for the system's own."""
    for folder in (os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm"):  # noqa: S108 - mkdtemp makes the name
        if folder and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):
            return folder
    return None


def _locked(path: str) -> int:
    """A descriptor that holds a directory's lock; it goes with the process, however that ends."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


def _write(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(data)
