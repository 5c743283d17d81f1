"""Finds the entry of `keys` that tells of a key: one for it alone, else the first glob that names it."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from confsync.address import Wanted, parse
from confsync.config.keys import Key
from confsync.config.patterns import Pattern
from confsync.source.matching import for_certain, names_in

_METADATA = (
    "metadata"  # the parameter that asks for what a store knows about a secret, and for none of its fields
)
_REMEMBERED = 4096


class Said(NamedTuple):
    """One entry of `keys`.

    Attributes:
        text: as it is written there.
        pattern: what it is for.
    """

    text: str
    pattern: Pattern
    key: Key


class KeyIndex:
    """Of a source that is read as a whole. Thread-safe; a lookup takes as long for ten entries as for ten thousand."""

    def __init__(self, entries: Iterable[Said]) -> None:
        self._one: dict[str, Said] = {}
        globs = []
        for said in entries:
            if said.pattern.wild:
                globs.append(said)
            else:
                self._one.setdefault(said.pattern.key.strip("/"), said)
        self._in_folder, self._anywhere = _by_folder(globs)

    def of(self, path: str) -> Said | None:
        """The entry that tells of the key at `path`."""
        path = path.strip("/")
        said = self._one.get(path)
        if said is not None:
            return said
        return self._in_folder.get(path.partition("/")[0], self._anywhere).naming(path)

    def written_out(self) -> Iterable[tuple[str, Said]]:
        """The entries for one key alone, by the key's path."""
        return self._one.items()


class SecretIndex:
    """Of a source that is asked for one secret at a time, whose secrets have many spellings. Thread-safe.

    Args:
        prefixes: those of the environment.
    """

    def __init__(self, entries: Iterable[Said], prefixes: Iterable[str]) -> None:
        self._prefixes = frozenset(prefix.strip("/") for prefix in prefixes)
        self._one: dict[Wanted, Said] = {}
        self._globs = []
        for said in entries:
            if said.pattern.wild:
                self._globs.append((for_certain([said.pattern.glob], self._prefixes, of_secrets=True), said))
            elif (wanted := _parsed(said.pattern.key)) is not None:
                self._one.setdefault(wanted, said)
        self.of = lru_cache(_REMEMBERED)(self._of)

    def _of(self, path: str) -> Said | None:
        """The entry that tells of the secret or field at `path`; one for the field goes before one for the secret."""
        wanted = _parsed(path)
        if wanted is None:
            return None
        fields = dict.fromkeys((wanted.field, None))
        for one in (secret._replace(field=field) for field in fields for secret in self.spellings(wanted)):
            if one in self._one:
                return self._one[one]
        if _is_metadata(wanted):
            return None
        return next((said for matches, said in self._globs if matches(path)), None)

    def spellings(self, wanted: Wanted) -> Iterator[Wanted]:
        """Each way the secret may be written under `keys`, without a field."""
        relative, full = names_in(wanted, self._prefixes)
        # Below several prefixes it may be one secret or another: none is meant for certain.
        from_root = full if len(full) == 1 else ()
        for parameters in dict.fromkeys(
            (wanted.parameters, wanted.parameters if _is_metadata(wanted) else ())
        ):
            yield from (Wanted(name, False, parameters) for name in sorted(relative))
            yield from (Wanted(name, True, parameters) for name in from_root)

    def written_out(self) -> Iterable[tuple[str, Said]]:
        """The entries for one secret or field alone, by its path in its canonical spelling."""
        return [(str(wanted), said) for wanted, said in self._one.items()]


class _FirstGlob:
    """Globs, in their order."""

    def __init__(self, entries: Sequence[Said]) -> None:
        self._entries = entries
        # Each in a group of its own; those that `translate` makes have other names.
        named = (
            f"(?P<k{number}>{fnmatch.translate(said.pattern.glob.strip('/'))})"
            for number, said in enumerate(entries)
        )
        self._pattern = re.compile("|".join(named) or r"(?!)")

    def naming(self, path: str) -> Said | None:
        """The first that names `path`."""
        found = self._pattern.match(path)
        if found is None:
            return None
        return self._entries[int(str(found.lastgroup)[1:])]


def _by_folder(globs: Sequence[Said]) -> tuple[dict[str, _FirstGlob], _FirstGlob]:
    """For keys in each folder that a glob begins with, and for those in any other: the globs that may name them."""
    anywhere: list[tuple[int, Said]] = []
    folders: dict[str, list[tuple[int, Said]]] = {}
    for number, said in enumerate(globs):
        folder = _folder(said.pattern.glob)
        (anywhere if folder is None else folders.setdefault(folder, [])).append((number, said))
    found = {
        folder: _FirstGlob([said for _, said in sorted((*own, *anywhere), key=lambda one: one[0])])
        for folder, own in folders.items()
    }
    return found, _FirstGlob([said for _, said in anywhere])


def _folder(glob: str) -> str | None:
    """The folder at the top that all a glob names is in, or None where it may be in several."""
    top, slash, _ = glob.strip("/").partition("/")
    return top if slash and re.search(r"[*?\[]", top) is None else None


def _parsed(path: str) -> Wanted | None:
    try:
        return parse(path)
    except ValueError:
        return None


def _is_metadata(wanted: Wanted) -> bool:
    return any(name == _METADATA for name, _ in wanted.parameters)
