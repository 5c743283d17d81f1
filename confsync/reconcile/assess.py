"""Look at one sync: what it wants, what is there, what has to happen. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from confsync.config.models import Sync
from confsync.errors import ConfsyncError, Held, SinkError, SourceError, TargetTaken
from confsync.ledger.records import State, SyncRecord, TargetRecord
from confsync.plan.change import Action, Change, Decision, Known, Print, decide, decide_removal
from confsync.plan.diff import unified
from confsync.plan.reasons import reasons
from confsync.reads import Reads
from confsync.reconcile.core import Core
from confsync.reconcile.identity import identity
from confsync.render.recorder import SourceView
from confsync.render.renderer import RenderFailed, Rendering
from confsync.sinks import sink_for
from confsync.target import Actual, Desired, TargetSpec, spec_from_json, target_id
from confsync.text import plural


@dataclass(frozen=True, slots=True)
class Step:
    """One target's share of an assessment: what to do, and with what."""

    change: Change
    desired: Desired | None
    spec: TargetSpec
    record: TargetRecord | None


@dataclass(frozen=True, slots=True)
class Assessment:
    """What was found out about one sync.

    Attributes:
        steps: every target with something to do or to note; empty when all agrees.
        state, detail: how the sync stands if the steps succeed.
        error: why nothing may be done, or None.
        reads: what the render depended on.
        identity: the digest of the render's inputs, or None.
        secrets: the sensitive values read, to keep them out of messages.
        targets: the ids of its targets, as far as they are known.
    """

    name: str
    sync: Sync
    spec: str
    record: SyncRecord | None
    steps: tuple[Step, ...] = ()
    state: State = State.OK
    detail: str = ""
    stale_since: float | None = None
    error: ConfsyncError | None = None
    reads: Reads = field(default_factory=Reads)
    identity: str | None = None
    secrets: frozenset[str | bytes] = frozenset()
    targets: tuple[str, ...] = ()

    @property
    def changes(self) -> list[Change]:
        """What would change outside the ledger."""
        return [step.change for step in self.steps if step.change.action.is_change]


OwnerOf = Callable[[str], str | None]
"""Target id -> the sync it belongs to, or None where it is free."""


def taken(target: str, owner: str) -> TargetTaken:
    """The error of a sync that wants what another has."""
    return TargetTaken(target, f"sync {owner!r} writes it too; a target belongs to one sync")


