"""What of an environment may come down to a laptop: the configuration's `local` section, applied.

A value comes down only where a rule lets it: in doubt (another spelling, a secret read as a whole of which one field
is denied, a path that is none) it is held back.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from confsync.address import Wanted, parse
from confsync.config.loading import LoadedConfig
from confsync.config.local import LocalPolicy
from confsync.config.patterns import parse_pattern
from confsync.driver import Entry
from confsync.errors import ConfigError, HeldBack, SourceError
from confsync.render.formats.scalars import as_text
from confsync.render.recorder import SourceView
from confsync.snapshot import Absent, Found, Problem, View

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from confsync.reconcile.core import Core
    from confsync.source.hub import SourceHub


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
    """

    kind: Kind
    rule: str = ""
    value: str = ""


_FREE = Ruling(Kind.ALLOWED)


class _Rule(NamedTuple):
    """Patterns as they apply to one source.

    Attributes:
        matches: whether they name a path; of a denial, whether they may.
        opposite: the same with the doubt resolved the other way.
    """

    name: str
    matches: Callable[[str], bool]
    opposite: Callable[[str], bool] = lambda _: False
    value: str = ""


class _Rules(NamedTuple):
    """A policy as it applies to one source."""

    substitutes: Sequence[_Rule]
    denials: Sequence[_Rule]
    allowed: _Rule | None
    substituted: Mapping[str, str]
    closed: str | None


class Policy:
    """The rules for one environment. Thread-safe; asks no store.

    Raises:
        ConfigError: a substitute is for a whole secret.
    """

    def __init__(self, loaded: LoadedConfig, hub: SourceHub, environment: str | None) -> None:
        said = loaded.config.local.get(environment) if environment is not None else None
        self._environment = environment
        self._rules = {name: _rules_for(name, said, loaded, hub, environment) for name in hub.sources if said}

    def ruling(self, source: str, path: str) -> Ruling:
        """What becomes of the key at `path`, as an environment shows it, of `source`."""
        rules = self._rules.get(source)
        if rules is None:
            return _FREE
        for rule in rules.substitutes:
            if rule.matches(path):
                return Ruling(Kind.SUBSTITUTED, rule.name, rule.value)
        for rule in rules.denials:
            if rule.matches(path):
                return Ruling(Kind.HELD_BACK, rule.name)
        if rules.allowed is not None and not rules.allowed.matches(path):
            return Ruling(Kind.HELD_BACK, rules.allowed.name)
        return _FREE

    def closes(self, source: str, secret: str | None = None) -> str | None:
        """The rule by which nothing of a source, or of one secret of it, comes down but substitutes; else None.

        What it closes need not be asked for.
        """
        rules = self._rules.get(source)
        if rules is None or secret is None or rules.closed is not None:
            return rules.closed if rules else None
        for rule in rules.denials:
            if rule.opposite(secret):
                return rule.name
        if rules.allowed is not None and not rules.allowed.opposite(secret):
            return rules.allowed.name
        return None

    def substituted(self, source: str) -> Mapping[str, str]:
        """Path -> the value that comes down instead, of the keys the source has by that, whatever is in the store.

        A substitute that names no source stands in for the key in each source that has it, where several may.
        """
        rules = self._rules.get(source)
        return rules.substituted if rules else {}

    def view(self, source: str, view: View) -> View:
        """What of `view` may come down: what is held back raises `HeldBack`, substitutes stand in for what is."""
        if source not in self._rules:
            return view
        rule = partial(self.ruling, source)
        kind = _AddressedView if view.by_request else _EnumerableView
        return kind(source, view, rule, self.substituted(source))

    def sources(self, core: Core, *, looking: bool = True) -> Mapping[str, SourceView]:
        """Each source as a render that stays on a laptop sees it."""
        return {
            name: replace(one, view=self.view(name, one.view), is_sensitive=partial(self._is_sensitive, one))
            for name, one in core.views(self._environment, looking=looking).items()
        }

    def _is_sensitive(self, source: SourceView, path: str) -> bool:
        return self.ruling(source.name, path).kind is not Kind.SUBSTITUTED and source.is_sensitive(path)


