"""The rules of `local` for one environment, as they apply to the keys of one source.

Where a rule keeps something back it is read generously, where it lets something down strictly. A denial holds for what
it names in any spelling, for all below that, and wherever that is in doubt; what `allow` names has to be meant for
certain.
"""

from __future__ import annotations

import glob
import posixpath
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import NamedTuple
from unicodedata import normalize

from confsync.address import Wanted, parse
from confsync.config.loading import LoadedConfig, Places
from confsync.config.local import LocalPolicy
from confsync.config.patterns import Pattern, parse_pattern
from confsync.environments.policy.shown import as_shown, is_whole
from confsync.errors import ConfigError
from confsync.render.formats.scalars import as_text
from confsync.source.hub import SourceHub
from confsync.source.matching import shown_as

_PARAMETERS = re.compile(r"\?[^/#]*=")
_EVERYTHING = ("*", "**")
_METADATA = "metadata"  # asks for what a store knows about a secret, and for none of its fields


class Kind(Enum):
    """What the policy does with a key."""

    ALLOWED = "allowed"
    HELD_BACK = "held back"
    SUBSTITUTED = "substituted"


class Ruling(NamedTuple):
    """What the policy says of one key.

    Attributes:
        rule: the rule that says so, such as `local.prod.deny "db/*"`; "" where none restricts it.
        value: what comes down instead, where it is substituted.
        place: where the rule is written, `confsync.yaml:12:5`; "" where there is none.
    """

    kind: Kind
    rule: str = ""
    value: str = ""
    place: str = ""


