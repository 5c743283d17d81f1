"""Carry out an assessment: stage all, check all, note the intention, commit all or take back, record.

The order is what makes a crash harmless. Before the first target is replaced, the ledger says durably what is about to
be written and which reloads will be owed; whatever happens then, the next run knows what is ours, finds content that is
wholly old or wholly new, finishes the writing and does the reloads.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TypeVar

from confsync.actions import identity as reload_identity
from confsync.actions import run_check
from confsync.config.models import Sync
from confsync.errors import ConfsyncError, NotLeading, SinkError
from confsync.ledger.records import OwedReload, State, SyncRecord, TargetRecord
from confsync.plan.change import Action, Change
from confsync.reconcile.assess import Assessment
from confsync.reconcile.at_once import at_once
from confsync.reconcile.core import Core
from confsync.reconcile.rollouts import rollouts_of
from confsync.reconcile.secrets import secrets_in
from confsync.reconcile.step import Step
from confsync.redact import redactor
from confsync.sinks.base import Staged
from confsync.target import TargetSpec

log = logging.getLogger(__name__)

S = TypeVar("S")
T = TypeVar("T")

_AT_ONCE = 8
_MOST_TOLD = 5  # targets that could not be put back


@dataclass(frozen=True, slots=True, eq=False)
class _Write:
    """A target that is written, and what was staged for it."""

    step: Step
    staged: Staged


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one sync.

    Attributes:
        record: how it stands now; equal to what the ledger has.
        changes: what was changed, in order.
        error: why it failed, or None.
    """

    record: SyncRecord
    changes: tuple[Change, ...] = ()
    error: ConfsyncError | None = None


