"""Look at one target: what is there, what has to happen to it. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from confsync.errors import SinkError
from confsync.ledger.records import TargetRecord
from confsync.plan.change import Action, Change, Decision, Known, Print, decide, decide_removal
from confsync.plan.diff import unified
from confsync.reconcile.core import Core
from confsync.sinks import sink_for
from confsync.target import Actual, Desired, TargetSpec, spec_from_json, target_id


@dataclass(frozen=True, slots=True)
class Step:
    """One target's share of an assessment: what to do, and with what."""

    change: Change
    desired: Desired | None
    spec: TargetSpec
    record: TargetRecord | None

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
    """

    def __init__(self, core: Core, *, with_diffs: bool = False) -> None:
        self._core = core
        self._with_diffs = with_diffs

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
            record = self._core.ledger.target(target)  # of a sync that was renamed: still ours if it was
        sink = sink_for(desired.spec)
        actual = sink.observe(desired.spec)
        if actual.problem is not None:
            raise SinkError(target, actual.problem)
        attributes = sink.attributes(desired, actual)
        after = self._core.hasher.content(desired.content)
        seen = self._print(actual)
        decision = decide(Print(after, attributes), seen, _known(record))
        sensitive = desired.sensitive or (record.sensitive if record else _is_private(actual))
        diff: tuple[str, ...] = ()
        if self._with_diffs and decision.action.writes_content:
            diff = unified(actual.content, desired.content, sensitive=sensitive, literals=literals)
        change = Change(
            sync,
            target,
            decision.action,
            decision.drift,
            sensitive,
            _causes(decision, why, actual, attributes),
            diff,
            before=seen.digest if seen else None,
            after=after,
            attributes=attributes,
        )
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


def _is_private(actual: Actual) -> bool:
    """Whether only its owner may read what is there: whoever made it so may have had a reason."""
    return actual.content is not None and int(actual.attributes.get("mode", "0"), 8) & 0o077 == 0


def _known(record: TargetRecord | None) -> Known | None:
    return Known(record.digest, record.created, record.intended, record.previous) if record else None


def _stamp(step: Step) -> tuple[object, ...]:
    return (
        step.change.after,
        dict(step.change.attributes or {}),
        step.spec.model_dump_json(),
        step.desired is not None and step.desired.sensitive,
    )


def _recorded(record: TargetRecord) -> tuple[object, ...]:
    return record.digest, dict(record.attributes), record.spec, record.sensitive


def _causes(
    decision: Decision, why: tuple[str, ...], actual: Actual, attributes: Mapping[str, str]
) -> tuple[str, ...]:
    if decision.action is Action.PERMISSIONS:
        return tuple(
            f"{name} is {actual.attributes.get(name)}, should be {value}"
            for name, value in attributes.items()
            if actual.attributes.get(name) != value
        )
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
