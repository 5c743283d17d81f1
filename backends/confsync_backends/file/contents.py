"""From files to entries: all files as they were at one moment, parsed, and put together."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from confsync.driver import Entry, Tree
from confsync.errors import Invalid, SourceError, Unavailable
from confsync_backends.file import dotenv, objects, yaml_text
from confsync_backends.file.leaves import LARGEST, Leaf, malformed, place
from confsync_backends.file.scan import Found, scan, source_error, stamp

_PARSERS: dict[str, Callable[[str, str], list[Leaf]]] = {
    "yaml": yaml_text.parse,
    "json": objects.parse_json,
    "toml": objects.parse_toml,
    "dotenv": dotenv.parse,
}
_ATTEMPTS = 5  # at reading several files between two changes of them


@dataclass(frozen=True, slots=True)
class Contents:
    """All that the source holds.

    Attributes:
        entries: full path -> entry.
        newest: the newest modification time of its files, in microseconds since the epoch; 0 without files.
        identity: equal only for equal files of equal content.
        empty: files that hold not one byte: perhaps somebody is about to write them.
    """

    entries: dict[str, Entry]
    newest: int
    identity: tuple[tuple[str, int, bytes], ...]
    empty: frozenset[str]


class Loader:
    """Reads the files of one source. Any thread may use it.

    Files are read every time; the leaves of one are remembered for as long as its content is the same, byte
    by byte, since parsing takes a hundred times as long as reading.
    """

    def __init__(self, path: str, format_: str | None) -> None:
        self.path = path
        self.format = format_
        self._lock = threading.Lock()
        self._parsed: dict[str, tuple[bytes, list[Leaf]]] = {}

    def stamps(self) -> object:
        """Equal to an earlier answer only if, as far as file times tell, no file has changed since."""
        try:
            return scan(self.path, self.format).files
        except SourceError as exc:
            return str(exc)

    def load(self) -> Contents:
        """Everything, as it was at one moment.

        Raises:
            Unavailable, Denied, Invalid: as `scan`; or malformed content, with file, line and column.
        """
        files = self._read()
        parsed = {file.path: (digest, self._leaves(file, data, digest)) for file, data, digest in files}
        with self._lock:
            self._parsed = parsed
        found = [(file, parsed[file.path][1]) for file, _, _ in files]
        return Contents(
            _combine(found),
            max((file.written for file, _, _ in files), default=0),
            tuple((file.path, file.written, digest) for file, _, digest in files),
            frozenset(file.path for file, data, _ in files if not data),
        )

    def _read(self) -> list[tuple[Found, bytes, bytes]]:
        for _ in range(_ATTEMPTS):
            found = scan(self.path, self.format).files
            contents = list(self._contents(found))
            # A file that was replaced meanwhile may belong together with one that was read before.
            if len(contents) == len(found) and scan(self.path, self.format).files == found:
                return [(file, data, hashlib.blake2b(data).digest()) for file, data in contents]
        raise Unavailable(f"{self.path}: changed {_ATTEMPTS} times while it was being read")

    def _contents(self, files: Sequence[Found]) -> Iterator[tuple[Found, bytes]]:
        total = 0
        for file in files:
            try:
                data = _read_file(file, LARGEST - total + 1)
            except FileNotFoundError:
                return
            except OSError as exc:
                raise source_error(file.path, exc) from exc
            if data is None:
                return
            total += len(data)
            if total > LARGEST:
                raise Invalid(
                    f"{file.path}: more than {LARGEST >> 20} MiB to read", hint="is it the right path?"
                )
            yield file, data

    def _leaves(self, file: Found, data: bytes, digest: bytes) -> list[Leaf]:
        with self._lock:
            known = self._parsed.get(file.path)
        if known is not None and known[0] == digest:
            return known[1]
        return _parse(file, data)


def _read_file(found: Found, most: int) -> bytes | None:
    """The content; None if it is another file by now, which by the next scan may be the same one again."""
    # Not to block for ever should it have become a FIFO.
    with open(os.open(found.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        return file.read(most) if stamp(os.fstat(file.fileno())) == found.stamp else None


def _parse(file: Found, data: bytes) -> list[Leaf]:
    if file.format is None:
        return [Leaf("", data)]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line, column = data.count(b"\n", 0, exc.start) + 1, exc.start - data.rfind(b"\n", 0, exc.start)
        raise malformed(file.path, line, column, "not UTF-8 text", hint="save it as UTF-8") from exc
    return _PARSERS[file.format](text, file.path)


def _combine(files: Sequence[tuple[Found, list[Leaf]]]) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for file, leaves in files:
        revision, modified = file.written, file.written / 1e6
        for leaf in leaves:
            path = f"{file.key}/{leaf.path}" if file.key and leaf.path else file.key or leaf.path
            if path in entries:
                raise _in_two_files(files, path)
            entries[path] = Entry(leaf.value, revision, modified)
    return entries


def _in_two_files(files: Sequence[tuple[Found, list[Leaf]]], path: str) -> SourceError:
    places = [
        place(file.path, leaf.line, leaf.column)
        for file, leaves in files
        for leaf in leaves
        if "/".join(filter(None, (file.key, leaf.path))) == path
    ]
    return Invalid(f"{places[1]}: the key {path!r} is at {places[0]} too", hint="remove one of them")


def tree(entries: dict[str, Entry], prefix: str) -> Tree:
    """What is under a prefix, as the user wrote it."""
    start = f"{prefix.strip('/')}/"
    if start == "/":
        return entries.copy()
    length = len(start)
    return {path[length:]: entry for path, entry in entries.items() if path.startswith(start)}
