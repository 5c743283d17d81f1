"""The daemon's life: lock, configuration, controller, workers, timers, watches; and an orderly end.

A new configuration is loaded whole and only then replaces the old one. Sources that stay the same keep running, with
what they know; a configuration that is wrong changes nothing, and says why.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from confsync import __version__
from confsync.clock import Clock, SystemClock
from confsync.config.loading import LoadedConfig, config_files, load_config
from confsync.daemon.file_watch import FileWatch
from confsync.daemon.health import Busy, HealthServer
from confsync.daemon.signals import Signals, Wish
from confsync.daemon.timers import Timers
from confsync.errors import ConfsyncError, LedgerError, NotLeading
from confsync.ledger.ledger import Ledger
from confsync.reconcile.apply import Outcome
from confsync.reconcile.assess import Assessment
from confsync.reconcile.controller import PRUNE, Controller
from confsync.reconcile.core import Core
from confsync.reconcile.queue import WorkQueue
from confsync.reconcile.rollouts import cluster_of
from confsync.reconcile.status import status_lines
from confsync.reconcile.workers import Workers
from confsync.source.changes import Event
from confsync.text import plural
from confsync.units import format_duration

if TYPE_CHECKING:
    from confsync.daemon.election import Election

log = logging.getLogger(__name__)

CONFIG = "@config"
DUMP = "@dump"
RETIRE = "@retire"
STANDING = "@standing"
_CONFIRMED = 60.0  # seconds for which a confirmation is believed
_SETTLE = 0.05  # seconds of quiet after which an editor is believed to have finished saving
_ON_DISK = ("file", "directory")  # kinds of targets that are watched as paths
_STUCK = 600.0
_ABANDON = 2.0  # seconds a command that is stopped may take to die


@dataclass(frozen=True, slots=True)
class Settings:
    """How to run.

    Attributes:
        config: the configuration file.
        environment: overrides `defaults.environment`, or None.
        bytecode: directory for compiled templates, or None.
        deadline: seconds that work under way may take to end after SIGTERM.
        allow_mass_delete: believe mass losses, once.
        unclean: whether the process before was killed, and may have left staging files.
    """

    config: Path
    environment: str | None = None
    bytecode: Path | None = None
    deadline: float = 30.0
    allow_mass_delete: bool = False
    unclean: bool = False


class Daemon:
    """Made, run once, gone. The ledger belongs to the caller, who holds its lock."""

    def __init__(self, settings: Settings, ledger: Ledger, clock: Clock | None = None) -> None:
        self._settings = settings
        self._ledger = ledger
        self._clock = clock or SystemClock()
        self._queue = WorkQueue(self._clock, self._lane_of)
        self._reloads = WorkQueue(self._clock, cluster_of)
        self._cancelled = threading.Event()
        self._files = FileWatch(self._on_path, self._on_tree)
        self._timers = Timers(self._on_timer)
        self._swap = threading.RLock()
        self._election: Election | None = None
        self._controller = self._build(None)
        loaded = self._controller.core.loaded
        if loaded.config.election is not None:
            self._election = _election(loaded, self._clock, self._on_standing)
        health = loaded.config.health
        self._busy = Busy(health.stuck if health else _STUCK, self._clock)
        self._health = HealthServer(health.listen, self._not_alive, self._not_ready) if health else None
        self._owners: dict[str, str] = {}
        self._config_texts = self._texts()
        self._forced = False
        self._retired: list[tuple[Controller, Controller]] = []

    @property
    def controller(self) -> Controller:
        """The one that is in charge now."""
        return self._controller

    def run(self, signals: Signals) -> int:
        """Work until told to stop.

        Returns:
            0 after an orderly end, 1 when work had to be abandoned.
        """
        workers = Workers(self._queue, self._handle, "worker")
        reloaders = Workers(self._reloads, self._handle_reload, "reloader")
        if self._health is not None:
            self._health.start()
        self._controller.reconciler.sweep()
        self._files.start()
        self._timers.start()
        self._begin()
        with _ledger_may_fail():  # this configuration is valid, whatever was said of one before
            self._ledger.put_flag("config-error", None)
            self._note_standing()
        workers.start()
        reloaders.start()
        if self._election is not None:
            self._election.start()
        log.info(
            "confsync is running",
            extra={"version": __version__, "syncs": len(self._controller.core.loaded.config.syncs)},
        )
        while (wish := signals.wait()) is not Wish.STOP:
            if wish is Wish.RELOAD:
                self._forced = True
                self._queue.add(CONFIG)
            else:
                self._queue.add(DUMP)
        return self._end(signals, workers, reloaders)

    def _end(self, signals: Signals, workers: Workers, reloaders: Workers) -> int:
        log.info(
            "stopping; work under way is finished first",
            extra={"deadline": format_duration(self._settings.deadline)},
        )
        self._timers.stop()
        self._queue.shut_down()
        deadline = self._clock.monotonic() + self._settings.deadline
        orderly = self._drained(signals, workers, deadline)
        if orderly:
            with _ledger_may_fail():
                self._controller.begin_reloads()
        self._reloads.shut_down()
        orderly = orderly and self._drained(signals, reloaders, deadline)
        self._cancelled.set()
        # Who waits for a cluster that hangs is told now, while there is a ledger to write into.
        for controller in (self._controller, *(old for old, _ in self._retired)):
            controller.core.sinks.close()
        patience = self._clock.monotonic() + _ABANDON
        for some in (workers, reloaders):
            some.join(patience, self._clock)
        self._files.stop()
        with _ledger_may_fail():
            self._keep_counts()
        if self._election is not None:
            # What was abandoned may be writing still: then the others wait as long as the lease says.
            self._election.stop(release=orderly)
        if self._health is not None:
            self._health.stop()
        self._close_retired(all_of_them=True)
        self._controller.core.close()
        if not orderly:
            log.error("stopped with work abandoned; what was begun is finished at the next start")
            return 1
        log.info("stopped")
        return 0

    def _drained(self, signals: Signals, workers: Workers, deadline: float) -> bool:
        """Wait until these have ended; False when that takes too long, or somebody is impatient."""
        while workers.are_alive:
            if self._clock.monotonic() >= deadline:
                return False
            if signals.wait(timeout=0.05) is Wish.STOP:
                log.warning("told to stop again: abandoning work under way")
                return False
        return True

    # Replicas

    def _may_write(self) -> bool:
        """Whether this process may change the world: alone always, as one of several replicas while it leads."""
        return self._election is None or self._election.leading

    def _on_standing(self) -> None:
        """This process leads now, or no longer: what is under way is refused when it comes to write."""
        self._queue.add(STANDING)

    def _take_up(self) -> None:
        """Have `status` know whether this process writes, and look at everything if it does.

        What happened while it stood by was left to the replica that led then.
        """
        self._note_standing()
        self._controller.core.sinks.leadership_changed()
        if self._may_write():
            self._controller.start()

    def _note_standing(self) -> None:
        self._ledger.put_flag("standing-by", None if self._may_write() else "yes")

    def _not_alive(self) -> str | None:
        for queue in (self._queue, self._reloads):
            queue.idle()  # a lock that nobody gives back shows as an answer that never comes
        return self._busy.problem()

    def _not_ready(self) -> str | None:
        if not self._may_write():
            return None  # ready to take over
        left = self._controller.left
        return f"{plural(left, 'sync')} not reconciled yet" if left else None

    # Configuration

    def _build(self, old: Controller | None) -> Controller:
        loaded = load_config(self._settings.config)
        core = Core.open(
            loaded, self._ledger, environment=self._settings.environment, bytecode=self._settings.bytecode,
            clock=self._clock, notify=self._on_source, reuse=old.core if old else None,
            unclean=self._settings.unclean and old is None, may_write=self._may_write,
        )  # fmt: skip
        return Controller(core, self._queue, self._reloads, self._clock, self._cancelled, self._on_applied)

    def _begin(self) -> None:
        """Set the present controller to work."""
        core = self._controller.core
        for path in self._config_places():
            self._files.watch_path(path)
        for directory in core.loaded.template_directories():
            self._files.watch_tree(directory)
        for name in core.loaded.config.syncs:
            for record in self._ledger.targets(name).values():
                self._watch_target(record.id, name)
        core.sinks.follow(self._on_target, self._on_namespaces)
        self._timers.set_intervals(self._controller.intervals())
        if self._settings.allow_mass_delete or self._confirmed():
            log.warning("mass deletions are allowed once")
            self._settings = replace(self._settings, allow_mass_delete=False)
            self._controller.allow_mass_delete()
        self._controller.start()
        core.hub.follow()

    def _close_retired(self, *, all_of_them: bool = False) -> None:
        """Close the sources of configurations before, once what was written with them has been replaced."""
        for old, new in list(self._retired):
            if all_of_them or self._controller.settled or not self._may_write():
                self._retired.remove((old, new))
                old.core.hub.close(keep=self._controller.core.hub)
                old.core.sinks.close(keep=self._controller.core.sinks)

    def _confirmed(self) -> bool:
        """Whether somebody has just confirmed a mass deletion; a note that lay around is not believed."""
        noted = self._ledger.flag("allow-mass-delete")
        if noted is None:
            return False
        with _ledger_may_fail():
            self._ledger.put_flag("allow-mass-delete", None)
        try:
            return self._clock.now() - float(noted) < _CONFIRMED
        except ValueError:
            return False

    def _reload(self) -> None:
        """Take up the configuration as it is now; where it is wrong keep the old one and say why."""
        with self._swap:
            forced, self._forced = self._forced, False
            for path in self._config_places():  # conf.d may be new
                self._files.watch_path(path)
            texts = self._texts()
            if not forced and texts == self._config_texts:
                return
            try:
                new = self._build(self._controller)
            except LedgerError:
                raise
            except ConfsyncError as exc:
                self._config_texts = texts
                for line in str(exc).splitlines():
                    log.error("the new configuration is invalid; the old one stays", extra={"error": line})
                with _ledger_may_fail():
                    self._ledger.put_flag("config-error", str(exc))
                self._controller.resync()
                return
            old, self._controller = self._controller, new
            old.core.hub.close(keep=new.core.hub, leased=False)
            self._retired.append((old, new))
            for section in ("election", "health"):
                if getattr(old.core.loaded.config, section) != getattr(new.core.loaded.config, section):
                    log.warning("this changes at the next start only", extra={"section": section})
            log.info("configuration reloaded", extra={"syncs": len(new.core.loaded.config.syncs)})
            self._begin()
            self._config_texts = texts
            self._queue.add(RETIRE)
            with _ledger_may_fail():
                self._ledger.put_flag("config-error", None)

    def _config_places(self) -> tuple[str, ...]:
        """What to watch for changes of the configuration."""
        directory = self._settings.config.parent
        return str(self._settings.config), str(directory / "conf.d"), str(directory / "..data")

    def _texts(self) -> tuple[tuple[str, bytes], ...]:
        found = []
        try:
            files = config_files(self._settings.config)
        except ConfsyncError as exc:
            return ((str(exc), b""),)
        for path in files:
            try:
                found.append((str(path), path.read_bytes()))
            except OSError:
                found.append((str(path), b""))
        return tuple(found)

    def _lane_of(self, item: str) -> str:
        return self._controller.lane(item)  # of the one that is in charge by then

    # Events, each of which only enqueues

    def _on_source(self, event: Event) -> None:
        self._controller.on_source(event)

    def _on_timer(self, interval: float) -> None:
        controller = self._controller
        controller.core.sinks.expire(tuple(self._owners))
        controller.resync(interval)
        controller.resync_sources(interval)
        self._queue.add(CONFIG)
        with _ledger_may_fail():
            self._keep_counts()

    def _on_path(self, path: str, unwatched: bool) -> None:
        if path in self._config_places():
            self._queue.settle(CONFIG, _SETTLE, 1.0)
        for kind in _ON_DISK:
            self._on_target(f"{kind}:{path}", unwatched)

    def _on_target(self, target: str, unwatched: bool = False) -> None:
        owner = self._owners.get(target)
        if owner is not None:
            self._controller.on_drift(owner, target, unwatched=unwatched)

    def _on_namespaces(self, cluster: str) -> None:
        self._controller.on_namespaces(cluster)

    def _on_tree(self, directory: str, path: str) -> None:
        name = path.removeprefix(directory).lstrip("/")
        # A mounted ConfigMap changes by a link `..data` that is replaced: every file below it may be another.
        swapped = any(part.startswith("..") for part in name.split("/"))
        self._controller.on_templates(None if not name or swapped else {name})

    def _on_applied(self, assessment: Assessment, _: Outcome) -> None:
        if self._retired:
            self._queue.add(RETIRE)
        if assessment.name not in self._controller.core.loaded.config.syncs:
            self._queue.add(PRUNE)  # it was removed while it was written
        for target in assessment.targets:
            if self._watch_target(target, assessment.name):
                # Somebody may have changed it after it was written and before it was watched.
                self._controller.on_drift(assessment.name, target)
        for step in assessment.steps:
            if step.desired is None:
                self._owners.pop(step.change.target, None)
                if step.spec.kind in _ON_DISK:
                    self._files.forget_path(step.spec.place)

    def _watch_target(self, target: str, sync: str) -> bool:
        """Notice what happens to a target; whether that begins only now."""
        kind, _, path = target.partition(":")
        is_new = target not in self._owners
        self._owners[target] = sync
        return (kind in _ON_DISK and self._files.watch_path(path)) or is_new

    def _handle(self, item: str) -> None:
        if item == CONFIG:
            try:
                self._reload()
            except LedgerError:
                self._forced = True  # what could not be begun is begun at the next try
                raise
        elif item == DUMP:
            self._dump()
        elif item == RETIRE:
            self._close_retired()
        elif item == STANDING:
            self._take_up()
        else:
            self._lead(lambda: self._controller.handle(item))

    def _handle_reload(self, identity: str) -> None:
        self._lead(lambda: self._controller.handle_reload(identity))

    def _lead(self, work: Callable[[], None]) -> None:
        """Do what only one of several replicas does; the others leave it, and look at everything when they lead."""
        if not self._may_write():
            return
        try:
            with self._busy.working():
                work()
        except NotLeading as exc:
            log.warning("stopped in the middle of work", extra={"error": str(exc)})

    def _keep_counts(self) -> None:
        for name, source in self._controller.core.hub.sources.items():
            if (counts := source.key_counts()) and not source.held:
                self._ledger.put_key_counts(name, counts)

    def _dump(self) -> None:
        for line in status_lines(self._controller.core):
            log.info("status", extra={"line": line})
        log.info(
            "status ends", extra={"syncs": plural(len(self._controller.core.loaded.config.syncs), "sync")}
        )


def _election(loaded: LoadedConfig, clock: Clock, on_standing: Callable[[], None]) -> Election:
    from confsync.daemon.election import open_election  # which needs a client library

    assert loaded.config.election is not None  # noqa: S101 - it was asked for
    return open_election(loaded.config.election, loaded, clock, on_standing, on_standing)


@contextmanager
def _ledger_may_fail() -> Iterator[None]:
    """For notes that are worth having and not worth dying for: a full disk is told of, and that is all."""
    try:
        yield
    except LedgerError as exc:
        log.error("could not be noted", extra={"error": str(exc)})
