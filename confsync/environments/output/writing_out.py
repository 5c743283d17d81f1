"""Writes an environment's variables into a file: merged into somebody's lines, or as a file of its own."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from confsync.digest import Hasher
from confsync.environments.dialects import LINE_BASED, Written, write
from confsync.environments.output import merging, output_file
from confsync.environments.output.assignments import SCRIPTS, grammar_of
from confsync.environments.output.git import check_unseen, own_place
from confsync.environments.output.merging import Edited, Merged, Override, Own
from confsync.environments.output.output_file import OutputFile
from confsync.environments.output.written import WrittenFile, WrittenFiles
from confsync.environments.variables import Variable
from confsync.errors import ConfsyncError, LedgerError
from confsync.sinks.names import staging_path
from confsync.text import printable


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be written where.

    Attributes:
        path: as `output_file.place_of` gives it.
        config: the configuration's file.
        command: how confsync was called, for the block's first line.
        reveal: whether secrets are written also where nothing masks them.
        until: when the file should be gone, in seconds since the epoch, or None.
    """

    path: str
    form: str
    dialect: str | None
    environment: str
    config: str
    command: str
    reveal: bool = False
    until: float | None = None

    @property
    def grammar(self) -> str:
        """By which a block in it is read."""
        return grammar_of(self.form, self.dialect)

    def write(self, variables: Sequence[Variable]) -> Written:
        """The variables in this format. Raises `ConfsyncError`."""
        return write(self.form, variables, dialect=self.dialect, reveal=self.reveal)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file.

    Attributes:
        written: what of the variables is in it; `text` without somebody's own lines.
        names: of the variables in it.
        changed: whether it is another now.
        overrides: variables that were left out, since somebody sets them in their own lines.
        repeated: variables somebody sets more than once.
        edited: what somebody wrote in the block, and is now their own, below it.
        removed: variables somebody took out of the block, and which are in it again.
        replaced: the environments whose blocks were replaced.
        notes: what else there is to say.
    """

    path: str
    written: Written = field(repr=False)
    names: tuple[str, ...]
    changed: bool
    overrides: tuple[Override, ...] = ()
    repeated: tuple[Override, ...] = ()
    edited: tuple[Edited, ...] = ()
    removed: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def write_out(
    files: WrittenFiles, variables: Sequence[Variable], order: Order, environ: Mapping[str, str]
) -> Outcome:
    """Write the variables into the file, and put it on the list.

    Args:
        environ: this process's environment, in which git is asked.

    Raises:
        ConfsyncError: nothing was written; the file is as it was.
    """
    try:
        with files.changing() as hasher:
            return _write_out(files, hasher, variables, order, environ)
    except LedgerError as exc:
        if order.until is not None:
            raise
        unnoted = exc
    nowhere = WrittenFiles(None)
    with nowhere.changing() as hasher:
        outcome = _write_out(nowhere, hasher, variables, order, environ)
    note = (
        f"it is not on the list of written files, so that env --clean does not know of it: {unnoted.message}"
    )
    return replace(outcome, notes=(*outcome.notes, note))


def _write_out(
    files: WrittenFiles,
    hasher: Hasher,
    variables: Sequence[Variable],
    order: Order,
    environ: Mapping[str, str],
) -> Outcome:
    before = output_file.look(order.path)
    noted = files.of(order.path)
    merges = order.form in LINE_BASED
    kept = noted.until if noted is not None and order.until is None else None
    if kept is not None:
        order = replace(order, until=kept)
    made = (_merged if merges else _whole)(before, noted, hasher, variables, order)
    private = any(one.sensitive for one in made.variables)
    output_file.sweep(order.path)
    beside = order.path
    if private:
        check_unseen(order.path, environ)
        beside = _beside(order.path, environ)
        output_file.sweep(beside)
    outcome = made.outcome
    changed = before.content != made.content or (private and before.mode != output_file.PRIVATE)
    entry = WrittenFile(
        path=order.path,
        config=order.config,
        environment=order.environment,
        format=order.grammar,
        whole=not merges,
        until=order.until,
        digests=(hasher.content(made.content),),
        statements=tuple((names, digest_of(hasher, text)) for names, text in made.statements),
        added=made.added,
        created=before.content is None or (noted is not None and noted.created),
    )
    notes = _put(files, before, made.content, entry, noted, private=private, beside=beside) if changed else ()
    files.note(entry)
    if private and before.mode is not None and before.mode & 0o077:
        notes = (*notes, f"its mode was {before.mode:04o} and is 0600 now, since it has secrets")
    if kept is not None:
        notes = (*notes, f"it is still good until {until_text(kept)}: --ttl gives it another time")
    return replace(outcome, changed=changed, notes=(*outcome.notes, *notes))


def _put(
    files: WrittenFiles,
    before: OutputFile,
    content: bytes,
    entry: WrittenFile,
    noted: WrittenFile | None,
    *,
    private: bool,
    beside: str,
) -> tuple[str, ...]:
    """Replace the file, which is on the list, as what it was and as what it will be, before it is there."""
    both = replace(
        entry,
        digests=(*entry.digests, *(noted.digests if noted else ())),
        statements=(*entry.statements, *(noted.statements if noted else ())),
    )
    files.note(both)
    try:
        return output_file.replace(before, content, private=private, beside=beside)
    except BaseException:
        with suppress(LedgerError):
            if noted is None:
                files.forget([entry.path])
            else:
                files.note(noted)
        raise


def _beside(path: str, environ: Mapping[str, str]) -> str:
    """Beside which path the secrets lie until the file is whole: where git would not take them either.

    Raises:
        ConfsyncError: there is no such place.
    """
    place = own_place(path, environ)
    if place is None:
        return path
    try:
        near = os.stat(os.path.dirname(place)).st_dev == os.stat(os.path.dirname(path)).st_dev
    except OSError:
        near = False
    if near and os.access(os.path.dirname(place), os.W_OK | os.X_OK):
        return place
    try:
        check_unseen(staging_path(path), environ)
    except ConfsyncError as exc:
        raise ConfsyncError(
            f"{printable(path)}: the secrets would for a moment be in a file beside it that git does not ignore: "
            "git's own directory is on another filesystem, or not yours to write to",
            hint="let git ignore that file too, with the line `.*.confsync-*` in .gitignore; nothing was written",
        ) from exc
    return path


def digest_of(hasher: Hasher, text: str) -> str:
    """The digest by which a statement of a block is known again."""
    return hasher.value(text.encode("utf-8", "surrogateescape"))


@dataclass(frozen=True, slots=True)
class _Made:
    """What a file will have."""

    content: bytes = field(repr=False)
    variables: Sequence[Variable]
    outcome: Outcome
    statements: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    added: str = ""


def _whole(
    before: OutputFile, noted: WrittenFile | None, hasher: Hasher, variables: Sequence[Variable], order: Order
) -> _Made:
    if before.content is not None and not _is_ours(before, noted, hasher):
        shown = printable(order.path)
        raise ConfsyncError(
            f"{shown}: {_whose(noted)}, and {order.form} cannot be merged into a file",
            hint="move it away, or write to another file; nothing was written",
        )
    written = order.write(variables)
    names = tuple(one.name for one in variables)
    return _Made(written.text.encode(), variables, Outcome(order.path, written, names, changed=False))


def _whose(noted: WrittenFile | None) -> str:
    """Why a file is not confsync's alone."""
    if noted is None:
        return "was not written by confsync env"
    if noted.whole:
        return "was changed by hand since confsync env wrote it"
    return "has other lines than those of confsync env"


