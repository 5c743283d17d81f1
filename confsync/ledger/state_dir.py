"""The state directory: 0700, one writer at a time, with the key of the ledger's hashes."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

from confsync.errors import LedgerError, LedgerLocked

KEY_BYTES = 32
_PATIENCE = 10.0
_TRY_AGAIN = 0.01


def default_state_dir(config: Path) -> Path:
    """Where state lives when nobody says: one directory for each configuration file, so that two never mix."""
    # The file itself may be a link that changes with its content, as in the volume of a ConfigMap.
    place = config.parent.resolve() / config.name
    tag = hashlib.sha256(os.fsencode(place)).hexdigest()[:8]
    if os.geteuid() == 0:
        root = Path("/var/lib/confsync")
    else:
        root = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "confsync"
    return root / f"{place.parent.name or 'root'}-{tag}"


def prepare(directory: Path) -> None:
    """Create the directory, or make sure of its mode.

    Raises:
        LedgerError: it cannot be created or written; says what to do.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if directory.stat().st_mode & 0o077 and directory.stat().st_uid == os.geteuid():
            directory.chmod(0o700)
    except OSError as exc:
        raise LedgerError(
            f"the state directory {directory} cannot be used: {exc.strerror}",
            hint="choose another with --state-dir",
        ) from exc
    if not os.access(directory, os.W_OK | os.X_OK):
        raise LedgerError(
            f"the state directory {directory} is not writable", hint="choose another with --state-dir"
        )


def load_key(directory: Path) -> bytes:
    """The key of the ledger's hashes, made on first use; it lies beside the ledger, never in it.

    Raises:
        LedgerError: it cannot be read or written.
    """
    known = read_key(directory)
    if known is not None:
        return known
    path = directory / "ledger.key"
    try:
        staged = directory / f".ledger.key.{secrets.token_hex(4)}"
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key := secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        staged.rename(path)
    except OSError as exc:
        raise LedgerError(
            f"{path}: {exc.strerror}", hint="choose another state directory with --state-dir"
        ) from exc
    return key


def read_key(directory: Path) -> bytes | None:
    """The key, or None where there is none that could be one.

    Raises:
        LedgerError: it cannot be read.
    """
    path = directory / "ledger.key"
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise LedgerError(
            f"{path}: {exc.strerror}", hint="choose another state directory with --state-dir"
        ) from exc
    return key if len(key) == KEY_BYTES else None


@dataclass(slots=True)
class Lock:
    """The right to write: held by one process at a time, gone with it however it ends."""

    path: Path
    _descriptor: int | None = None

    def acquire(self, purpose: str) -> Self:
        """Take it, noting `purpose` and our process id for whoever comes next.

        Raises:
            LedgerLocked: another process has it; says which.
            LedgerError: the lock file cannot be opened.
        """
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise LedgerError(
                f"{self.path}: {exc.strerror}", hint="choose another state directory with --state-dir"
            ) from exc
        try:
            self._lock(descriptor)
        except OSError as exc:
            os.close(descriptor)
            who = f"another confsync ({self.holder() or 'unknown process'})"
            raise LedgerLocked(
                f"{who} is at work with the state directory {self.path.parent}",
                hint="stop it first, or choose another state directory with --state-dir",
            ) from exc
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} {purpose}".encode(), 0)
        except OSError as exc:
            os.close(descriptor)
            raise LedgerError(
                f"the state directory {self.path.parent} cannot be written: {exc.strerror}",
                hint="make room, or choose another with --state-dir",
            ) from exc
        self._descriptor = descriptor
        return self

    def _lock(self, descriptor: int) -> None:
        # Whoever asks whether a daemon runs holds the lock for a moment, without leaving a note: that is waited out.
        # On a machine that is busy the moment may be long.
        deadline = monotonic() + _PATIENCE
        pause = threading.Event()
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if self._noted() or monotonic() >= deadline:
                    raise
                pause.wait(_TRY_AGAIN)
            else:
                return

    def _noted(self) -> bool:
        """Whether a living process has left its note; one that was killed leaves it too."""
        pid = self.path.read_text().partition(" ")[0]
        try:
            os.kill(int(pid), 0)
        except (ValueError, ProcessLookupError):
            return False
        except PermissionError:
            return True
        return True

    def holder(self) -> str:
        """`confsync run, process 4711`, or "" when nobody left a note."""
        try:
            pid, _, purpose = self.path.read_text().partition(" ")
        except OSError:
            return ""
        return f"confsync {purpose}, process {pid}" if purpose else ""

    def daemon(self) -> int | None:
        """The process id of the daemon that holds it, or None."""
        if not self.path.exists():
            return None
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # Shared, so that two who ask at once do not take each other for the daemon.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            pid, _, purpose = self.path.read_text().partition(" ")
            return int(pid) if purpose == "run" and pid.isdigit() else None
        finally:
            os.close(descriptor)
        return None

    def release(self) -> None:
        """Let it go. Idempotent."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.release()
