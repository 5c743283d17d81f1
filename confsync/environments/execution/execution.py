"""One exec from its beginning to its end: what it starts, opens and writes, and that nothing of it is left.

The order matters. First the signals, before there is any thread; then the guardian, which removes what is written
however we end; then what is to become the command, so that it is ready when the values are. Only then is anything read.
Where nothing is watched or on lease the sources are closed again, and the login revoked, before the command starts.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace

from confsync.clock import Clock, SystemClock
from confsync.config.loading import LoadedConfig
from confsync.config.models import Source as SourceConfig
from confsync.driver import AddressedBackend
from confsync.environments.execution.child import Child, Guardian, NotStarted, Start, inherited, too_large
from confsync.environments.execution.following import Follower, follow_leases
from confsync.environments.execution.privacy import be_private
from confsync.environments.execution.provision import Provider, Provision
from confsync.environments.execution.scratch import Scratch, new_path, roots, sweep
from confsync.environments.execution.signalling import Interrupted, Signals
from confsync.environments.execution.starter import NOT_FOUND
from confsync.environments.execution.supervising import Supervisor
from confsync.environments.execution.surroundings import Surroundings, Wanted, our_variables, surround
from confsync.environments.policy import Policy
from confsync.environments.variables import Collected
from confsync.environments.variables.selection import Selection
from confsync.errors import ConfigError, ConfsyncError
from confsync.reconcile.core import Core
from confsync.source.changes import Event
from confsync.source.credentials import credentials_of
from confsync.source.hub import SourceHub
from confsync.source.registry import load_backend
from confsync.source.source import Source
from confsync.text import plural

log = logging.getLogger(__name__)

_CHORES = 10.0  # seconds they may take at the end: to revoke a login, of a store that hangs
PLACEHOLDER = "{files}"
"""What stands for the directory of the files in a command's words."""


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants to run, and how.

    Attributes:
        command: the program and its arguments.
        wanted: which of our own variables it gets.
        selection: which keys are to be variables; None for no others than those of the syncs.
        syncs: the files of these, and the variables of their data maps.
        strict: whether what does not come down keeps the command from being started.
        watch: whether to follow the sources.
        on_change: RESTART, or the signal to send when files change.
        patience: seconds it may take to end after SIGTERM.
    """

    environment: str
    command: Sequence[str]
    selection: Selection | None
    wanted: Wanted
    syncs: Sequence[str]
    strict: bool
    watch: bool
    on_change: int | str
    patience: float


Opened = Callable[[Callable[[Event], None]], AbstractContextManager[Core]]
"""Opens a core that tells of events, and closes it at the end."""


Tell = Callable[[Collected, Policy], None]
"""Says what does not come down, and what stands in for it, before the command starts."""


def execute(order: Order, opened: Opened, tell: Tell, interrupted: Callable[[], bool] = lambda: False) -> int:
    """Run a command with what its environment comes down to, to its end. Call it in the main thread, before any other.

    Args:
        interrupted: whether Ctrl-C came before; it may have been lost to Python code that C calls.

    Returns:
        The command's exit status as a shell has it.

    Raises:
        Interrupted: a signal that is to end us came before it ran.
        NotStarted: the command cannot be started.
        ConfsyncError: what it is to get cannot be had.
    """
    if not order.command[0]:
        raise NotStarted("the command is an empty word", NOT_FOUND, hint="is a variable of a script empty?")
    inheritance = Inheritance(inherited(), our_variables())
    be_private()
    signals: Signals[Provision] = Signals()
    if interrupted():
        raise Interrupted(signal.SIGINT)
    with ExitStack() as stack:
        execution = Execution(order, inheritance, signals, stack, tell)
        execution.prepare(opened)
        return execution.run()


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What our caller has given us, and may be the command's.

    Attributes:
        descriptors: besides 0, 1 and 2.
    """

    descriptors: Sequence[int]
    variables: Mapping[bytes, bytes] = field(repr=False)


