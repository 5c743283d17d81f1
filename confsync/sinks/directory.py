"""Several files switched at once, as kubelet does for volumes; see `layout` for how that looks on disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import ClassVar

from confsync.config.models import DirectoryTarget
from confsync.errors import SinkError
from confsync.sinks.base import Actual, Desired, Sink, TargetSpec
from confsync.sinks.disk import make_directories, read_regular, remove_directories, sync_directory, write_new
from confsync.sinks.failures import sink_error, target_name
from confsync.sinks.layout import (
    Layout,
    check_names,
    check_not_foreign,
    look,
    new_version,
    remove_leftovers,
    remove_version,
    set_links,
    switch,
)
from confsync.sinks.names import locate
from confsync.sinks.ownership import Permissions, attributes_of, attributes_wanted, give, permissions
from confsync.sinks.staged_directory import StagedDirectory


class DirectorySink(Sink):
    """Writes `DirectoryTarget`s.

    `mode` is for the files; a version's directory can be entered by whoever may read them. The directory
    itself is made 0755 where it is missing, and left as it is where it is not. Foreign files are left alone.
    """

    kind: ClassVar[str] = "directory"

    def locate(self, spec: TargetSpec) -> str:
        return locate(self.kind, spec.place)

    def observe(self, spec: TargetSpec, wanted: Collection[str] = ()) -> Actual:  # noqa: ARG002 - all of it is ours
        path = locate(self.kind, spec.place)
        try:
            layout = look(path)
            if layout.problem is not None or layout.version is None:
                return Actual(None, {}, layout.problem)
            files = _read(path, layout)
        except OSError as exc:
            raise sink_error(target_name(self.kind, path), "cannot be read", exc) from exc
        if files is None:
            return Actual(None, {})
        content = {name: data for name, (data, _) in files.items()}
        return Actual(content, _common(found for _, found in files.values()))

    def attributes(self, desired: Desired, actual: Actual) -> Mapping[str, str]:
        spec = _directory(desired.spec)
        path = locate(self.kind, spec.place)
        target = target_name(self.kind, path)
        content = _files(target, desired)
        check_names(target, content)
        if content.keys() - (actual.content if isinstance(actual.content, Mapping) else {}):
            self._check_room(target, path, content)
        if not content:
            return dict(actual.attributes)
        return attributes_wanted(target, spec, desired.sensitive, actual.attributes)

    def stage(
        self,
        desired: Desired,
        *,
        undoable: bool = True,  # noqa: ARG002 - the old one is kept anyway
        created: bool = False,  # noqa: ARG002 - it makes no difference here
        formerly: str | None = None,  # noqa: ARG002
    ) -> StagedDirectory:
        # The old version stays until `close` in any case, so that `undoable` changes nothing here.
        spec = _directory(desired.spec)
        path = locate(self.kind, spec.place)
        target = target_name(self.kind, path)
        content = _files(target, desired)
        check_names(target, content)
        try:
            layout = look(path)
            if layout.problem is not None:
                raise SinkError(target, layout.problem)
            check_not_foreign(target, content, layout.foreign)
            wanted = permissions(target, spec, desired.sensitive, _existing(path, layout))
            return _stage(target, path, spec, content, wanted, layout)
        except OSError as exc:
            raise sink_error(target, "cannot be written", exc) from exc

    def remove(self, spec: TargetSpec) -> None:
        path = locate(self.kind, spec.place)
        target = target_name(self.kind, path)
        try:
            layout = look(path)
            if layout.problem is not None:
                raise SinkError(target, f"not removed: {layout.problem}")
            if layout.exists:
                _remove(path, layout)
        except OSError as exc:
            raise sink_error(target, "cannot be removed", exc) from exc

    def sweep(self, specs: Iterable[TargetSpec]) -> None:
        for spec in specs:
            with suppress(OSError, SinkError):
                path = locate(self.kind, spec.place)
                layout = look(path)
                if layout.exists and layout.problem is None:
                    remove_leftovers(path, layout.version)

    @staticmethod
    def _check_room(target: str, path: str, content: Mapping[str, bytes]) -> None:
        try:
            check_not_foreign(target, content, look(path).foreign)
        except OSError as exc:
            raise sink_error(target, "cannot be looked at", exc) from exc


def _directory(spec: TargetSpec) -> DirectoryTarget:
    if not isinstance(spec, DirectoryTarget):
        raise TypeError(f"the directory sink was given a {type(spec).__name__}")
    return spec


def _files(target: str, desired: Desired) -> Mapping[str, bytes]:
    if isinstance(desired.content, bytes):
        raise SinkError(target, "one nameless file cannot fill a directory", hint="use a file target")
    return desired.content


def _read(path: str, layout: Layout) -> dict[str, tuple[bytes, os.stat_result]] | None:
    """What a reader gets through the links: name -> content and status; None where the version is gone."""
    folder = f"{path}/{layout.version}"
    if not os.path.isdir(folder):
        return None
    files = {}
    for name in sorted(layout.links):
        try:
            files[name] = read_regular(f"{folder}/{name}")
        except OSError as exc:
            if exc.errno not in (errno.ENOENT, errno.ELOOP, errno.EISDIR, errno.ENXIO):
                raise
    return files


def _common(found: Iterable[os.stat_result]) -> dict[str, str]:
    """The attributes of all files: one value where they agree, else all of them, which is never right."""
    together: dict[str, set[str]] = {}
    for one in found:
        for name, value in attributes_of(one).items():
            together.setdefault(name, set()).add(value)
    return {name: ",".join(sorted(values)) for name, values in together.items()}


def _existing(path: str, layout: Layout) -> os.stat_result | None:
    """The status that stands for all files of the version in force, if they agree."""
    if layout.version is None:
        return None
    files = _read(path, layout) or {}
    if not files or "," in "".join(_common(found for _, found in files.values()).values()):
        return None
    return next(iter(files.values()))[1]


def _stage(
    target: str,
    path: str,
    spec: DirectoryTarget,
    content: Mapping[str, bytes],
    wanted: Permissions,
    layout: Layout,
) -> StagedDirectory:
    created = [] if layout.exists else make_directories(path, parents=spec.parents)
    version = new_version()
    try:
        notes = _write_version(f"{path}/{version}", content, wanted, lambda fd, what: give(fd, target, what))
    except BaseException:
        remove_version(path, version)
        remove_directories(created)
        raise
    return StagedDirectory(target, path, version, frozenset(content), layout, notes, created)


def _write_version(
    folder: str,
    content: Mapping[str, bytes],
    wanted: Permissions,
    finish: Callable[[int, Permissions], tuple[str, ...]],
) -> tuple[str, ...]:
    """Write all files into a new directory that opens to others only when it is complete."""
    os.mkdir(folder, 0o700)
    notes: dict[str, None] = {}
    for name, data in content.items():
        notes |= dict.fromkeys(write_new(f"{folder}/{name}", data, lambda fd: finish(fd, wanted)))
    readable = wanted.mode & 0o444
    entered = Permissions(0o700 | readable | readable >> 2, wanted.uid, wanted.gid, wanted.configured)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        notes |= dict.fromkeys(finish(fd, entered))
    finally:
        os.close(fd)
    sync_directory(folder)
    return tuple(notes)


def _remove(path: str, layout: Layout) -> None:
    """Links first and the switch last: what is left when this is interrupted still shows as ours."""
    set_links(path, layout.links, ())
    if layout.version is not None:
        switch(path, None)
    remove_leftovers(path, None)
    sync_directory(path)
    try:
        os.rmdir(path)
        sync_directory(os.path.dirname(path))
    except OSError as exc:
        if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
            raise
