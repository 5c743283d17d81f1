"""Gathers variables one key at a time, and everything that is wrong with them, to say it all at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from shlex import quote

from confsync.address import parse
from confsync.environments.policy import Kind, Policy
from confsync.environments.policy.shown import as_shown, is_whole
from confsync.environments.variables import Collected, Variable, Withheld
from confsync.environments.variables.naming import suggested_name, variable_name
from confsync.environments.variables.selection import Selection, Selector
from confsync.errors import ConfsyncError, Denied, SourceError
from confsync.reconcile.core import Core
from confsync.snapshot import as_bytes
from confsync.source.documentation import Documentation
from confsync.text import printable

_MADE_ANEW = "it is made anew for each who fetches it"


@dataclass(slots=True)
class Gathering:
    """What was gathered so far. Belongs to one thread.

    Attributes:
        seen: (source, path) of every key that exists or was held back; a secret's own path where it was not read.
        problems: everything that is wrong, a line for each.
    """

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
        self.documentation = self.core.documentation(self.environment)
        self.selector = Selector(self.selection, self.core.hub, self.environment, self.documentation)

    def take(self, source: str, path: str, value: bytes, *, secret: bool = False) -> None:
        """A key that exists, as far as the policy lets it come down; a second time it is nothing new.

        Args:
            secret: whether the value is one, whatever its source says.
        """
        if (source, path) in self.seen:
            return
        self.seen.add((source, path))
        ruling = self.policy.ruling(source, path)
        if ruling.kind is Kind.HELD_BACK:
            self.hold_back(f"{source}:{path}", ruling.rule)
        elif ruling.kind is Kind.SUBSTITUTED:
            self._add(source, path, as_bytes(ruling.value), secret, ruling.rule)
        else:
            self._add(source, path, value, secret or self.core.hub.is_sensitive(source)(path))

    def hold_back(self, key: str, rule: str) -> None:
        """A key that does not come down, by this rule."""
        self.held_back.append(Withheld(key, rule, self.policy.place(rule)))

    def deny(self, key: str, why: str) -> None:
        """A key that the store does not give to whoever asks."""
        self.denied.append(Withheld(key, why))

    def leave_unfetched(self, key: str) -> None:
        """A key whose value would be made by asking for it."""
        self.unfetched.append(Withheld(key, _MADE_ANEW))

    def _add(self, source: str, path: str, value: bytes, sensitive: bool, rule: str = "") -> None:
        """A key that comes down, with its value or what `rule` puts in its place."""
        problem = self.documentation.problem(source, path, value)
        if problem is not None:
            self.problems.append(problem)
        name = self._name(source, path)
        if name is not None:
            advice = _leaving_out(source, path)
            self.add_variable(name, value, f"{source}:{path}", sensitive=sensitive, rule=rule, advice=advice)

    def _name(self, source: str, path: str) -> str | None:
        documented = self.documentation.of(source, path)
        if documented is not None and documented.variable is not None:
            return documented.variable
        plain = path if is_whole(source, self.core.hub) else _without_escapes(path)
        try:
            return variable_name(plain)
        except ValueError as exc:
            called = f"keys: {{{_as_pattern(source, path)}: {{variable: {suggested_name(plain)}}}}}"
            self._tell(
                f"{source}:{path}", f"{exc}; call it something: {called}, or {_leaving_out(source, path)}"
            )
            return None

    def add_variable(
        self, name: str, value: bytes, key: str, *, sensitive: bool, rule: str = "", advice: str = ""
    ) -> None:
        """A variable that has its name already.

        Args:
            advice: what to do if no variable can have the value.
        """
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError as exc:
            self._tell(key, f"its value is not UTF-8 text (byte {exc.start}); {advice}")
            return
        if "\0" in text:
            self._tell(key, f"its value has a NUL, which no environment variable can hold; {advice}")
            return
        self.variables.append(Variable(name, text, key, sensitive, rule))

    def _tell(self, key: str, problem: str) -> None:
        self.problems.append(f"{printable(key)}: {problem}")

    def add_stand_ins(self) -> None:
        """The substitutes for wanted keys that no source has, or none gives to whoever asks."""
        for one in self.policy.stand_ins():
            # Where some of its places are not looked at, it may stand in for a key that nobody asked for.
            if all(self.selector.wants(*place) for place in one.places) and self.seen.isdisjoint(one.places):
                self.take(*one.places[0], b"")

    def shown(self, source: str, path: str) -> str:
        """A path as the environment shows it; from the root of the store where it does not."""
        return as_shown(path, source, self.core.hub, self.environment)

    def require(self, is_wanted: Callable[[str, str], bool]) -> None:
        """Note the required keys, of those wanted, that are neither there nor held back.

        One of which a place is not wanted is not looked for there, where it may well be.
        """
        denied = {one.key: one.why for one in self.denied}
        for required in self.documentation.required():
            places = [(source, self.shown(source, path)) for source, path in required.places]
            if not all(is_wanted(*place) for place in places):
                continue
            if any(self._is_settled(*place) for place in places):
                continue
            whys = (*(denied.get(key) for key in _keys_of(places)), *map(self._refusal, places))
            why = next(filter(None, whys), "it does not exist")
            ask = f" ({required.key.ask})" if required.key.ask else ""
            self.problems.append(
                f"{printable(required.text)} is required in {self.environment}: {why}{printable(ask)}"
            )

    def _refusal(self, place: tuple[str, str]) -> str | None:
        """Why it cannot be told whether a key exists, of a source that may be read in part."""
        source, path = place
        if not is_whole(source, self.core.hub):
            return None
        try:
            self.core.hub.view(source, self.environment).find(path)
        except Denied as exc:
            return exc.message
        except SourceError:  # which is told of otherwise
            return None
        return None

    def _is_settled(self, source: str, path: str) -> bool:
        """Whether a key, or a field of it, exists, or is none that would come down."""
        if (source, path) in self.seen or self.policy.ruling(source, path).kind is not Kind.ALLOWED:
            return True
        return "#" not in path and any(
            name == source and one.startswith(f"{path}#") for name, one in self.seen
        )

    def collected(self) -> Collected:
        """All of it.

        Raises:
            ConfsyncError: something is wrong, a line for each.
        """
        variables = sorted(self.variables, key=lambda one: one.name)
        problems = [*self.problems, *_collisions(variables)]
        if problems:
            raise ConfsyncError("\n".join(dict.fromkeys(problems)))
        return Collected(
            tuple(variables),
            tuple(self.held_back),
            tuple(self.denied),
            tuple(self.unfetched),
            tuple(self._idle_rules()),
        )

    def _idle_rules(self) -> Iterator[str]:
        """The rules that name nothing, where nothing is left that they could name."""
        if not self.selection.is_everything or self.denied:
            return
        parted = (one.key.partition(":") for one in self.unfetched)
        for rule in self.policy.idle([*self.seen, *((source, path) for source, _, path in parted)]):
            yield f"{rule} names no key ({self.policy.place(rule)})"


def _keys_of(places: Iterable[tuple[str, str]]) -> Iterator[str]:
    """What each place may be called among what was denied: itself, or the secret it is a field of."""
    for source, path in places:
        yield from (f"{source}:{path}", f"{source}:{path.partition('#')[0]}")


def _without_escapes(path: str) -> str:
    """A secret's field by the names the store has, which an address spells otherwise; without parameters."""
    wanted = parse(path)
    return wanted.path if wanted.field is None else f"{wanted.path}#{wanted.field}"


def _leaving_out(source: str, path: str) -> str:
    glob = "".join(char if char.isprintable() else "?" for char in _escaped(path))
    return f"leave it out: --without {quote(f'{source}:{glob}')}"


def _as_pattern(source: str, path: str) -> str:
    """A key as a pattern for it alone, quoted for YAML, which knows the escapes that `printable` writes."""
    text = f"{source}:{_escaped(path)}"
    return '"{}"'.format(printable(text.replace("\\", "\\\\").replace('"', '\\"')))


def _escaped(text: str) -> str:
    """What is no glob though it has the signs of one."""
    return re.sub(r"[*\[]", r"[\g<0>]", text)


def _collisions(variables: Iterable[Variable]) -> Iterator[str]:
    for name, group in groupby(variables, key=lambda one: one.name):
        keys = [one.key for one in group]
        if len(keys) > 1:
            yield _collision(name, keys)


def _collision(name: str, keys: list[str]) -> str:
    both = f"{' and '.join(map(printable, keys))} are both called {name}"
    source, colon, path = keys[-1].partition(":")
    if not colon:
        return f"{both}; take one sync at a time"
    return f"{both}; call one otherwise: keys: {{{_as_pattern(source, path)}: {{variable: …}}}}"
