"""Look at one target: what is there, what has to happen to it. Changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from confsync.config.kubernetes import KubernetesSecretTarget, KubernetesTarget
from confsync.config.references import is_configured
from confsync.errors import SinkError
from confsync.ledger.records import TargetRecord
from confsync.plan.change import Action, Change, Decision, Known, Print, decide, decide_removal
from confsync.plan.diff import unified
from confsync.reconcile.core import Core
from confsync.sinks.base import Remark
from confsync.target import Actual, Content, Desired, TargetSpec, spec_from_json, target_id
from confsync.text import printable


@dataclass(frozen=True, slots=True)
class Step:
    """One target's share of an assessment: what to do, and with what.

    Attributes:
        created: whether confsync made the target that is there, by the ledger or by what the target says itself.
        remarks: what is to be known before it is written.
    """

    change: Change
    desired: Desired | None
    spec: TargetSpec
    record: TargetRecord | None
    created: bool = False
    remarks: tuple[Remark, ...] = ()

    @property
    def formerly(self) -> str | None:
        """The sync whose the target was, by the ledger."""
        return self.record.sync if self.record is not None else None

    @property
    def calls_for_rollout(self) -> bool:
        """Whether what uses the target should have what it holds now.

        Also where it has content that the ledger does not know to be there (a write whose answer was lost, another
        replica's): whether that was seen to, only the workload knows, and asking twice moves nothing.
        """
        before, action = self.record, self.change.action
        if self.desired is None:
            return False
        if action.writes_content:
            return True
        if before is None:
            return self.created or action is Action.ADOPT
        return before.intended or (before.digest, before.sync) != (self.change.after, self.change.sync)

    @property
    def brings_content(self) -> bool:
        """Whether readers have other content than before, or may have, by a write nobody knows the end of."""
        unknown = self.desired is not None and self.record is not None and self.record.intended
        return self.change.action.writes_content or unknown

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to do, or to note in the ledger."""
        return (
            self.change.action is not Action.NONE
            or self.record is None
            or self.record.intended
            or _stamp(self) != _recorded(self.record)
        )


class Steps:
    """Finds the step each target needs. Thread-safe.

    Args:
        with_diffs: whether to compute diffs, for people to look at.
        rehearsing: whether to ask those who keep the targets if they would take what is wanted.
    """

    def __init__(self, core: Core, *, with_diffs: bool = False, rehearsing: bool = False) -> None:
        self._core = core
        self._with_diffs = with_diffs
        self._rehearsing = rehearsing

    def as_recorded(self, record: TargetRecord) -> bool:
        """Whether a target is as it was last written."""
        if record.intended or record.digest is None:
            return False
        spec = spec_from_json(record.id, record.spec)
        try:
            actual = self._core.sinks.of(spec).observe(spec)
        except SinkError:
            return False
        if actual.content is None or actual.problem is not None:
            return False
        return actual.has(record.attributes) and self._core.hasher.content(actual.content) == record.digest

    def notes(self, sync: str, specs: Iterable[TargetSpec], kept: Collection[str]) -> str:
        """What the targets of a sync have to tell though they may be as they should be, in one line; often nothing.

        Args:
            kept: the ids of those the ledger has, wanted or not.
        """
        sinks = self._core.sinks
        shared = [spec for spec in specs if sinks.of(spec).shared]
        known = {*kept, *map(target_id, shared)}
        try:
            claimants = (_claimant(sinks.of(spec).observe(spec), sync) for spec in shared)
            notes = [
                f"also claimed by sync {printable(other)!r} of another confsync"
                for other in claimants
                if other is not None
            ]
            one_of_each = {(spec.kind, spec.place.rpartition("/")[0]): spec for spec in shared}.values()
            notes += [note for spec in one_of_each for note in sinks.of(spec).strays(spec, sync, known)]
        except SinkError:
            return ""  # who needs to know has been told
        return "; ".join(dict.fromkeys(notes))

    def writing(
        self,
        sync: str,
        desired: Desired,
        record: TargetRecord | None,
        why: tuple[str, ...],
        literals: Sequence[str],
    ) -> Step:
        """What happens to a target that is wanted.

        Args:
            why: what is different since the sync was last applied.
            literals: the template text that a diff may show of a sensitive target.

        Raises:
            SinkError: what is there is nothing that can be replaced.
        """
        target = target_id(desired.spec)
        if record is None:
            why = why or ("is wanted now",)
            record = self._core.ledger.target(target)  # of a sync that was renamed: still ours if it was
        sink = self._core.sinks.of(desired.spec)
        actual = sink.observe(desired.spec, _names(desired.content))
        if actual.problem is not None:
            raise SinkError(target, actual.problem)
        attributes = sink.attributes(desired, actual)
        after = self._core.hasher.content(desired.content)
        seen = self._print(actual)
        decision = decide(Print(after, attributes), seen, _known(record), shared=sink.shared)
        sensitive = desired.sensitive or (record.sensitive if record else _is_private(desired.spec, actual))
        diff: tuple[str, ...] = ()
        if self._with_diffs and decision.action.writes_content:
            diff = unified(actual.content, desired.content, sensitive=sensitive, literals=literals)
        change = Change(
            sync,
            target,
            decision.action,
            decision.drift,
            sensitive,
            _causes(decision, why, _known(record), actual, attributes),
            diff,
            before=seen.digest if seen else None,
            after=after,
            attributes=attributes,
        )
        created = record.created if record else actual.created_for == sync
        remarks: tuple[Remark, ...] = ()
        if self._rehearsing and (decision.action.is_change or record is None):
            formerly = record.sync if record is not None else None
            remarks = sink.rehearse(desired, created=created, formerly=formerly)
        return Step(change, desired, desired.spec, record, created, remarks)

    def is_known_as(self, record: TargetRecord, wanted: TargetSpec | None) -> bool:
        """Whether a target that is not wanted any more is one that is, by another name of its cluster.

        Args:
            wanted: the target that has its name in the other cluster, if there is one.
        """
        old = spec_from_json(record.id, record.spec)
        if wanted is None or not is_configured(self._core.loaded.config, old):
            return False
        sinks = self._core.sinks
        found = sinks.of(old).observe(old).identity
        return found != "" and found == sinks.of(wanted).observe(wanted).identity

    def removal(self, record: TargetRecord, *, retain: bool, why: str) -> Step:
        """What happens to a target that nothing wants any more."""
        spec = spec_from_json(record.id, record.spec)
        if not is_configured(self._core.loaded.config, spec):
            left = f"{why}; left, since its cluster is no longer configured"
            change = Change(record.sync, record.id, Action.RELEASE, False, record.sensitive, (left,))
            return Step(change, None, spec, record)
        sink = self._core.sinks.of(spec)
        actual = sink.observe(spec)
        seen = self._print(actual) if actual.problem is None else None
        known = _known(record)
        assert known is not None  # noqa: S101 - there is a record
        retain = retain or (isinstance(spec, KubernetesTarget) and spec.deletion == "retain")
        retain = retain or _went_to_another(record, actual)
        decision = (
            Decision(Action.RELEASE)
            if retain or actual.problem
            else decide_removal(seen, known, shared=sink.shared)
        )
        if decision.action is Action.DELETE and sink.others_keep(spec):
            decision = Decision(Action.WITHDRAW)
        if self._rehearsing and decision.action is Action.DELETE:
            sink.rehearse_removal(spec)
        diff: tuple[str, ...] = ()
        if self._with_diffs and decision.action is Action.DELETE:
            diff = unified(actual.content, None, sensitive=record.sensitive, literals=())
        change = Change(
            record.sync,
            record.id,
            decision.action,
            decision.drift,
            record.sensitive,
            (_removal_cause(decision, known, why),),
            diff,
            before=seen.digest if seen else None,
            after=None,
        )
        return Step(change, None, spec, record)

    def _print(self, actual: Actual) -> Print | None:
        return (
            Print(self._core.hasher.content(actual.content), actual.attributes)
            if actual.content is not None
            else None
        )


def _is_private(spec: TargetSpec, actual: Actual) -> bool:
    """Whether not everybody may read what is there: whoever made it so may have had a reason."""
    if actual.content is None:
        return False
    if isinstance(spec, KubernetesTarget):
        return isinstance(spec, KubernetesSecretTarget)
    return int(actual.attributes.get("mode", "0"), 8) & 0o077 == 0


def _names(content: Content) -> Collection[str]:
    return () if isinstance(content, bytes) else content.keys()


def _went_to_another(record: TargetRecord, actual: Actual) -> bool:
    """Whether a target says that it is another sync's now, of another confsync."""
    told = actual.attributes.get("sync")
    return actual.content is not None and told not in (record.attributes.get("sync"), "(none)")


def _claimant(actual: Actual, sync: str) -> str | None:
    """Who else wants a target; a claim of our own name on what is another's is ours."""
    ours = actual.attributes.get("sync") == sync
    return actual.claimed_by if ours or actual.claimed_by != sync else None


def _known(record: TargetRecord | None) -> Known | None:
    if record is None:
        return None
    return Known(record.digest, record.created, record.intended, record.previous, record.attributes)


def _stamp(step: Step) -> tuple[object, ...]:
    return (
        step.change.after,
        dict(step.change.attributes or {}),
        step.spec.model_dump_json(),
        step.desired is not None and step.desired.sensitive,
    )


def _recorded(record: TargetRecord) -> tuple[object, ...]:
    return record.digest, dict(record.attributes), record.spec, record.sensitive


def _metadata_causes(known: Known | None, actual: Actual, attributes: Mapping[str, str]) -> tuple[str, ...]:
    if known is None and actual.created_for is None:
        return (
            "it was there before; confsync keeps its keys in it from now on, beside what others have there",
        )
    return tuple(
        f"{name}: {actual.attributes.get(name, '(none)')}, not {value}"
        for name, value in attributes.items()
        if actual.attributes.get(name) != value
    ) or ("has a label or annotation that is no longer wanted",)


def _causes(
    decision: Decision,
    why: tuple[str, ...],
    known: Known | None,
    actual: Actual,
    attributes: Mapping[str, str],
) -> tuple[str, ...]:
    if decision.action is Action.PERMISSIONS:
        return tuple(
            f"{name} is {actual.attributes.get(name)}, should be {value}"
            for name, value in attributes.items()
            if actual.attributes.get(name) != value
        )
    if decision.action is Action.METADATA:
        return _metadata_causes(known, actual, attributes)
    if decision.drift:
        return (
            "deleted by someone else" if actual.content is None else "changed by someone else",
            *(w for w in why if w != "first time"),
        )
    return why


def _removal_cause(decision: Decision, known: Known, why: str) -> str:
    if decision.action is Action.DELETE:
        return why
    if decision.action is Action.WITHDRAW:
        whose = "others keep keys in it" if known.created else "it was there before confsync"
        return f"{why}; {whose}, and it stays without what confsync put into it"
    if not known.created:
        return f"{why}; left, since confsync did not create it"
    return f"{why}; left, since someone else changed it" if decision.drift else f"{why}; left"
