"""Which of an environment's keys somebody wants."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from confsync.config.patterns import Pattern, parse_pattern
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


@dataclass(slots=True)
class Selector:
    """A selection as it applies to the sources of a configuration. Belongs to one thread.

    Raises:
        ConfigError: a pattern names a source there is not.
    """

    selection: Selection
    hub: SourceHub
    environment: str | None
    documentation: Documentation
    _globs: dict[tuple[str, bool], Callable[[str], bool]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for text in (*self.selection.prefixes, *self.selection.globs, *self.selection.without):
            self._pattern(text)

    def prefixes(self, source: str) -> list[str] | None:
        """The prefixes of a source that are wanted; None for all of it, an empty list for nothing."""
        if not self.selection.prefixes:
            return None
        wanted = [self._pattern(text) for text in self.selection.prefixes]
        return [one.glob.strip("/") for one in wanted if one.source in (None, source)]

    def wants(self, source: str, path: str) -> bool:
        """Whether a key below one of the prefixes is wanted."""
        said = self.selection
        if said.globs and not self._named(source, said.globs, kept=True)(path):
            return False
        if said.without and self._named(source, said.without, kept=False)(path):
            return False
        return not said.documented or self.documentation.of(source, path) is not None

    def _named(self, source: str, texts: Iterable[str], *, kept: bool) -> Callable[[str], bool]:
        if (source, kept) not in self._globs:
            patterns = map(self._pattern, texts)
            globs = [one.glob for one in patterns if one.source in (None, source)]
            self._globs[source, kept] = self.hub.matcher(source, globs, self.environment, in_doubt=not kept)
        return self._globs[source, kept]

    def _pattern(self, text: str) -> Pattern:
        if text.removesuffix(":") in self.hub.sources:
            return Pattern(text.removesuffix(":"), "") if text.endswith(":") else Pattern(None, text)
        try:
            return parse_pattern(text, self.hub.sources)
        except ValueError as exc:
            raise ConfigError(f"{text!r}: {exc}") from None
