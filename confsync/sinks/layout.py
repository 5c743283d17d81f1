"""How a directory target looks on disk: kubelet's scheme, in which one rename switches every file.

PATH/tls.crt          -> ..data/tls.crt        what programs open; made and removed, never changed
PATH/..data           -> ..confsync-5f3a…      the switch
PATH/..confsync-5f3a…/tls.crt                  one version of the content, never changed once it is complete
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from secrets import token_hex

from confsync.errors import SinkError
from confsync.sinks.disk import sync_directory
from confsync.text import printable

DATA = "..data"
_DATA_NEXT = "..data_tmp"
_VERSION = re.compile(r"\.\.confsync-[0-9a-f]{12}")
_NAME_MAX = 255


@dataclass(frozen=True, slots=True)
class Layout:
    """What is in a directory target.

    Attributes:
        exists: whether there is a directory at the path.
        version: the name of the version in force, or None.
        links: the file names that have a link of ours.
        foreign: the names that are there and not ours.
        problem: why nothing may be written here, or None.
    """

    exists: bool = False
    version: str | None = None
    links: frozenset[str] = frozenset()
    foreign: frozenset[str] = frozenset()
    problem: str | None = None


def look(path: str) -> Layout:
    """What is at `path`. Opens no file. Raises `OSError`."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return Layout()
    except NotADirectoryError:
        return Layout(problem="a part of its path is not a directory; correct `path`, or move that file away")
    if stat.S_ISLNK(found.st_mode):
        where = printable(os.readlink(path))
        return Layout(problem=f"is a symbolic link to {where}; name the directory itself")
    if not stat.S_ISDIR(found.st_mode):
        return Layout(problem="is not a directory; correct `path`, or move it away")
    return _look_inside(path)


def _look_inside(path: str) -> Layout:
    links: set[str] = set()
    foreign: set[str] = set()
    version: str | None = None
    problem: str | None = None
    for name in os.listdir(path):
        leads_to = _link_text(f"{path}/{name}")
        if name == DATA:
            version = leads_to if leads_to and _VERSION.fullmatch(leads_to) else None
            problem = None if version else f"holds a {DATA} that is not confsync's; choose another directory"
        elif leads_to == f"{DATA}/{name}":
            links.add(name)
        elif not name.startswith(".."):
            foreign.add(name)
    return Layout(True, version, frozenset(links), frozenset(foreign), problem)


def check_names(target: str, names: Iterable[str]) -> None:
    """Raises `SinkError` for a name that cannot be a file of a directory target."""
    for name in names:
        why = _why_not_a_name(name)
        if why is not None:
            hint = "names are flat: letters, digits, dots and dashes, not beginning with two dots"
            raise SinkError(target, f"{printable(name)!r} cannot be a file name in it: {why}", hint=hint)


def check_not_foreign(target: str, names: Iterable[str], foreign: frozenset[str]) -> None:
    """Raises `SinkError` where something that is not ours has one of these names."""
    in_the_way = sorted(foreign.intersection(names))
    if in_the_way:
        raise SinkError(
            target,
            f"it holds {', '.join(printable(name) for name in in_the_way)}, which confsync did not put there",
            hint="move that away, so that a link can take its place, or choose another directory",
        )


def new_version() -> str:
    """A fresh name for a version."""
    return f"..confsync-{token_hex(6)}"


def switch(path: str, version: str | None) -> None:
    """Make `version` (None: nothing) the one in force, at once. Raises `OSError`."""
    if version is None:
        os.unlink(f"{path}/{DATA}")
        return
    upcoming = f"{path}/{_DATA_NEXT}"
    with suppress(FileNotFoundError):
        os.unlink(upcoming)
    os.symlink(version, upcoming)
    try:
        os.rename(upcoming, f"{path}/{DATA}")
    except OSError:
        os.unlink(upcoming)
        raise


def set_links(path: str, have: Iterable[str], want: Iterable[str]) -> None:
    """Make the links of `want` and remove the others of `have`, durably. Raises `OSError`."""
    now, then = frozenset(have), frozenset(want)
    for name in sorted(then - now):
        os.symlink(f"{DATA}/{name}", f"{path}/{name}")
    for name in sorted(now - then):
        with suppress(FileNotFoundError):
            os.unlink(f"{path}/{name}")
    sync_directory(path)


def remove_version(path: str, version: str) -> None:
    """Remove one version, as far as it is ours: plain files in a plain directory. Never raises."""
    folder = f"{path}/{version}"
    with suppress(OSError):
        for name in os.listdir(folder):
            os.unlink(f"{folder}/{name}")
        os.rmdir(folder)


def remove_leftovers(path: str, version: str | None) -> None:
    """Remove every version but `version`, and a switch that was never thrown. Raises `OSError`."""
    for name in os.listdir(path):
        if _VERSION.fullmatch(name) and name != version:
            remove_version(path, name)
        elif name == _DATA_NEXT and _VERSION.fullmatch(_link_text(f"{path}/{name}") or ""):
            os.unlink(f"{path}/{name}")


def _link_text(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError as exc:
        if exc.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise


def _why_not_a_name(name: str) -> str | None:
    if not name or name == ".":
        return "it is empty" if not name else "it is the directory itself"
    if "/" in name or "\0" in name:
        return "it contains a slash" if "/" in name else "it contains a NUL character"
    if name.startswith(".."):
        return "what begins with two dots belongs to confsync"
    try:
        too_long = len(os.fsencode(name)) > _NAME_MAX
    except UnicodeEncodeError:
        return "it cannot be encoded"
    return f"it is longer than {_NAME_MAX} bytes" if too_long else None
