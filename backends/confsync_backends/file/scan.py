"""Which files there are, at a path that is a file or a directory, and what each of them is to the source."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from confsync.errors import Denied, Invalid, SourceError, Unavailable

FORMATS = {".yaml": "yaml", ".yml": "yaml", ".json": "json", ".toml": "toml", ".env": "dotenv"}
_MOST_FILES = 10_000
_LEFTOVERS = ("~", ".swp", ".swo", ".swx", ".tmp", ".bak")  # of editors and of whoever writes by rename


@dataclass(frozen=True, slots=True)
class Found:
    """One file.

    Attributes:
        path: where it is, as it was reached: for opening it, and for messages.
        key: the path its content goes under; "" for a source that is one file.
        format: how to parse it; None if its content is the value of `key`.
        stamp: device, inode, size, mtime and ctime: if they differ, so may the content.
    """

    path: str
    key: str
    format: str | None
    stamp: tuple[int, int, int, int, int]

    @property
    def written(self) -> int:
        """When it was last written, in microseconds since the epoch: what JSON's readers take without rounding."""
        return self.stamp[3] // 1000


@dataclass(slots=True)
class Scan:
    """The source's files, in order of path; its directories, itself first; the symbolic links in them."""

    files: list[Found] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)


def scan(path: str, format_: str | None) -> Scan:
    """Look at `path`, and in every directory below it.

    Raises:
        Unavailable: it does not exist (it may come), or the file system fails.
        Denied: a directory may not be read.
        Invalid: no format can be told, a loop of links, neither file nor directory, or too many files.
    """
    with translated(path):
        status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        if format_ is not None:
            raise Invalid(
                f"{path}: is a directory, but a format is given", hint="leave out format: each name tells"
            )
        found = Scan()
        for file in _directory(path, "", [(status.st_dev, status.st_ino)], found):
            found.files.append(file)
            if len(found.files) > _MOST_FILES:
                raise Invalid(
                    f"{path}: holds more than {_MOST_FILES:,} files", hint="name a smaller directory"
                )
        return found
    if not stat.S_ISREG(status.st_mode):
        raise Invalid(f"{path}: is neither a file nor a directory")
    told = format_ or format_of(os.path.basename(path))
    if told is None:
        known = ", ".join(FORMATS)
        raise Invalid(f"{path}: its name ends in none of {known}", hint="say which: format: yaml")
    return Scan([Found(path, "", told, stamp(status))])


def format_of(name: str) -> str | None:
    """What a file's name tells of its format: `.env` and `.env.local` are dotenv too."""
    if name == ".env" or name.startswith(".env."):
        return "dotenv"
    return FORMATS.get(os.path.splitext(name)[1].lower())


def ignored(name: str) -> bool:
    """Whether an entry of a directory is none of ours: hidden, or left over by an editor."""
    return (
        name.startswith(".") or name.endswith(_LEFTOVERS) or name == "4913" or (name[:1] == "#" == name[-1:])
    )


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Turns an OSError within into the SourceError for `path`."""
    try:
        yield
    except OSError as exc:
        raise source_error(path, exc) from exc


def source_error(path: str, error: OSError) -> SourceError:
    """What a failure of the file system means."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return Unavailable(f"{path}: does not exist", hint="create it; it is looked for again")
    if isinstance(error, PermissionError):
        return Denied(
            f"{path}: may not be read by this user", hint="check the permissions of it and its directories"
        )
    if error.errno == errno.ELOOP:
        return Invalid(f"{path}: its symbolic links go round in a circle")
    return Unavailable(f"{path}: cannot be read: {error.strerror or error}")


def _directory(path: str, key: str, above: list[tuple[int, int]], found: Scan) -> Iterator[Found]:
    found.directories.append(path)
    with translated(path):
        names = sorted(os.listdir(path))
    for name in names:
        if not ignored(name):
            yield from _entry(f"{path}/{name}", f"{key}/{name}" if key else name, above, found)


def _entry(path: str, key: str, above: list[tuple[int, int]], found: Scan) -> Iterator[Found]:
    if os.path.islink(path):
        found.links.append(path)
    try:
        status = os.stat(path)
    except FileNotFoundError:  # it has just gone, or is a link to nothing
        return
    except OSError as exc:
        raise source_error(path, exc) from exc
    if stat.S_ISDIR(status.st_mode):
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            raise Invalid(f"{path}: leads back to a directory above it", hint="remove the symbolic link")
        yield from _directory(path, key, [*above, identity], found)
    elif stat.S_ISREG(status.st_mode):
        told = format_of(os.path.basename(path))
        yield Found(path, os.path.splitext(key)[0] if told else key, told, stamp(status))


def stamp(status: os.stat_result) -> tuple[int, int, int, int, int]:
    """See `Found.stamp`."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
