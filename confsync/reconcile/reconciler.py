"""One reconcile of one sync, of what was removed from the configuration, or of everything once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from confsync.config.references import fixed
from confsync.errors import ConfsyncError, Held, NotLeading, TargetTaken
from confsync.ledger.records import State, SyncRecord
from confsync.plan.change import Change
from confsync.reconcile.apply import Applier, Outcome, event, take_away
from confsync.reconcile.assess import Assessment, Assessor, OwnerOf, taken
from confsync.reconcile.claims import Claims
from confsync.reconcile.core import Core
from confsync.reconcile.reloads import ReloadResult, Reloads
from confsync.reconcile.step import Step, Steps
from confsync.target import spec_from_json
from confsync.text import plural

log = logging.getLogger(__name__)

_WRITERS = 4  # overlap their fsyncs; more would only queue for the disk


@dataclass(slots=True)
class Report:
    """What one pass over everything did.

    Attributes:
        outcomes: each sync's, in the configuration's order.
        removed: changes made because a sync is no longer configured.
        reloads: those that were tried.
        held: why a removal waits for confirmation, or None.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    removed: list[Change] = field(default_factory=list)
    reloads: list[ReloadResult] = field(default_factory=list)
    held: ConfsyncError | None = None

    @property
    def changes(self) -> list[Change]:
        """Everything that was changed."""
        return [change for outcome in self.outcomes.values() for change in outcome.changes] + self.removed

    @property
    def in_agreement(self) -> bool:
        """Whether the whole world is as configured."""
        return self.is_good(lambda state: state is State.OK)

    def is_good(self, accepts: Callable[[State], bool]) -> bool:
        """Whether every sync stands in a way that `accepts` says is good, and nothing else failed."""
        fine = all(accepts(outcome.record.state) for outcome in self.outcomes.values())
        return fine and self.held is None and all(result.error is None for result in self.reloads)


@dataclass(slots=True)
class Removals:
    """What became, or would become, of the targets of syncs that are not configured any more.

    Attributes:
        changes: what was removed, or would be.
        failed: sync -> why nothing, or not all of it, could be.
    """

    changes: list[Change] = field(default_factory=list)
    failed: dict[str, ConfsyncError] = field(default_factory=dict)

    @property
    def error(self) -> ConfsyncError | None:
        """One that stands for all that failed."""
        return next(
            (ConfsyncError(f"sync {name!r}, which was removed: {exc}") for name, exc in self.failed.items()),
            None,
        )


