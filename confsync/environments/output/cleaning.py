"""Removes what `confsync env --out` wrote: files that are all confsync's, and blocks from those that are not."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from confsync.digest import Hasher
from confsync.environments.dialects import form_by_name
from confsync.environments.output import merging, output_file
from confsync.environments.output.assignments import grammar_of
from confsync.environments.output.git import own_place
from confsync.environments.output.output_file import OutputFile
from confsync.environments.output.place import is_gone
from confsync.environments.output.writing_out import own_part
from confsync.environments.output.written import WrittenFile, WrittenFiles
from confsync.errors import ConfsyncError, LedgerError
from confsync.text import printable


class Fate(Enum):
    """What became of a file."""

    REMOVED = "removed"
    BLOCK_REMOVED = "block removed"
    NOTHING = "nothing to remove"
    FAILED = "not removed"


@dataclass(frozen=True, slots=True)
class Cleaned:
    """One file that was looked at. `detail` is one line: what was kept, or why it was not removed."""

    path: str
    environment: str | None
    fate: Fate
    detail: str = ""


def clean(
    files: WrittenFiles,
    *,
    config: str | None = None,
    paths: Iterable[str] | None = None,
    expired: bool = False,
) -> tuple[Cleaned, ...]:
    """Remove what was written. Doing it twice is doing it once.

    Args:
        config: only what was written from this configuration.
        paths: only these files, and of these also what is not on the list but has a block.
        expired: only what is past its time.

    Raises:
        LedgerError: the list cannot be used; nothing was removed.
    """
    with files.changing() as hasher:
        listed = (*files.expired(), *files.lost()) if expired else files.all()
        wanted = {one.path: one for one in listed if config is None or one.config == config}
        places = wanted if paths is None else dict.fromkeys(paths)
        chosen = {path: wanted.get(path) for path in places if path in wanted or not expired}
        return _clean_all(files, hasher, chosen, expired=expired)


def clean_expired(files: WrittenFiles) -> tuple[Cleaned, ...]:
    """Remove what is past its time, from whichever configuration it was written. Raises `LedgerError`."""
    if not files.expired():
        return ()
    with files.changing() as hasher:
        return _clean_all(files, hasher, {one.path: one for one in files.expired()})


def _clean_all(
    files: WrittenFiles, hasher: Hasher, chosen: Mapping[str, WrittenFile | None], *, expired: bool = False
) -> tuple[Cleaned, ...]:
    """Clean each of them, and take it off the list; a list that cannot be written keeps none from being cleaned."""
    done, settled, trouble = [], [], None
    for path, noted in chosen.items():
        _sweep(path)
        lost = noted if expired and is_gone(path) else None
        one = _lost(lost) if lost else _clean_one(path, noted, hasher)
        done.append(one)
        if lost or one.fate is not Fate.FAILED:
            settled.append(path)
            trouble = _forget(files, settled)
    return (*done, trouble) if trouble else tuple(done)


def _forget(files: WrittenFiles, paths: Sequence[str]) -> Cleaned | None:
    try:
        files.forget(paths)
    except LedgerError as exc:
        return Cleaned(str(files.path), None, Fate.FAILED, str(exc))
    return None


def _clean_one(path: str, noted: WrittenFile | None, hasher: Hasher) -> Cleaned:
    environment = noted.environment if noted else None
    try:
        fate, detail = _take_out(path, noted, hasher)
    except ConfsyncError as exc:
        return Cleaned(path, environment, Fate.FAILED, str(exc))
    return Cleaned(path, environment, fate, detail)


def _sweep(path: str) -> None:
    """Remove what a killed `--out` left, wherever it was to lie until it was whole."""
    for place in filter(None, (path, own_place(path, os.environ))):
        output_file.sweep(place)


def _lost(noted: WrittenFile) -> Cleaned:
    told = ConfsyncError(
        f"{printable(noted.path)}: is past its time, and no longer where it was written: where it was moved or copied "
        f"to, it still has what it had of {printable(noted.environment)}",
        hint="remove it there: confsync env --clean FILE",
    )
    return Cleaned(noted.path, noted.environment, Fate.FAILED, str(told))


def _take_out(path: str, noted: WrittenFile | None, hasher: Hasher) -> tuple[Fate, str]:
    if is_gone(path):
        return Fate.NOTHING, "it is not there"
    before = output_file.look(path)
    if noted is not None and noted.whole:
        return _take_whole(before, noted, hasher)
    shown = printable(path)
    content = before.content or b""
    own = own_part(content, noted, hasher, shown, grammar_of(form_by_name(path)))
    if not own.parts.environments:
        return Fate.NOTHING, "it has no block of confsync"
    rest = merging.without_block(own, noted.added if noted else "")
    if noted is not None and noted.created and not rest.strip():
        output_file.remove(before)
        return Fate.REMOVED, ""
    output_file.replace(before, rest, private=False)
    if noted is None:
        return (
            Fate.BLOCK_REMOVED,
            "it was not on the list of written files, so that all of the block was taken out",
        )
    return Fate.BLOCK_REMOVED, _kept(own.edited) if rest.strip() else "the file was there before, and stays"


def _take_whole(before: OutputFile, noted: WrittenFile, hasher: Hasher) -> tuple[Fate, str]:
    shown = printable(before.path)
    if hasher.content(before.content or b"") not in noted.digests:
        raise ConfsyncError(
            f"{shown}: was changed by hand since confsync env wrote it, and may have what is yours in it",
            hint=f"look through it, and remove it yourself: rm {printable(shlex.quote(before.path))}",
        )
    output_file.remove(before)
    return Fate.REMOVED, ""


def _kept(edited: Sequence[merging.Edited]) -> str:
    if not edited:
        return "your own lines stay"
    lines = ", ".join(str(one.line) for one in edited)
    return f"your own lines stay, and so does what you wrote in the block (line {lines})"
