"""Everything a reconcile needs, opened and closed together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

from confsync import __version__
from confsync.clock import Clock, SystemClock
from confsync.config.kubernetes import KubernetesTarget, NamespaceSelector
from confsync.config.loading import LoadedConfig
from confsync.config.models import Limits, Sync, TargetSpec
from confsync.config.references import fixed, parse_reference
from confsync.digest import Hasher
from confsync.errors import ConfigError, NotLeading, SinkError
from confsync.ledger.ledger import Ledger
from confsync.render.paths import final_path
from confsync.render.source_view import SourceView
from confsync.sinks import Sinks
from confsync.source.changes import Event
from confsync.source.hub import SourceHub

if TYPE_CHECKING:
    from confsync.render.renderer import Renderer
    from confsync.source.documentation import Documentation
    from confsync.source.keeping import Keeper

_LEASES = "leases:"  # what a ledger's notes of kept leases begin with


@dataclass(frozen=True, slots=True)
class Core:
    """The services of one configuration; a new configuration gets a new core.

    Attributes:
        environment: overrides `defaults.environment`, or None.
        unclean: whether the process before this one was killed, so that there may be staging files of it.
        may_write: whether this process may change the world now: of several replicas one may.
    """

    loaded: LoadedConfig
    ledger: Ledger
    hub: SourceHub
    _renderer: Callable[[], Renderer] = field(repr=False)
    hasher: Hasher
    clock: Clock
    environment: str | None
    sinks: Sinks
    unclean: bool = False
    may_write: Callable[[], bool] = lambda: True
    _static: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    _environments: dict[str | None, str] = field(default_factory=dict, repr=False, compare=False)
    _documentation: dict[str | None, Documentation] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(
        cls,
        loaded: LoadedConfig,
        ledger: Ledger,
        *,
        environment: str | None = None,
        bytecode: Path | None = None,
        clock: Clock | None = None,
        notify: Callable[[Event], None] = lambda _: None,
        environments: tuple[str | None, ...] | None = None,
        reuse: Core | None = None,
        may_write: Callable[[], bool] = lambda: True,
        unclean: bool = False,
        looking: bool = False,
        personal: bool = False,
        partial: bool = False,
    ) -> Self:
        """Open the sources and the renderer; no I/O on any store yet.

        Args:
            environments: which environments to read, by default those the syncs use.
            reuse: the configuration before; what is still the same of its sources and clusters runs on.
            looking: only look: nothing is fetched that fetching makes.
            personal: with the credentials of whoever calls, where there are any, instead of those configured.
            partial: of a source of which not everything may be read, what may be will do.

        Raises:
            ConfigError: a source's backend or options are wrong.
        """
        clock = clock or SystemClock()
        hasher = Hasher(ledger.key)
        default = environment or loaded.config.defaults.environment
        used = (
            environments
            if environments is not None
            else (default, *(s.environment or default for s in loaded.config.syncs.values()))
        )

        def keeper(source: str, owner: str) -> Keeper:
            from confsync.source.keeping import Keeper

            flag = _LEASES + source
            return Keeper(
                lambda: ledger.flag(flag), lambda text: ledger.put_flag(flag, text), ledger.key, owner
            )

        if not looking:
            _forget_leases(loaded, ledger)

        hub = SourceHub(
            loaded,
            used,
            clock,
            known=ledger.key_counts,
            keeper=keeper,
            notify=notify,
            looking=looking,
            personal=personal,
            partial=partial,
            reuse=reuse.hub if reuse else None,
        )
        _refuse_secrets(loaded, hub)
        sinks = Sinks(loaded, ledger.key, clock, reuse.sinks if reuse else None)

        @cache
        def renderer() -> Renderer:
            from confsync.render.library import TemplateFiles
            from confsync.render.renderer import Renderer
            from confsync.source.credentials import credentials_of

            files = TemplateFiles(loaded.template_directories(), hasher)
            withheld = credentials_of(loaded) if personal else frozenset()
            return Renderer(files, loaded.base, hasher, clock, bytecode, withheld)

        return cls(loaded, ledger, hub, renderer, hasher, clock, environment, sinks, unclean, may_write)

    @property
    def renderer(self) -> Renderer:
        """Made when it is first asked for: a command that renders nothing does without it, and without Jinja."""
        return self._renderer()

    def environment_of(self, sync: Sync) -> str | None:
        """The environment a sync reads."""
        return sync.environment or self.environment or self.loaded.config.defaults.environment

    def limits_of(self, sync: Sync) -> Limits:
        """What a render of a sync may use."""
        return sync.limits or self.loaded.config.defaults.limits

    def views(self, environment: str | None, *, looking: bool = False) -> Mapping[str, SourceView]:
        """Each source as `environment` shows it now, each at one revision.

        Args:
            looking: whether nothing may be fetched that fetching makes.
        """
        documentation = self.documentation(environment) if self.loaded.config.keys else None
        return {
            name: SourceView(
                name,
                self.hub.view(name, environment, looking=looking),
                self.hub.is_sensitive(name),
                documentation.rules(name) if documentation else None,
            )
            for name in self.hub.sources
        }

    def documentation(self, environment: str | None) -> Documentation:
        """What is said of keys under `keys`, as it applies to `environment`."""
        from confsync.source.documentation import Documentation  # a start without any is quicker

        if environment not in self._documentation:
            self._documentation[environment] = Documentation(self.loaded, self.hub, environment)
        return self._documentation[environment]

    def spec_digest(self, sync: Sync) -> str:
        """The digest of everything but values and templates that decides a sync's result."""
        environment = self.environment_of(sync)
        if environment not in self._environments:
            sources = [
                f"{name}={self.hub.prefixes(name, environment)}{self.loaded.config.sources[name].sensitive}"
                for name in self.hub.sources
            ]
            rules = self.documentation(environment).digested if self.loaded.config.keys else ()
            self._environments[environment] = "|".join((__version__, str(self.loaded.base), *sources, *rules))
        return self.hasher.parts("spec", self._environments[environment], sync.model_dump_json())

    @property
    def static_targets(self) -> Mapping[str, str]:
        """The targets whose path is written out, and their syncs: wanted even while a sync cannot be rendered."""
        if not self._static:
            from confsync.target import target_id

            for name, sync in self.loaded.config.syncs.items():
                for target in sync.to:
                    for spec in fixed(self.loaded.config, target.spec):
                        self._static[target_id(self._based(spec, name))] = name
        return self._static

    def _based(self, spec: TargetSpec, sync: str) -> TargetSpec:
        """A fixed target, its path absolute."""
        if isinstance(spec, KubernetesTarget):
            return spec
        path = final_path(spec.path, str(self.loaded.base), f"syncs.{sync}.to")
        return spec.model_copy(update={"path": path})

    def selected(self, sync: Sync) -> tuple[str, ...]:
        """The namespaces each target of a sync selects now, one text for each: they decide a result as keys do.

        Raises:
            SinkError: a cluster cannot be asked.
        """
        return tuple(f"{spec.place}: {' '.join(self.sinks.namespaces(spec))}" for spec, _ in _selecting(sync))

    def unmatched(self, sync: Sync) -> str:
        """Which selectors of a sync select nothing, so that it makes less than one may think; in one line."""
        try:
            return "; ".join(
                f"no namespace of cluster {self.sinks.cluster(spec.cluster).name} matches {selector.text}"
                for spec, selector in _selecting(sync)
                if not self.sinks.namespaces(spec)
            )
        except SinkError:
            return ""  # whoever places the targets says why

    def refuse_unless_writing(self, what: str) -> None:
        """Raise `NotLeading` where another replica writes now: `what` is left to it."""
        if not self.may_write():
            raise NotLeading(what)

    def close(self) -> None:
        """Close sources and sinks; the ledger belongs to whoever opened it."""
        self.hub.close()
        self.sinks.close()


