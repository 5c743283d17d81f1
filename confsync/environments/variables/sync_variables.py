"""The variables of syncs: of a data map by its names, of templates the keys they read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from confsync.config.models import DataValue, Sync
from confsync.config.references import Reference, parse_reference
from confsync.environments.policy import Kind
from confsync.environments.policy.noting_views import DiscoveringView, NotingView
from confsync.environments.policy.shown import is_whole
from confsync.environments.variables.gathering import Gathering
from confsync.environments.variables.source_variables import fields_of
from confsync.errors import ConfigError, Denied, HeldBack, RenderError, SourceError
from confsync.render.formats.names import VARIABLE, suggestion
from confsync.render.refused_field import RefusedField
from confsync.render.renderer import RenderFailed, Rendering
from confsync.render.source_view import SourceView
from confsync.snapshot import Found
from confsync.text import did_you_mean, printable


def gather_syncs(gathering: Gathering, *, fetching: bool) -> None:
    """The variables of the syncs that are wanted.

    Args:
        fetching: whether what is made when it is fetched may be made, for data maps.

    Raises:
        ConfigError: there is no such sync.
        ConfsyncError: a source cannot be asked, or which keys a template reads cannot be told.
    """
    syncs = gathering.core.loaded.config.syncs
    names = list(dict.fromkeys(gathering.selection.syncs))
    for name in names:
        if name not in syncs:
            raise ConfigError(f"there is no sync {name!r}{did_you_mean(name, syncs)}")
    for source in gathering.core.hub.sources:
        if gathering.policy.closes(source) is None:
            with suppress(
                SourceError
            ):  # whether it is needed shows when it is asked for something: then it is raised
                gathering.core.hub.sources[source].refresh()
    maps = _Maps(gathering, fetching)
    for name in names:
        maps.gather(name, syncs[name])
        if syncs[name].template is not None or syncs[name].templates is not None:
            _gather_reads(gathering, name, syncs[name])


@dataclass(slots=True)
class _Maps:
    """Data maps, one entry at a time: one that may not be read is told of, the others come down.

    Attributes:
        views: as the policy shows the sources to every entry, so that parts of one secret fit together.
        said: name of a variable -> how the first sync says it: two that say the same do not contradict each other.
    """

    gathering: Gathering
    fetching: bool
    views: Mapping[str, SourceView] = field(init=False)
    said: dict[str, DataValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.views = self.gathering.policy.sources(self.gathering.core, looking=not self.fetching)

    def gather(self, name: str, sync: Sync) -> None:
        """The entries of one sync's data map, if it has one."""
        if sync.data is not None and sync.for_each is not None:
            self.gathering.problems.append(
                f"sync {name} has a data map for each item: its variables would have one name"
            )
            return
        for entry, said in (sync.data or {}).items():
            if not VARIABLE.fullmatch(entry):
                hint = f" ({suggestion(entry)})" if suggestion(entry) else ""
                problem = f"{printable(entry)!r} is no name for a variable{hint}"
                self.gathering.problems.append(f"sync {name}: {problem}")
            elif self.said.get(entry) != said and not self._is_left_out(said):
                self.said.setdefault(entry, said)
                self._gather_entry(name, sync, entry, said)

    def _is_left_out(self, said: DataValue) -> bool:
        reference = _reference(said)
        return reference is not None and not self.gathering.selector.wants(reference.source, reference.path)

    def _gather_entry(self, name: str, sync: Sync, entry: str, said: DataValue) -> None:
        gathering, key = self.gathering, f"{name}.{entry}"
        noting = {source: NotingView(view.view) for source, view in self.views.items()}
        try:
            content, sensitive = self._made(name, sync, entry, noting)
        except HeldBack as exc:
            gathering.hold_back(f"{key} ({printable(exc.key or '')})", exc.rule)
        except Denied as exc:
            self._deny(key, said, exc)
        except RenderError as exc:
            if not self._leave_unfetched(key, noting):
                gathering.problems.append(str(exc))
        else:
            if not self._leave_unfetched(key, noting):
                gathering.add_variable(
                    entry,
                    content,
                    key,
                    sensitive=sensitive or _is_secret(sync),
                    rule=self._rule(said),
                    advice='encode it: {template: "{{ …|b64encode }}"}',
                )

    def _made(
        self, name: str, sync: Sync, entry: str, noting: Mapping[str, NotingView]
    ) -> tuple[bytes, bool]:
        """The value of one entry, and whether it is sensitive."""
        core = self.gathering.core
        views = {source: replace(view, view=noting[source]) for source, view in self.views.items()}
        try:
            return core.renderer.entry(name, sync, entry, core.limits_of(sync), views)
        except RenderFailed as exc:
            raise exc.error from None

    def _deny(self, key: str, said: DataValue, error: Denied) -> None:
        gathering, reference = self.gathering, _reference(said)
        gathering.deny(key, error.message)
        documented = reference and gathering.documentation.of(reference.source, reference.path)
        if documented and documented.required_in(gathering.environment):
            gathering.problems.append(f"{key} is required in {gathering.environment}: {error.message}")

    def _leave_unfetched(self, key: str, noting: Mapping[str, NotingView]) -> bool:
        """Note an entry that needs what is made when it is fetched; whether it does."""
        answers = [one for view in noting.values() for one in view.noted.values()]
        unfetched = any(isinstance(one, tuple) and not one[0].fetched for one in answers)
        if unfetched:
            self.gathering.leave_unfetched(key)
        return unfetched

    def _rule(self, said: DataValue) -> str:
        """The rule that puts something else in the place of a referenced key, or ""."""
        reference = _reference(said)
        if reference is None:
            return ""
        ruling = self.gathering.policy.ruling(reference.source, reference.path)
        return ruling.rule if ruling.kind is Kind.SUBSTITUTED else ""


