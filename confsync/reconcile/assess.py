"""Look at one sync: what it wants, what is there, what has to happen. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from confsync.config.kubernetes import KubernetesTarget
from confsync.config.models import Sync
from confsync.config.references import spot
from confsync.errors import ConfsyncError, Held, SinkError, SourceError, TargetTaken
from confsync.ledger.records import State, SyncRecord, TargetRecord
from confsync.plan.change import Change
from confsync.plan.reasons import reasons
from confsync.reads import KeyRead, PathRead, Reads
from confsync.reconcile.core import Core
from confsync.reconcile.identity import identity
from confsync.reconcile.inputs import inputs_of
from confsync.reconcile.step import Step, Steps
from confsync.render.renderer import RenderFailed, Rendering
from confsync.render.source_view import SourceView
from confsync.target import Desired, TargetSpec, spec_from_json, target_id
from confsync.text import plural

_CONFIRM = "confirm it with: confsync apply --allow-mass-delete"


@dataclass(frozen=True, slots=True)
class Assessment:
    """What was found out about one sync.

    Attributes:
        steps: every target with something to do or to note; empty when all agrees.
        state, detail: how the sync stands if the steps succeed.
        error: why nothing may be done, or None.
        postponed: why it cannot be told what to do with a target that is not wanted any more; the rest is done.
        reads: what the render depended on.
        identity: the digest of the render's inputs, or None.
        secrets: the sensitive values read, to keep them out of messages.
        targets: the ids of its targets, as far as they are known.
        unfetched: the credentials it reads that were not fetched, since this only looked: taken to be as they were.
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
    postponed: ConfsyncError | None = None
    reads: Reads = field(default_factory=Reads)
    identity: str | None = None
    secrets: frozenset[str | bytes] = field(default=frozenset(), repr=False)
    targets: tuple[str, ...] = ()
    unfetched: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known before it is applied."""
        return self._remarks(wrong=False)

    @property
    def problems(self) -> tuple[str, ...]:
        """What will keep something from being done once it is applied."""
        postponed = () if self.postponed is None else (str(self.postponed),)
        return (*postponed, *self._remarks(wrong=True))

    def _remarks(self, *, wrong: bool) -> tuple[str, ...]:
        remarks = (remark for step in self.steps for remark in step.remarks if remark.wrong is wrong)
        return tuple(dict.fromkeys(remark.text for remark in remarks))

    @property
    def changes(self) -> list[Change]:
        """What would change outside the ledger."""
        return [step.change for step in self.steps if step.change.action.is_change]


OwnerOf = Callable[[str], str | None]
"""Target id -> the sync it belongs to, or None where it is free."""


def taken(target: str, owner: str) -> TargetTaken:
    """The error of a sync that wants what another has."""
    return TargetTaken(target, f"sync {owner!r} writes it too; a target belongs to one sync")


@dataclass(frozen=True, slots=True)
class _Question:
    """A sync to look at, and what is known of it.

    Attributes:
        spec: the digest of its definition.
        record: what the ledger knows of it.
        targets: the targets the ledger says are its.
        owner_of: tells which other sync wants a target, by the present configuration.
        views: what it sees of the sources.
    """

    name: str
    sync: Sync
    spec: str
    record: SyncRecord | None
    targets: Mapping[str, TargetRecord]
    owner_of: OwnerOf
    views: Mapping[str, SourceView]

    @property
    def was_applied(self) -> bool:
        return self.record is not None and self.record.applied_at is not None

    def reasons(self, reads: Reads) -> tuple[str, ...]:
        """What is different since the sync was last applied."""
        record = self.record
        before = record.reads if record is not None and self.was_applied else None
        return reasons(before, reads, spec_changed=record is not None and record.spec != self.spec)

    def others(self, target: str) -> str | None:
        """The other sync that a target belongs to, or None."""
        owner = self.owner_of(target)
        return owner if owner != self.name else None


class Assessor:
    """Assesses syncs against what the ledger knew when asked. Thread-safe.

    Args:
        looking: whether nothing may be fetched that fetching makes (a credential): placeholders stand for it.
    """

    def __init__(self, core: Core, steps: Steps, *, looking: bool = False) -> None:
        self._core = core
        self._steps = steps
        self._looking = looking

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
        views = core.views(core.environment_of(sync), looking=self._looking)
        question = _Question(name, sync, core.spec_digest(sync), record, targets, owner_of, views)
        if record is not None and self._unchanged(question, record):
            return self._still(question, record)
        return self._rendered(question, allow_mass_delete)

    def _unchanged(self, question: _Question, record: SyncRecord) -> bool:
        """Whether a render would give what the last one gave, and every target still has it."""
        if record.identity is None or record.spec != question.spec:
            return False
        core, reads = self._core, record.reads
        now = {name: core.renderer.files.digest(name) or "" for name in reads.templates}
        if now != reads.templates:
            return False
        try:
            made = (*question.targets, *core.selected(question.sync))
        except SinkError:
            return False  # whoever places the targets says why
        if identity(question.spec, reads, question.views, now, made, core.hasher) != record.identity:
            return False
        return all(self._steps.as_recorded(target) for target in question.targets.values())

    def _still(self, question: _Question, record: SyncRecord) -> Assessment:
        state, detail, since = _standing(record.reads, question.views)
        specs = (spec_from_json(target.id, target.spec) for target in question.targets.values())
        return Assessment(
            question.name,
            question.sync,
            question.spec,
            record,
            state=state,
            detail=detail or self._told(question, specs),
            stale_since=since,
            reads=record.reads,
            identity=record.identity,
            targets=tuple(question.targets),
            unfetched=_unfetched(record.reads, question.views) if self._looking else (),
        )

    def _rendered(self, question: _Question, allow_mass_delete: bool) -> Assessment:
        core, name, sync = self._core, question.name, question.sync
        before = question.record.reads.keys if question.record else {}
        try:
            rendering = core.renderer.render(name, sync, core.limits_of(sync), question.views, before)
        except RenderFailed as exc:
            return _failed(question, exc.error, exc.reads)
        reads = rendering.reads
        try:
            wanted = self._placed(rendering)
            selected = core.selected(sync)
            removing, postponed = self._removing(question, wanted)
            steps = [*self._writing(question, rendering, wanted.values()), *removing]
            if not allow_mass_delete:
                self._guard(question, reads, steps, wanted, len(postponed))
        except ConfsyncError as exc:
            return _failed(question, exc, reads, rendering.secrets)
        state, detail, since = _standing(reads, question.views)
        inputs = (*wanted, *selected)
        return Assessment(
            name,
            sync,
            question.spec,
            question.record,
            tuple(steps),
            postponed=next(iter(postponed), None),
            state=state,
            detail=detail or self._told(question, (desired.spec for desired in wanted.values())),
            stale_since=since,
            reads=reads,
            identity=identity(question.spec, reads, question.views, reads.templates, inputs, core.hasher),
            secrets=rendering.secrets,
            targets=tuple(wanted),
        )

    def _told(self, question: _Question, specs: Iterable[TargetSpec]) -> str:
        """What there is to tell of a sync that is in order; often nothing."""
        notes = self._steps.notes(question.name, specs, question.targets)
        return "; ".join(filter(None, (self._core.unmatched(question.sync), notes)))

    def _placed(self, rendering: Rendering) -> dict[str, Desired]:
        """The targets a render stands for, by id."""
        placed: dict[str, Desired] = {}
        for desired in rendering.desired:
            for one in self._core.sinks.place(desired):
                target = target_id(one.spec)
                if target in placed:
                    raise SinkError(target, f"sync {one.sync!r} would write it twice")
                placed[target] = one
        return placed

    def _writing(self, question: _Question, rendering: Rendering, wanted: Iterable[Desired]) -> list[Step]:
        """What the targets it wants need."""
        why = question.reasons(rendering.reads)
        inputs = inputs_of(rendering.reads, self._core)
        steps = []
        for desired in wanted:
            target = target_id(desired.spec)
            other = question.others(target)
            if other is not None:
                raise taken(target, other)
            if desired.spec.kind == "file" and desired.spec.place in inputs:
                raise SinkError(target, f"{inputs[desired.spec.place]}; correct `path`")
            record = question.targets.get(target)
            steps.append(self._steps.writing(question.name, desired, record, why, rendering.literals))
        return [step for step in steps if step.is_needed]

    def _removing(
        self, question: _Question, wanted: Mapping[str, Desired]
    ) -> tuple[list[Step], list[SinkError]]:
        """What happens to the targets it does not want any more, and why that cannot be told of some."""
        spots = {_spot(target) for target in wanted}
        by_name = {_name(one.spec): one.spec for one in wanted.values()}
        steps: list[Step] = []
        postponed: list[SinkError] = []
        for target, kept in question.targets.items():
            if target in wanted or self._goes_to_another(question, target):
                continue
            # Where the same path is now another kind of target, removing the old would remove the new.
            retain = question.sync.retain or _spot(target) in spots
            twin = by_name.get(_name(spec_from_json(kept.id, kept.spec)))
            try:
                retain = retain or self._steps.is_known_as(kept, twin)
                steps.append(self._steps.removal(kept, retain=retain, why="no longer wanted"))
            except SinkError as exc:
                postponed.append(exc)
        return steps, postponed

    def _goes_to_another(self, question: _Question, target: str) -> bool:
        """Whether another sync has taken a target over, or will: then it is not ours to remove."""
        will = self._core.static_targets.get(target, question.name)
        return question.others(target) is not None or will != question.name

    def _guard(
        self,
        question: _Question,
        reads: Reads,
        steps: list[Step],
        wanted: Mapping[str, Desired],
        postponed: int,
    ) -> None:
        """Hold what would lose suspiciously much at once, `postponed` removals included, as far as anybody can tell."""
        limit = self._core.loaded.config.mass_delete
        name, known = question.name, len(question.targets)
        # A version of an immutable object goes because another takes its place.
        lines = {_line(one.spec) for one in wanted.values()} - {None}
        deleting = sum(1 for step in steps if step.change.action.removes and _line(step.spec) not in lines)
        deleting += postponed
        if limit.exceeded(deleting, known):
            raise Held(
                f"{deleting} of the {plural(known, 'target')} of sync {name!r} would be deleted at once",
                hint=_CONFIRM,
            )
        before = question.record.reads.keys if question.record else {}
        gone = [read for read in before if read not in reads.keys and _is_gone(read, reads, question.views)]
        if limit.exceeded(len(gone), len(before)):
            lost = f"{len(gone)} of the {plural(len(before), 'key')} sync {name!r} read last time are gone"
            raise Held(f"{lost}{_elsewhere(gone, before, question.views)}", hint=_CONFIRM)


def _name(spec: TargetSpec) -> tuple[str, ...]:
    """What a target is called within its cluster, if it is in one."""
    if not isinstance(spec, KubernetesTarget):
        return (spec.kind, spec.place)
    return spec.kind, str(spec.namespace), spec.name


def _line(spec: TargetSpec) -> tuple[str, ...] | None:
    """What the versions of an immutable object have in common; None of what has no versions."""
    if not isinstance(spec, KubernetesTarget) or not spec.immutable:
        return None
    return spec.kind, spec.cluster or "", str(spec.namespace), spec.name.rpartition("-")[0]


def _spot(target: str) -> str:
    kind, _, place = target.partition(":")
    return spot(kind, place)


def _standing(reads: Reads, views: Mapping[str, SourceView]) -> tuple[State, str, float | None]:
    """How a sync that is as it should be stands: stale or held, where not all its sources can be read now."""
    asked: dict[str, list[str]] = {}
    for read in sorted((*reads.keys, *reads.missed, *reads.listed)):
        asked.setdefault(read.source, []).append(read.path)
    for source, paths in asked.items():
        problem = views[source].view.problem(paths) if source in views else None
        if problem is not None:
            return State.HELD if problem.held else State.STALE, problem.text, problem.since
    return State.OK, "", None


def _unfetched(reads: Reads, views: Mapping[str, SourceView]) -> tuple[str, ...]:
    """What it reads that only a command which writes would fetch."""
    asked = (read for read in reads.keys if views[read.source].view.by_request)
    found = ((read, views[read.source].view.find(read.path)) for read in asked)
    return tuple(f"{read.source}:{read.path}" for read, one in found if one is not None and not one.fetched)


def _is_gone(read: PathRead, reads: Reads, views: Mapping[str, SourceView]) -> bool:
    """Whether a key that was read last time does not exist any more."""
    if read.source not in views:
        return False
    view = views[read.source].view
    if view.by_request:
        return read in reads.missed  # what nobody wants any more is not asked for
    return view.find(read.path) is None


def _elsewhere(
    gone: Iterable[PathRead], before: Mapping[PathRead, KeyRead], views: Mapping[str, SourceView]
) -> str:
    """Where the keys were that are gone, if that is not where they are looked for now: in another environment."""
    for read in gone:
        now = views[read.source].view.prefixes
        if before[read].prefix and before[read].prefix not in now:
            return (
                f": they were under {before[read].prefix!r}, and it looks under {', '.join(map(repr, now))}"
            )
    return ""


def _failed(
    question: _Question, error: ConfsyncError, reads: Reads, secrets: frozenset[str | bytes] = frozenset()
) -> Assessment:
    state = State.FAILED
    if isinstance(error, Held):
        state = State.HELD
    elif isinstance(error, SourceError) and question.was_applied:
        state = State.STALE
    return Assessment(
        question.name,
        question.sync,
        question.spec,
        question.record,
        state=state,
        detail=str(error),
        error=error,
        reads=reads,
        secrets=secrets,
        targets=tuple(question.targets),
    )