def _is_ours(before: OutputFile, noted: WrittenFile | None, hasher: Hasher) -> bool:
    """Whether the file is as confsync env left it, with nothing in it that is anybody else's."""
    content = before.content or b""
    if noted is None or hasher.content(content) not in noted.digests:
        return False
    return noted.whole or not "".join(merging.take_apart(content, before.path).own).strip()


def _merged(
    before: OutputFile, noted: WrittenFile | None, hasher: Hasher, variables: Sequence[Variable], order: Order
) -> _Made:
    shown = printable(order.path)
    content = before.content or b""
    if noted is not None and noted.whole and _is_ours(before, noted, hasher):
        content = b""
    own = own_part(content, noted, hasher, shown, order.grammar, frozenset(one.name for one in variables))
    _check_replaceable(own, noted, order)
    overrides = merging.overrides(own, order.grammar, shown)
    theirs = {one.name for one in overrides}
    ours = [one for one in variables if one.name not in theirs]
    merging.check_marks((one.key, one.value) for one in ours)
    written = order.write(ours)
    merged = merging.put_together(own, order.grammar, order.environment, _header(order), written.text)
    wanted = {one.name for one in variables}
    outcome = Outcome(
        order.path,
        written,
        tuple(one.name for one in ours),
        changed=False,
        overrides=tuple(one for one in overrides if one.name in wanted),
        repeated=tuple(one for one in overrides if len(one.lines) > 1),
        edited=own.edited,
        removed=tuple(name for name in own.removed if name in {one.name for one in ours}),
        replaced=tuple(name for name in own.parts.environments if name != order.environment),
        notes=_remarks(own, noted, order, merged),
    )
    values = tuple((one.name, merging.said(one.name, one.value)) for one in ours)
    added = merged.added or (noted.added if noted and own.parts.environments else "")
    return _Made(merged.content, ours, outcome, (*merged.statements, *values), added)


