"""What the configuration says of keys under `keys`: looked up by source and path, in any spelling."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from confsync.address import Wanted, parse
from confsync.config.keys import Key
from confsync.config.loading import LoadedConfig
from confsync.config.patterns import Pattern, parse_pattern
from confsync.config.value_types import wrong
from confsync.errors import WrongValue
from confsync.snapshot import PLACEHOLDER
from confsync.source.hub import SourceHub
from confsync.source.key_index import KeyIndex, Said, SecretIndex
from confsync.source.source import Source
from confsync.text import printable

_FIELD = "#"


class Required(NamedTuple):
    """A key that an environment has to have.

    Attributes:
        text: as it is written under `keys`.
        places: (source, path): where it may be; one of them has to have it.
    """

    text: str
    key: Key
    places: tuple[tuple[str, str], ...]


class Documentation:
    """The `keys` of a configuration, as they apply to an environment. Thread-safe; asks no store."""

    def __init__(self, loaded: LoadedConfig, hub: SourceHub, environment: str | None) -> None:
        self.environment = environment
        self._hub = hub
        said = self._said = [
            Said(text, parse_pattern(text, loaded.config.sources), key)
            for text, key in loaded.config.keys.items()
        ]
        self._whole = {name for name, source in hub.sources.items() if isinstance(source, Source)}
        self._rules = {name: self._rules_of(name, said, hub) for name in hub.sources}
        self._digested = _digested(said, environment)
        self._told_of = {
            name for name in hub.sources if any(one.pattern.source in (None, name) for one in said)
        }

    def _rules_of(self, source: str, said: Sequence[Said], hub: SourceHub) -> SourceRules:
        entries = [one for one in said if one.pattern.source in (None, source)]
        # Of two for one key, what is said of it in this source goes before what is said of it in any.
        entries.sort(key=lambda one: not one.pattern.wild and one.pattern.source is None)
        index: KeyIndex | SecretIndex = (
            KeyIndex(entries)
            if source in self._whole
            else SecretIndex(entries, hub.prefixes(source, self.environment))
        )
        written_out = [(path, one) for path, one in index.written_out() if self.may_have(source, one.pattern)]
        several = partial(self._several, list(hub.sources))
        return SourceRules(self.environment, index, written_out, several, hub.is_sensitive(source))

    def _several(self, sources: Sequence[str], pattern: Pattern) -> bool:
        """Whether it is left open which of several sources has what is named."""
        return pattern.source is None and sum(self.may_have(source, pattern) for source in sources) > 1

    def of(self, source: str, path: str) -> Key | None:
        """What is said of one key: by an entry for it alone, else by the first glob that names it, else None."""
        rules = self._rules.get(source)
        return None if rules is None else rules.of(path)

    def fields_of(self, source: str, path: str) -> Mapping[str, Key]:
        """What is said of single fields of the secret at `path`, by the field's name."""
        rules = self._rules.get(source)
        return dict(rules.documented_fields(path)) if rules else {}

    def written_out(self, source: str) -> Sequence[tuple[str, Key]]:
        """The entries for one key alone that a source may have: its path as it is written there, and what is said.

        What is for every source is for those where it can be a key: with `#field` for sources that are asked for one
        secret at a time, else for the others, where there are any.
        """
        return [(path, said.key) for path, said in self._rules[source].written_out]

    def entry(self, source: str, path: str) -> str | None:
        """The entry of `keys` that tells of a key, as it is written there."""
        said = self._rules[source].entry(path)
        return None if said is None else said.text

    def entries_for_one(self, source: str) -> Sequence[tuple[str, str]]:
        """The entries for one key alone that a source may have: as they are written, and the key's path."""
        return [(said.text, path) for path, said in self._rules[source].written_out]

    def globs(self, source: str) -> Sequence[str]:
        """The entries for several keys that a source may have, as they are written."""
        return [one.text for one in self._said if one.pattern.wild and self.may_have(source, one.pattern)]

    def required(self) -> Sequence[Required]:
        """The keys, of those written out, that the environment has to have, in the order of `keys`."""
        places: dict[str, list[tuple[str, str]]] = {}
        for source, rules in self._rules.items():
            for path, said in rules.written_out:
                if said.key.required_in(self.environment):
                    places.setdefault(said.text, []).append((source, path))
        return [
            Required(one.text, one.key, tuple(places[one.text])) for one in self._said if one.text in places
        ]

    def may_have(self, source: str, pattern: Pattern) -> bool:
        """Whether what is named, with no source perhaps, may be a key of `source`: with `#`, of sources of secrets."""
        return self._hub.may_have(source, pattern)

    @property
    def digested(self) -> tuple[str, ...]:
        """All of it that decides whether a render succeeds, as text; nothing where nothing does."""
        return self._digested

    def problem(self, source: str, path: str, value: bytes) -> str | None:
        """What is wrong with a value by what is said of its key, on one line, without a word of the value; or None.

        What was not fetched (its value is `PLACEHOLDER`) is not looked at.
        """
        if value == PLACEHOLDER.encode():
            return None
        rules = self._rules[source]
        found = rules.wrong(path, value)
        if found is None:
            return None
        return printable(str(WrongValue(source, path, "", found, rules.ask(path))))

    def rules(self, source: str) -> SourceRules | None:
        """What a render that reads `source` has to heed; None where nothing is said of its keys."""
        return self._rules[source] if source in self._told_of else None


