"""What the configuration says of keys under `keys`: looked up by source and path, in any spelling."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from confsync.config.keys import Key
from confsync.config.loading import LoadedConfig
from confsync.config.patterns import parse_pattern
from confsync.source.hub import SourceHub


class _Entry(NamedTuple):
    """One entry of `keys` as it applies to a source."""

    path: str
    one: bool
    key: Key
    matches: Callable[[str], bool]


class Documentation:
    """The `keys` of a configuration. Thread-safe; asks no store."""

    def __init__(self, loaded: LoadedConfig, hub: SourceHub, environment: str | None) -> None:
        self._entries = {name: list(_entries(name, loaded, hub, environment)) for name in hub.sources}

    def of(self, source: str, path: str) -> Key | None:
        """What is said of one key: by an entry for it alone, else by the first glob that names it, else None."""
        found = [entry for entry in self._entries[source] if entry.matches(path)]
        chosen = next((entry for entry in found if entry.one), found[0] if found else None)
        return chosen.key if chosen else None

    def written_out(self, source: str) -> Sequence[tuple[str, Key]]:
        """The entries for one key alone: its path as it is written there, and what is said of it."""
        return [(entry.path, entry.key) for entry in self._entries[source] if entry.one]

    def problem(self, source: str, path: str, value: bytes) -> str | None:  # noqa: ARG002 - nothing is checked yet
        """What is wrong with a value by what is said of its key, without a word of the value; None: nothing."""
        return None


def _entries(source: str, loaded: LoadedConfig, hub: SourceHub, environment: str | None) -> Iterator[_Entry]:
    for text, key in loaded.config.keys.items():
        pattern = parse_pattern(text, loaded.config.sources)
        if pattern.source in (None, source):
            globs = [pattern.glob if pattern.wild else glob.escape(pattern.glob)]
            matches = hub.matcher(source, globs, environment, in_doubt=False)
            yield _Entry(pattern.glob.strip("/"), not pattern.wild, key, matches)