def _rules_for(
    source: str, said: LocalPolicy, loaded: LoadedConfig, hub: SourceHub, environment: str | None
) -> _Rules:
    name = f"local.{environment}"
    denials = [
        _rule(f'{name}.deny "{text}"', globs, hub, source, environment, in_doubt=True)
        for text in said.deny
        if (globs := _globs(source, loaded, [text]))
    ]
    allowed = None
    if said.allow is not None:
        globs = _globs(source, loaded, said.allow)
        allowed = _rule(f"{name}.allow", globs, hub, source, environment, in_doubt=False)
    closing = [text for text in said.deny if _globs(source, loaded, [text]) in (["*"], ["/*"])]
    closed = f'{name}.deny "{closing[0]}"' if closing else f"{name}.allow" if allowed and not globs else None
    substitutes = list(_substitutes(source, said, loaded, hub, environment))
    return _Rules(
        [rule for _, _, rule in substitutes],
        denials,
        allowed,
        {path: rule.value for path, certain, rule in substitutes if certain},
        closed,
    )


def _rule(
    name: str, globs: Sequence[str], hub: SourceHub, source: str, environment: str | None, *, in_doubt: bool
) -> _Rule:
    matches = hub.matcher(source, globs, environment, in_doubt=in_doubt)
    return _Rule(name, matches, hub.matcher(source, globs, environment, in_doubt=not in_doubt))


def _substitutes(
    source: str, said: LocalPolicy, loaded: LoadedConfig, hub: SourceHub, environment: str | None
) -> Iterator[tuple[str, bool, _Rule]]:
    """(path, whether this source has it whatever the store says, rule) of each key something else comes down for."""
    addressed = {name for name in hub.sources if hub.view(name, environment, looking=True).by_request}
    for text, value in said.substitute.items():
        pattern = parse_pattern(text, loaded.config.sources)
        of_secret = "#" in pattern.glob
        if pattern.source in addressed and not of_secret:
            raise ConfigError(
                f"{text!r} is a whole secret, and a substitute is for one field",
                where=loaded.where(("local", str(environment), "substitute", text), of_key=True),
                hint=f"{text}#FIELD",
            )
        fitting = (
            {pattern.source} if pattern.source else addressed if of_secret else {*hub.sources} - addressed
        )
        if source in fitting:
            matches = hub.matcher(source, [glob.escape(pattern.glob)], environment, in_doubt=False)
            name = f'local.{environment}.substitute "{text}"'
            yield pattern.glob.strip("/"), len(fitting) == 1, _Rule(name, matches, value=as_text(value))


def _globs(source: str, loaded: LoadedConfig, texts: Iterable[str]) -> list[str]:
    """The globs of those patterns that are for `source`."""
    patterns = [parse_pattern(text, loaded.config.sources) for text in texts]
    return [pattern.glob for pattern in patterns if pattern.source in (None, source)]


class _GuardedView(View):
    """What may come down of a view."""

    __slots__ = ("_inner", "_rule", "_source", "_substituted")

    def __init__(
        self, source: str, inner: View, rule: Callable[[str], Ruling], substituted: Mapping[str, str]
    ) -> None:
        super().__init__(inner.snapshot, inner.prefixes)
        self._source = source
        self._inner = inner
        self._rule = rule
        self._substituted = substituted

    def _refusal(self, path: str, rule: str, hint: str | None = None) -> HeldBack:
        return HeldBack(f"{self._source}:{path} is held back by {rule}", key=path, rule=rule, hint=hint)

    def spell(self, text: str) -> str:
        return self._inner.spell(text)

    def only_look(self) -> None:
        self._inner.only_look()

    def withhold(self, withheld: bool) -> None:
        self._inner.withhold(withheld)

    def problem(self, paths: Iterable[str]) -> Problem | None:
        return self._inner.problem(paths)

    def shadowed(self, path: str) -> list[str]:
        return self._inner.shadowed(path)