class RulePlaces:
    """Where rules are written: all are looked for when the first is asked for, which reads the configuration again."""

    def __init__(self, loaded: LoadedConfig) -> None:
        self._loaded = loaded
        self._paths: dict[str, tuple[Sequence[str | int], bool]] = {}
        self._found: dict[str, str] = {}

    def note(self, rule: str, path: Sequence[str | int], *, of_key: bool) -> Callable[[], str]:
        """Take up a rule; gives what finds its place."""
        self._paths[rule] = path, of_key
        return partial(self.of, rule)

    def of(self, rule: str) -> str:
        """`confsync.yaml:12:5`; "" where there is no such rule."""
        if len(self._found) < len(self._paths):
            places = Places(self._loaded.files)
            self._found = {name: places.of(path, of_key=key) for name, (path, key) in self._paths.items()}
        return self._found.get(rule, "")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        name: such as `local.prod.deny "db/*"`.
        find_place: where it is written; asked for only when the rule is told of, since that reads the file again.
        names: whether it names what is at a path; of a denial, whether it may.
        closes: whether it leaves nothing of the secret at a path to come down.
        closes_all: whether it leaves nothing of the source.
    """

    name: str
    find_place: Callable[[], str]
    names: Callable[[str], bool]
    closes: Callable[[str], bool] = lambda _: False
    closes_all: bool = False

    def ruling(self, kind: Kind, value: str = "") -> Ruling:
        """The ruling by this rule."""
        return Ruling(kind, self.name, value, self.find_place())


@dataclass(frozen=True, slots=True)
class Substitute:
    """What stands in for one key of a source.

    Attributes:
        path: the key, as the environment shows it where it does.
        shown: whether the environment shows it: not what lies elsewhere in the store.
        alone: whether it stands in for a key of this source and of no other.
        field: of a secret.
    """

    rule: Rule
    path: str
    shown: bool
    alone: bool
    field: str | None
    value: str


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules as they apply to one source.

    Attributes:
        allowed: None where all comes down that is not denied.
        patterns: what is denied and what is allowed, each pattern alone.
    """

    substitutes: Sequence[Substitute]
    denials: Sequence[Rule]
    allowed: Rule | None
    patterns: Sequence[Rule]

    def ruling(self, path: str) -> Ruling | None:
        """What becomes of the key at `path`; None: it comes down."""
        for one in self.substitutes:
            if one.rule.names(path):
                return one.rule.ruling(Kind.SUBSTITUTED, one.value)
        for rule in self.denials:
            if rule.names(path):
                return rule.ruling(Kind.HELD_BACK)
        if self.allowed is not None and not self.allowed.names(path):
            return self.allowed.ruling(Kind.HELD_BACK)
        return None

    @property
    def closing(self) -> Rule | None:
        """The rule by which nothing of the source comes down but substitutes, or None."""
        return next((rule for rule in self.each() if rule.closes_all), None)

    def closes(self, secret: str) -> Rule | None:
        """The rule by which nothing of a secret comes down but substitutes, or None."""
        return self.closing or next((rule for rule in self.each() if rule.closes(secret)), None)

    def each(self) -> Iterator[Rule]:
        """Every rule, in the order in which they decide."""
        yield from (one.rule for one in self.substitutes)
        yield from self.denials
        if self.allowed is not None:
            yield self.allowed

    def idle(self, keys: Collection[str]) -> Iterator[str]:
        """The patterns that name none of `keys`, which are all that the source shows, or secrets that were not read."""
        for rule in self.patterns:
            if not any(map(rule.names, keys)):
                yield rule.name

    def stand_ins(self, wanted: Wanted) -> Mapping[str, str]:
        """Field -> what stands in for it, of a secret that is asked for as a whole."""
        if _METADATA in dict(wanted.parameters):
            return {}
        return {
            one.field: one.value
            for one in reversed(self.substitutes)
            if one.field is not None and one.rule.names(str(wanted._replace(field=one.field)))
        }


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the rules of one environment, for one source after the other.

    Raises:
        ConfigError: a rule names nothing that there can be in a source it is for.
    """

    loaded: LoadedConfig
    hub: SourceHub
    environment: str
    said: LocalPolicy
    places: RulePlaces

    def rules(self, source: str) -> Rules:
        """The rules as they apply to `source`."""
        denials = list(self._denials(source))
        patterns = [*denials, *self._each_allowed(source)]
        return Rules(list(self._substitutes(source)), denials, self._allowed(source), patterns)

    def _denials(self, source: str) -> Iterator[Rule]:
        for index, text in enumerate(self.said.deny):
            name = f'local.{self.environment}.deny "{text}"'
            place = self.places.note(name, ("local", self.environment, "deny", index), of_key=False)
            pattern = self._pattern(text, source, place)
            if pattern is not None:
                globs = list(_generously(text, pattern.glob, of_secrets=not is_whole(source, self.hub)))
                names, surely = (self._matcher(source, globs, in_doubt=doubt) for doubt in (True, False))
                yield Rule(name, place, names, surely, closes_all=pattern.glob.strip("/") in _EVERYTHING)

    def _allowed(self, source: str) -> Rule | None:
        if self.said.allow is None:
            return None
        globs = []
        for index, text in enumerate(self.said.allow):
            written = partial(self.loaded.where, ("local", self.environment, "allow", index))
            pattern = self._pattern(text, source, written)
            globs += [pattern.glob] if pattern is not None else []
        names, maybe = (self._matcher(source, globs, in_doubt=doubt) for doubt in (False, True))
        name = f"local.{self.environment}.allow"
        place = self.places.note(name, ("local", self.environment, "allow"), of_key=True)
        return Rule(name, place, names, lambda path: not maybe(path), closes_all=not globs)

    def _each_allowed(self, source: str) -> Iterator[Rule]:
        """What is allowed, each pattern as a rule of its own."""
        for index, text in enumerate(self.said.allow or ()):
            name = f'local.{self.environment}.allow "{text}"'
            place = self.places.note(name, ("local", self.environment, "allow", index), of_key=False)
            pattern = self._pattern(text, source, place)
            if pattern is not None:
                surely, maybe = (
                    self._matcher(source, [pattern.glob], in_doubt=doubt) for doubt in (False, True)
                )
                yield Rule(name, place, surely if is_whole(source, self.hub) else _of_unread(surely, maybe))

    def _substitutes(self, source: str) -> Iterator[Substitute]:
        for text, value in self.said.substitute.items():
            name = f'local.{self.environment}.substitute "{text}"'
            place = self.places.note(name, ("local", self.environment, "substitute", text), of_key=True)
            pattern = self._pattern(text, source, place)
            if pattern is None or not self.hub.may_have(source, pattern):
                continue
            path, shown, field = self._key(pattern, source, place)
            names = self._naming(path, source)
            rule = Rule(name, place, names)
            alone = sum(self.hub.may_have(one, pattern) for one in self.hub.sources) == 1
            yield Substitute(rule, path, shown, alone, field, as_text(value))

    def _naming(self, path: str, source: str) -> Callable[[str], bool]:
        """Tells whether a key is the one at `path`, by whichever of its names."""
        if not is_whole(source, self.hub):
            return self._matcher(source, [glob.escape(path)], in_doubt=False)
        names = shown_as(path, self.hub.prefixes(source, self.environment))
        return lambda shown: shown.strip("/") in names

    def _key(self, pattern: Pattern, source: str, place: Callable[[], str]) -> tuple[str, bool, str | None]:
        """The one key a pattern names, as the environment shows it; whether it does; its field."""
        try:
            path = as_shown(pattern.key, source, self.hub, self.environment)
        except ValueError as exc:
            raise ConfigError(f"{pattern.key!r} is no path of a secret: {exc}", where=place()) from None
        if is_whole(source, self.hub):
            return path, True, None
        field = parse(path).field
        if field is None:
            raise ConfigError(
                f"{pattern.key!r} is a whole secret of {source}, and a substitute is for one field",
                where=place(),
                hint=f"{source}:{pattern.key}#FIELD",
            )
        return path, not path.startswith("/"), field

    def _pattern(self, text: str, source: str, place: Callable[[], str]) -> Pattern | None:
        """The pattern in `text`, or None where it is for other sources."""
        pattern = parse_pattern(text, self.loaded.config.sources)
        if pattern.source not in (None, source):
            return None
        if not is_whole(source, self.hub):
            _refuse_nothing(text, pattern, source, place)
        return pattern

    def _matcher(self, source: str, globs: Sequence[str], *, in_doubt: bool) -> Callable[[str], bool]:
        return self.hub.matcher(source, globs, self.environment, in_doubt=in_doubt)


def _of_unread(surely: Callable[[str], bool], maybe: Callable[[str], bool]) -> Callable[[str], bool]:
    """Tells whether a field is named, or a field of a whole secret may be."""
    return lambda path: surely(path) or ("#" not in path and maybe(path))


def _generously(text: str, pattern: str, *, of_secrets: bool) -> Iterator[str]:
    """What a denial, written as `text`, may mean: its letters, `**/` for nothing, all below it, a whole secret.

    Also `./db`, `db//host` and `api/../db`, and whichever way letters with accents are composed.
    """
    plain = posixpath.normpath(f"/{pattern}").strip("/")
    read = (pattern, glob.escape(pattern), pattern.replace("**/", ""), plain)
    for one in dict.fromkeys(normalize(form, each) for each in read for form in ("NFC", "NFD")):
        yield from (one, f"{one}/*", f"{one}#*")
    if text.endswith("/") or (of_secrets and pattern.endswith("/*")):
        yield pattern.removesuffix("/*")
    if pattern.endswith("#*"):
        yield pattern.removesuffix("#*")


def _refuse_nothing(text: str, pattern: Pattern, source: str, place: Callable[[], str]) -> None:
    """Raise `ConfigError` where a pattern names nothing of a source that is asked for one secret at a time."""
    if pattern.glob.endswith("#"):
        raise ConfigError(
            f"{text!r}: after # the name of a field is missing", where=place(), hint="#* is every field"
        )
    if _PARAMETERS.search(pattern.glob):
        raise ConfigError(
            f"{text!r}: a rule for {source} holds for each version, and has no parameters",
            where=place(),
            hint="leave out what begins with ?",
        )
