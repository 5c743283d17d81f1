"""A file that is written and waits: to replace its target by rename, to be taken back, to be thrown away."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from confsync.config.models import FileTarget
from confsync.errors import SinkError
from confsync.sinks.base import Staged
from confsync.sinks.disk import copy, keep, read_regular, remove_directories, sync_directory
from confsync.sinks.failures import sink_error
from confsync.sinks.in_place import InMemory, overwrite
from confsync.sinks.names import staging_path
from confsync.sinks.ownership import Permissions

_CANNOT_RENAME = (errno.EBUSY, errno.EXDEV)
_IN_PLACE_NOTE = "was written in place, since rename cannot work there: a reader may have seen half of it"


@dataclass(frozen=True, slots=True)
class Replacement:
    """What replaces what.

    Attributes:
        target: the identity for messages.
        path: the real path to replace, behind a followed link.
        content: the new content.
        wanted: mode and owner of the new file.
        found: the status of what is at `path` (perhaps a link), or None.
        spec: the target's model: `backup`, `in_place`, `parents`.
        undoable: whether the old is kept until `close`.
    """

    target: str
    path: str
    content: bytes
    wanted: Permissions
    found: os.stat_result | None
    spec: FileTarget
    undoable: bool

    def may_overwrite(self) -> bool:
        """Whether writing in place is allowed and possible: a regular file we may write to."""
        return (
            self.spec.in_place == "fallback"
            and self.found is not None
            and stat.S_ISREG(self.found.st_mode)
            and os.access(self.path, os.R_OK | os.W_OK)
        )


@dataclass(slots=True)
class _Before:
    """What `commit` keeps for `rollback` and `close`.

    Attributes:
        saved: a hidden second name of the old file, or None.
        overwritten: the old content and status of a file written in place, or None.
        backup: a hidden second name of the old PATH.bak, or None.
        backed_up: whether PATH.bak was replaced.
    """

    saved: str | None = None
    overwritten: tuple[bytes, os.stat_result] | None = None
    backup: str | None = None
    backed_up: bool = False


class StagedFile(Staged):
    """See `Staged`. What it leaves beside the target, if it is killed, `FileSink.sweep` removes."""

    __slots__ = ("_before", "_committed", "_created", "_replacement", "_staged", "notes")

    def __init__(
        self, replacement: Replacement, staged: str | InMemory, notes: tuple[str, ...], created: Sequence[str]
    ) -> None:
        self._replacement = replacement
        self._staged = staged
        self._created = created
        self._before = _Before()
        self._committed = False
        self.notes = notes

    @property
    def path(self) -> str:
        return self._staged if isinstance(self._staged, str) else self._staged.path

    def commit(self) -> None:
        replacement = self._replacement
        try:
            if replacement.spec.backup:
                self._back_up()
            self._replace()
        except SinkError:
            self._undo_backup()
            raise
        except OSError as exc:
            self._undo_backup()
            raise sink_error(replacement.target, "cannot be replaced", exc) from exc
        self._committed = True
        try:
            sync_directory(os.path.dirname(replacement.path))
        except OSError as exc:
            with suppress(SinkError):
                self.rollback()
            raise sink_error(replacement.target, "cannot be made durable", exc) from exc

    def rollback(self) -> None:
        if not self._committed:
            return
        replacement = self._replacement
        try:
            self._put_back()
            self._undo_backup()
            sync_directory(os.path.dirname(replacement.path))
        except OSError as exc:
            raise sink_error(replacement.target, "the old content cannot be put back", exc) from exc
        self._committed = False

    def close(self) -> None:
        if isinstance(self._staged, InMemory):
            self._staged.close()
        for hidden in (self._staged, self._before.saved, self._before.backup):
            if isinstance(hidden, str) and not (self._committed and hidden == self._staged):
                with suppress(OSError):
                    os.unlink(hidden)
        self._before = _Before()
        if not self._committed:
            remove_directories(list(self._created))
        self._created = ()

    def _replace(self) -> None:
        replacement = self._replacement
        if isinstance(self._staged, InMemory):
            self._overwrite()
            return
        if replacement.undoable:
            self._before.saved = keep(replacement.path)
        try:
            os.rename(self._staged, replacement.path)
        except OSError as exc:
            if exc.errno not in _CANNOT_RENAME:
                raise
            if not replacement.may_overwrite():
                raise _must_not_overwrite(replacement) from exc
            self._overwrite()
            os.unlink(self._staged)

    def _overwrite(self) -> None:
        replacement = self._replacement
        old, found, notes = overwrite(
            replacement.path, replacement.target, replacement.content, replacement.wanted
        )
        self._before.overwritten = (old, found)
        self.notes = (*self.notes, *notes, _IN_PLACE_NOTE)

    def _put_back(self) -> None:
        before, replacement = self._before, self._replacement
        if before.overwritten is not None:
            old, found = before.overwritten
            same = Permissions(stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)
            overwrite(replacement.path, replacement.target, old, same)
        elif before.saved is not None:
            os.rename(before.saved, replacement.path)
            before.saved = None
        elif replacement.undoable or replacement.found is None:
            with suppress(FileNotFoundError):
                os.unlink(replacement.path)
        else:
            raise SinkError(replacement.target, "cannot be taken back: the old content was not kept")

    def _back_up(self) -> None:
        """Give PATH.bak the old content before it is lost, with its mode, though never wider than the new."""
        replacement, before = self._replacement, self._before
        path, mode = replacement.path, replacement.wanted.mode
        if replacement.found is None or self._same_content():
            return
        backup = f"{path}.bak"
        fresh = staging_path(backup)
        try:
            before.backup = keep(backup)
            if stat.S_IMODE(replacement.found.st_mode) & ~mode:
                copy(path, fresh, mode)
            else:
                _link_or_copy(path, fresh)
            os.rename(fresh, backup)
        except OSError as exc:
            with suppress(OSError):
                os.unlink(fresh)
            raise sink_error(replacement.target, "its backup PATH.bak cannot be written", exc) from exc
        before.backed_up = True

    def _same_content(self) -> bool:
        """Whether only mode or owner change: then PATH.bak keeps what it has."""
        try:
            content, _ = read_regular(self._replacement.path)
        except OSError:
            return False
        return content == self._replacement.content

    def _undo_backup(self) -> None:
        before = self._before
        if not before.backed_up:
            return
        backup = f"{self._replacement.path}.bak"
        with suppress(OSError):
            if before.backup is None:
                os.unlink(backup)
            else:
                os.rename(before.backup, backup)
                before.backup = None
        before.backed_up = False


def _link_or_copy(path: str, to: str) -> None:
    try:
        os.link(path, to, follow_symlinks=False)
    except OSError:
        copy(path, to, 0o7777)


def _must_not_overwrite(replacement: Replacement) -> SinkError:
    if replacement.spec.in_place == "never":
        hint = "mount its directory instead, or set `in_place: fallback`: then a reader may see half of it"
    else:
        hint = "mount its directory instead, or make the file writable to confsync"
    return SinkError(
        replacement.target, "cannot be replaced by rename: it is a mount point of its own", hint=hint
    )
