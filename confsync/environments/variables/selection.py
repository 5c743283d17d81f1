"""Which of an environment's keys somebody wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from confsync.config.patterns import Pattern, parse_pattern
from confsync.environments.policy.shown import as_shown
from confsync.errors import ConfigError
from confsync.source.documentation import Documentation
from confsync.source.hub import SourceHub


@dataclass(frozen=True, slots=True)
class Selection:
    """Which keys are wanted; with nothing given, all.

    Attributes:
        prefixes: `[SOURCE:]PREFIX`, any of which; `SOURCE:` is all of a source.
        globs: `[SOURCE:]GLOB`, any of which.
        syncs: the variables of these instead, by the names of their data maps, or the keys their templates read.
        documented: only keys that the configuration's `keys` says something of.
        without: `[SOURCE:]GLOB`, left out whatever else is said.
    """

    prefixes: Sequence[str] = ()
    globs: Sequence[str] = ()
    syncs: Sequence[str] = ()
    documented: bool = False
    without: Sequence[str] = ()

    @property
    def is_everything(self) -> bool:
        """Whether all keys are wanted."""
        return not (self.prefixes or self.globs or self.syncs or self.documented or self.without)


class Selector:
    """A selection as it applies to the sources of a configuration. Thread-safe; asks no store.

    Raises:
        ConfigError: a pattern names a source there is not; syncs are wanted, and keys besides.
    """

    def __init__(
        self, selection: Selection, hub: SourceHub, environment: str | None, documentation: Documentation
    ) -> None:
        if selection.syncs and (selection.prefixes or selection.globs or selection.documented):
            raise ConfigError(
                "a sync says itself which keys it needs", hint="leave out what else was selected"
            )
        self._selection = selection
        self._documentation = documentation
        self._prefixes = {name: _prefixes(name, selection, hub, environment) for name in hub.sources}
        named = {name: partial(_named, name, hub=hub, environment=environment) for name in hub.sources}
        self._kept = {name: one(selection.globs, in_doubt=False) for name, one in named.items()}
        self._may_keep = {name: one(selection.globs, in_doubt=True) for name, one in named.items()}
        self._left_out = {name: one(selection.without, in_doubt=True) for name, one in named.items()}
        self._surely_left_out = {name: one(selection.without, in_doubt=False) for name, one in named.items()}

    def prefixes(self, source: str) -> Sequence[str]:
        """The prefixes of a source that are wanted; "" for all of it, none for nothing."""
        return self._prefixes[source]

    def wants(self, source: str, path: str) -> bool:
        """Whether a key is wanted."""
        if not any(is_below(path, prefix) for prefix in self._prefixes[source]):
            return False
        if self._selection.globs and not self._kept[source](path):
            return False
        if self._left_out[source](path):
            return False
        return not self._selection.documented or self._documentation.of(source, path) is not None

    def may_want(self, source: str, secret: str) -> bool:
        """Whether a field of a secret may be wanted, as far as can be told before the secret is read."""
        if self._selection.globs and not self._may_keep[source](secret):
            return False
        return not self._surely_left_out[source](secret)


def is_below(path: str, prefix: str) -> bool:
    """Whether a key is the one at `prefix`, a field of it, or lies below."""
    return not prefix or path == prefix or path.startswith((f"{prefix}/", f"{prefix}#"))


def _prefixes(source: str, selection: Selection, hub: SourceHub, environment: str | None) -> Sequence[str]:
    if selection.globs and all(_pattern(text, hub).source not in (None, source) for text in selection.globs):
        return []  # so that it need not be read
    if not selection.prefixes:
        return [""]
    found = []
    for text in selection.prefixes:
        pattern = _pattern(text, hub)
        if pattern.source in (None, source):
            found.append(_prefix(pattern.glob, source, hub, environment))
    return found


def _prefix(text: str, source: str, hub: SourceHub, environment: str | None) -> str:
    place = text.removesuffix("*").rstrip("/")
    try:
        return as_shown(place, source, hub, environment) if place else ""
    except ValueError:
        return place  # there is nothing below what is no path


def _named(
    source: str, texts: Sequence[str], *, hub: SourceHub, environment: str | None, in_doubt: bool
) -> Callable[[str], bool]:
    """Tells whether a key is one of those that the globs name."""
    patterns = [_pattern(text, hub) for text in texts]
    globs = [one.glob for one in patterns if one.source in (None, source)]
    return hub.matcher(source, globs, environment, in_doubt=in_doubt)


def _pattern(text: str, hub: SourceHub) -> Pattern:
    try:
        return parse_pattern(text, hub.sources)
    except ValueError as exc:
        raise ConfigError(f"{text!r}: {exc}") from None
