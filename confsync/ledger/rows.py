"""The ledger's records to and from the rows of its tables."""

from __future__ import annotations

import json
from collections.abc import Iterable
from sys import intern
from typing import TypeAlias

from confsync.ledger.records import State, SyncRecord, TargetRecord
from confsync.reads import KeyRead, PathRead, Reads

Row: TypeAlias = tuple[object, ...]

SYNC = "name, spec, identity, reads, state, detail, since, applied_at"
TARGET = "id, sync, spec, digest, attributes, created, sensitive, written_at, intended, previous"


def from_sync(record: SyncRecord) -> Row:
    """The columns of `SYNC`."""
    return (
        record.name,
        record.spec,
        record.identity,
        _dump_reads(record.reads),
        record.state.value,
        record.detail,
        record.since,
        record.applied_at,
    )


def to_sync(row: Row) -> SyncRecord:
    """What `from_sync` was given."""
    name, spec, identity, reads, state, detail, since, applied_at = row
    return SyncRecord(
        str(name),
        str(spec),
        identity if isinstance(identity, str) else None,
        _load_reads(str(reads)),
        State(str(state)),
        str(detail),
        float(since),  # type: ignore[arg-type]
        applied_at if isinstance(applied_at, float) else None,
    )


def from_target(record: TargetRecord) -> Row:
    """The columns of `TARGET`."""
    return (
        record.id,
        record.sync,
        record.spec,
        record.digest,
        json.dumps(dict(record.attributes)),
        record.created,
        record.sensitive,
        record.written_at,
        record.intended,
        record.previous,
    )


def to_target(row: Row) -> TargetRecord:
    """What `from_target` was given."""
    identity, sync, spec, digest, attributes, created, sensitive, written_at, intended, previous = row
    return TargetRecord(
        str(identity),
        str(sync),
        str(spec),
        digest if isinstance(digest, str) else None,
        json.loads(str(attributes)),
        bool(created),
        bool(sensitive),
        written_at if isinstance(written_at, float) else None,
        bool(intended),
        previous if isinstance(previous, str) else None,
    )


def _dump_reads(reads: Reads) -> str:
    keys = [[*path, *read] for path, read in reads.keys.items()]
    return json.dumps(
        [keys, sorted(reads.missed), sorted(reads.listed), dict(reads.templates), reads.impure],
        separators=(",", ":"),
    )


def _load_reads(text: str) -> Reads:
    keys, missed, listed, templates, impure = json.loads(text)
    return Reads(
        {PathRead(intern(k[0]), k[1]): KeyRead(intern(k[2]), k[3], k[4], k[5]) for k in keys},
        _paths(missed),
        _paths(listed),
        templates,
        impure,
    )


def _paths(pairs: Iterable[tuple[str, str]]) -> frozenset[PathRead]:
    return frozenset(PathRead(source, path) for source, path in pairs)
