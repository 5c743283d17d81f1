"""The workers that keep everything in agreement: events in, names through the queue, one reconcile at a time each."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from confsync import backoff
from confsync.clock import Clock
from confsync.config.kubernetes import KubernetesTarget, NamespaceSelector
from confsync.config.models import Config, Sync, Wait
from confsync.config.references import cluster_name
from confsync.errors import ConfsyncError, Held, NotLeading, SourceError
from confsync.ledger.records import State
from confsync.reconcile.apply import Outcome, event
from confsync.reconcile.assess import Assessment
from confsync.reconcile.contention import Contention
from confsync.reconcile.core import Core
from confsync.reconcile.dependencies import Dependencies
from confsync.reconcile.queue import WorkQueue
from confsync.reconcile.reconciler import Reconciler, Removals
from confsync.source.changes import Event

log = logging.getLogger(__name__)

RELOADS = "@reloads"
PRUNE = "@prune"
_LOOK = "@look "
_PATIENCE = 2.0  # seconds a reload waits at most for more files to change with it
_GLANCE = 0.02


class Controller:
    """Runs one configuration until it is stopped.

    Args:
        reload_queue: where the identities of the reloads owed go; with workers of its own, since a reload may take
            long.
        on_applied: called after each reconcile, from a worker: new targets to watch for drift.
    """

    def __init__(
        self,
        core: Core,
        queue: WorkQueue,
        reload_queue: WorkQueue,
        clock: Clock,
        cancelled: threading.Event,
        on_applied: Callable[[Assessment, Outcome], None],
    ) -> None:
        self.core = core
        self.dependencies = Dependencies()
        self.reconciler = Reconciler(core, cancelled=cancelled)
        self._contention = Contention(clock)
        self._touched: dict[str, set[str]] = {}
        self._allowed: set[str] = set()
        self._queue = queue
        self._reload_queue = reload_queue
        self._failed_reloads: dict[str, int] = {}
        self._told_reloads: dict[str, str] = {}
        self._clock = clock
        self._on_applied = on_applied
        self._failures: dict[str, int] = {}
        self._reload_wanted: float | None = None
        self._lock = threading.Lock()
        self._first_pass: set[str] = set(core.loaded.config.syncs)
        self._missed: dict[str, list[Callable[[], set[str]]]] = {}
        self._lanes = {
            name: _lane(core.loaded.config, sync) for name, sync in core.loaded.config.syncs.items()
        }

    @property
    def settled(self) -> bool:
        """Whether every sync has been reconciled with this configuration, well or not."""
        return not self._first_pass

    @property
    def left(self) -> int:
        """How many syncs have not been reconciled with this configuration yet."""
        return len(self._first_pass)

    def lane(self, item: str) -> str:
        """The lane of an item of the queue: the clusters it has to do with, which may hang; "" is none."""
        return self._lanes.get(item.removeprefix(_LOOK), "")

    def start(self) -> None:
        """Take up what is known of earlier runs, and look at everything."""
        for name in self.core.loaded.config.syncs:
            record = self.core.ledger.sync(name)  # one at a time: all of them at once would be felt in memory
            if record is not None:
                self.dependencies.put(name, record.reads)
        self._failed_reloads.clear()  # of another configuration, or of a time when another replica led
        if self.core.ledger.owed_reloads():
            self.want_reloads()
        self.resync()

    def allow_mass_delete(self) -> None:
        """Believe the next mass deletion, once for each sync and source."""
        self._allowed |= {*self.core.loaded.config.syncs, PRUNE}
        self.core.hub.allow_mass_delete()
        self.resync()

    def resync(self, interval: float | None = None) -> None:
        """Look at every sync (or those with this interval), whatever happened."""
        due = self._timed(interval)
        with self._queue.together():
            for name in due:
                self._queue.add(name)
        if interval is None or interval == self.core.loaded.config.defaults.interval:
            self._queue.add(PRUNE)

    def _timed(self, interval: float | None) -> list[str]:
        """The syncs with this interval, or all."""
        config = self.core.loaded.config
        own = {name: sync.interval or config.defaults.interval for name, sync in config.syncs.items()}
        return [name for name in own if interval is None or interval == own[name]]

    def resync_sources(self, interval: float) -> None:
        """Have the sources make sure that what they know is still true; of secrets, what these syncs read."""
        due = self._timed(interval)
        self.core.hub.resync(
            lambda source: self.dependencies.paths(source, due),
            self.dependencies.paths,
        )

    def intervals(self) -> set[float]:
        """The distinct resync intervals, in seconds."""
        config = self.core.loaded.config
        return {config.defaults.interval, *(sync.interval for sync in config.syncs.values() if sync.interval)}

    def on_source(self, event: Event) -> None:
        """Something about a source is different."""
        self._tell_those_at_work(lambda: self._concerned(event))
        config = self.core.loaded.config
        woken = self._concerned(event)
        with self._queue.together():
            for name in woken:
                sync = config.syncs.get(name)
                if sync is not None:
                    wait: Wait = sync.wait or config.defaults.wait
                    self._queue.settle(name, wait.min, wait.max)

    def _concerned(self, event: Event) -> set[str]:
        if event.changes is None:
            # A sync that never rendered may want any source; the others want those they read.
            return self.dependencies.of_source(event.source) | self._first_pass | set(self._failures)
        return set().union(
            *(self.dependencies.reading(event.source, paths) for paths in event.changes.values())
        )

    def _tell_those_at_work(self, concerned: Callable[[], set[str]]) -> None:
        """Remember an event for the syncs being assessed: what they are about to have read is not known yet."""
        with self._lock:
            for missed in self._missed.values():
                missed.append(concerned)

    def on_drift(self, name: str, target: str, *, unwatched: bool = False) -> None:
        """Something happened to a target of the sync `name`.

        Args:
            unwatched: nothing tells of what happens to it next; only a reconcile has it watched again.
        """
        pause = self._contention.pause(target)
        if unwatched:
            self._queue.add(name, pause)
            return
        with self._lock:
            self._touched.setdefault(name, set()).add(target)
        self._queue.add(_LOOK + name, pause)

    def on_namespaces(self, cluster: str) -> None:
        """Namespaces of a cluster came, went or were labelled."""
        for name, sync in self.core.loaded.config.syncs.items():
            specs = (target.spec for target in sync.to)
            if any(isinstance(spec, KubernetesTarget) and self._selects(spec, cluster) for spec in specs):
                self._queue.add(name)

    def _selects(self, spec: KubernetesTarget, cluster: str) -> bool:
        selected = isinstance(spec.namespace, NamespaceSelector)
        return selected and cluster_name(self.core.loaded.config, spec) == cluster

    def on_templates(self, names: set[str] | None) -> None:
        """Template files (these, or any) changed, appeared or vanished."""
        self._tell_those_at_work(lambda: self.dependencies.using_template(names))
        woken = self.dependencies.using_template(names) | set(self._failures)
        with self._queue.together():
            for name in woken:
                self._queue.add(name)

    def want_reloads(self) -> None:
        """A reload is owed; do it as soon as nothing else is about to change."""
        with self._lock:
            self._reload_wanted = self._reload_wanted or self._clock.monotonic()
        self._queue.add(RELOADS)

    def handle(self, item: str) -> None:
        """Do what one queue item asks for. Never raises for anything a user, a store or a disk can cause."""
        if item == RELOADS:
            self._reload()
        elif item == PRUNE:
            self._prune()
        elif item.startswith(_LOOK):
            self._look(item.removeprefix(_LOOK))
        elif item in self.core.loaded.config.syncs:
            self._reconcile(item)

    def _look(self, name: str) -> None:
        """Reconcile only if a target is not as it was written.

        Most of what is noticed is our own writing; rendering again because of it would never end where a template
        says what time it is.
        """
        if self._queue.busy(name):
            self._queue.add(_LOOK + name, _GLANCE)
            return
        with self._lock:
            touched = self._touched.pop(name, set())
        pause = min((self._contention.pause(target) for target in touched), default=0.0)
        if pause > 0:
            with self._lock:
                self._touched.setdefault(name, set()).update(touched)
            self._queue.add(_LOOK + name, pause)
        elif name in self.core.loaded.config.syncs and not self.reconciler.as_recorded(name):
            self._queue.add(name)

    def _too_early(self, name: str) -> bool:
        """Whether a source that the sync is known to read has not answered yet; its first answer wakes the sync."""
        sources = self.core.hub.sources
        wanted = self.dependencies.sources(name) or ()
        return name in self._first_pass and any(not sources[one].answered for one in wanted if one in sources)

    def _reconcile(self, name: str) -> None:
        if self._too_early(name):
            return
        waiting = self.core.hub.waiting()
        with self._lock:
            self._missed[name] = []
        assessment = self.reconciler.assess(name, allow_mass_delete=name in self._allowed)
        self.dependencies.put(name, assessment.reads)
        with self._lock:
            missed = self._missed.pop(name)
        if any(name in concerned() for concerned in missed):
            self._queue.add(name)
        if waiting and name in self._first_pass and isinstance(assessment.error, SourceError):
            return  # too early to say anything: the first answer of each source, good or bad, wakes it again
        outcome = self.reconciler.apply(assessment)
        self._first_pass.discard(name)
        if outcome.error is None:
            self._allowed.discard(name)
            self.dependencies.in_order(name)
        self._report(name, assessment, outcome)
        if assessment.steps and self.core.ledger.owed_reloads():
            self.want_reloads()  # whatever became of it: what was written before a failure is owed too
        if outcome.error is not None:
            failures = self._failures[name] = self._failures.get(name, 0) + 1
            self._queue.add(name, backoff.delay(failures))
        elif (self._failures.pop(name, None) is not None) | _was_in_trouble(assessment, outcome):
            log.info("sync works again", extra={"sync": name})
        self._on_applied(assessment, outcome)

    def _report(self, name: str, assessment: Assessment, outcome: Outcome) -> None:
        for change in outcome.changes:
            level = logging.WARNING if change.drift else logging.INFO
            why = "; ".join(change.reasons[:5])
            log.log(
                level, "target " + event(change), extra={"sync": name, "target": change.target, "why": why}
            )
            if change.drift and self._contention.healed(change.target):
                log.warning(
                    "someone else keeps changing a target; backing off",
                    extra={"sync": name, "target": change.target},
                )
        before = assessment.record
        if before is not None and (before.state, before.detail) == (
            outcome.record.state,
            outcome.record.detail,
        ):
            return
        if outcome.record.state in (State.FAILED, State.HELD):
            log.error(
                "sync " + outcome.record.state.value, extra={"sync": name, "error": outcome.record.detail}
            )
        elif outcome.record.state is State.STALE:
            log.warning("sync is stale", extra={"sync": name, "error": outcome.record.detail})
        elif outcome.record.state is State.OK and outcome.record.detail:
            log.warning("sync is in order, but", extra={"sync": name, "note": outcome.record.detail})

    def _reload(self) -> None:
        wanted = self._reload_wanted or self._clock.monotonic()
        if not self._queue.idle(besides=RELOADS) and self._clock.monotonic() - wanted < _PATIENCE:
            self._queue.add(RELOADS, _GLANCE)
            return
        with self._lock:
            self._reload_wanted = None
        self.begin_reloads()

    def begin_reloads(self) -> None:
        """Have every reload that is owed done; one that failed waits for its next try."""
        for identity in self.reconciler.reloads.owed():
            if identity not in self._failed_reloads:
                self._reload_queue.add(identity)

    def handle_reload(self, identity: str) -> None:
        """Try one reload; never raises."""
        result = self.reconciler.reloads.run_one(identity)
        if result is None:
            self._failed_reloads.pop(identity, None)
            return
        if result.error is None:
            self._failed_reloads.pop(identity, None)
            self._told_reloads.pop(identity, None)
            log.info("reloaded", extra={"reload": result.description, "syncs": ", ".join(result.syncs)})
        else:
            if self._told_reloads.get(identity) != str(result.error):
                self._told_reloads[identity] = str(result.error)
                log.error(
                    "reload failed; it stays owed",
                    extra={"reload": result.description, "error": str(result.error)},
                )
            failures = self._failed_reloads[identity] = self._failed_reloads.get(identity, 0) + 1
            self._reload_queue.add(identity, backoff.delay(failures))
        self.reconciler.settle(result)

    def _prune(self) -> None:
        try:
            removals = self.reconciler.prune(allow_mass_delete=PRUNE in self._allowed)
            error = removals.error
        except NotLeading:
            raise
        except ConfsyncError as exc:
            removals, error = Removals(), exc
            self.reconciler.mark_removed(State.HELD if isinstance(exc, Held) else State.FAILED, exc)
        for change in removals.changes:
            why = "; ".join(change.reasons)
            log.info(
                "target " + event(change), extra={"sync": change.sync, "target": change.target, "why": why}
            )
        if error is None:
            self._failures.pop(PRUNE, None)
            self._allowed.discard(PRUNE)
            return
        failures = self._failures[PRUNE] = self._failures.get(PRUNE, 0) + 1
        if failures == 1:
            log.error("removed syncs are not cleaned up", extra={"error": str(error)})
        self._queue.add(PRUNE, backoff.delay(failures))


def _lane(config: Config, sync: Sync) -> str:
    """The clusters a sync has targets in, separated by commas."""
    specs = (target.spec for target in sync.to)
    return ",".join(
        sorted({cluster_name(config, spec) or "" for spec in specs if isinstance(spec, KubernetesTarget)})
    )


def _was_in_trouble(assessment: Assessment, outcome: Outcome) -> bool:
    """Whether a sync that is in order now was not, by what the ledger says: of another configuration, maybe."""
    before = assessment.record
    troubles = (State.FAILED, State.HELD, State.STALE)
    return outcome.record.state is State.OK and before is not None and before.state in troubles
