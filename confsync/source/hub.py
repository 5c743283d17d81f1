"""All sources of a configuration, and what each environment shows of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeAlias

from confsync.clock import Clock
from confsync.config.loading import LoadedConfig
from confsync.config.models import Source as SourceConfig
from confsync.config.patterns import Pattern
from confsync.driver import AddressedBackend, Backend, Driver
from confsync.errors import ConfigError, SourceError
from confsync.snapshot import UnreadableView, View
from confsync.source import matching
from confsync.source.changes import Event
from confsync.source.registry import load_backend, open_source
from confsync.source.source import Source
from confsync.text import did_you_mean

if TYPE_CHECKING:
    from confsync.source.addressed import AddressedSource
    from confsync.source.keeping import Keeper

ROOT = ("",)

AnySource: TypeAlias = "Source | AddressedSource"
"""The two kinds: one reads everything under its prefixes, the other what somebody asks for."""


class SourceHub:
    """Opens the sources, follows them in threads of their own where asked to, closes them.

    Args:
        environments: which environments are in use; a source is read under the prefixes these give it.
        known: source name -> prefix -> number of keys accepted before a restart.
        keeper: (source name, whose leases they are) -> where they are kept over a restart; None: nowhere.
        notify: called with each `Event`, from any thread; must not block.
        looking: only look, whatever a view is asked for: nothing is fetched that fetching makes.
        personal: with the credentials of whoever calls, where there are any, instead of those configured.
        partial: of a source of which not everything may be read, what may be will do.
        reuse: an older hub with the same `notify`, whose sources run on here where nothing about them changed.

    Raises:
        ConfigError: a source's backend or options are wrong. Nothing was opened then.
    """

    def __init__(
        self,
        loaded: LoadedConfig,
        environments: Iterable[str | None],
        clock: Clock,
        *,
        known: Callable[[str], Mapping[str, int]] = lambda _: {},
        keeper: Callable[[str, str], Keeper] | None = None,
        notify: Callable[[Event], None] = lambda _: None,
        looking: bool = False,
        personal: bool = False,
        partial: bool = False,
        reuse: SourceHub | None = None,
    ) -> None:
        self._config = loaded.config
        self._threads: dict[str, threading.Thread] = {}
        self._clock, self._keeper, self._notify, self._looking = clock, keeper, notify, looking
        self._partial = partial
        in_use = sorted(set(environments), key=str)
        with ExitStack() as opened:
            self.sources: dict[str, AnySource] = {}
            for name, config in self._config.sources.items():
                wanted = tuple(dict.fromkeys(p for one in in_use for p in self.prefixes(name, one)))
                if reuse is not None and reuse.has(name, config, wanted):
                    self.sources[name] = reuse.sources[name]
                    self._threads |= reuse.following(name)
                    continue
                backend = open_source(loaded, name, personal=personal)
                opened.callback(backend.close)
                self.sources[name] = self._made(name, config, backend, wanted, known)
            opened.pop_all()
        self._is_sensitive = {name: self._sensitivity(name, in_use) for name in self.sources}

    def _made(
        self,
        name: str,
        config: SourceConfig,
        backend: Driver,
        prefixes: tuple[str, ...],
        known: Callable[[str], Mapping[str, int]],
    ) -> AnySource:
        if isinstance(backend, AddressedBackend):
            return self._addressed(name, config, backend)
        assert isinstance(backend, Backend)  # noqa: S101 - there are two kinds
        return Source(
            name,
            backend,
            prefixes,
            guard=self._config.mass_delete,
            clock=self._clock,
            known=known(name),
            partial=self._partial,
            notify=self._notify,
        )

    def _addressed(self, name: str, config: SourceConfig, backend: AddressedBackend) -> AddressedSource:
        # Most configurations have none, and a start without it is quicker.
        from confsync.source.addressed import AddressedSource

        keeper = None
        if config.keep_leases and self._keeper is not None:
            whose = config.model_dump_json(exclude={"sensitive", "revoke"})
            keeper = self._keeper(name, f"{backend.address} {whose}")
        return AddressedSource(
            name,
            backend,
            clock=self._clock,
            revoke=config.revoke or "unless_leased",
            looking=self._looking,
            keeper=keeper,
            notify=self._notify,
        )

    def _sensitivity(self, name: str, in_use: Iterable[str | None]) -> Callable[[str], bool]:
        """What is a secret by one of its names is one by all, whichever environment shows it."""
        config = self._config.sources[name]
        said = load_backend(config.backend).sensitive if config.sensitive is None else config.sensitive
        return matching.in_any_spelling(
            said,
            {prefix for one in (*self._config.environments, *in_use) for prefix in self.prefixes(name, one)},
            of_secrets=not isinstance(self.sources[name], Source),
        )

    def matcher(
        self, source: str, globs: Sequence[str], environment: str | None, *, in_doubt: bool
    ) -> Callable[[str], bool]:
        """Tells whether the value at a path of `source` is one of those named by `globs`.

        Args:
            in_doubt: what to say of a path that can be spelled otherwise, of a secret one of whose fields is named,
                of what is no path: True finds whatever may be meant, False only what is meant for certain.
        """
        of_secrets = not isinstance(self.sources[source], Source)
        if not in_doubt:
            return matching.for_certain(globs, self.prefixes(source, environment), of_secrets=of_secrets)
        # A secret may be asked for from the root, and is then whichever environment's.
        environments = (*self._config.environments, environment) if of_secrets else (environment,)
        every = {prefix for one in environments for prefix in self.prefixes(source, one)}
        return matching.in_any_spelling(globs, every, of_secrets=of_secrets)

    def tells_of_logins(self, source: str, environment: str | None) -> Callable[[str], bool]:
        """Tells whether what an addressed source gives at a path, or may give, is about logins to the store."""
        backend = load_backend(self._config.sources[source].backend)
        globs = backend.logins if issubclass(backend, AddressedBackend) else ()
        return matching.from_root(globs, self.prefixes(source, environment))

    def may_have(self, source: str, pattern: Pattern) -> bool:
        """Whether the one key that a pattern names may be a key of `source`.

        A pattern without a source is for those where it can be one: with `#field` for sources that are asked for one
        secret at a time, else for the others, where there are any.
        """
        if pattern.source is not None:
            return pattern.source == source
        kinds = {name: isinstance(one, Source) for name, one in self.sources.items()}
        whole = "#" not in pattern.key
        return kinds[source] is whole or whole not in kinds.values()

    def has(self, name: str, config: SourceConfig, prefixes: tuple[str, ...]) -> bool:
        """Whether it has a source that is configured just so."""
        source = self.sources.get(name)
        if source is None or self._config.sources[name] != config:
            return False
        return not isinstance(source, Source) or source.prefixes == prefixes

    def following(self, name: str) -> dict[str, threading.Thread]:
        """The thread that follows a source, by its name; nothing where none does."""
        return {name: self._threads[name]} if name in self._threads else {}

    def allow_mass_delete(self) -> None:
        """Believe the present or next mass loss of every source, once."""
        for source in self.sources.values():
            source.allow_mass_delete()

    def waiting(self) -> bool:
        """Whether some source has neither been read nor failed yet."""
        return not all(source.answered for source in self.sources.values())

    def prefixes(self, source: str, environment: str | None) -> tuple[str, ...]:
        """The prefixes of `source` in `environment`, in order; its root where the environment says nothing of it."""
        if environment is None:
            return ROOT
        if environment not in self._config.environments:
            raise ConfigError(
                f"there is no environment {environment!r}{did_you_mean(environment, self._config.environments)}"
            )
        return tuple(self._config.environments[environment].get(source, ROOT))

    def refresh(self) -> dict[str, SourceError]:
        """Read every source once; gives the errors of those that could not be read, by name."""
        failed: dict[str, SourceError] = {}
        for name, source in self.sources.items():
            try:
                source.refresh()
            except SourceError as exc:
                failed[name] = exc
        return failed

    def view(self, source: str, environment: str | None, *, looking: bool = False) -> View:
        """What `environment` shows of `source` now; a view that raises when asked, where it was never read.

        Args:
            looking: only look: what fetching would make (a credential) is not fetched.
        """
        prefixes = self.prefixes(source, environment)
        one = self.sources[source]
        if not isinstance(one, Source):
            return one.view(prefixes, looking=looking)
        try:
            return one.view(prefixes)
        except SourceError as exc:
            return UnreadableView(exc, prefixes)

    def is_sensitive(self, source: str) -> Callable[[str], bool]:
        """Tells whether the value at a relative path of `source` is a secret."""
        return self._is_sensitive[source]

    def follow(self) -> None:
        """Begin to follow every source, each in a thread of its own."""
        for name, source in self.sources.items():
            source.set_guard(
                self._config.mass_delete
            )  # one that runs on has that of the configuration before
            if name not in self._threads:
                self._threads[name] = threading.Thread(
                    target=source.follow, name=f"source-{name}", daemon=True
                )
                self._threads[name].start()

    def resync(self, due: Callable[[str], Collection[str]], used: Callable[[str], Collection[str]]) -> None:
        """Have every source make sure that what it knows is still true.

        Args:
            due: source name -> the paths to look at, where each is asked for on its own.
            used: source name -> all paths that any sync reads.
        """
        for name, source in self.sources.items():
            if isinstance(source, Source):
                source.resync()
            else:
                source.resync(due(name), used(name))

    def close(self, keep: SourceHub | None = None, *, leased: bool = True) -> None:
        """Close every source that `keep` did not take over, and wait for its thread. Idempotent.

        Args:
            leased: also those whose credentials may be in use until others have replaced them.
        """
        kept = set(keep.sources.values()) if keep else set()
        ending = {
            name: source
            for name, source in self.sources.items()
            if source not in kept and (leased or isinstance(source, Source))
        }
        for source in ending.values():
            source.close()
        for name in ending:
            if name in self._threads:
                self._threads[name].join(timeout=5)