class Reconciler:
    """Reconciles with one configuration. `assess` and `apply` may run in several threads, each for another sync.

    Args:
        looking: to only look: nothing is fetched that fetching makes. `apply` must not follow.
        rehearsing: to ask those who keep the targets, such as an API server, if they would take what is wanted.
    """

    def __init__(
        self,
        core: Core,
        *,
        with_diffs: bool = False,
        looking: bool = False,
        rehearsing: bool = False,
        cancelled: threading.Event | None = None,
    ) -> None:
        self.core = core
        self.reloads = Reloads(core, cancelled)
        self._steps = Steps(core, with_diffs=with_diffs, rehearsing=rehearsing)
        self._assessor = Assessor(core, self._steps, looking=looking)
        self._applier = Applier(core, cancelled)
        self._cancelled = cancelled or threading.Event()
        self._claims = Claims()

    def assess(self, name: str, *, allow_mass_delete: bool = False) -> Assessment:
        """What has to happen for one sync; changes nothing."""
        assessment = self._look(
            name, lambda target: self._owner(name, target), allow_mass_delete=allow_mass_delete
        )
        if assessment.error is not None:
            self._claims.keep(name, assessment.targets)
            return assessment
        removed = [step.change.target for step in assessment.steps if step.desired is None]
        conflict = self._claims.take(name, {*assessment.targets, *removed})
        if conflict is None:
            return assessment
        error = taken(conflict, self._claims.owner(conflict) or "another")
        return replace(
            assessment, steps=(), state=State.FAILED, detail=str(error), error=error, identity=None
        )

    def _look(self, name: str, owner_of: OwnerOf, *, allow_mass_delete: bool = False) -> Assessment:
        ledger = self.core.ledger
        return self._assessor.assess(
            name, ledger.sync(name), ledger.targets(name), owner_of, allow_mass_delete=allow_mass_delete
        )

    def _owner(self, name: str, target: str) -> str | None:
        """The sync a target belongs to; one that the ledger names and nobody has looked at yet is asked."""
        owner = self._claims.owner(target)
        if owner is not None:
            return owner
        record = self.core.ledger.target(target)
        if record is None or record.sync == name or record.sync not in self.core.loaded.config.syncs:
            return None
        other = self._look(record.sync, lambda _: None, allow_mass_delete=True)
        return record.sync if other.error is not None or target in other.targets else None

    def apply(self, assessment: Assessment) -> Outcome:
        """Make one sync agree, or leave its targets as they are and say why."""
        outcome = self._applier.apply(assessment)
        if outcome.error is None:
            removed = [step.change.target for step in assessment.steps if step.desired is None]
            self._claims.release(assessment.name, removed)
        return outcome

    def as_recorded(self, name: str) -> bool:
        """Whether every target of a sync is as it was last written."""
        return all(self._steps.as_recorded(target) for target in self.core.ledger.targets(name).values())

    def run_once(
        self,
        names: Sequence[str] | None = None,
        *,
        prune: bool | None = None,
        allow_mass_delete: bool = False,
        reload: bool = True,
        progress: Callable[[str], None] = lambda _: None,
    ) -> Report:
        """Reconcile these syncs once (all, where none are named), then do the reloads owed.

        Args:
            prune: whether what was made for syncs that were removed is, too; by default where no syncs are named.
            reload: whether to do the reloads owed, or to leave them owed.
            progress: called with each sync's name when it is done.
        """
        report = Report()
        self.sweep()
        wanted = list(self.core.loaded.config.syncs) if names is None else list(names)
        with ThreadPoolExecutor(_WRITERS, thread_name_prefix="writer") as writers:
            self._apply_all(wanted, writers, report, progress, allow_mass_delete)
            # What a sync was refused because another had it may be free, now that the other has dropped it.
            again = [
                name for name, outcome in report.outcomes.items() if isinstance(outcome.error, TargetTaken)
            ]
            self._apply_all(again, writers, report, lambda _: None, allow_mass_delete)
        if (names is None if prune is None else prune) and not self._cancelled.is_set():
            self._prune_into(report, allow_mass_delete)
        if reload and not self._cancelled.is_set():
            report.reloads = self.reloads.run()
            self.note_reloads(report)
        for name, source in self.core.hub.sources.items():
            if (counts := source.key_counts()) and not source.held:
                self.core.ledger.put_key_counts(name, counts)
        return report

    def sweep(self) -> None:
        """Remove the staging files of a process that was killed. Call it before anything is staged."""
        if not self.core.unclean:
            return
        specs = [spec_from_json(record.id, record.spec) for record in self.core.ledger.targets().values()]
        sinks = self.core.sinks
        for sink in {sinks.of(spec) for spec in specs}:
            sink.sweep([spec for spec in specs if sinks.of(spec) is sink])

    def _apply_all(
        self,
        names: Iterable[str],
        writers: ThreadPoolExecutor,
        report: Report,
        progress: Callable[[str], None],
        allow: bool,
    ) -> None:
        """Assess one after the other; let the writers overlap what has something to write."""
        waiting: dict[str, Future[Outcome]] = {}
        for name in names:
            if self._cancelled.is_set():
                break
            assessment = self.assess(name, allow_mass_delete=allow)
            if assessment.changes:
                waiting[name] = writers.submit(self.apply, assessment)
                report.outcomes[name] = _PLACEHOLDER
                self._bound(waiting, report, progress)
            else:
                report.outcomes[name] = self.apply(assessment)
                progress(name)
        for name, future in waiting.items():
            report.outcomes[name] = future.result()
            progress(name)

    @staticmethod
    def _bound(waiting: dict[str, Future[Outcome]], report: Report, progress: Callable[[str], None]) -> None:
        """Keep few rendered contents in memory at a time."""
        while len(waiting) > 4 * _WRITERS:
            name = next(iter(waiting))
            report.outcomes[name] = waiting.pop(name).result()
            progress(name)

    def note_reloads(self, report: Report) -> None:
        """Show in a report, and in the ledger, which syncs still owe a reload and which have done it."""
        for result in report.reloads:
            for name, record in self.settle(result).items():
                if name in report.outcomes:
                    outcome = report.outcomes[name]
                    report.outcomes[name] = replace(
                        outcome, record=record, error=result.error or outcome.error
                    )

    def settle(self, result: ReloadResult) -> dict[str, SyncRecord]:
        """Record what a reload that was tried means for its syncs.

        Returns:
            How each of them stands now.
        """
        ledger = self.core.ledger
        with ledger.transaction():
            owing = {debt.sync: debt.error for debt in ledger.owed_reloads()}
            records = {name: ledger.sync(name) for name in result.syncs}
            settled = {
                name: self._settled(record, owing.get(name)) for name, record in records.items() if record
            }
            for name, record in settled.items():
                if record != records[name]:
                    ledger.put_sync(record)
        return settled

    def _settled(self, record: SyncRecord, owed: str | None) -> SyncRecord:
        """How a sync stands that owes a reload, whose last try failed so, or owes none any more (None)."""
        if record.state not in (State.OK, State.OWED):
            return record
        state, detail = (State.OK, "") if owed is None else (State.OWED, f"reload owed: {owed}")
        if (record.state, record.detail) == (state, detail):
            return record
        since = record.since if record.state is state else self.core.clock.now()
        return replace(record, state=state, detail=detail, since=since)

    # What is no longer configured

    def _removals(self) -> tuple[list[Step], dict[str, ConfsyncError]]:
        """What happens to the targets of syncs that are not configured any more, and why it cannot be told of some."""
        steps: list[Step] = []
        failed: dict[str, ConfsyncError] = {}
        for name in self.removed_syncs():
            try:
                steps += self._removals_of(name)
            except ConfsyncError as exc:
                failed[name] = exc
        return steps, failed

    def _removals_of(self, name: str) -> list[Step]:
        return [
            self._steps.removal(record, retain=False, why=f"sync {name!r} was removed")
            for record in self.core.ledger.targets(name).values()
            if record.id not in self._claims and record.id not in self.core.static_targets
        ]

    def removed_syncs(self) -> list[str]:
        """Syncs the ledger knows and the configuration does not."""
        return [name for name in self.core.ledger.sync_names() if name not in self.core.loaded.config.syncs]

    def planned_removals(self) -> Removals:
        """What `prune` would do; changes nothing.

        Raises:
            Held: as `prune`.
        """
        steps, failed = self._removals()
        self._guard_removals(steps, failed)
        if steps:
            self._wait_for_unknown()
        return Removals([step.change for step in steps], failed)

    def prune(self, *, allow_mass_delete: bool = False) -> Removals:
        """Remove what confsync created for syncs that are not configured any more; what fails stops no other sync's.

        Raises:
            Held: it is too much at once, or it is not yet known what other syncs want.
        """
        if not self.removed_syncs():
            return Removals()
        steps, failed = self._removals()
        if not allow_mass_delete:
            self._guard_removals(steps, failed)
        self._wait_for_unknown()
        removals = Removals([], failed)
        for step in steps:
            if step.change.sync in failed:
                continue
            try:
                self._remove(step, removals.changes)
            except NotLeading:
                raise
            except ConfsyncError as exc:
                failed[step.change.sync] = exc
        for name in self.removed_syncs():
            if name in failed:
                self._mark(name, State.FAILED, failed[name])
            else:
                self.core.ledger.forget_sync(name)
        return removals

    def _remove(self, step: Step, done: list[Change]) -> None:
        ledger, change = self.core.ledger, step.change
        if change.action.removes:
            self.core.refuse_unless_writing(f"sync {change.sync!r}")
            take_away(self.core, step)
            done.append(change)
        with ledger.transaction():
            ledger.forget_target(change.target, change.sync)
            ledger.note(change.sync, change.target, event(change), "; ".join(change.reasons))

    def _guard_removals(self, steps: Sequence[Step], failed: Iterable[str]) -> None:
        ledger = self.core.ledger
        deleting = sum(1 for step in steps if step.change.action.removes)
        deleting += sum(len(ledger.targets(name)) for name in failed)  # as far as anybody can tell
        total = len(ledger.targets())
        if self.core.loaded.config.mass_delete.exceeded(deleting, total):
            raise Held(
                f"{deleting} of {plural(total, 'target')} would be deleted at once, since their syncs were removed",
                hint="confirm it with: confsync apply --allow-mass-delete",
            )

    def _wait_for_unknown(self) -> None:
        """A sync that never rendered may want what a removed one left; until it is known, nothing is removed."""
        for name, sync in self.core.loaded.config.syncs.items():
            if all(fixed(self.core.loaded.config, target.spec) for target in sync.to):
                continue
            record = self.core.ledger.sync(name)
            if record is None or record.applied_at is None:
                raise Held(f"removed syncs are not cleaned up until sync {name!r} has been rendered once")

    def _prune_into(self, report: Report, allow: bool) -> None:
        try:
            removals = self.prune(allow_mass_delete=allow)
        except ConfsyncError as exc:
            report.held = exc
            self.mark_removed(State.HELD if isinstance(exc, Held) else State.FAILED, exc)
            return
        report.removed = removals.changes
        report.held = removals.error

    def mark_removed(self, state: State, error: ConfsyncError) -> None:
        """Show the removed syncs as waiting, and for what."""
        for name in self.removed_syncs():
            self._mark(name, state, error)

    def _mark(self, name: str, state: State, error: ConfsyncError) -> None:
        record = self.core.ledger.sync(name)
        if record is not None and (record.state, record.detail) != (state, str(error)):
            self.core.ledger.put_sync(
                replace(record, state=state, detail=str(error), since=self.core.clock.now())
            )


_PLACEHOLDER = Outcome(SyncRecord(""))
