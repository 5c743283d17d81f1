"""Opens what a command needs: configuration, state directory, ledger, sources; and closes it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from confsync.cli.options import Options
from confsync.clock import SystemClock
from confsync.config.loading import LoadedConfig, find_config, load_config
from confsync.errors import ConfigError, ConfsyncError, LedgerError
from confsync.ledger import state_dir
from confsync.ledger.ledger import Ledger, memory_ledger, open_ledger, read_ledger
from confsync.logs import configure
from confsync.reconcile.core import Core
from confsync.source.changes import Event
from confsync.text import did_you_mean

MEMORY = "memory"
_AT_WORK = "at-work"


@dataclass(frozen=True, slots=True)
class Session:
    """A loaded configuration and its ledger.

    Attributes:
        directory: the state directory, or None for a ledger in memory.
        writes: whether the ledger was opened for writing, its lock held.
        unclean: whether the process that held the lock before was killed.
    """

    options: Options
    loaded: LoadedConfig
    ledger: Ledger
    directory: Path | None
    writes: bool
    unclean: bool = False

    @contextmanager
    def core(
        self,
        environments: tuple[str | None, ...] | None = None,
        *,
        personal: bool = False,
        fetching: bool = False,
        notify: Callable[[Event], None] = lambda _: None,
    ) -> Iterator[Core]:
        """The configuration's services; closed at the end.

        Args:
            personal: for whoever calls, who sees what they may: a source may be read in part, with their own
                credentials where there are any, instead of those configured; but --credentials says otherwise.
            fetching: whether what is made when it is fetched may be, by a session that writes nothing.
            notify: as `Core.open` has it.
        """
        core = Core.open(
            self.loaded,
            self.ledger,
            environment=self.options.environment,
            bytecode=self.bytecode,
            environments=environments,
            unclean=self.unclean,
            looking=not self.writes and not fetching,
            personal=personal and not self.options.configured_credentials,
            partial=personal,
            notify=notify,
        )
        try:
            yield core
        finally:
            core.close()

    @property
    def bytecode(self) -> Path | None:
        """Where compiled templates are kept; nowhere for a command that only looks."""
        return self.directory / "bytecode" if self.directory is not None and self.writes else None


def setup_logs(options: Options, level: str = "warning") -> None:
    """Begin logging as the options say."""
    configure("json" if options.log_format == "json" else "text", options.log_level or level)


def state_directory(options: Options, loaded: LoadedConfig) -> Path | None:
    """Where state lives, or None to keep it in memory."""
    said = options.state_dir or loaded.config.state_dir
    if said == MEMORY:
        return None
    if options.state_dir:
        return Path(options.state_dir).absolute()
    if loaded.config.state_dir:
        return loaded.base / loaded.config.state_dir
    return state_dir.default_state_dir(loaded.path)


@contextmanager
def reading(options: Options, *, ledger_needed: bool = True) -> Iterator[Session]:
    """For commands that only look: no lock, nothing written.

    Args:
        ledger_needed: whether what was written before matters; without it the state directory is not touched.
    """
    loaded = load_config(find_config(options.config))
    directory = state_directory(options, loaded)
    clock = SystemClock()
    try:
        ledger = read_ledger(directory, clock) if directory and ledger_needed else memory_ledger(clock)
    except OSError as exc:
        raise LedgerError(
            f"the state directory {directory} cannot be read: {exc.strerror}",
            hint="who runs confsync may read it; or choose another with --state-dir",
        ) from exc
    try:
        yield Session(options, loaded, ledger, directory, writes=False)
    finally:
        ledger.close()


@contextmanager
def writing(options: Options, purpose: str) -> Iterator[Session]:
    """For commands that write: holds the state directory's lock.

    Raises:
        LedgerLocked: another confsync holds it.
    """
    loaded = load_config(find_config(options.config))
    directory = state_directory(options, loaded)
    clock = SystemClock()
    if directory is None:
        ledger = memory_ledger(clock)
        yield Session(options, loaded, ledger, None, writes=True)
        ledger.close()
        return
    state_dir.prepare(directory)
    with state_dir.Lock(directory / "lock").acquire(purpose):
        ledger = open_ledger(directory, clock)
        unclean = ledger.flag(_AT_WORK) is not None
        ledger.put_flag(_AT_WORK, purpose)
        try:
            yield Session(options, loaded, ledger, directory, writes=True, unclean=unclean)
            with suppress(LedgerError):  # the next process looks for leftovers in vain, and that is all
                ledger.put_flag(_AT_WORK, None)
        finally:
            ledger.close()


def begin_state(options: Options) -> None:
    """Make the state directory and its ledger, where there is none yet, as the first apply would.

    Raises:
        ConfigError: state is kept in memory.
        LedgerLocked: another confsync is making it.
    """
    loaded = load_config(find_config(options.config))
    directory = state_directory(options, loaded)
    if directory is None:
        raise ConfigError(
            "a plan is saved for one state directory, and there is none", hint="leave out --state-dir memory"
        )
    if not (directory / "ledger.db").exists():
        with writing(options, "plan"):
            """Nothing more is written."""


def known_syncs(loaded: LoadedConfig, names: tuple[str, ...]) -> list[str] | None:
    """The syncs named, or None for all.

    Raises:
        ConfigError: one does not exist.
    """
    for name in names:
        if name not in loaded.config.syncs:
            raise ConfigError(f"there is no sync {name!r}{did_you_mean(name, loaded.config.syncs)}")
    return list(dict.fromkeys(names)) or None


def split_key(loaded: LoadedConfig, text: str) -> tuple[str | None, str]:
    """`source:path` as (source, path); (None, path) where no source is named. The path is as it was typed.

    Raises:
        ConfigError: there is no such source.
    """
    source, colon, path = text.partition(":")
    if not colon:
        return None, text
    if source not in loaded.config.sources:
        raise ConfigError(f"there is no source {source!r}{did_you_mean(source, loaded.config.sources)}")
    return source, path


def refresh_or_raise(core: Core, source: str | None = None) -> None:
    """Read the sources, or only `source`, and raise the first failure."""
    if source is not None:
        core.hub.sources[source].refresh()
        return
    failed: dict[str, ConfsyncError] = dict(core.hub.refresh())
    for error in failed.values():
        raise error
