"""The few careful things done to files: read one, write a new one, keep an old one, make an entry durable."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress

from confsync.sinks.names import saved_path

# Never through a link, never waiting for a FIFO's other end, never becoming our terminal.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LARGEST = 1 << 30
_PIECE = 1 << 24
_CANNOT_LINK = (errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES)
_CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EROFS, errno.EACCES)


def read_regular(path: str) -> tuple[bytes, os.stat_result]:
    """All of a regular file, and its status at that moment. Never blocks.

    Raises:
        OSError: it is gone, unreadable, a link (ELOOP), no regular file (EISDIR), or over 1 GiB (EFBIG).
    """
    fd = os.open(path, _READ)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EISDIR, "not a regular file")
        return read_all(fd, found.st_size), found
    finally:
        os.close(fd)


def read_all(fd: int, size: int) -> bytes:
    """The rest of an open regular file that is about `size` bytes long. Raises `OSError`."""
    if size > _LARGEST:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    data = os.read(fd, size + 1)
    if len(data) <= size:
        return data
    pieces = [data]  # it grew meanwhile
    length = len(data)
    while piece := os.read(fd, _PIECE):
        pieces.append(piece)
        length += len(piece)
        if length > _LARGEST:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return b"".join(pieces)


def write_new(path: str, content: bytes, finish: Callable[[int], tuple[str, ...]]) -> tuple[str, ...]:
    """Create `path` (0600), write all of it, let `finish` set owner and mode, make it durable.

    Returns:
        What `finish` returned.

    Raises:
        Whatever failed; the file is gone again.
    """
    fd = os.open(path, _CREATE, 0o600)
    try:
        try:
            write_all(fd, content)
            notes = finish(fd)
            os.fsync(fd)
        finally:
            os.close(fd)
    except BaseException:
        with suppress(OSError):
            os.unlink(path)
        raise
    return notes


def write_all(fd: int, content: bytes) -> None:
    """Write every byte. Raises `OSError`."""
    written = os.write(fd, content)
    if written == len(content):
        return
    rest = memoryview(content)[written:]
    while rest:
        rest = rest[os.write(fd, rest) :]


def keep(path: str) -> str | None:
    """Give what is at `path` (a file or a link) a second, hidden name, so that it outlives a rename over it.

    A hard link, or where the filesystem has none a copy that nobody new can read.

    Returns:
        The hidden name, or None where nothing is at `path`.

    Raises:
        OSError: neither worked.
    """
    saved = saved_path(path)
    try:
        os.link(path, saved, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as exc:
        if exc.errno not in _CANNOT_LINK:
            raise
        copy(path, saved, 0o7777)
    return saved


def copy(path: str, to: str, mask: int) -> None:
    """Copy a file or link, its owner where permitted, its mode cut down to `mask`. Raises `OSError`."""
    try:
        os.symlink(os.readlink(path), to)
    except OSError as exc:
        if exc.errno != errno.EINVAL:
            raise
    else:
        return
    content, found = read_regular(path)

    def finish(fd: int) -> tuple[str, ...]:
        mode = stat.S_IMODE(found.st_mode) & mask
        try:
            os.fchown(fd, found.st_uid, found.st_gid)
        except PermissionError:
            mode &= 0o700  # its group and others would be different people
        os.fchmod(fd, mode)
        return ()

    write_new(to, content, finish)


def sync_directory(path: str) -> None:
    """Make the directory's entries durable, as far as they can be made so. Raises `OSError`."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as exc:
        if exc.errno not in _CANNOT_SYNC:
            raise


def make_directories(path: str, *, parents: bool = True) -> list[str]:
    """Create `path` and, with `parents`, what is missing above it, each 0755 whatever the umask, durably.

    Returns:
        Those that were created, outermost first.

    Raises:
        OSError: one could not be; those before it are gone again.
    """
    missing: list[str] = []
    while not os.path.isdir(path) and path != "/":
        missing.append(path)
        if not parents:
            break
        path = os.path.dirname(path)
    created: list[str] = []
    try:
        created.extend(directory for directory in reversed(missing) if _make_directory(directory))
    except OSError:
        remove_directories(created)
        raise
    return created


def remove_directories(paths: list[str]) -> None:
    """Remove these directories, innermost first, as far as they are empty. Never raises."""
    for path in reversed(paths):
        with suppress(OSError):
            os.rmdir(path)


def _make_directory(path: str) -> bool:
    try:
        os.mkdir(path, 0o755)
    except FileExistsError:
        if os.path.isdir(path):
            return False  # another target of ours was quicker
        raise
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if mode | 0o755 != mode:  # not a plain 0755: a directory below a set-gid one inherits that bit
        os.chmod(path, mode | 0o755)  # noqa: S103 - what `parents` documents
    sync_directory(os.path.dirname(path))
    return True
