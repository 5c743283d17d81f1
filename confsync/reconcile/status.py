"""How everything stands, from the ledger and the sources: for `confsync status`, and for the log on SIGUSR1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from confsync.digest import Hasher
from confsync.errors import SinkError
from confsync.ledger.ledger import Ledger
from confsync.ledger.records import OwedReload, State, SyncRecord
from confsync.reconcile.core import Core
from confsync.sinks import Sinks
from confsync.target import spec_from_json
from confsync.units import format_duration


@dataclass(frozen=True, slots=True)
class SyncStatus:
    """One sync's line.

    Attributes:
        targets: how many it has.
        owed: the reloads it owes.
        removed: whether it is no longer configured.
    """

    record: SyncRecord
    targets: int
    owed: tuple[OwedReload, ...]
    removed: bool

    @property
    def agrees(self) -> bool:
        """Whether there is nothing to mend."""
        return self.record.state is State.OK and not self.owed and not self.removed


def statuses(ledger: Ledger, configured: list[str]) -> list[SyncStatus]:
    """Every sync, configured ones first in their order, then removed ones that still have something."""
    records = ledger.syncs()
    counts: dict[str, int] = {}
    for target in ledger.targets().values():
        counts[target.sync] = counts.get(target.sync, 0) + 1
    owed: dict[str, list[OwedReload]] = {}
    for debt in ledger.owed_reloads():
        owed.setdefault(debt.sync, []).append(debt)
    names = [*configured, *sorted(set(records) - set(configured))]
    return [
        SyncStatus(
            records.get(name, SyncRecord(name)),
            counts.get(name, 0),
            tuple(owed.get(name, ())),
            removed=name not in configured,
        )
        for name in names
    ]


def describe(status: SyncStatus, now: float) -> str:
    """One line for people, without values."""
    record = status.record
    age = f" for {format_duration(max(0.0, now - record.since))}" if record.since else ""
    detail = f": {record.detail}" if record.detail else ""
    removed = " (removed from the configuration)" if status.removed else ""
    return f"{record.name} {record.state.value}{age}{removed}{detail}"


def status_lines(core: Core) -> Iterator[str]:
    """Every sync and source, a line each."""
    now = core.clock.now()
    for status in statuses(core.ledger, list(core.loaded.config.syncs)):
        yield describe(status, now)
    for name, source in core.hub.sources.items():
        yield f"source {name} {source.describe()}"


@dataclass(frozen=True, slots=True)
class Drift:
    """A target that is not, or may not be, as it was written.

    Attributes:
        problem: why it cannot be looked at, or None where it was looked at and differs.
    """

    target: str
    problem: str | None = None


def drifted(ledger: Ledger, sinks: Sinks) -> list[Drift]:
    """The targets whose content or attributes are not what was written, looked at now."""
    hasher = Hasher(ledger.key)
    found: list[Drift] = []
    for record in ledger.targets().values():
        spec = spec_from_json(record.id, record.spec)
        try:
            actual = sinks.of(spec).observe(spec)
        except SinkError as exc:
            found.append(Drift(record.id, str(exc)))
            continue
        digest = hasher.content(actual.content) if actual.content is not None else None
        if record.digest is not None and (digest != record.digest or not actual.has(record.attributes)):
            found.append(Drift(record.id))
    return found
