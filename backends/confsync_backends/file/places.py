"""Which directories to observe so that no way of changing a file goes unseen.

A file is found by looking up one name after the other, in one directory after the other, through symbolic
links. Each look-up can come to give something else: a rename over the file, a link that is switched (as
kubelet does to `..data`), a directory that is deleted and made again. So each directory in which a name was
looked up is observed for that name.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from confsync.errors import SourceError
from confsync_backends.file.scan import ignored, scan

_MOST_LINKS = 40  # as the kernel


@dataclass(slots=True)
class Place:
    """One directory to observe.

    Attributes:
        names: the entries that matter; None for all, at any depth.
        content: whether writing to the entries matters, and not only their coming and going.
    """

    names: set[str] | None = field(default_factory=set)
    content: bool = False

    def concerns(self, relative: str) -> bool:
        """Whether something that happened to the entry at this path, relative to the directory, matters."""
        if self.names is not None:
            return relative in self.names
        return not any(ignored(name) and not name.startswith("..") for name in relative.split("/"))


def places(path: str, format_: str | None) -> dict[str, Place]:
    """Real directory -> what of it matters, for the source at `path`, whether or not it exists."""
    found: dict[str, Place] = {}
    _follow(path, found)
    try:
        links = scan(path, format_).links if os.path.isdir(path) else []
    except SourceError:
        links = []  # whoever reads will say so; until it is mended the way to it is all there is to observe
    for link in links:
        _follow(link, found)
    return {directory: place for directory, place in found.items() if not _within(directory, found)}


def _follow(path: str, found: dict[str, Place]) -> None:
    directory, name = _trace(path, found)
    end = os.path.join(directory, name)
    if os.path.isdir(end):
        found[os.path.realpath(end)] = Place(None, content=True)
    else:
        found.setdefault(directory, Place()).content = True


def _trace(path: str, found: dict[str, Place]) -> tuple[str, str]:
    """Note every look-up on the way to `path`; gives the last one."""
    steps = _steps(path)
    directory, name, links = "/", "", 0
    while steps:
        name = steps.pop()
        if name == "..":
            directory = os.path.dirname(directory)
            continue
        place = found.setdefault(directory, Place())
        if place.names is not None:
            place.names.add(name)
        target = _link(os.path.join(directory, name))
        if target is not None and links < _MOST_LINKS:
            links += 1
            directory = "/" if target.startswith("/") else directory
            steps += _steps(target)
        elif steps:
            directory = os.path.join(directory, name)
    return directory, name


def _steps(path: str) -> list[str]:
    return [step for step in reversed(path.split("/")) if step not in {"", "."}]


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _within(directory: str, found: dict[str, Place]) -> bool:
    """Whether a directory above is observed at any depth already."""
    parent = directory
    while parent != "/":
        parent = os.path.dirname(parent)
        if parent in found and found[parent].names is None:
            return True
    return False