def own_part(
    content: bytes,
    noted: WrittenFile | None,
    hasher: Hasher,
    shown: str,
    grammar: str,
    names: frozenset[str] | None = None,
) -> Own:
    """What is somebody's own in a file, and what they made of the block.

    Args:
        grammar, names: what its block is read by, and whose lines in it are ours (None: all), where it is not on
            the list.

    Raises:
        ConfsyncError: that cannot be told.
    """
    parts = merging.take_apart(content, shown)
    known: Mapping[str, str] | frozenset[str] | None = names
    if noted is not None and not noted.whole:
        grammar, known = noted.format, noted.known
    own = merging.own_of(parts, grammar, known, lambda text: digest_of(hasher, text), shown)
    merging.check_above(own, grammar, shown)
    return own


def _check_replaceable(own: Own, noted: WrittenFile | None, order: Order) -> None:
    """Refuse to make somebody's own what may be another environment's secret."""
    others = [name for name in own.parts.environments if name != order.environment]
    if noted is None and others and own.edited:
        shown = printable(order.path)
        lines = ", ".join(str(one.line) for one in own.edited)
        raise ConfsyncError(
            f"{shown}: has a block of {printable(others[0])} and is not on the list of written files, so that nobody "
            f"can tell which of its lines are yours (line {lines})",
            hint=f"move yours out of it, then take it out: confsync env --clean {printable(shlex.quote(order.path))}",
        )


def _header(order: Order) -> list[str]:
    where = "below" if order.grammar in SCRIPTS else "outside of"
    lines = [f"Made by: {order.command}", f"Your own lines go {where} these marks, and win."]
    if order.until is not None:
        lines.append(f"Good until {until_text(order.until)}; then: confsync env --clean --expired")
    return lines


def until_text(until: float) -> str:
    """A time for people, in their time zone."""
    return datetime.fromtimestamp(until, UTC).astimezone().isoformat(timespec="seconds")


def _remarks(own: Own, noted: WrittenFile | None, order: Order, merged: Merged) -> tuple[str, ...]:
    notes = []
    if len(own.parts.environments) > 1:
        notes.append(f"it had {len(own.parts.environments)} blocks of confsync; it has one now")
    if own.parts.block and noted is None:
        notes.append(
            "it is not on the list of written files, so that nobody can tell what in its block was written by hand: "
            "lines that set something else than the new block stand below it now"
        )
    if merging.has_crlf(own) and not merging.crlf(own, order.grammar):
        notes.append(
            f"its lines end with CRLF, which {order.form} takes for part of a value; ours end with LF"
        )
    if merged.added:
        notes.append("its last line had no line end, and has one now")
    return tuple(notes)