class Assessor:
    """Assesses syncs against what the ledger knew when asked. Thread-safe.

    Args:
        with_diffs: whether to compute diffs, for people to look at.
    """

    def __init__(self, core: Core, *, with_diffs: bool = False) -> None:
        self._core = core
        self._with_diffs = with_diffs

    def assess(
        self,
        name: str,
        record: SyncRecord | None,
        targets: Mapping[str, TargetRecord],
        owner_of: OwnerOf,
        *,
        allow_mass_delete: bool = False,
    ) -> Assessment:
        """Find out what has to happen for the sync `name`.

        Args:
            record: what the ledger knows of it.
            targets: the targets the ledger says are its.
            owner_of: tells which other sync wants a target, by the present configuration.
        """
        core = self._core
        sync = core.loaded.config.syncs[name]
        spec = core.spec_digest(sync)
        views = core.views(core.environment_of(sync))
        if record is not None and self._unchanged(record, spec, views, targets):
            stale = self._staleness(record.reads)
            state, detail, since = stale or (State.OK, "", None)
            return Assessment(
                name, sync, spec, record, (), state, detail, since, None, record.reads, record.identity, targets=tuple(targets)
            )  # fmt: skip
        return self._rendered(name, sync, spec, record, targets, owner_of, views, allow_mass_delete)

    def _unchanged(
        self,
        record: SyncRecord,
        spec: str,
        views: Mapping[str, SourceView],
        targets: Mapping[str, TargetRecord],
    ) -> bool:
        """Whether a render would give what the last one gave, and every target still has it."""
        if record.identity is None or record.spec != spec:
            return False
        now = {name: self._core.renderer.files.digest(name) or "" for name in record.reads.templates}
        if identity(spec, record.reads, views, now, targets, self._core.hasher) != record.identity:
            return False
        return all(self.as_recorded(target) for target in targets.values())

    def as_recorded(self, record: TargetRecord) -> bool:
        """Whether a target is as it was last written."""
        if record.intended or record.digest is None:
            return False
        spec = spec_from_json(record.id, record.spec)
        try:
            actual = sink_for(spec).observe(spec)
        except SinkError:
            return False
        if actual.content is None or actual.problem is not None:
            return False
        return actual.has(record.attributes) and self._core.hasher.content(actual.content) == record.digest

    def _staleness(self, reads: Reads) -> tuple[State, str, float | None] | None:
        """How a sync stands whose sources cannot all be read now."""
        for source in sorted({read.source for read in (*reads.keys, *reads.missed, *reads.listed)}):
            snapshot = self._core.hub.snapshot(source)
            if snapshot is not None and snapshot.problem is not None:
                held = self._core.hub.sources[source].held
                return State.HELD if held else State.STALE, snapshot.problem, snapshot.stale_since
        return None

    def _rendered(
        self,
        name: str,
        sync: Sync,
        spec: str,
        record: SyncRecord | None,
        targets: Mapping[str, TargetRecord],
        owner_of: OwnerOf,
        views: Mapping[str, SourceView],
        allow_mass_delete: bool,
    ) -> Assessment:
        core = self._core
        before = record.reads.keys if record else {}
        try:
            rendering = core.renderer.render(name, sync, core.limits_of(sync), views, before)
        except RenderFailed as exc:
            return self._failed(name, sync, spec, record, exc.error, exc.reads, tuple(targets))
        try:
            steps = self._steps(name, sync, spec, record, targets, owner_of, rendering)
            if not allow_mass_delete:
                self._guard(name, record, rendering.reads, targets, steps, views)
        except ConfsyncError as exc:
            return self._failed(
                name, sync, spec, record, exc, rendering.reads, tuple(targets), rendering.secrets
            )
        state, detail, since = self._staleness(rendering.reads) or (State.OK, "", None)
        made = tuple(target_id(desired.spec) for desired in rendering.desired)
        inputs = identity(spec, rendering.reads, views, rendering.reads.templates, made, core.hasher)
        return Assessment(
            name, sync, spec, record, tuple(steps), state, detail, since, None, rendering.reads, inputs,
            rendering.secrets, made,
        )  # fmt: skip

    def _failed(
        self,
        name: str,
        sync: Sync,
        spec: str,
        record: SyncRecord | None,
        error: ConfsyncError,
        reads: Reads,
        targets: tuple[str, ...],
        secrets: frozenset[str | bytes] = frozenset(),
    ) -> Assessment:
        applied_before = record is not None and record.applied_at is not None
        state, since = State.FAILED, None
        if isinstance(error, Held):
            state = State.HELD
        elif isinstance(error, SourceError) and applied_before:
            state = State.STALE
        return Assessment(
            name, sync, spec, record, (), state, str(error), since, error, reads, None, secrets, targets
        )  # fmt: skip

    def _steps(
        self,
        name: str,
        sync: Sync,
        spec: str,
        record: SyncRecord | None,
        targets: Mapping[str, TargetRecord],
        owner_of: OwnerOf,
        rendering: Rendering,
    ) -> list[Step]:
        why = reasons(record.reads if record and record.applied_at else None, rendering.reads,
                      spec_changed=bool(record and record.spec != spec))  # fmt: skip
        wanted: set[str] = set()
        steps: list[Step] = []
        for desired in rendering.desired:
            target = target_id(desired.spec)
            wanted.add(target)
            owner = owner_of(target)
            if owner is not None and owner != name:
                raise taken(target, owner)
            step = self._write_step(name, target, desired, targets.get(target), why, rendering.literals)
            if (
                step.change.action is not Action.NONE
                or step.record is None
                or step.record.intended
                or _stamp(step) != _recorded(step)
            ):
                steps.append(step)
        paths = {target.partition(":")[2] for target in wanted}
        for target, kept in targets.items():
            if target in wanted or self._goes_to_another(name, target, owner_of):
                continue
            # Where the same path is now another kind of target, removing the old would remove the new.
            replaced = target.partition(":")[2] in paths
            steps.append(self.removal(kept, retain=sync.retain or replaced, why="no longer wanted"))
        return steps

    def _goes_to_another(self, name: str, target: str, owner_of: OwnerOf) -> bool:
        """Whether another sync has taken a target over, or will: then it is not ours to remove."""
        return (owner_of(target) or name) != name or self._core.static_targets.get(target, name) != name

    def _write_step(
        self,
        name: str,
        target: str,
        desired: Desired,
        record: TargetRecord | None,
        why: tuple[str, ...],
        literals: tuple[str, ...],
    ) -> Step:
        if record is None:
            record = self._core.ledger.target(target)  # of a sync that was renamed: still ours if it was
        hasher = self._core.hasher
        sink = sink_for(desired.spec)
        actual = sink.observe(desired.spec)
        if actual.problem is not None:
            raise SinkError(target, actual.problem)
        attributes = sink.attributes(desired, actual)
        after = hasher.content(desired.content)
        seen = self._print(actual)
        decision = decide(Print(after, attributes), seen, _known(record))
        sensitive = desired.sensitive or bool(record and record.sensitive)
        diff: tuple[str, ...] = ()
        if self._with_diffs and decision.action.writes_content:
            diff = unified(actual.content, desired.content, sensitive=sensitive, literals=literals)
        causes = _causes(decision, why, actual, attributes)
        change = Change(
            name, target, decision.action, decision.drift, sensitive, causes, diff, seen.digest if seen else None, after, attributes
        )  # fmt: skip
        return Step(change, desired, desired.spec, record)

    def removal(self, record: TargetRecord, *, retain: bool, why: str) -> Step:
        """What happens to a target that nothing wants any more."""
        spec = spec_from_json(record.id, record.spec)
        actual = sink_for(spec).observe(spec)
        seen = self._print(actual) if actual.problem is None else None
        known = _known(record)
        assert known is not None  # noqa: S101 - there is a record
        decision = Decision(Action.RELEASE) if retain or actual.problem else decide_removal(seen, known)
        diff: tuple[str, ...] = ()
        if self._with_diffs and decision.action is Action.DELETE:
            diff = unified(actual.content, None, sensitive=record.sensitive, literals=())
        change = Change(
            record.sync, record.id, decision.action, decision.drift, record.sensitive, (_removal_cause(decision, known, why),),
            diff, seen.digest if seen else None, None,
        )  # fmt: skip
        return Step(change, None, spec, record)

    def _print(self, actual: Actual) -> Print | None:
        return (
            Print(self._core.hasher.content(actual.content), actual.attributes)
            if actual.content is not None
            else None
        )

    def _guard(
        self,
        name: str,
        record: SyncRecord | None,
        reads: Reads,
        targets: Mapping[str, TargetRecord],
        steps: list[Step],
        views: Mapping[str, SourceView],
    ) -> None:
        """Hold what would lose suspiciously much at once."""
        limit = self._core.loaded.config.mass_delete
        confirm = "confirm it with: confsync apply --allow-mass-delete"
        deleting = sum(1 for step in steps if step.change.action is Action.DELETE)
        if limit.exceeded(deleting, len(targets)):
            raise Held(
                f"{deleting} of the {plural(len(targets), 'target')} of sync {name!r} would be deleted at once",
                hint=confirm,
            )
        if record is None or not record.reads.keys:
            return
        gone = [
            read
            for read in record.reads.keys
            if read not in reads.keys
            and read.source in views
            and views[read.source].view.find(read.path) is None
        ]
        if limit.exceeded(len(gone), len(record.reads.keys)):
            raise Held(
                f"{len(gone)} of the {plural(len(record.reads.keys), 'key')} sync {name!r} read last time are gone",
                hint=confirm,
            )


