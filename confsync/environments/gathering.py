"""Gathers variables one key at a time, and everything that is wrong with them, to say it all at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

from confsync.environments.naming import variable_name
from confsync.environments.policy import Kind, Policy
from confsync.environments.selection import Selection, Selector
from confsync.environments.variables import Collected, Variable, Withheld
from confsync.errors import ConfsyncError
from confsync.reconcile.core import Core
from confsync.source.documentation import Documentation
from confsync.text import printable


@dataclass(slots=True)
class Gathering:
    """What was gathered so far. Belongs to one thread."""

    core: Core
    environment: str | None
    policy: Policy
    selection: Selection
    documentation: Documentation = field(init=False)
    selector: Selector = field(init=False)
    variables: list[Variable] = field(default_factory=list)
    held_back: list[Withheld] = field(default_factory=list)
    denied: list[Withheld] = field(default_factory=list)
    unfetched: list[Withheld] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seen: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        hub = self.core.hub
        self.documentation = Documentation(self.core.loaded, hub, self.environment)
        self.selector = Selector(self.selection, hub, self.environment, self.documentation)

    def read_sources(self) -> None:
        """Read those sources that anything can come down from. Raises `SourceError`."""
        for name, source in self.core.hub.sources.items():
            if self.policy.closes(name) is None and self.selector.prefixes(name) != []:
                source.refresh()

    def take(self, source: str, path: str, value: bytes) -> None:
        """A key that exists, as far as the policy lets it come down."""
        ruling = self.policy.ruling(source, path)
        if ruling.kind is Kind.HELD_BACK:
            self.hold_back(source, path, ruling.rule)
        elif ruling.kind is Kind.SUBSTITUTED:
            self.add(source, path, ruling.value.encode(), ruling.rule)
        else:
            self.add(source, path, value)

    def hold_back(self, source: str, path: str, rule: str) -> None:
        """A key that does not come down, by this rule."""
        self.seen.add((source, path))
        self.held_back.append(Withheld(f"{source}:{path}", rule))

    def add(self, source: str, path: str, value: bytes, rule: str = "") -> None:
        """A key that comes down, with its value or what `rule` puts in its place."""
        self.seen.add((source, path))
        key = f"{source}:{path}"
        problem = self.documentation.problem(source, path, value)
        if problem is not None:
            self.problems.append(problem)
        documented = self.documentation.of(source, path)
        try:
            name = (documented and documented.variable) or variable_name(path)
        except ValueError as exc:
            self.problems.append(f"{printable(key)}: {exc}")
            return
        sensitive = not rule and self.core.hub.is_sensitive(source)(path)
        self.add_variable(name, value, key, sensitive=sensitive, rule=rule)

    def add_variable(self, name: str, value: bytes, key: str, *, sensitive: bool, rule: str = "") -> None:
        """A variable that has its name already."""
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError as exc:
            self._unusable(key, f"its value is not UTF-8 text (byte {exc.start})")
            return
        if "\0" in text:
            self._unusable(key, "its value has a NUL, which no environment variable can hold")
            return
        self.variables.append(Variable(name, text, key, sensitive, rule))

    def _unusable(self, key: str, problem: str) -> None:
        self.problems.append(f"{printable(key)}: {problem}; leave it out: --without {printable(key)!r}")

    def collected(self) -> Collected:
        """All of it.

        Raises:
            ConfsyncError: something is wrong, a line for each.
        """
        variables = sorted(self.variables, key=lambda one: one.name)
        problems = [*self.problems, *_collisions(variables)]
        if problems:
            raise ConfsyncError("\n".join(problems))
        return Collected(tuple(variables), tuple(self.held_back), tuple(self.denied), tuple(self.unfetched))


def _collisions(variables: Iterable[Variable]) -> Iterator[str]:
    for name, group in groupby(variables, key=lambda one: one.name):
        keys = [one.key for one in group]
        if len(keys) > 1:
            yield (
                f"{' and '.join(map(printable, keys))} are both called {name}; "
                f"call one otherwise: keys: {{{printable(keys[-1])!r}: {{variable: …}}}}"
            )
