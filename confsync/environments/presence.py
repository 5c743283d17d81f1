"""Which environments have the keys that are documented under `keys`, and how many there are that are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from confsync.environments.listing import fields
from confsync.errors import Denied, SourceError
from confsync.reconcile.core import Core
from confsync.snapshot import View

YES, NO, DENIED, UNREADABLE = "yes", "no", "denied", "unreadable"
WHEN_FETCHED = "when fetched"
"""What exists only once somebody who may write has fetched it."""

_WORTH = {answer: worth for worth, answer in enumerate((NO, UNREADABLE, DENIED, WHEN_FETCHED, YES))}


@dataclass(frozen=True, slots=True)
class Presence:
    """What one environment has of what is documented.

    Attributes:
        answers: an entry of `keys`, as it is written there -> `yes`, `no`, `denied`, `unreadable`, `when fetched`; of a
            glob, how many keys it tells of.
        undocumented: source -> how many of its keys, of those that may be read, nothing is said of; None where they are
            not listed to whoever asks.
        problems: why what is unreadable is; what is so for several keys of a source is told of the source.
    """

    answers: Mapping[str, str | int]
    undocumented: Mapping[str, int | None]
    problems: tuple[str, ...]


def presence(core: Core, environment: str | None) -> Presence:
    """Look for every documented key in an environment that `core` was opened for, and was read.

    Nothing is fetched that fetching makes; no value is kept.
    """
    search = _Search(core, environment)
    for source in core.hub.sources:
        search.source(source)
    return Presence(search.answers, search.undocumented, tuple(search.told()))


@dataclass(slots=True)
class _Search:
    """One look at one environment."""

    core: Core
    environment: str | None
    answers: dict[str, str | int] = field(default_factory=dict)
    undocumented: dict[str, int | None] = field(default_factory=dict)
    problems: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def told(self) -> Iterator[str]:
        """A line for each thing that went wrong with a source."""
        for (source, why), paths in self.problems.items():
            yield f"{source}:{paths[0]}: {why}" if len(paths) == 1 and paths[0] else f"{source}: {why}"

    def source(self, source: str) -> None:
        """Look through one source; what may be in several is there once one has it."""
        documentation = self.core.documentation(self.environment)
        view = self.core.hub.view(source, self.environment, looking=True)
        for text, path in documentation.entries_for_one(source):
            self._answer(text, self._single(source, view, path))
        globs = documentation.globs(source)
        told: Counter[str | None] = Counter()
        try:
            for path in _every(view):
                told[documentation.entry(source, path)] += 1
        except SourceError as exc:
            why = self._why(source, "", exc)
            self.undocumented[source] = None
            for text in globs:
                self._answer(text, why)
            return
        self.undocumented[source] = told[None]
        for text in globs:
            self._answer(text, told[text])

    def _single(self, source: str, view: View, path: str) -> str:
        try:
            found = view.find(path)
        except SourceError as exc:
            return self._why(source, path, exc)
        if found is None:
            return NO
        return YES if found.fetched else WHEN_FETCHED

    def _why(self, source: str, path: str, error: SourceError) -> str:
        if isinstance(error, Denied):
            return DENIED
        self.problems.setdefault((source, str(error)), []).append(path)
        return UNREADABLE

    def _answer(self, text: str, answer: str | int) -> None:
        before = self.answers.get(text)
        if isinstance(before, int) and isinstance(answer, int):
            self.answers[text] = before + answer
        elif before is None or isinstance(answer, int) or _worth(answer) > _worth(before):
            self.answers[text] = answer


def _worth(answer: str | int) -> int:
    return len(_WORTH) if isinstance(answer, int) else _WORTH[answer]


def _every(view: View) -> Iterator[str]:
    """Every key of a view; of secrets each field, of those that may be read."""
    for path in view.paths():
        with suppress(Denied):
            yield from fields(view, path) if view.by_request else [path]
