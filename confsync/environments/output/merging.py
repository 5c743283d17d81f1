"""Puts a block of variables among somebody's own lines, and takes it out again, and touches nothing else.

The block stands between two marks, `# >>> confsync env prod >>>` and `# <<< confsync env prod <<<`. What is outside
of them is kept byte for byte. A file has one block: that of another environment is replaced, and several whole ones, as
a merge of branches may leave them, become one. Where a mark is missing nobody can tell where the block ends, so that
nothing is done.

A variable that is set outside wins: it is left out of the block. What a script sets, only its shell can tell: there the
block comes first, so that whatever the script does below it wins. Somebody may move it: it is replaced where it stands.

What somebody wrote or changed between the marks is not lost: what was written there is known by its digests, and the
rest is moved below the block, where it wins as any other line of theirs. Of a block that nothing is known of, as one
that came with its directory from elsewhere, the lines are taken for ours that set what is written now.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from confsync.environments.output.assignments import SCRIPTS, Statement, Unclosed, statements
from confsync.errors import ConfsyncError
from confsync.text import printable

_BEGIN = re.compile(r"# >>> confsync env (.*) >>>\s*")
_END = re.compile(r"# <<< confsync env (.*) <<<\s*")
_MADE_BY = "Made by: "
_HEADER = re.compile(r"# (?:Made by: confsync |Your own lines go |Good until |direnv watches ).*\s*")
_ANY_MARK = re.compile(r"# (?:>>>|<<<) confsync env ")
_TAKES_CRLF = frozenset({"dotenv", "dotenv:node", "docker", "powershell", "systemd"})
"""Formats whose readers take CRLF for a line end; to the others the CR is part of the value."""


@dataclass(frozen=True, slots=True)
class Override:
    """A variable that somebody sets in their own lines. `lines` are the numbers of those that set it, from 1."""

    name: str
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Edited:
    """What somebody wrote in the block: the number of its first line, from 1, and the variables it sets."""

    line: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """A file, taken apart.

    Attributes:
        before: somebody's own lines above the block, line ends included; all of them where there is no block.
        block: the lines between the marks; of all blocks, where there are several.
        numbers: the number of each of these in the file, from 1.
        after: somebody's own lines below.
        after_numbers: the number of each of these in the file.
        environments: whose blocks were there, in order; empty where there was none.
    """

    before: tuple[str, ...] = field(repr=False)
    block: tuple[str, ...] = field(default=(), repr=False)
    numbers: tuple[int, ...] = ()
    after: tuple[str, ...] = field(default=(), repr=False)
    after_numbers: tuple[int, ...] = ()
    environments: tuple[str, ...] = ()

    @property
    def own(self) -> tuple[str, ...]:
        """Somebody's own lines."""
        return self.before + self.after


def take_apart(content: bytes, path: str) -> Parts:
    """The own lines and the block of a file.

    Raises:
        ConfsyncError: it is no text, or a mark is missing.
    """
    if b"\0" in content:
        raise ConfsyncError(
            f"{path}: is no text that lines can be added to: it has NULs",
            hint="a file in UTF-16 is made UTF-8 with: iconv -f UTF-16 -t UTF-8",
        )
    before: list[str] = []
    block: list[tuple[int, str]] = []
    after: list[tuple[int, str]] = []
    environments: list[str] = []
    opened: tuple[int, str] | None = None
    for number, line in enumerate(_lines(content), 1):
        begins, ends = _BEGIN.fullmatch(line), _END.fullmatch(line)
        if begins:
            if opened:
                raise _broken(path, *opened, f"and line {number} opens one more")
            opened = number, begins[1]
            environments.append(begins[1])
        elif ends:
            if opened is None:
                raise ConfsyncError(
                    f"{path}:{number}: ends a block of confsync that no line above begins",
                    hint=f"write {_begin(ends[1])!r} above its first line, or remove what is left of the block",
                )
            opened = None
        elif opened:
            block.append((number, line))
        elif environments:
            after.append((number, line))
        else:
            before.append(line)
    if opened:
        raise _broken(path, *opened, "and nothing ends it")
    return Parts(
        tuple(before),
        tuple(line for _, line in block),
        tuple(number for number, _ in block),
        tuple(line for _, line in after),
        tuple(number for number, _ in after),
        tuple(environments),
    )


def _lines(content: bytes) -> list[str]:
    # Not splitlines(), to which half a dozen other characters are line ends too.
    return re.findall(r"[^\n]*\n|[^\n]+", content.decode("utf-8", "surrogateescape"))


def _broken(path: str, number: int, environment: str, what: str) -> ConfsyncError:
    return ConfsyncError(
        f"{path}:{number}: begins a block of confsync, {what}",
        hint=f"write {_end(environment)!r} below its last line, or remove the block; nothing was written",
    )