class Execution:
    """Belongs to the main thread; what it opens, `stack` closes."""

    def __init__(
        self,
        order: Order,
        inheritance: Inheritance,
        signals: Signals[Provision],
        stack: ExitStack,
        tell: Tell,
    ) -> None:
        self._order = order
        self._inheritance = inheritance
        self._signals = signals
        self._stack = stack
        self._tell = tell
        self._clock: Clock = SystemClock()
        self._path = new_path() if order.syncs else None
        self._guardian = Guardian(self._path, order.patience)
        stack.callback(self._guardian.dismiss)
        self._scratch: Scratch | None = None
        self._sources = stack.enter_context(ExitStack())
        self._follower = Follower(self._clock, signals.put)
        self._start: Start | None = None
        stack.callback(self._forget_start)
        self._start = self._new_start()

    def prepare(self, opened: Opened) -> None:
        """Read and render what the command gets, and write its files.

        Only the reading is done where a signal cuts it short: a store may hang. The rest is a matter of milliseconds.

        Raises:
            ConfsyncError: it cannot be had, or not be written.
            Interrupted: a signal that is to end us came before all was read.
        """
        order = self._order
        core = self._sources.enter_context(opened(self._follower.notice))
        policy = Policy(core.loaded, core.hub, order.environment)
        self._provider = Provider(core, policy, order.environment, order.selection, order.syncs)
        self._provision = self._signals.run(self._provider.provide)
        self._wanted = replace(order.wanted, credentials=credentials_of(core.loaded))
        self._tell(self._provision.collected, policy)
        if order.strict:
            _refuse_withheld(self._provision.collected)
        if self._path is not None:
            self._scratch = Scratch(self._path)
            self._stack.callback(self._scratch.remove)
            self._scratch.switch(self._scratch.stage(self._provision.files))

    def run(self) -> int:
        """Start the command and see it through. Raises `NotStarted`."""
        order = self._order
        supervisor = Supervisor(
            self._signals,
            self._begin,
            self._check,
            self._scratch,
            on_change=order.on_change if order.watch else None,
            patience=order.patience,
            clock=self._clock,
        )
        return supervisor.run(self._provision, self._attend)

    def _begin(self, provision: Provision) -> Child:
        start = self._start = self._start or self._new_start()
        variables = self._surroundings(provision).variables
        self._guardian.look_after(start.pid)  # before it runs, and not before the directory is there
        child = start.become(self._words(), variables)
        self._start = None
        return child

    def _check(self, provision: Provision) -> None:
        """Raise `ConfsyncError` where the command could not be started with this."""
        trouble = too_large(self._words(), self._surroundings(provision).variables)
        if trouble:
            raise ConfsyncError(trouble)

    def _surroundings(self, provision: Provision) -> Surroundings:
        return surround(self._inheritance.variables, provision.variables, self._wanted, self._path)

    def _attend(self) -> None:
        """Do what can wait until the command runs: follow the sources or close them, clean up after others."""
        _tell_own(self._surroundings(self._provision))
        core = self._provider.core
        follows = self._order.watch
        if follows:
            core.hub.follow()
        elif _has_leases(core.hub):
            follows = True
            follow_leases(core.hub)
        if follows:
            self._follower.start(self._provider, self._provision)
            self._stack.callback(self._follower.close)
        chores = threading.Thread(target=self._do_chores, args=(not follows,), name="chores", daemon=True)
        chores.start()
        self._stack.callback(chores.join, _CHORES)

    def _do_chores(self, close: bool) -> None:
        if close:
            self._sources.close()
        sweep(roots())

    def _new_start(self) -> Start:
        return Start(self._inheritance.descriptors, self._signals.before)

    def _forget_start(self) -> None:
        if self._start is not None:
            self._start.forget()

    def _words(self) -> list[str]:
        if self._path is None:
            return list(self._order.command)
        return [word.replace(PLACEHOLDER, self._path) for word in self._order.command]


def for_one_command(loaded: LoadedConfig) -> LoadedConfig:
    """The configuration, with logins and leases that end with us: nobody has a use for them then."""
    sources = {
        name: source.model_copy(update={"revoke": "always", "keep_leases": None})
        if _logs_in(source) and source.revoke != "never"
        else source
        for name, source in loaded.config.sources.items()
    }
    return replace(loaded, config=loaded.config.model_copy(update={"sources": sources}))


def _logs_in(source: SourceConfig) -> bool:
    try:
        return issubclass(load_backend(source.backend), AddressedBackend)
    except ConfigError:
        return False  # who opens it says what is wrong, and where


def _has_leases(hub: SourceHub) -> bool:
    return any(not isinstance(source, Source) and source.has_leases for source in hub.sources.values())


def _refuse_withheld(collected: Collected) -> None:
    """Raise `ConfsyncError` where something is held back or denied."""
    if collected.held_back or collected.denied:
        held, denied = plural(len(collected.held_back), "key"), plural(len(collected.denied), "key")
        raise ConfsyncError(f"--strict: {held} held back, {denied} denied; nothing was started")


def _tell_own(surroundings: Surroundings) -> None:
    if surroundings.overridden:
        log.info(
            "of your variables these have other values", extra={"names": " ".join(surroundings.overridden)}
        )
    if surroundings.withheld:
        log.info(
            "your credentials stay here; give one with --keep",
            extra={"names": " ".join(surroundings.withheld)},
        )
