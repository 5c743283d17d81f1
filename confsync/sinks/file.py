"""One file, replaced whole: written beside the target, then renamed over it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from confsync.config.models import FileTarget
from confsync.errors import SinkError
from confsync.sinks.base import Actual, Desired, Sink, TargetSpec
from confsync.sinks.disk import make_directories, read_regular, remove_directories, sync_directory, write_new
from confsync.sinks.failures import sink_error, target_name
from confsync.sinks.in_place import InMemory
from confsync.sinks.names import head_of, hidden_head, locate, staging_path
from confsync.sinks.ownership import attributes_of, attributes_wanted, give, permissions
from confsync.sinks.staged_file import Replacement, StagedFile
from confsync.text import printable

_MOST_LINKS = 40  # the kernel's own limit
_NOWHERE = {
    errno.ENOENT: None,
    errno.ENOTDIR: "a part of its path is not a directory; correct `path`, or move that file away",
    errno.ELOOP: "symbolic links in its path form a loop; mend the links",
    errno.ENAMETOOLONG: "its name is too long; shorten `path`: 255 bytes a name",
}
_DIRECTORY_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a target really is.

    Attributes:
        path: what to read, replace and remove: behind the link where links are followed.
        found: its status without following links, or None where nothing is.
        problem: why it must be left alone, or None.
    """

    path: str
    found: os.stat_result | None
    problem: str | None = None


class FileSink(Sink):
    """Writes `FileTarget`s.

    A path is normalised as text and must be absolute. A FIFO, socket, device or directory is never opened,
    written or removed. A symbolic link at the path is refused, followed or replaced, as the target says.

    With `backup`, PATH.bak belongs to the target: it is overwritten, and removed with it, also where a file of
    somebody else's had that name before.
    """

    kind: ClassVar[str] = "file"

    def locate(self, spec: TargetSpec) -> str:
        return locate(self.kind, spec.place)

    def observe(self, spec: TargetSpec, wanted: Collection[str] = ()) -> Actual:  # noqa: ARG002 - all of it is ours
        path = locate(self.kind, spec.place)
        try:
            place = _find(_file(spec), path)
            if place.problem is not None or place.found is None:
                return Actual(None, {}, place.problem)
            if stat.S_ISLNK(place.found.st_mode):
                return _observe_link(place.path)
            content, found = read_regular(place.path)
        except FileNotFoundError:
            return Actual(None, {})
        except OSError as exc:
            raise _read_error(path, exc) from exc
        return Actual(content, attributes_of(found))

    def attributes(self, desired: Desired, actual: Actual) -> Mapping[str, str]:
        spec = _file(desired.spec)
        target = target_name(self.kind, spec.place)
        wanted = attributes_wanted(target, spec, desired.sensitive, actual.attributes)
        if "type" in actual.attributes:
            wanted["type"] = "file"
        return wanted

    def stage(
        self,
        desired: Desired,
        *,
        undoable: bool = True,
        created: bool = False,  # noqa: ARG002 - it makes no difference here
        formerly: str | None = None,  # noqa: ARG002
    ) -> StagedFile:
        spec = _file(desired.spec)
        path = locate(self.kind, spec.place)
        target = target_name(self.kind, path)
        if not isinstance(desired.content, bytes):
            raise SinkError(target, "several files cannot become one", hint="use a directory target")
        try:
            place = _find(spec, path)
        except OSError as exc:
            raise sink_error(target, "cannot be looked at", exc) from exc
        if place.problem is not None:
            raise SinkError(target, place.problem)
        if spec.backup:
            _check_backup(target, spec, place.path)
        wanted = permissions(target, spec, desired.sensitive, _replaced(place))
        replacement = Replacement(target, place.path, desired.content, wanted, place.found, spec, undoable)
        return _staged(replacement)

    def remove(self, spec: TargetSpec) -> None:
        path = locate(self.kind, spec.place)
        target = target_name(self.kind, path)
        try:
            place = _find(_file(spec), path)
            if place.found is None:
                return
            if place.problem is not None:
                raise SinkError(target, f"not removed: {place.problem}")
            if _file(spec).backup:
                _remove_backup(f"{place.path}.bak")  # first: without the target nobody would come back for it
            os.unlink(place.path)
            sync_directory(os.path.dirname(place.path))
        except FileNotFoundError:
            return
        except OSError as exc:
            raise sink_error(target, "cannot be removed", exc) from exc

    def sweep(self, specs: Iterable[TargetSpec]) -> None:
        folders: dict[str, set[str]] = {}
        for spec in specs:
            with suppress(OSError, SinkError):
                place = _find(_file(spec), locate(self.kind, spec.place))
                folder, base = os.path.split(place.path)
                folders.setdefault(folder, set()).update((base, base + ".bak"))
        for folder, bases in folders.items():
            with suppress(OSError):
                _sweep(folder, bases)


def _file(spec: TargetSpec) -> FileTarget:
    if not isinstance(spec, FileTarget):
        raise TypeError(f"the file sink was given a {type(spec).__name__}")
    return spec