def _reference(said: DataValue) -> Reference | None:
    return parse_reference(said) if isinstance(said, str) else None


def _gather_reads(gathering: Gathering, name: str, sync: Sync) -> None:
    """The keys that a sync's templates read.

    They are rendered with a placeholder for what may not be read, so that one such key does not hide the others.
    """
    sources = gathering.policy.sources(gathering.core)
    views = {source: DiscoveringView(one.view) for source, one in sources.items()}
    # What is said of keys is looked at when they are taken: of a placeholder nothing is true.
    discovering = {source: replace(one, view=views[source], rules=None) for source, one in sources.items()}
    templates = sync.model_copy(update={"data": None}) if sync.templates is not None else sync
    try:
        _rendered(gathering, name, templates, discovering)
    except RenderError as exc:
        gathering.problems.append(_unknown(name, exc, views.values()))
    for source, view in views.items():
        for path in sorted(view.noted):
            _Read(gathering, source, secret=_is_secret(sync)).take(path, view.noted[path])
    lacking = {
        (source, gathering.shown(source, path))
        for source, view in views.items()
        for path, one in view.noted.items()
        if one is None or isinstance(one, Denied)
    }
    gathering.require(
        lambda source, path: (
            not lacking.isdisjoint({(source, path), (source, path.partition("#")[0])})
            and gathering.selector.wants(source, path)
        )
    )


def _unknown(name: str, error: RenderError, views: Iterable[DiscoveringView]) -> str:
    """That it cannot be told which keys a sync reads."""
    withheld = next((view.withheld for view in views if view.withheld), None)
    if withheld is None:
        return str(error)
    return (
        f"sync {name}: which keys its templates read cannot be told: {error.message} "
        f"(a placeholder stood for what may not be read: {withheld.message})"
    )


@dataclass(frozen=True, slots=True)
class _Read:
    """What templates asked a source for.

    Attributes:
        secret: whether it goes where secrets are kept.
    """

    gathering: Gathering
    source: str
    secret: bool

    def take(self, path: str, answer: tuple[Found, Any] | SourceError | None) -> None:
        """One key or secret, and what came of it."""
        gathering = self.gathering
        path = gathering.shown(self.source, path)
        key = f"{self.source}:{path}"
        if answer is None or not self._is_wanted(path):
            return
        if isinstance(answer, SourceError):
            self._refuse(path, answer)
        elif not answer[0].fetched:
            gathering.leave_unfetched(key)
        elif isinstance(answer[1], Mapping):
            self._take_fields(path, answer[1])
        else:
            gathering.take(self.source, path, answer[0].entry.value, secret=self.secret)

    def _is_wanted(self, path: str) -> bool:
        selector, hub = self.gathering.selector, self.gathering.core.hub
        if is_whole(self.source, hub) or "#" in path:
            return selector.wants(self.source, path)
        return selector.may_want(self.source, path)

    def _refuse(self, path: str, error: SourceError) -> None:
        key = f"{self.source}:{path}"
        if (self.source, path) in self.gathering.seen or any(key == one.key for one in self.gathering.denied):
            return
        if isinstance(error, HeldBack):
            self.gathering.seen.add((self.source, path))
            self.gathering.hold_back(key, error.rule)
        else:
            self.gathering.deny(key, error.message)

    def _take_fields(self, secret: str, fields: Mapping[str, Any]) -> None:
        for name, one in fields.items():
            if isinstance(one, RefusedField):
                self._refuse(f"{secret}#{name}", one.error)
        may_be_used = {name: one for name, one in fields.items() if not isinstance(one, RefusedField)}
        for path, value in fields_of(secret, may_be_used):
            if self.gathering.selector.wants(self.source, path):
                self.gathering.take(self.source, path, value, secret=self.secret)


def _is_secret(sync: Sync) -> bool:
    """Whether what a sync makes is secret, whatever it is made of."""
    return sync.sensitive or any(target.kubernetes_secret for target in sync.to)


def _rendered(gathering: Gathering, name: str, sync: Sync, sources: Mapping[str, SourceView]) -> Rendering:
    """A sync rendered for nobody but us."""
    core = gathering.core
    try:
        return core.renderer.render(name, sync, core.limits_of(sync), sources, {})
    except RenderFailed as exc:
        raise exc.error from None