def _stand_in(value: str) -> Found:
    return Found(Entry(value.encode(), 0), "")


class _EnumerableView(_GuardedView):
    """Of a source that is read as a whole."""

    __slots__ = ()

    def find(self, path: str) -> Found | None:
        ruling = self._rule(path)
        if ruling.kind is Kind.HELD_BACK:
            raise self._refusal(path, ruling.rule)
        if ruling.kind is Kind.ALLOWED:
            return self._inner.find(path)
        there = path.strip("/") in self._substituted or self._inner.find(path) is not None
        return _stand_in(ruling.value) if there else None

    def paths(self) -> list[str]:
        if self._paths is None:
            self._paths = sorted({*self._inner.paths(), *self._substituted})
        return self._paths


class _AddressedView(_GuardedView):
    """Of a source that is asked for one secret at a time. What is held back for certain is not asked for."""

    __slots__ = ()

    @property
    def by_request(self) -> bool:
        return True

    def find(self, path: str) -> Found | None:
        looked = self.look_up(path)
        return None if looked is None else looked[0]

    def look_up(self, path: str) -> tuple[Found, Any] | None:
        ruling = self._rule(path)
        if ruling.kind is Kind.SUBSTITUTED:
            return _stand_in(ruling.value), ruling.value
        wanted = parse(self._inner.spell(path))
        if wanted.field is not None:
            if ruling.kind is Kind.HELD_BACK:
                raise self._refusal(path, ruling.rule)
            return self._inner.look_up(path)
        if ruling.kind is Kind.HELD_BACK and not self._substituted:
            raise self._refusal(path, ruling.rule, hint="one field of it may be allowed: name it")
        looked = self._inner.look_up(path)
        return looked and self._guarded(wanted, *looked)

    def _guarded(self, wanted: Wanted, found: Found, fields: Mapping[str, Any]) -> tuple[Found, Any]:
        """A secret that was read as a whole, each field as the policy has it."""
        guarded = {name: self._field(str(wanted._replace(field=name)), one) for name, one in fields.items()}
        entry = found.entry
        if guarded != fields:
            entry = entry._replace(value=json.dumps(guarded, sort_keys=True, ensure_ascii=False).encode())
        return found._replace(entry=entry), guarded

    def _field(self, path: str, value: Any) -> Any:
        """One field of a secret that was read as a whole."""
        ruling = self._rule(path)
        if ruling.kind is Kind.HELD_BACK:
            hint = f"it was read as a whole; name a field that is not: {path.partition('#')[0]}#FIELD"
            raise self._refusal(path, ruling.rule, hint=hint)
        return ruling.value if ruling.kind is Kind.SUBSTITUTED else value

    def decrypted(self, key: str, ciphertext: str) -> bytes | None:
        return self._inner.decrypted(key, ciphertext) if self._may_decrypt(key) else None

    def decrypt(self, key: str, ciphertexts: Sequence[str]) -> list[bytes | SourceError]:
        if not self._may_decrypt(key):
            raise self._refusal(f"/{key}", self._rule(f"/{key}").rule)
        return self._inner.decrypt(key, ciphertexts)

    def _may_decrypt(self, key: str) -> bool:
        return self._rule(f"/{key}").kind is Kind.ALLOWED

    def absent(self, path: str) -> Absent:
        return self._inner.absent(path)

    def paths(self) -> list[str]:
        return self._inner.paths()

    def under(self, prefix: str) -> list[str]:
        return self._inner.under(prefix)

    def below(self, prefix: str) -> list[str]:
        return self._inner.below(prefix)

    def children(self, prefix: str) -> list[str]:
        return self._inner.children(prefix)

    def directories(self, prefix: str) -> list[str]:
        return self._inner.directories(prefix)
