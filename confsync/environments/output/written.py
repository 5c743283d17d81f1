"""The list of files that `confsync env --out` wrote: whose they are, until when they are good, what they had.

It is JSON in the user's state directory, readable by them only. It has no value: what was written is known by keyed
digests, whose key lies beside it. One process changes it at a time; who only reads it needs no lock. What in it is not
what a confsync wrote is left out, and before the list is replaced the unreadable one is kept beside it.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from confsync.clock import Clock, SystemClock
from confsync.digest import Hasher
from confsync.environments.output.place import is_gone
from confsync.errors import LedgerError
from confsync.ledger import state_dir
from confsync.sinks.disk import read_regular, write_new
from confsync.sinks.names import staging_path

_PATIENCE = 10.0
_TRY_AGAIN = 0.02
_LAST_TIME = 253370764800.0
"""The end of the year 9998: what is later has no date in every time zone."""
_GRAMMARS = frozenset({
    "dotenv", "dotenv:node", "dotenv:shell", "docker", "systemd", "shell", "direnv", "fish", "powershell",
})  # fmt: skip
"""What `assignments.grammar_of` gives; by another nobody can read a block."""


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """One file, as it was last written.

    Attributes:
        path: absolute, its directory without symbolic links.
        config: the configuration it was written from.
        environment: the environment it has.
        format: the format it was written in.
        whole: whether all of the file is confsync's, not only a block in it.
        until: when it should be gone, in seconds since the epoch, or None.
        digests: of the whole file, as it is now and as it was before.
        statements: (variables, digest) of each statement of the block.
        added: the line end that the line above the block was given, or "".
        created: whether there was no such file before.
    """

    path: str
    config: str
    environment: str
    format: str
    whole: bool
    until: float | None = None
    digests: tuple[str, ...] = ()
    statements: tuple[tuple[str, str], ...] = ()
    added: str = ""
    created: bool = False

    @property
    def known(self) -> Mapping[str, str]:
        """Digest -> variables, of each statement of the block."""
        return {digest: names for names, digest in self.statements}

    @classmethod
    def of(cls, said: Any) -> Self | None:
        """What JSON says, or None where that is not what a confsync wrote."""
        if not isinstance(said, dict) or not all(isinstance(said.get(name), str) for name in _TEXTS):
            return None
        until, digests, statements = said.get("until"), said.get("digests", []), said.get("statements", [])
        added = said.get("added")
        if not (until is None or _is_time(until)):
            return None
        if not isinstance(digests, list) or not isinstance(statements, list):
            return None
        if not _is_path(said["path"]) or (said.get("whole") is not True and said["format"] not in _GRAMMARS):
            return None
        return cls(
            **{name: said[name] for name in _TEXTS},
            whole=said.get("whole") is True,
            until=until,
            digests=tuple(map(str, digests)),
            statements=tuple(
                (str(one[0]), str(one[1])) for one in statements if isinstance(one, list) and len(one) == 2
            ),
            added=added if added in ("\n", "\r\n") else "",
            created=said.get("created") is True,
        )


_TEXTS = ("path", "config", "environment", "format")


def _is_time(said: Any) -> bool:
    return isinstance(said, int | float) and not isinstance(said, bool) and 0 <= said < _LAST_TIME


def _is_path(text: str) -> bool:
    try:
        return os.path.isabs(text) and b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def directory_for(state: str | None) -> Path | None:
    """Where the list lives; None where nothing may be kept.

    Args:
        state: `--state-dir`, if it was given.
    """
    if state == "memory":
        return None
    if state:
        return Path(state).absolute() / "environments"
    root = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(root).absolute() / "confsync" / "environments"


@dataclass(slots=True)
class WrittenFiles:
    """The list. Belongs to one thread; `changing` lets one process in at a time."""

    directory: Path | None
    clock: Clock = field(default_factory=SystemClock)

    @property
    def path(self) -> Path | None:
        """The file the list is in."""
        return self.directory / "written.json" if self.directory else None

    def all(self) -> tuple[WrittenFile, ...]:
        """What is on it; nothing where it is not there or not readable. Never raises."""
        return self._read()[0]

    def is_readable(self) -> bool:
        """Whether `all` gives all there is: not where something else is in the list's place."""
        return self._read()[1]

    def of(self, path: str) -> WrittenFile | None:
        """What it says of the file at `path`."""
        return next((one for one in self.all() if one.path == path), None)

    def expired(self) -> tuple[WrittenFile, ...]:
        """Those past their time that are still there, of whichever configuration."""
        return tuple(one for one in self._past() if not is_gone(one.path))

    def lost(self) -> tuple[WrittenFile, ...]:
        """Those past their time that are no longer where they were written: somebody removed them, or moved them."""
        return tuple(one for one in self._past() if is_gone(one.path))

    def _past(self) -> list[WrittenFile]:
        now = self.clock.now()
        return [one for one in self.all() if one.until is not None and one.until <= now]

    @contextmanager
    def changing(self) -> Iterator[Hasher]:
        """Keep everybody else from changing it meanwhile; gives what makes its digests.

        Raises:
            LedgerError: the state directory cannot be used, or somebody else does not let go of it.
        """
        if self.directory is None:
            yield Hasher(os.urandom(state_dir.KEY_BYTES))
            return
        state_dir.prepare(self.directory)
        descriptor = _locked(self.directory / "written.lock")
        try:
            yield Hasher(state_dir.load_key(self.directory))
        finally:
            os.close(descriptor)

    def note(self, written: WrittenFile) -> None:
        """Put a file on the list, in place of what it said of that path. Raises `LedgerError`."""
        self._write([*(one for one in self.all() if one.path != written.path), written])

    def forget(self, paths: Iterable[str]) -> None:
        """Take files off the list. Raises `LedgerError`."""
        gone = set(paths)
        if gone & {one.path for one in self.all()}:
            self._write([one for one in self.all() if one.path not in gone])

    def _read(self) -> tuple[tuple[WrittenFile, ...], bool]:
        """What is on it, and whether that is all there was."""
        if self.path is None:
            return (), True
        try:
            document = json.loads(read_regular(str(self.path))[0])
        except FileNotFoundError:
            return (), True
        except (OSError, ValueError, RecursionError):
            return (), False
        said = document.get("files") if isinstance(document, dict) else None
        if not isinstance(said, list):
            return (), False
        made = [WrittenFile.of(one) for one in said]
        return tuple(one for one in made if one is not None), None not in made

    def _write(self, files: Iterable[WrittenFile]) -> None:
        if self.path is None:
            return
        text = json.dumps({"files": [asdict(one) for one in files]}, indent=1, ensure_ascii=True)
        try:
            if not self._read()[1]:
                with suppress(FileNotFoundError):
                    os.replace(self.path, self.path.with_name("written.json.unreadable"))
            _write_beside(self.path, text.encode())
        except OSError as exc:
            raise LedgerError(
                f"{self.path}: the list of written files cannot be written: {exc.strerror}",
                hint="make room, or choose another state directory with --state-dir",
            ) from exc


def _write_beside(path: Path, content: bytes) -> None:
    staged = staging_path(str(path))
    write_new(staged, content, lambda _: ())
    try:
        os.replace(staged, path)
    except BaseException:
        os.unlink(staged)
        raise


def _locked(path: Path) -> int:
    """The open lock file; closing it lets it go. Raises `LedgerError`."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as exc:
        raise _unusable(path, exc) from exc
    pause = threading.Event()
    clock = SystemClock()
    deadline = clock.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if clock.monotonic() >= deadline:
                os.close(descriptor)
                raise LedgerError(
                    f"{path}: another confsync has been changing the list of written files for {_PATIENCE:g}s",
                    hint="end it and try again, or choose another state directory with --state-dir",
                ) from None
            pause.wait(_TRY_AGAIN)
        except OSError as exc:
            os.close(descriptor)
            raise _unusable(path, exc) from exc
        else:
            return descriptor


def _unusable(path: Path, error: OSError) -> LedgerError:
    return LedgerError(f"{path}: {error.strerror}", hint="choose another state directory with --state-dir")