def _refuse_secrets(loaded: LoadedConfig, hub: SourceHub) -> None:
    """Raise `ConfigError` where a data map puts into a ConfigMap what is known to be sensitive before it is read."""
    for name, sync in loaded.config.syncs.items():
        if not any(target.kubernetes_config_map for target in sync.to):
            continue
        for key, value in (sync.data or {}).items():
            if not isinstance(value, str):
                continue
            reference = parse_reference(value)
            if hub.is_sensitive(reference.source)(reference.path):
                raise ConfigError(
                    f"{value} is sensitive, and everybody may read a ConfigMap",
                    where=loaded.where(("syncs", name, "data", key)),
                    hint="use kubernetes_secret",
                )


def _forget_leases(loaded: LoadedConfig, ledger: Ledger) -> None:
    """Remove the leases kept for sources that are gone, or do not keep any now: they are secrets."""
    keeping = {name for name, source in loaded.config.sources.items() if source.keep_leases}
    for flag in ledger.flags(_LEASES):
        if flag.removeprefix(_LEASES) not in keeping:
            ledger.put_flag(flag, None)


def _selecting(sync: Sync) -> Iterator[tuple[KubernetesTarget, NamespaceSelector]]:
    """The targets of a sync that name no namespaces, but what they have in common."""
    for target in sync.to:
        spec = target.spec
        if isinstance(spec, KubernetesTarget) and isinstance(spec.namespace, NamespaceSelector):
            yield spec, spec.namespace
