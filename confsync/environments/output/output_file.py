"""The file that `confsync env --out` writes: looked at before, replaced whole or not at all."""

from __future__ import annotations

import os
import shlex
import stat
from contextlib import suppress
from dataclasses import dataclass, field

from confsync.errors import ConfsyncError
from confsync.sinks.disk import read_regular, sync_directory, write_new
from confsync.sinks.failures import sink_error
from confsync.sinks.names import head_of, hidden_head, staging_path
from confsync.sinks.ownership import Permissions, give
from confsync.text import printable

PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A place for a file, and what is there.

    Attributes:
        path: absolute, its directory without symbolic links.
        content: None where nothing is there.
        found: its status when it was read.
    """

    path: str
    content: bytes | None = field(default=None, repr=False)
    found: os.stat_result | None = None

    @property
    def mode(self) -> int | None:
        """Its permission bits."""
        return stat.S_IMODE(self.found.st_mode) if self.found else None


def look(path: str) -> OutputFile:
    """What is at `path`.

    Raises:
        ConfsyncError: it is a link or no file, or it or its directory cannot be used.
    """
    shown = printable(path)
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        _check_directory(path)
        return OutputFile(path)
    except OSError as exc:
        raise sink_error(shown, "cannot be looked at", exc) from exc
    if stat.S_ISLNK(found.st_mode):
        raise ConfsyncError(
            f"{shown}: is a symbolic link, and is not written through",
            hint=_instead_of_link(path),
        )
    if not stat.S_ISREG(found.st_mode):
        noun = "a directory" if stat.S_ISDIR(found.st_mode) else "no file but a device, pipe or socket"
        raise ConfsyncError(
            f"{shown}: is {noun}", hint="name a file; --out - prints the result, to be piped on"
        )
    try:
        content, found = read_regular(path)
    except OSError as exc:
        raise sink_error(shown, "cannot be read", exc) from exc
    return OutputFile(path, content, found)


def _instead_of_link(path: str) -> str:
    if path.startswith(("/dev/", "/proc/")) or (os.path.exists(path) and not os.path.isfile(path)):
        return "name a file; --out - prints the result, to be piped on"
    return f"name what it leads to: {printable(os.path.realpath(path))}"


def _check_directory(path: str) -> None:
    directory = os.path.dirname(path)
    if os.path.isdir(directory):
        return
    what = "is no directory" if os.path.lexists(directory) else "does not exist"
    raise ConfsyncError(
        f"{printable(path)}: cannot be written: {printable(directory)} {what}",
        hint="create it, or write to another file",
    )


def replace(
    before: OutputFile, content: bytes, *, private: bool, beside: str | None = None
) -> tuple[str, ...]:
    """Put `content` in the place of what was there; without `private`, a file keeps its mode.

    Args:
        beside: beside which path, on the same filesystem, `content` lies until it is whole; None: beside its place.

    Returns:
        Notes on what could not be kept.

    Raises:
        ConfsyncError: it cannot, or the file was changed meanwhile; what was there is still there.
    """
    shown = printable(before.path)
    if before.mode is not None and not before.mode & 0o200:
        raise ConfsyncError(
            f"{shown}: is read-only (mode {before.mode:04o})",
            hint=f"make it writable: chmod u+w {printable(shlex.quote(before.path))}",
        )
    wanted = Permissions(
        mode=PRIVATE if private or before.mode is None else before.mode,
        uid=before.found.st_uid if before.found else None,
        gid=before.found.st_gid if before.found else None,
    )
    try:
        staged = staging_path(beside or before.path)
        notes = write_new(staged, content, lambda fd: give(fd, shown, wanted))
        try:
            _check_unchanged(before)
            os.rename(staged, before.path)
        except BaseException:
            os.unlink(staged)
            raise
        sync_directory(os.path.dirname(before.path))
    except (
        FileNotFoundError
    ) as exc:  # somebody with another list swept what was staged, or removed the directory
        raise _changed_meanwhile(shown) from exc
    except OSError as exc:
        raise sink_error(shown, "cannot be written", exc) from exc
    if before.found is not None and before.found.st_nlink > 1:
        return (*notes, "it was a hard link: the file's other names still lead to what it was")
    return notes


def remove(before: OutputFile) -> None:
    """Remove the file.

    Raises:
        ConfsyncError: it cannot be removed, or was changed meanwhile.
    """
    try:
        _check_unchanged(before)
        os.unlink(before.path)
        sync_directory(os.path.dirname(before.path))
    except OSError as exc:
        raise sink_error(printable(before.path), "cannot be removed", exc) from exc


def _check_unchanged(before: OutputFile) -> None:
    try:
        now = os.lstat(before.path)
    except FileNotFoundError:
        now = None
    if _identity(now) != _identity(before.found):
        raise _changed_meanwhile(printable(before.path))


def _changed_meanwhile(shown: str) -> ConfsyncError:
    return ConfsyncError(
        f"{shown}: was changed by somebody else meanwhile, and left as it is", hint="try again"
    )


def _identity(found: os.stat_result | None) -> tuple[int, ...] | None:
    return found and (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def sweep(path: str) -> None:
    """Remove what an `--out` that was killed left beside `path`: it may have secrets. Never raises."""
    directory, name = os.path.split(path)
    with suppress(OSError):
        for other in os.listdir(directory):
            if head_of(other) == hidden_head(name):
                _unlink_file(os.path.join(directory, other))


def _unlink_file(path: str) -> None:
    with suppress(OSError):  # what is somebody else's keeps none of ours
        if stat.S_ISREG(os.lstat(path).st_mode):
            os.unlink(path)
