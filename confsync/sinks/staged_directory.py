"""A version of a directory target that is written and waits to be switched to."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from confsync.sinks.base import Staged
from confsync.sinks.disk import remove_directories
from confsync.sinks.failures import sink_error
from confsync.sinks.layout import Layout, look, remove_leftovers, remove_version, set_links, switch


class StagedDirectory(Staged):
    """See `Staged`. What it leaves in the target, if it is killed, `DirectorySink.sweep` removes."""

    def __init__(
        self,
        target: str,
        path: str,
        version: str,
        names: frozenset[str],
        before: Layout,
        notes: tuple[str, ...],
        created: Sequence[str],
    ) -> None:
        self._target = target
        self._target_path = path
        self._version = version
        self._names = names
        self._before = before
        self._created = created
        self._committed = False
        self._closed = False
        self.notes = notes

    @property
    def path(self) -> str:
        return f"{self._target_path}/{self._version}"

    def commit(self) -> None:
        try:
            switch(self._target_path, self._version)
            set_links(self._target_path, self._before.links, self._names)
        except OSError as exc:
            with suppress(OSError):
                self._put_back()
            raise sink_error(self._target, "cannot be switched", exc) from exc
        self._committed = True

    def rollback(self) -> None:
        if not self._committed:
            return
        try:
            self._put_back()
        except OSError as exc:
            raise sink_error(self._target, "the old content cannot be put back", exc) from exc
        self._committed = False

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._committed:
            with suppress(OSError):
                remove_leftovers(self._target_path, self._version)
            return
        remove_version(self._target_path, self._version)
        remove_directories(list(self._created))

    def _put_back(self) -> None:
        """Go back to the version and links there were; from wherever a failure has left them."""
        now = look(self._target_path)
        if now.version != self._before.version:
            switch(self._target_path, self._before.version)
        set_links(self._target_path, now.links, self._before.links)
