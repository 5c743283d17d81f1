"""The ledger itself: SQLite in the state directory, or in memory.

Every write is one transaction; a killed process loses none that was committed. What must survive a power cut as well
(the creation of a target, an owed reload) is committed with `durable=True` before the step it speaks of; what is lost of
the rest is found out again by looking at the world.

A ledger that is missing or damaged is begun anew: nothing is deleted then, because nothing is known to be ours.
Thread-safe; opened for writing by one process at a time (`state_dir.Lock`), for reading by any number.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from sys import intern
from urllib.parse import quote

from confsync.clock import Clock
from confsync.errors import LedgerError
from confsync.ledger import state_dir
from confsync.ledger.records import HistoryEntry, OwedReload, State, SyncRecord, TargetRecord
from confsync.reads import KeyRead, PathRead, Reads

log = logging.getLogger(__name__)

_VERSION = 2
_HISTORY_KEPT = 2000
_COPY_TRIES = 5
_SCHEMA = f"""
CREATE TABLE syncs (name TEXT PRIMARY KEY, spec TEXT NOT NULL, identity TEXT, reads TEXT NOT NULL, state TEXT NOT NULL,
                    detail TEXT NOT NULL, since REAL NOT NULL, applied_at REAL) WITHOUT ROWID;
CREATE TABLE targets (id TEXT PRIMARY KEY, sync TEXT NOT NULL, spec TEXT NOT NULL, digest TEXT, attributes TEXT NOT NULL,
                      created INTEGER NOT NULL, sensitive INTEGER NOT NULL, written_at REAL, intended INTEGER NOT NULL,
                      previous TEXT) WITHOUT ROWID;
CREATE INDEX targets_by_sync ON targets (sync);
CREATE TABLE reloads (sync TEXT NOT NULL, identity TEXT NOT NULL, since REAL NOT NULL, error TEXT NOT NULL,
                      PRIMARY KEY (sync, identity)) WITHOUT ROWID;
CREATE TABLE history (id INTEGER PRIMARY KEY, at REAL NOT NULL, sync TEXT NOT NULL, target TEXT NOT NULL,
                      event TEXT NOT NULL, detail TEXT NOT NULL);
