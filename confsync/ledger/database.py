"""The ledger's SQLite database: its schema, opened to be written, or copied to be looked at."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import quote

_VERSION = 2
_COPY_TRIES = 5
_SCHEMA = f"""
CREATE TABLE syncs (name TEXT PRIMARY KEY, spec TEXT NOT NULL, identity TEXT, reads TEXT NOT NULL, state TEXT NOT NULL,
                    detail TEXT NOT NULL, since REAL NOT NULL, applied_at REAL) WITHOUT ROWID;
CREATE TABLE targets (id TEXT PRIMARY KEY, sync TEXT NOT NULL, spec TEXT NOT NULL, digest TEXT,
                      attributes TEXT NOT NULL, created INTEGER NOT NULL, sensitive INTEGER NOT NULL, written_at REAL,
                      intended INTEGER NOT NULL, previous TEXT) WITHOUT ROWID;
CREATE INDEX targets_by_sync ON targets (sync);
CREATE TABLE reloads (sync TEXT NOT NULL, identity TEXT NOT NULL, since REAL NOT NULL, error TEXT NOT NULL,
                      PRIMARY KEY (sync, identity)) WITHOUT ROWID;
CREATE TABLE history (id INTEGER PRIMARY KEY, at REAL NOT NULL, sync TEXT NOT NULL, target TEXT NOT NULL,
                      event TEXT NOT NULL, detail TEXT NOT NULL);
CREATE INDEX history_by_target ON history (target);
CREATE TABLE sources (name TEXT NOT NULL, prefix TEXT NOT NULL, keys INTEGER NOT NULL,
                      PRIMARY KEY (name, prefix)) WITHOUT ROWID;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {_VERSION};
"""


def connect(path: Path) -> sqlite3.Connection:
    """The database at `path`, for its one writer; made where there is none.

    Raises:
        sqlite3.OperationalError: it cannot be opened.
        sqlite3.DatabaseError: it is damaged, or of another version.
    """
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


def in_memory() -> sqlite3.Connection:
    """An empty database that ends with the process."""
    connection = _memory()
    connection.executescript(_SCHEMA)
    return connection


def copied(path: Path) -> sqlite3.Connection:
    """What is in the database at `path` now, in memory.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    journal = path.with_name(path.name + "-wal")
    for _ in range(_COPY_TRIES):
        # Without a write-ahead log nobody is writing: then, and only then, may it be read as a file that never changes.
        how = "mode=ro" if journal.exists() else "immutable=1"
        before = _stamp(path)
        copy = _memory()
        try:
            with contextlib.closing(
                sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True, timeout=10)
            ) as db:
                db.backup(copy)
            copy.execute("SELECT count(*) FROM meta").fetchone()
        except sqlite3.Error:
            copy.close()
            if journal.exists() is (how == "mode=ro") and _stamp(path) == before:
                raise
            continue  # a writer came or went while we read
        except BaseException:
            copy.close()
            raise
        if how == "mode=ro" or (not journal.exists() and _stamp(path) == before):
            return copy
        copy.close()  # a writer came while we read
    raise sqlite3.OperationalError("it is opened and closed too often")


def _memory() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as exc:
        raise sqlite3.OperationalError(str(exc.strerror)) from exc
    return status.st_mtime_ns, status.st_size