class Applier:
    """Carries out assessments; thread-safe, but one sync at a time belongs to one thread."""

    def __init__(self, core: Core, cancelled: threading.Event | None = None) -> None:
        self._core = core
        self._cancelled = cancelled

    def apply(self, assessment: Assessment) -> Outcome:
        """Make the world as the assessment says, or leave it as it is and say why.

        Raises:
            NotLeading: another replica writes now; what was begun is finished by whoever leads.
        """
        if assessment.error is not None:
            return Outcome(
                self._record(assessment, assessment.state, assessment.detail), error=assessment.error
            )
        if not assessment.steps and assessment.postponed is None and _is_news_free(assessment):
            assert assessment.record is not None  # noqa: S101 - that is part of being free of news
            return Outcome(assessment.record)
        redact = redactor(self._secrets(assessment))
        try:
            done, failure = self._carry_out(assessment, redact)
            with self._core.ledger.transaction():
                self._settle(assessment, done)
                if failure is None:
                    record = self._record(assessment, assessment.state, assessment.detail, done=True)
                else:
                    record = self._record(assessment, State.FAILED, redact(str(failure)))
        except NotLeading:
            raise
        except ConfsyncError as exc:
            return Outcome(self._record(assessment, State.FAILED, redact(str(exc))), error=exc)
        changed = tuple(step.change for step in done if step.change.action.is_change)
        return Outcome(record, changed, failure)

    def _secrets(self, assessment: Assessment) -> Iterator[str | bytes]:
        """What no message may have in it: what was rendered, and what is in the targets that are to be replaced."""
        yield from assessment.secrets
        specs = [step.spec for step in assessment.steps if step.change.sensitive]
        yield from secrets_in(self._core, assessment.name, assessment.sync, assessment.reads, specs)

    def _carry_out(
        self, assessment: Assessment, redact: Callable[[str], str]
    ) -> tuple[list[Step], ConfsyncError | None]:
        """Write all or nothing, then remove what is no longer wanted.

        Returns:
            The steps that are done, and why some removals are not.
        """
        writes = [
            step for step in assessment.steps if step.desired is not None and step.change.action.is_change
        ]
        with ExitStack() as stack:
            staged = self._stage(writes, stack)
            for one in staged:
                self._check(assessment, one, redact)
            self._core.refuse_unless_writing(f"sync {assessment.name!r}")
            self._commit(assessment, staged, self._intend(assessment, writes))
            not_removed, failure = self._remove(assessment)
        return [
            step for step in assessment.steps if not any(step is one for one in not_removed)
        ], failure or assessment.postponed

    def _stage(self, writes: Sequence[Step], stack: ExitStack) -> list[_Write]:
        """Stage all, or nothing; what is staged is closed with `stack`."""
        sinks, undoable = self._core.sinks, len(writes) > 1

        def stage(step: Step) -> _Write:
            assert step.desired is not None  # noqa: S101 - a write has something to write
            sink = sinks.of(step.spec)
            if self._core.unclean and step.record is None:
                sink.sweep([step.spec])  # a killed process may not have come to record it
            staged = sink.stage(step.desired, undoable=undoable, created=step.created, formerly=step.formerly)
            return _Write(step, staged)

        staged, failures = self._of_each(stage, writes, lambda step: step.spec)
        for one in staged:
            stack.callback(one.staged.close)
        if failures:
            raise failures[0]
        return staged

    def _of_each(
        self, act: Callable[[S], T], things: Sequence[S], spec_of: Callable[[S], TargetSpec]
    ) -> tuple[list[T], list[ConfsyncError]]:
        """Do it for each, up to the first failure; several at once of those that are mostly waiting.

        Returns:
            What those gave that succeeded, and the failures: more than one where several were under way.
        """
        remote: list[S] = []
        local: list[S] = []
        for thing in things:
            (remote if self._core.sinks.of(spec_of(thing)).remote else local).append(thing)
        done, failures = at_once(act, remote, _AT_ONCE)
        if failures:
            return done, failures
        try:
            done += map(act, local)
        except ConfsyncError as exc:
            return done, [exc]
        return done, []

    def _check(self, assessment: Assessment, write: _Write, redact: Callable[[str], str]) -> None:
        step = write.step
        if not step.change.action.writes_content:
            return
        for check in assessment.sync.check:
            run_check(
                check,
                staged=write.staged.path,
                path=step.spec.place,
                redact=redact,
                cancelled=self._cancelled,
            )

    def _intend(self, assessment: Assessment, writes: Sequence[Step]) -> set[str]:
        """Note durably what is about to be written, and that its reloads will be owed.

        Returns:
            The reloads that were not owed before.
        """
        if not writes:
            return set()
        ledger = self._core.ledger
        before = {debt.identity for debt in ledger.owed_reloads() if debt.sync == assessment.name}
        owed = _owed(assessment.sync, writes)
        with ledger.transaction(durable=bool(owed) or any(step.record is None for step in writes)):
            for step in writes:
                ledger.put_target(self._intended(assessment.name, step))
            self._owe(assessment.name, owed)
        return owed - before

    def _owe(self, sync: str, identities: Iterable[str]) -> None:
        now = self._core.clock.now()
        for identity in sorted(identities):
            self._core.ledger.owe_reload(OwedReload(sync, identity, now))

    def _target(self, sync: str, step: Step) -> TargetRecord:
        """The row of a target as it is when its step is done."""
        before, change = step.record, step.change
        created = step.created or (before is None and change.action is Action.CREATE)
        written = (
            self._core.clock.now() if change.action.is_change else (before.written_at if before else None)
        )
        return TargetRecord(
            change.target, sync, step.spec.model_dump_json(), change.after, change.attributes or {}, created,
            bool(step.desired and step.desired.sensitive), written,
        )  # fmt: skip

    def _intended(self, sync: str, step: Step) -> TargetRecord:
        """The row of a target while it is being written: what is there is ours if it was, or once it is done."""
        before, row = step.record, self._target(sync, step)
        previous = None if before is None else before.previous if before.intended else before.digest
        # What is there may be secret still, though what is to be there is not.
        return replace(row, intended=True, previous=previous, sensitive=step.change.sensitive)

    def _commit(self, assessment: Assessment, writes: Sequence[_Write], owed: set[str]) -> None:
        def commit(one: _Write) -> _Write:
            self._core.refuse_unless_writing(f"sync {assessment.name!r}")
            one.staged.commit()
            for note in one.staged.notes:
                log.warning("target written, but", extra={"target": one.step.change.target, "note": note})
            return one

        done, failures = self._of_each(commit, writes, lambda one: one.step.spec)
        refused = next((failure for failure in failures if not isinstance(failure, SinkError)), None)
        if refused is not None:
            raise refused
        if failures:
            self._take_back(
                assessment.name, [e for e in failures if isinstance(e, SinkError)], writes, done, owed
            )

    def _take_back(
        self,
        name: str,
        errors: Sequence[SinkError],
        writes: Sequence[_Write],
        done: Sequence[_Write],
        owed: set[str],
    ) -> None:
        """Undo what was committed before the first error, and raise it; what cannot be undone stays intended."""
        self._core.refuse_unless_writing(f"sync {name!r}")
        stuck = self._put_back(done)
        ledger, error = self._core.ledger, errors[0]
        # What may have been written though no answer came stays intended, and its reloads stay owed.
        unknown = any(one.unknown for one in errors)
        open_ended = set(stuck) | ({*_targets(writes)} - {*_targets(done)} if unknown else set())
        with ledger.transaction():
            for step in (one.step for one in writes if one.step.change.target not in open_ended):
                if step.record is None:
                    ledger.forget_target(step.change.target, name)
                else:
                    ledger.put_target(step.record)
            for identity in () if open_ended else owed:
                ledger.settle_reload(name, identity)
        note = f"; {'; '.join([*stuck.values()][:_MOST_TOLD])}" if stuck else ""
        raise SinkError(
            error.target, error.message.removeprefix(f"{error.target}: ") + note, hint=error.hint
        ) from error

    def _put_back(self, done: Sequence[_Write]) -> dict[str, str]:
        """Undo what was committed, newest first; gives target -> why it could not be.

        Nobody is waited for twice: after the first that does not answer, those of its kind are left.
        """
        stuck: dict[str, str] = {}
        silent: set[str] = set()

        def put_back(one: _Write) -> None:
            target = one.step.change.target
            if _keeper(target) in silent:
                stuck[target] = f"{target} was not put back"
                return
            try:
                one.staged.rollback()
            except SinkError as exc:
                stuck[target] = f"{target} could not be put back ({exc.message})"
                if exc.unanswered:
                    silent.add(_keeper(target))

        self._of_each(put_back, list(reversed(done)), lambda one: one.step.spec)
        return stuck

    def _remove(self, assessment: Assessment) -> tuple[list[Step], ConfsyncError | None]:
        """Remove what is no longer wanted, after everything wanted is in place.

        Returns:
            What could not be removed, which is tried again, and why the first of it could not.
        """
        removals = [step for step in assessment.steps if step.change.action.removes]
        if removals:
            self._owe(assessment.name, _owed(assessment.sync, removals))
        left: list[Step] = []
        first: ConfsyncError | None = None
        for step in removals:
            self._core.refuse_unless_writing(f"sync {assessment.name!r}")
            try:
                take_away(self._core, step)
            except SinkError as exc:
                left.append(step)
                first = first or exc
        return left, first

    def _settle(self, assessment: Assessment, done: Sequence[Step]) -> None:
        """Record these targets as done."""
        ledger = self._core.ledger
        # Once more: a reload that ran between the intention and the writing has settled the debt without seeing it.
        self._owe(assessment.name, _owed(assessment.sync, done))
        for step in done:
            if step.desired is not None:
                ledger.put_target(self._target(assessment.name, step))
            else:
                ledger.forget_target(step.change.target, assessment.name)
            if step.change.action is not Action.NONE:
                ledger.note(
                    assessment.name,
                    step.change.target,
                    event(step.change),
                    "; ".join(step.change.reasons[:5]),
                )

    def _record(self, assessment: Assessment, state: State, detail: str, *, done: bool = False) -> SyncRecord:
        """Write how the sync stands, if that is news."""
        before = assessment.record
        if done and before is not None and before.state is State.OWED and self._owes(assessment):
            state, detail = before.state, before.detail
        now = self._core.clock.now()
        same = before is not None and (before.state, before.detail) == (state, detail)
        since = before.since if before is not None and same else assessment.stale_since or now
        changed = any(step.change.action.is_change for step in assessment.steps)
        record = SyncRecord(
            assessment.name,
            assessment.spec if done or before is None else before.spec,
            assessment.identity if done else (before.identity if before else None),
            assessment.reads if done or before is None or before.applied_at is None else before.reads,
            state,
            detail,
            since,
            (now if changed or before is None or before.applied_at is None else before.applied_at) if done
            else (before.applied_at if before else None),
        )  # fmt: skip
        if record != before:
            self._core.ledger.put_sync(record)
        return record

    def _owes(self, assessment: Assessment) -> bool:
        return any(debt.sync == assessment.name for debt in self._core.ledger.owed_reloads())


