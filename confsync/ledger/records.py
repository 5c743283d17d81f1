"""The ledger's rows, as the core sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from confsync.reads import Reads


class State(StrEnum):
    """How a sync stands."""

    OK = "ok"
    STALE = "stale"  # its targets are the last known good ones; a source cannot be read
    FAILED = "failed"  # something must be mended: a missing key, a refused check, a full disk
    HELD = "held"  # a mass deletion waits for confirmation
    OWED = "owed"  # everything is written; a reload has not succeeded yet
    PENDING = "pending"  # never reconciled yet


@dataclass(frozen=True, slots=True)
class SyncRecord:
    """What is known of a sync.

    Attributes:
        name: its name.
        spec: digest of its definition, environment included.
        identity: digest of all inputs of the last successful render; None when unknown.
        reads: what that render depended on.
        state, detail: how it stands, and why, in one line without values.
        since: since when it stands so, epoch seconds.
        applied_at: when it was last in agreement after a change, or None.
    """

    name: str
    spec: str = ""
    identity: str | None = None
    reads: Reads = field(default_factory=Reads)
    state: State = State.PENDING
    detail: str = ""
    since: float = 0.0
    applied_at: float | None = None


@dataclass(frozen=True, slots=True)
class TargetRecord:
    """A target confsync wrote or adopted.

    Attributes:
        id: `file:/etc/app.conf`.
        sync: the sync it belongs to.
        spec: the target's model with its final path, as JSON: enough to remove it.
        digest: keyed hash of the content written; None when it was adopted unseen or the hash's key is lost.
        attributes: mode, owner and group as written.
        created: whether confsync made it; only then may it be deleted.
        sensitive: whether it holds a sensitive value.
        written_at: when it was last written, or None if it was right when found.
        intended: whether a write was begun and not yet known to be finished.
        previous: while a write is intended, the digest of what was there before, as far as it was ours.
    """

    id: str
    sync: str
    spec: str
    digest: str | None
    attributes: Mapping[str, str]
    created: bool
    sensitive: bool
    written_at: float | None
    intended: bool = False
    previous: str | None = None


@dataclass(frozen=True, slots=True)
class OwedReload:
    """A reload a sync still owes.

    Attributes:
        sync: whose.
        identity: digest of the reload's definition.
        since: since when, epoch seconds.
        error: why the last try failed, or "" before the first.
    """

    sync: str
    identity: str
    since: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """Something that happened, without values."""

    at: float
    sync: str
    target: str
    event: str
    detail: str