def _begin(environment: str) -> str:
    return f"# >>> confsync env {printable(environment)} >>>"


def _end(environment: str) -> str:
    return f"# <<< confsync env {printable(environment)} <<<"


@dataclass(frozen=True, slots=True)
class Own:
    """What is somebody's own in a file.

    Attributes:
        parts: the file as it was.
        edited: what they wrote in the block.
        removed: the variables whose lines they took out of the block.
        kept: the lines of `edited`.
    """

    parts: Parts
    edited: tuple[Edited, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = field(default=(), repr=False)


def own_of(
    parts: Parts,
    grammar: str,
    known: Mapping[str, str] | frozenset[str] | None,
    digest: Callable[[str], str],
    path: str,
) -> Own:
    """Tell apart, in the block, what was written there from what somebody made of it.

    Args:
        grammar: of the format the block was written in, as `assignments.grammar_of` gives it.
        known: digest -> names of each statement that was written; where that is not known, the variables whose
            statements count as written, or None for all.
        digest: of a statement's text, as `put_together` gives it.

    Raises:
        ConfsyncError: the block was edited so that nobody can tell where a value ends; or nothing is known of it,
            and it does not begin as those that confsync writes do.
    """
    if not parts.environments:
        return Own(parts)
    if not isinstance(known, Mapping):
        _check_made(parts, path)
    if known is None:
        return Own(parts)
    found = _in_block(parts, grammar, path)
    if not isinstance(known, Mapping):
        return _own(parts, [one for one in found if not _is_header(one) and known.isdisjoint(one.names)])
    changed = [one for one in found if known.keys().isdisjoint(map(digest, _readings(one)))]
    still = {name for one in found for name in one.names}
    removed = {name for names in known.values() for name in names.split()} - still
    return replace(_own(parts, changed), removed=tuple(sorted(removed)))


def _in_block(parts: Parts, grammar: str, path: str) -> list[Statement]:
    try:
        return statements(grammar, parts.block)
    except Unclosed as exc:
        raise ConfsyncError(
            f"{path}:{parts.numbers[exc.line - 1]}: was edited by hand in the block of confsync, and nobody can tell "
            "where its value ends",
            hint="move your own lines out of the block, or remove the block",
        ) from None


def _check_made(parts: Parts, path: str) -> None:
    if parts.block and not parts.block[0].startswith(f"# {_MADE_BY}confsync "):
        raise ConfsyncError(
            f"{path}:{parts.numbers[0] - 1}: has the mark of a block that confsync env did not write: no `# {_MADE_BY}"
            "confsync …` follows it, and the file is not on the list of written files",
            hint="remove the marks; nothing was changed",
        )


def _is_header(statement: Statement) -> bool:
    return not statement.names and _HEADER.fullmatch(_text(statement)) is not None


def _own(parts: Parts, changed: Iterable[Statement]) -> Own:
    kept = [one for one in changed if compared(one).strip()]
    edited = tuple(Edited(parts.numbers[one.first - 1], one.names) for one in kept)
    return Own(parts, edited, kept=tuple(_ended(line) for one in kept for line in one.lines))


def _readings(statement: Statement) -> Iterator[str]:
    """The texts by which a statement may be known: its own, and `said` of each value it may be read to have."""
    text = compared(statement)
    yield text
    if len(statement.names) != 1:
        return
    (name,) = statement.names
    value = text.partition(name)[2].strip().removeprefix("=").strip()
    inside, line_end, last = value.rpartition("\n")  # within a value of several lines nothing is a comment
    uncommented = inside + line_end + re.sub(r"\s#.*", "", last)
    for one in (value, uncommented.rstrip()):
        yield said(name, one)
        if one[:1] in ("'", '"', "`") and one.endswith(one[:1]):
            inner = one[1:-1]
            quote = re.escape(one[0])
            yield said(name, inner)
            yield said(name, inner.replace("\\n", "\n"))
            yield said(name, re.sub(rf"\\([\\$`{quote}])", r"\1", inner))
    with suppress(ValueError):
        yield said(name, " ".join(shlex.split(value, comments=True)))


def said(name: str, value: str) -> str:
    """A variable as it is known again however its line is quoted."""
    return f"{name}={value}"


def compared(statement: Statement) -> str:
    """A statement as it is compared: an editor or git may have changed its line ends, and nobody what it says."""
    return _text(statement).replace("\r\n", "\n")


def _text(statement: Statement) -> str:
    return "".join(statement.lines).rstrip("\r\n")


def overrides(own: Own, grammar: str, path: str) -> tuple[Override, ...]:
    """The variables that somebody sets outside of the block, or set in it, in order of their names.

    Of a script, only those set in it.

    Raises:
        ConfsyncError: a value goes on into the block.
    """
    found: dict[str, list[int]] = {}
    parts = own.parts
    outside: list[tuple[Sequence[str], Sequence[int]]] = [
        (parts.before, range(1, len(parts.before) + 1)),
        (parts.after, parts.after_numbers),
    ]
    for lines, numbers in [] if grammar in SCRIPTS else outside:
        for one in _read(grammar, lines, numbers, path):
            for name in one.names:
                found.setdefault(name, []).append(numbers[one.first - 1])
    for edited in own.edited:
        for name in edited.names:
            found.setdefault(name, []).append(edited.line)
    return tuple(Override(name, tuple(lines)) for name, lines in sorted(found.items()))


def check_above(own: Own, grammar: str, path: str) -> None:
    """Make sure that what looks like a block is not part of a value. Raises `ConfsyncError`."""
    if own.parts.environments and grammar not in SCRIPTS:
        _read(grammar, own.parts.before, range(1, len(own.parts.before) + 1), path)


def _read(grammar: str, lines: Sequence[str], numbers: Sequence[int], path: str) -> list[Statement]:
    try:
        return statements(grammar, lines)
    except Unclosed as exc:
        raise ConfsyncError(
            f"{path}:{numbers[exc.line - 1]}: opens a quote, or goes on, and nothing ends it",
            hint="mend that line: confsync's block would be part of its value; nothing was written",
        ) from None


def crlf(own: Own, grammar: str) -> bool:
    """Whether the block's lines end as somebody's own do, with CRLF."""
    return grammar in _TAKES_CRLF and has_crlf(own)


def has_crlf(own: Own) -> bool:
    """Whether the first of somebody's own lines ends with CRLF."""
    return next(iter(own.parts.own), "").endswith("\r\n")


def check_marks(texts: Iterable[tuple[str, str]]) -> None:
    """Refuse values that would end the block early: what follows would pass for somebody's own lines.

    Args:
        texts: (key, value).

    Raises:
        ConfsyncError: names every key.
    """
    wrong = [printable(key) for key, text in texts if _ANY_MARK.search(text)]
    if wrong:
        raise ConfsyncError(
            f"a value that has the marks of a block in it cannot stand in one: {', '.join(wrong)}",
            hint="leave it out with --without, or choose --format json",
        )


@dataclass(frozen=True, slots=True)
class Merged:
    """A file, put together.

    Attributes:
        statements: (names, text as it is compared) of each statement between the marks.
        added: the line end that the last of somebody's own lines lacked and was given, or "".
    """

    content: bytes = field(repr=False)
    statements: tuple[tuple[str, str], ...] = field(repr=False)
    added: str


def put_together(own: Own, grammar: str, environment: str, header: Sequence[str], body: str) -> Merged:
    """The file with a new block.

    Args:
        header: comments, without `#` and line end.
        body: the variables, written by this grammar.
    """
    written = [f"# {printable(line)}\n" for line in header] + _lines(body.encode("utf-8", "surrogateescape"))
    between = statements(grammar, written)
    newline = "\r\n" if crlf(own, grammar) else "\n"
    block = [_begin(environment) + newline]
    block += (_text(one) + newline for one in between)
    block.append(_end(environment) + newline)
    before, after = list(own.parts.before), list(own.parts.after)
    if grammar in SCRIPTS and not own.parts.environments:
        count = _leading(before)
        before, after = before[:count], before[count:]
    added = newline if before and not before[-1].endswith("\n") else ""
    if added:
        before[-1] += added
    lines = (*before, *block, *own.kept, *after)
    return Merged(_encoded(lines), tuple((" ".join(one.names), compared(one)) for one in between), added)


def _leading(lines: Sequence[str]) -> int:
    """How many of a script's lines have to stay its first.

    Raises:
        ConfsyncError: a byte order mark has to, and what is in its line cannot.
    """
    first = next(iter(lines), "")
    if not first.startswith("\ufeff"):
        return int(first.startswith("#!"))
    if not first[1:].lstrip().startswith("#") and first[1:].strip():
        raise ConfsyncError(
            "the file begins with a byte order mark, and the block has to stand above its first line",
            hint="write a comment above that line, or save the file without the mark; nothing was written",
        )
    return 1


def without_block(own: Own, added: str = "") -> bytes:
    """The file without any block, and with what somebody wrote in it.

    Args:
        added: as `put_together` said it.
    """
    content = _encoded((*own.parts.before, *own.kept, *own.parts.after))
    if own.kept or own.parts.after:
        return content
    return content.removesuffix(added.encode())


def _encoded(lines: Iterable[str]) -> bytes:
    return "".join(lines).encode("utf-8", "surrogateescape")


def _ended(line: str) -> str:
    return line if line.endswith("\n") else line + "\n"