def _find(spec: FileTarget, path: str) -> _Place:
    """Look at `path` itself, and behind it where links are followed. Opens nothing. Raises `OSError`."""
    try:
        found = os.lstat(path)
    except OSError as exc:
        if exc.errno in _NOWHERE:
            return _Place(path, None, _NOWHERE[exc.errno])
        raise
    if stat.S_ISREG(found.st_mode):
        return _Place(path, found)
    if not stat.S_ISLNK(found.st_mode) or spec.symlink == "refuse":
        return _Place(path, found, _special(path, found))
    if spec.symlink == "replace":
        return _Place(path, found)
    return _follow(path)


def _follow(path: str) -> _Place:
    """Go from link to link as the kernel would; a link to nothing is a place where a file may be made."""
    for _ in range(_MOST_LINKS):
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return _Place(path, None)
        if stat.S_ISREG(found.st_mode):
            return _Place(path, found)
        if not stat.S_ISLNK(found.st_mode):
            return _Place(path, found, f"the link leads to {printable(path)}, which {_special(path, found)}")
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    return _Place(path, None, "the symbolic links form a loop; remove the link, or set `symlink: replace`")


def _special(path: str, found: os.stat_result) -> str:
    """Why what was found there is not written; reads on after the target's name."""
    if stat.S_ISLNK(found.st_mode):
        return (
            f"is a symbolic link to {printable(os.readlink(path))}; set `symlink: follow` to write the file"
            " it points to, or `symlink: replace` to put a file in the link's place"
        )
    for test, noun in _SPECIAL:
        if test(found.st_mode):
            return f"is {noun}, not a file; correct `path`, or move it away"
    return "is neither a file nor anything known; correct `path`"


_SPECIAL = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a block device"),
    (stat.S_ISCHR, "a character device"),
)


def _observe_link(path: str) -> Actual:
    """A link that shall be replaced: what a reader gets through it now, and that it is a link."""
    kind = {"type": f"link to {printable(os.readlink(path))}"}
    place = _follow(path)
    if place.problem is not None or place.found is None:
        return Actual(None, kind)
    content, found = read_regular(place.path)
    return Actual(content, attributes_of(found) | kind)


def _replaced(place: _Place) -> os.stat_result | None:
    """The status of the file whose mode and owner are kept: a replaced link stands for what it led to."""
    if place.found is None or not stat.S_ISLNK(place.found.st_mode):
        return place.found
    behind = _follow(place.path)
    return behind.found if behind.problem is None else None


def _check_backup(target: str, spec: FileTarget, path: str) -> None:
    """Refuse to back up over what no backup of ours can be. Of a file that was there before nobody can tell."""
    try:
        mode = os.lstat(f"{path}.bak").st_mode
    except OSError:
        return  # nothing is there, or staging will say what is wrong
    if not stat.S_ISREG(mode) and not (stat.S_ISLNK(mode) and spec.symlink == "replace"):
        raise SinkError(
            target,
            "its backup PATH.bak would replace what is not a file",
            hint="move it away, or unset `backup`",
        )


def _remove_backup(path: str) -> None:
    """It has the old content, old secrets included."""
    with suppress(FileNotFoundError):
        mode = os.lstat(path).st_mode
        if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
            os.unlink(path)


def _staged(replacement: Replacement) -> StagedFile:
    target, path = replacement.target, replacement.path
    created: list[str] = []
    try:
        try:
            return _write_beside(replacement, created)
        except FileNotFoundError:
            if not replacement.spec.parents:
                raise
        created = make_directories(os.path.dirname(path))
        return _write_beside(replacement, created)
    except BaseException as exc:
        remove_directories(created)
        if not isinstance(exc, OSError):
            raise
        if exc.errno in _DIRECTORY_CLOSED and replacement.may_overwrite():
            return StagedFile(replacement, InMemory(replacement.content), (), ())
        raise sink_error(target, f"cannot be written in {printable(os.path.dirname(path))}", exc) from exc


def _write_beside(replacement: Replacement, created: list[str]) -> StagedFile:
    staged = staging_path(replacement.path)
    notes = write_new(
        staged, replacement.content, lambda fd: give(fd, replacement.target, replacement.wanted)
    )
    return StagedFile(replacement, staged, notes, created)


def _read_error(path: str, error: OSError) -> SinkError:
    target = target_name("file", path)
    if error.errno == errno.EFBIG:
        return SinkError(target, "is over 1 GiB: that is no configuration file", hint="correct `path`")
    if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
        return SinkError(target, "became something else while it was read", hint="look again")
    return sink_error(target, "cannot be read", error)


def _sweep(folder: str, bases: set[str]) -> None:
    """Remove stale hidden files of these targets; the directory is listed once however many there are."""
    heads = {hidden_head(base) for base in bases}
    for name in os.listdir(folder):
        if name[0] != "." or head_of(name) not in heads:
            continue
        stale = f"{folder.rstrip('/')}/{name}"
        with suppress(OSError):
            mode = os.lstat(stale).st_mode
            if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
                os.unlink(stale)
