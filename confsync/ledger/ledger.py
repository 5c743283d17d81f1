"""The ledger itself: SQLite in the state directory, or in memory.

Every write is one transaction; a killed process loses none that was committed. What must survive a power cut as well
(the creation of a target, an owed reload) is committed with `durable=True` before the step it speaks of; what is lost
of the rest is found out again by looking at the world.

A ledger that is missing or damaged is begun anew: nothing is deleted then, because nothing is known to be ours.
Thread-safe; opened for writing by one process at a time (`state_dir.Lock`), for reading by any number.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from confsync.clock import Clock
from confsync.errors import LedgerError
from confsync.ledger import database, rows, state_dir
from confsync.ledger.records import HistoryEntry, OwedReload, SyncRecord, TargetRecord

log = logging.getLogger(__name__)

_HISTORY_KEPT = 2000


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
        found = self._rows(f"SELECT {rows.SYNC} FROM syncs")  # noqa: S608 - a constant
        return {str(row[0]): rows.to_sync(row) for row in found}

    def sync(self, name: str) -> SyncRecord | None:
        """One of them, or None."""
        found = self._rows(f"SELECT {rows.SYNC} FROM syncs WHERE name = ?", name)  # noqa: S608 - a constant
        return rows.to_sync(found[0]) if found else None

    def sync_names(self) -> list[str]:
        """The names of all of them, sorted."""
        return [str(row[0]) for row in self._rows("SELECT name FROM syncs ORDER BY name")]

    def put_sync(self, record: SyncRecord) -> None:
        """Insert or replace."""
        self._write("INSERT OR REPLACE INTO syncs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *rows.from_sync(record))

    def forget_sync(self, name: str) -> None:
        """Remove it and what it owes; its targets stay until they are forgotten themselves."""
        with self.transaction():
            self._write("DELETE FROM syncs WHERE name = ?", name)
            self._write("DELETE FROM reloads WHERE sync = ?", name)

    # Targets

    def targets(self, sync: str | None = None) -> dict[str, TargetRecord]:
        """Targets by id: all, or those of one sync."""
        where, values = ("", ()) if sync is None else (" WHERE sync = ?", (sync,))
        found = self._rows(f"SELECT {rows.TARGET} FROM targets{where}", *values)  # noqa: S608 - constants
        return {str(row[0]): rows.to_target(row) for row in found}

    def target(self, target: str) -> TargetRecord | None:
        """One of them, whosever it is, or None."""
        found = self._rows(f"SELECT {rows.TARGET} FROM targets WHERE id = ?", target)  # noqa: S608 - a constant
        return rows.to_target(found[0]) if found else None

    def put_target(self, record: TargetRecord) -> None:
        """Insert or replace."""
        self._write(
            "INSERT OR REPLACE INTO targets VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", *rows.from_target(record)
        )

    def forget_target(self, target: str, sync: str) -> None:
        """It is no longer `sync`'s. No error if it never was, or is another's by now."""
        self._write("DELETE FROM targets WHERE id = ? AND sync = ?", target, sync)

    # Reloads

    def owed_reloads(self) -> list[OwedReload]:
        """All of them, oldest first."""
        found = self._rows("SELECT sync, identity, since, error FROM reloads ORDER BY since, sync")
        return [OwedReload(str(r[0]), str(r[1]), float(r[2]), str(r[3])) for r in found]  # type: ignore[arg-type]

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
        found = self._rows(
            f"SELECT at, sync, target, event, detail FROM history {where} ORDER BY id DESC LIMIT ?",  # noqa: S608
            *values, limit,
        )  # fmt: skip
        return [HistoryEntry(float(r[0]), str(r[1]), str(r[2]), str(r[3]), str(r[4])) for r in found]  # type: ignore[arg-type]

    # Sources and flags

    def key_counts(self, source: str) -> dict[str, int]:
        """Prefix -> how many keys it had when last accepted."""
        found = self._rows("SELECT prefix, keys FROM sources WHERE name = ?", source)
        return {str(prefix): int(keys) for prefix, keys in found}  # type: ignore[call-overload]

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
        found = self._rows("SELECT value FROM meta WHERE name = ?", name)
        return str(found[0][0]) if found else None

    def flags(self, beginning: str) -> list[str]:
        """The names of the notes that begin so."""
        rows = self._rows("SELECT name FROM meta WHERE substr(name, 1, ?) = ?", len(beginning), beginning)
        return sorted(str(name) for (name,) in rows)

    def put_flag(self, name: str, value: str | None) -> None:
        """Leave or remove a note."""
        if value is None:
            self._write("DELETE FROM meta WHERE name = ?", name)
        else:
            self._write("INSERT OR REPLACE INTO meta VALUES (?, ?)", name, value)

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
        connection = database.connect(path)
    except (sqlite3.OperationalError, OSError) as exc:
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
        connection = database.connect(path)
    ledger = Ledger(connection, key, clock)
    if ledger.flag("key") != _fingerprint(key):
        ledger.distrust_digests()
        ledger.put_flag("key", _fingerprint(key))
    return ledger


def leave_flag(directory: Path, name: str, value: str) -> None:
    """Leave a note for the process that is at work with the ledger in `directory`, and touch nothing else.

    Raises:
        LedgerError: it could not be written; a damaged ledger is left to whoever holds the lock.
    """
    path = directory / "ledger.db"
    where = f"file:{quote(str(path))}?mode=rw"
    try:
        with contextlib.closing(sqlite3.connect(where, uri=True, timeout=10, isolation_level=None)) as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))
    except sqlite3.Error as exc:
        raise LedgerError(f"{path} cannot be written: {exc}") from exc


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
        connection = database.copied(path)
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


def memory_ledger(clock: Clock, key: bytes | None = None) -> Ledger:
    """A ledger that ends with the process."""
    return Ledger(database.in_memory(), key or secrets.token_bytes(state_dir.KEY_BYTES), clock)
