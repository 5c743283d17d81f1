"""Which places to observe so that no way of changing a file goes unseen.

A file is found by looking up one name after the other, in one directory after the other, through symbolic
links. Each look-up can come to give something else: a rename over the file, a link that is switched (as
kubelet does to `..data`), a directory that is deleted and made again. So each directory in which a name was
looked up is observed for that name.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from confsync.errors import SourceError
from confsync_backends.file.scan import Scan, ignored, scan

_MOST_LINKS = 40  # as the kernel


@dataclass(slots=True)
class Place:
    """One directory to observe.

    Attributes:
        names: the entries that matter; None for all.
        content: whether writing to them matters, and not only their coming and going.
    """

    names: set[str] | None = field(default_factory=set)
    content: bool = False

    def concerns(self, name: str) -> bool:
        """Whether it matters that something happened to this entry."""
        if self.names is not None:
            return name in self.names
        return not ignored(name) or name.startswith("..")


def places(path: str, format_: str | None) -> dict[str, Place]:
    """Real path -> what of it matters, for the source at `path`, whether or not that exists."""
    found: dict[str, Place] = {}
    _follow(path, found)
    try:
        looked = scan(path, format_)
    except SourceError:
        looked = Scan()  # whoever reads will say so; until it is mended, observe the way to it
    for link in looked.links:
        _follow(link, found)
    for directory in looked.directories:
        found[os.path.realpath(directory)] = Place(None, content=True)
    return found


def _follow(path: str, found: dict[str, Place]) -> None:
    """Note every look-up on the way to `path`, the last for its content too."""
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
        else:
            place.content = True


def _steps(path: str) -> list[str]:
    return [step for step in reversed(path.split("/")) if step not in {"", "."}]


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None