CREATE INDEX history_by_target ON history (target);
CREATE TABLE sources (name TEXT NOT NULL, prefix TEXT NOT NULL, keys INTEGER NOT NULL, PRIMARY KEY (name, prefix)) WITHOUT ROWID;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {_VERSION};
"""


class Ledger:
    """Use `open_ledger`, `read_ledger` or `memory_ledger`.

    Attributes:
        key: the secret key of every digest in it.
    """

    def __init__(self, connection: sqlite3.Connection, key: bytes, clock: Clock) -> None:
        self.key = key
        self._connection = connection
        self._clock = clock
        self._lock = threading.RLock()

    def close(self) -> None:
        """Release the database. Idempotent."""
        self._connection.close()

    @contextlib.contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[None]:
        """Make several writes one; nests.

        Args:
            durable: wait until it is on the disk.

        Raises:
            LedgerError: it could not be written (a full disk, a directory gone read-only).
        """
        with self._lock:
            if self._connection.in_transaction:
                yield
                return
            try:
                self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    raise
                self._connection.execute("COMMIT")
            except sqlite3.Error as exc:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise LedgerError(f"the ledger cannot be written: {exc}") from exc

    def _rows(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        with self._lock:
            try:
                return self._connection.execute(statement, values).fetchall()
            except sqlite3.Error as exc:
                raise LedgerError(f"the ledger cannot be read: {exc}") from exc

    def _write(self, statement: str, *values: object) -> None:
        with self.transaction():
            self._connection.execute(statement, values)

    # Syncs

    def syncs(self) -> dict[str, SyncRecord]:
        """Every sync ever reconciled and not forgotten, by name."""
        rows = self._rows("SELECT name, spec, identity, reads, state, detail, since, applied_at FROM syncs")
        return {str(row[0]): _sync(row) for row in rows}

    def sync(self, name: str) -> SyncRecord | None:
        """One of them, or None."""
        columns = "name, spec, identity, reads, state, detail, since, applied_at"
        rows = self._rows(f"SELECT {columns} FROM syncs WHERE name = ?", name)  # noqa: S608 - a constant
        return _sync(rows[0]) if rows else None

    def sync_names(self) -> list[str]:
        """The names of all of them, sorted."""
        return [str(row[0]) for row in self._rows("SELECT name FROM syncs ORDER BY name")]

    def put_sync(self, record: SyncRecord) -> None:
        """Insert or replace."""
        self._write(
            "INSERT OR REPLACE INTO syncs VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            record.name, record.spec, record.identity, _dump_reads(record.reads), record.state.value, record.detail,
            record.since, record.applied_at,
        )  # fmt: skip

    def forget_sync(self, name: str) -> None:
        """Remove it and what it owes; its targets stay until they are forgotten themselves."""
        with self.transaction():
            self._write("DELETE FROM syncs WHERE name = ?", name)
            self._write("DELETE FROM reloads WHERE sync = ?", name)

    # Targets

    def targets(self, sync: str | None = None) -> dict[str, TargetRecord]:
        """Targets by id: all, or those of one sync."""
        columns = "id, sync, spec, digest, attributes, created, sensitive, written_at, intended, previous"
        if sync is None:
            rows = self._rows(f"SELECT {columns} FROM targets")  # noqa: S608 - a constant
        else:
            rows = self._rows(f"SELECT {columns} FROM targets WHERE sync = ?", sync)  # noqa: S608 - a constant
        return {str(row[0]): _target(row) for row in rows}

    def target(self, target: str) -> TargetRecord | None:
        """One of them, whosever it is, or None."""
        columns = "id, sync, spec, digest, attributes, created, sensitive, written_at, intended, previous"
        rows = self._rows(f"SELECT {columns} FROM targets WHERE id = ?", target)  # noqa: S608 - a constant
        return _target(rows[0]) if rows else None

    def put_target(self, record: TargetRecord) -> None:
        """Insert or replace."""
        self._write(
            "INSERT OR REPLACE INTO targets VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            record.id, record.sync, record.spec, record.digest, json.dumps(dict(record.attributes)), record.created,
            record.sensitive, record.written_at, record.intended, record.previous,
        )  # fmt: skip

    def forget_target(self, target: str, sync: str) -> None:
        """It is no longer `sync`'s. No error if it never was, or is another's by now."""
        self._write("DELETE FROM targets WHERE id = ? AND sync = ?", target, sync)

    # Reloads

    def owed_reloads(self) -> list[OwedReload]:
        """All of them, oldest first."""
        rows = self._rows("SELECT sync, identity, since, error FROM reloads ORDER BY since, sync")
        return [OwedReload(str(r[0]), str(r[1]), float(r[2]), str(r[3])) for r in rows]  # type: ignore[arg-type]

    def owe_reload(self, reload: OwedReload) -> None:
        """Insert or replace."""
        self._write(
            "INSERT OR REPLACE INTO reloads VALUES (?, ?, ?, ?)",
            reload.sync,
            reload.identity,
            reload.since,
            reload.error,
        )

    def settle_reload(self, sync: str, identity: str, since: float | None = None) -> None:
        """It was done, or is not wanted any more. With `since`, unless it has come to be owed anew meanwhile."""
        self._write(
            "DELETE FROM reloads WHERE sync = ? AND identity = ? AND since = coalesce(?, since)",
            sync, identity, since,
        )  # fmt: skip

    # History

    def note(self, sync: str, target: str, event: str, detail: str = "") -> None:
        """Add a line to the history; the oldest beyond 2,000 go."""
        with self.transaction():
            cursor = self._connection.execute(
                "INSERT INTO history (at, sync, target, event, detail) VALUES (?, ?, ?, ?, ?)",
                (self._clock.now(), sync, target, event, detail),
            )
            self._connection.execute(
                "DELETE FROM history WHERE id <= ?", ((cursor.lastrowid or 0) - _HISTORY_KEPT,)
            )

    def history(self, target: str | None = None, limit: int = 20) -> list[HistoryEntry]:
        """The newest first."""
        where, values = ("WHERE target = ?", [target]) if target else ("", [])
        rows = self._rows(
            f"SELECT at, sync, target, event, detail FROM history {where} ORDER BY id DESC LIMIT ?",  # noqa: S608
            *values, limit,
        )  # fmt: skip
        return [HistoryEntry(float(r[0]), str(r[1]), str(r[2]), str(r[3]), str(r[4])) for r in rows]  # type: ignore[arg-type]

    # Sources and flags

    def key_counts(self, source: str) -> dict[str, int]:
        """Prefix -> how many keys it had when last accepted."""
        rows = self._rows("SELECT prefix, keys FROM sources WHERE name = ?", source)
        return {str(prefix): int(keys) for prefix, keys in rows}  # type: ignore[call-overload]

    def put_key_counts(self, source: str, counts: Mapping[str, int]) -> None:
        """Replace them, if they differ."""
        if counts == self.key_counts(source):
            return
        with self.transaction():
            self._write("DELETE FROM sources WHERE name = ?", source)
            for prefix, keys in counts.items():
                self._write("INSERT INTO sources VALUES (?, ?, ?)", source, prefix, keys)

    def flag(self, name: str) -> str | None:
        """A note left by one process for another, such as "allow-mass-delete"."""
        rows = self._rows("SELECT value FROM meta WHERE name = ?", name)
        return str(rows[0][0]) if rows else None

    def put_flag(self, name: str, value: str | None) -> None:
        """Leave or remove a note."""
        if value is None:
            self._write("DELETE FROM meta WHERE name = ?", name)
        else:
            self._write("INSERT OR REPLACE INTO meta VALUES (?, ?)", name, value)

    def take_flag(self, name: str) -> bool:
        """Remove a note; whether it was there."""
        there = self.flag(name) is not None
        if there:
            self.put_flag(name, None)
        return there

    def distrust_digests(self) -> None:
        """The key of the hashes was lost: keep what is owned, forget what was hashed."""
        with self.transaction():
            self._write("UPDATE targets SET digest = NULL")
            self._write("UPDATE syncs SET identity = NULL")


def open_ledger(directory: Path, clock: Clock) -> Ledger:
    """The ledger in `directory`, for the holder of its lock. A damaged one is set aside and begun anew.

    Raises:
        LedgerError: the directory cannot be used.
    """
    key = state_dir.load_key(directory)
    path = directory / "ledger.db"
    try:
        connection = _connect(path)
    except sqlite3.OperationalError as exc:
        raise LedgerError(f"{path}: {exc}", hint="choose another state directory with --state-dir") from exc
    except sqlite3.DatabaseError as exc:
        aside = path.with_name(f"ledger.db.damaged-{clock.now():.0f}")
        path.rename(aside)
        for leftover in ("ledger.db-wal", "ledger.db-shm"):
            path.with_name(leftover).unlink(missing_ok=True)
        log.warning(
            "the ledger was damaged and is begun anew; nothing is deleted",
            extra={"error": str(exc), "kept_as": str(aside)},
        )
        connection = _connect(path)
    ledger = Ledger(connection, key, clock)
    if ledger.flag("key") != _fingerprint(key):
        ledger.distrust_digests()
        ledger.put_flag("key", _fingerprint(key))
    return ledger


def _fingerprint(key: bytes) -> str:
    return hashlib.blake2b(key, digest_size=8, person=b"confsync-key").hexdigest()


def read_ledger(directory: Path, clock: Clock) -> Ledger:
    """The ledger in `directory` for looking only, as it is at this moment; an empty one where there is none.

    It is a copy in memory: SQLite would leave its shared-memory files beside a ledger that is only read, and whoever
    looks at several tables should see one moment. Nothing is written, not even a key.

    Raises:
        LedgerError: it is there and cannot be read.
    """
    path = directory / "ledger.db"
    if not path.exists():
        return memory_ledger(clock)
    try:
        connection = _copy(path)
        key = state_dir.read_key(directory)
        ledger = Ledger(connection, key or secrets.token_bytes(state_dir.KEY_BYTES), clock)
        if key is None or ledger.flag("key") != _fingerprint(key):
            ledger.distrust_digests()
        connection.execute("PRAGMA query_only = 1")
    except sqlite3.Error as exc:
        raise LedgerError(
            f"{path} cannot be read: {exc}", hint="confsync apply sets a damaged ledger aside and begins anew"
        ) from exc
    return ledger


def _copy(path: Path) -> sqlite3.Connection:
    """What is in the database now, in memory."""
    journal = path.with_name(path.name + "-wal")
    for _ in range(_COPY_TRIES):
        # Without a write-ahead log nobody is writing: then, and only then, may it be read as a file that never changes.
        how = "mode=ro" if journal.exists() else "immutable=1"
        before = _stamp(path)
        copy = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        try:
            with contextlib.closing(
                sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True, timeout=10)
            ) as db:
                db.backup(copy)
            copy.execute("SELECT count(*) FROM meta").fetchone()
        except BaseException:
            copy.close()
            raise
        if how == "mode=ro" or (not journal.exists() and _stamp(path) == before):
            return copy
        copy.close()  # a writer came while we read
    raise sqlite3.OperationalError("it is opened and closed too often")


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as exc:
        raise sqlite3.OperationalError(str(exc.strerror)) from exc
    return status.st_mtime_ns, status.st_size


def memory_ledger(clock: Clock, key: bytes | None = None) -> Ledger:
    """A ledger that ends with the process."""
    connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    connection.executescript(_SCHEMA)
    return Ledger(connection, key or secrets.token_bytes(state_dir.KEY_BYTES), clock)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
    try:
        path.chmod(0o600)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        connection.execute("PRAGMA journal_mode = WAL")
        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok" or version not in (0, _VERSION):
            raise sqlite3.DatabaseError("it does not pass SQLite's integrity check")
        if version == 0:
            connection.executescript("BEGIN IMMEDIATE;" + _SCHEMA + "COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection


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


def _sync(row: tuple[object, ...]) -> SyncRecord:
    name, spec, identity, reads, state, detail, since, applied_at = row
    return SyncRecord(
        str(name), str(spec), identity if isinstance(identity, str) else None, _load_reads(str(reads)), State(str(state)),
        str(detail), float(since), applied_at if isinstance(applied_at, float) else None,  # type: ignore[arg-type]
    )  # fmt: skip


def _target(row: tuple[object, ...]) -> TargetRecord:
    identity, sync, spec, digest, attributes, created, sensitive, written_at, intended, previous = row
    return TargetRecord(
        str(identity), str(sync), str(spec), digest if isinstance(digest, str) else None, json.loads(str(attributes)),
        bool(created), bool(sensitive), written_at if isinstance(written_at, float) else None, bool(intended),
        previous if isinstance(previous, str) else None,
    )  # fmt: skip