def _is_news_free(assessment: Assessment) -> bool:
    """Whether the ledger already says all there is to say of a sync."""
    record = assessment.record
    if record is None or record.applied_at is None:
        return False
    return (record.state, record.detail, record.spec, record.identity, record.reads) == (
        assessment.state, assessment.detail, assessment.spec, assessment.identity, assessment.reads
    )  # fmt: skip


def _targets(writes: Iterable[_Write]) -> Iterator[str]:
    return (one.step.change.target for one in writes)


def _keeper(target: str) -> str:
    """Who keeps a target: `kubernetes_secret:CLUSTER`."""
    return target.partition("/")[0]


def take_away(core: Core, step: Step) -> None:
    """Remove a target that nothing wants any more, or what is ours of it. Raises `SinkError`."""
    sink = core.sinks.of(step.spec)
    if step.change.action is Action.DELETE:
        sink.remove(step.spec)
    elif step.change.action is Action.WITHDRAW:
        sink.release(step.spec)


def _owed(sync: Sync, steps: Sequence[Step]) -> set[str]:
    """The identities of the reloads that these steps call for."""
    changed = [step for step in steps if step.brings_content]
    reloads = {reload_identity(reload) for reload in sync.reload} if changed else set()
    return reloads | {
        rollout.identity for step in steps if step.calls_for_rollout for rollout in rollouts_of(step.spec)
    }


def event(change: Change) -> str:
    """What a change is called once it is done."""
    if change.drift and change.action.is_change:
        return "healed"
    return {
        Action.CREATE: "created",
        Action.UPDATE: "updated",
        Action.PERMISSIONS: "permissions set",
        Action.METADATA: "metadata set",
        Action.DELETE: "deleted",
        Action.WITHDRAW: "withdrawn",
        Action.RELEASE: "released",
        Action.ADOPT: "adopted",
    }[change.action]