class SourceRules:
    """What is said of one source's keys. Thread-safe.

    Args:
        several: whether a pattern leaves open which of several sources has what it names.
        is_sensitive: whether the value of the key at a path is a secret.

    Attributes:
        written_out: the entries for one key alone that it may have, by the key's path.
    """

    def __init__(
        self,
        environment: str | None,
        index: KeyIndex | SecretIndex,
        written_out: Sequence[tuple[str, Said]],
        several: Callable[[Pattern], bool],
        is_sensitive: Callable[[str], bool],
    ) -> None:
        self.written_out = written_out
        self._environment = environment
        self._index = index
        self._several = several
        self._is_sensitive = is_sensitive
        self._below = sorted(path for path, said in written_out if said.key.required_in(environment))
        self._fields = _by_secret(path for path, _ in written_out) if isinstance(index, SecretIndex) else {}

    def entry(self, path: str) -> Said | None:
        """The entry that tells of the key at `path`."""
        return self._index.of(path)

    def of(self, path: str) -> Key | None:
        """What is said of the key at `path`."""
        said = self._index.of(path)
        return None if said is None else said.key

    def ask(self, path: str) -> str:
        """Whom to ask of a key, and what it is, or ""."""
        key = self.of(path)
        return "" if key is None else key.ask

    def wrong(self, path: str, value: bytes) -> str | None:
        """What is wrong with the value of a key: `is no port; write …`, without a word of the value; or None."""
        key = self.of(path)
        return None if key is None else wrong(key, value, secret=self._is_sensitive(path))

    def is_required(self, path: str) -> bool:
        """Whether nothing may stand in for a key."""
        key = self.of(path)
        return key is not None and key.required_in(self._environment)

    def may_be_elsewhere(self, path: str) -> bool:
        """Whether `keys` leaves open which source has a key, and there are others."""
        said = self._index.of(path)
        return said is not None and self._several(said.pattern)

    def required_below(self, prefix: str) -> Sequence[str]:
        """The required keys below a prefix, of those written out, at any depth, sorted."""
        if not prefix:
            return self._below
        start = bisect_left(self._below, prefix + "/")
        return self._below[start : bisect_left(self._below, prefix + "0", start)]  # as `View.under` has it

    def required_fields(self, path: str) -> Sequence[str]:
        """The fields, of those written out, that the secret at `path`, a whole one, has to have, as paths."""
        return [field for field in self.fields(path) if self.is_required(field)]

    def documented_fields(self, path: str) -> Iterator[tuple[str, Key]]:
        """What is said of single fields of the secret at `path`, by the field's name."""
        for field in self.fields(path):
            key = self.of(field)
            if key is not None:
                yield field.partition(_FIELD)[2], key

    def fields(self, path: str) -> Sequence[str]:
        """The fields that are written out of the secret at `path`, a whole one, as paths."""
        if not self._fields or not isinstance(self._index, SecretIndex):
            return ()
        wanted = parse(path)
        if wanted.field is not None:
            return ()
        names = [name for secret in self._index.spellings(wanted) for name in self._fields.get(secret, ())]
        return [str(wanted._replace(field=name)) for name in dict.fromkeys(names)]


def _by_secret(paths: Iterable[str]) -> Mapping[Wanted, Sequence[str]]:
    """Secret -> the fields of it that are named."""
    found: dict[Wanted, list[str]] = {}
    for wanted in map(parse, paths):
        if wanted.field is not None:
            found.setdefault(wanted._replace(field=None), []).append(wanted.field)
    return found


def _digested(said: Sequence[Said], environment: str | None) -> tuple[str, ...]:
    checks = [(one.text, one.key.type, one.key.one_of, one.key.required_in(environment)) for one in said]
    return (repr(checks),) if any(any(check[1:]) for check in checks) else ()