def _known(record: TargetRecord | None) -> Known | None:
    return Known(record.digest, record.created, record.intended, record.previous) if record else None


def _stamp(step: Step) -> tuple[object, ...]:
    return (
        step.change.after,
        dict(step.change.attributes or {}),
        step.spec.model_dump_json(),
        step.desired is not None and step.desired.sensitive,
    )


def _recorded(step: Step) -> tuple[object, ...] | None:
    record = step.record
    return (record.digest, dict(record.attributes), record.spec, record.sensitive) if record else None


def _causes(
    decision: Decision, why: tuple[str, ...], actual: Actual, attributes: Mapping[str, str]
) -> tuple[str, ...]:
    if decision.action is Action.PERMISSIONS:
        differing = [
            f"{name} is {actual.attributes.get(name)}, should be {value}"
            for name, value in attributes.items()
            if actual.attributes.get(name) != value
        ]
        return (*differing,)
    if decision.drift:
        return (
            "deleted by someone else" if actual.content is None else "changed by someone else",
            *(w for w in why if w != "first time"),
        )
    return why


def _removal_cause(decision: Decision, known: Known, why: str) -> str:
    if decision.action is Action.DELETE:
        return why
    if not known.created:
        return f"{why}; left, since confsync did not create it"
    return f"{why}; left, since someone else changed it" if decision.drift else f"{why}; left"
