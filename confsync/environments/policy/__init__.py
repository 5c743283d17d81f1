"""What of an environment may come down to a laptop: the configuration's `local` section, applied.

A value comes down only where a rule lets it: in doubt (another spelling, a path that is none) it is held back.

rules.py     what the rules name    guarded_views.py   what is left of a source's view
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from confsync.config.loading import LoadedConfig
from confsync.environments.policy.guarded_views import AddressedGuard, EnumerableGuard, LoginGuard
from confsync.environments.policy.rules import Kind, Reader, RulePlaces, Ruling
from confsync.errors import ConfigError
from confsync.render.source_view import SourceView
from confsync.snapshot import View
from confsync.source.hub import SourceHub

if TYPE_CHECKING:
    from confsync.reconcile.core import Core

__all__ = ["Kind", "Policy", "Ruling", "StandIn"]

_FREE = Ruling(Kind.ALLOWED)


class StandIn(NamedTuple):
    """A substitute.

    Attributes:
        places: (source, path): the keys it may stand in for; of several that which exists, else the first.
    """

    rule: str
    places: Sequence[tuple[str, str]]


class Policy:
    """The rules for one environment. Thread-safe; asks no store.

    Raises:
        ConfigError: a rule names nothing that there can be; or some environments have rules, and none is named.
    """

    def __init__(self, loaded: LoadedConfig, hub: SourceHub, environment: str | None) -> None:
        if environment is None and loaded.config.local:
            raise ConfigError("what may come down is said for each environment, under local: say which one")
        self._environment = environment
        self._hub = hub
        said = loaded.config.local.get(environment) if environment is not None else None
        self._rules = {}
        self._places = RulePlaces(loaded)
        if environment is not None and said is not None:
            reader = Reader(loaded, hub, environment, said, self._places)
            self._rules = {name: reader.rules(name) for name in hub.sources}

    def ruling(self, source: str, path: str) -> Ruling:
        """What becomes of the key at `path`, as an environment shows it, of `source`."""
        rules = self._rules.get(source)
        return (rules.ruling(path) if rules is not None else None) or _FREE

    def closes(self, source: str, secret: str | None = None) -> str | None:
        """The rule by which nothing of a source, or of one secret of it, comes down but substitutes; else None.

        What it closes need not be asked for.
        """
        rules = self._rules.get(source)
        if rules is None:
            return None
        rule = rules.closing if secret is None else rules.closes(secret)
        return rule.name if rule is not None else None

    def place(self, rule: str) -> str:
        """Where a rule, by its name, is written: `confsync.yaml:12:5`."""
        return self._places.of(rule)

    def idle(self, keys: Iterable[tuple[str, str]]) -> Sequence[str]:
        """The patterns of `deny` and `allow` that name nothing, in their order, as rules: a slip of the pen, perhaps.

        Args:
            keys: (source, path) of every key there is; for a secret that was not read its own path.
        """
        paths: dict[str, list[str]] = {source: [] for source in self._rules}
        for source, path in keys:
            if source in paths:
                paths[source].append(path)
        names = dict.fromkeys(rule.name for rules in self._rules.values() for rule in rules.patterns)
        for source, rules in self._rules.items():
            idle = () if rules.closing is not None else set(rules.idle(paths[source]))
            own = {rule.name for rule in rules.patterns}
            names = dict.fromkeys(name for name in names if name not in own or name in idle)
        return list(names)

    def stand_ins(self) -> Sequence[StandIn]:
        """The substitutes for keys that the environment shows, or would show if they existed."""
        places: dict[str, list[tuple[str, str]]] = {}
        for source, rules in self._rules.items():
            for one in rules.substitutes:
                if one.shown:
                    places.setdefault(one.rule.name, []).append((source, one.path))
        return [StandIn(rule, keys) for rule, keys in places.items()]

    def view(self, source: str, view: View) -> View:
        """What of `view` may come down: what is held back raises `HeldBack`, substitutes stand in for what is.

        Whatever the rules, what a store tells of logins is held back: a template could hand on the caller's own.
        """
        rules = self._rules.get(source)
        if view.by_request:
            view = LoginGuard(source, view, self._hub.tells_of_logins(source, self._environment))
        if rules is None:
            return view
        return (AddressedGuard if view.by_request else EnumerableGuard)(source, view, rules)

    def sources(self, core: Core, *, looking: bool = True) -> Mapping[str, SourceView]:
        """Each source as a render that stays on a laptop sees it."""
        return {
            name: replace(one, view=self.view(name, one.view), is_sensitive=partial(self._is_sensitive, one))
            for name, one in core.views(self._environment, looking=looking).items()
        }

    def _is_sensitive(self, source: SourceView, path: str) -> bool:
        return self.ruling(source.name, path).kind is not Kind.SUBSTITUTED and source.is_sensitive(path)
