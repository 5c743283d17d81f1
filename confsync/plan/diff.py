"""Unified diffs for people, masked where a sensitive value may show.

A line of a sensitive file is shown only where a template's text has it: whole, or up to its first expression.
Everything else is replaced by dots, whatever it looks like: a value that went through a filter is a secret too, and the
old file's values are not known to anybody any more. A line that may come from either of two template lines, `user=root`
and `user={{ u }}`, is taken to come from the one with the expression.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from confsync.redact import DOTS
from confsync.text import printable

_CONTEXT = 3
_LONGEST_LINE = 500
_MOST_LINES = 2000
LARGEST = 1_000_000
"""Bytes, of both sides together, beyond which no diff is made."""
_NO_NEWLINE = "  (no line break at the end)"


def unified(
    before: bytes | Mapping[str, bytes] | None,
    after: bytes | Mapping[str, bytes] | None,
    *,
    sensitive: bool,
    literals: Sequence[str],
) -> tuple[str, ...]:
    """The lines of a diff from `before` to `after` (None: nothing is there), each safe for a terminal.

    Args:
        sensitive: whether either side depends on a sensitive value.
        literals: the texts of the templates, for what may be shown of a sensitive file.
    """
    mask = Mask(literals) if sensitive else None
    if isinstance(before, Mapping) or isinstance(after, Mapping):
        return tuple(_directory(_files(before), _files(after), mask))
    return tuple(_file("", before, after, mask))


def _files(content: bytes | Mapping[str, bytes] | None) -> Mapping[str, bytes]:
    return content if isinstance(content, Mapping) else {}


def _directory(before: Mapping[str, bytes], after: Mapping[str, bytes], mask: Mask | None) -> list[str]:
    lines: list[str] = []
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            lines += _file(name, before.get(name), after.get(name), mask)
    return lines


def _file(name: str, before: bytes | None, after: bytes | None, mask: Mask | None) -> list[str]:
    head = [f"@@ {printable(name)} @@"] if name else []
    if len(before or b"") + len(after or b"") > LARGEST:
        sizes = "" if mask else f": {len(before or b'')} → {len(after or b'')} bytes"
        return [*head, f"(too large to compare{sizes})"]
    old, new = text_lines(before), text_lines(after)
    if old is None or new is None:
        return [*head, "(not text)"]
    lines = list(_hunks(old, new))
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"  (and {len(lines) - _MOST_LINES} more lines)"]
    return head + [_shown(line, mask) for line in lines]


def _hunks(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    """A unified diff: what differs, with a few lines around it."""
    from confsync.plan.alignment import Alignment

    for group in Alignment(old, new).get_grouped_opcodes(_CONTEXT):
        (_, i, _, k, _), (_, _, j, _, n) = group[0], group[-1]
        yield f"@@ -{_range(i, j)} +{_range(k, n)} @@"
        for kind, i, j, k, n in group:
            if kind == "equal":
                yield from (f" {line}" for line in old[i:j])
                continue
            yield from (f"-{line}" for line in old[i:j])
            yield from (f"+{line}" for line in new[k:n])


def _range(begin: int, end: int) -> str:
    """Lines as POSIX has `diff -u` name them: the first, and how many unless it is one; of none the line before."""
    count = end - begin
    first = begin + 1 if count else begin
    return f"{first}" if count == 1 else f"{first},{count}"


def text_lines(content: bytes | None) -> list[str] | None:
    """The lines of a text, a note on the last where its line break is missing; None: it is no text."""
    if not content:
        return []
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if text.endswith("\n"):
        return text[:-1].split("\n")
    return [*text.split("\n")[:-1], text.rpartition("\n")[2] + _NO_NEWLINE]


def _shown(line: str, mask: Mask | None) -> str:
    sign, text = line[:1], line[1:]
    if sign not in "+- ":
        return line
    if mask is not None:
        text = mask.line(text)
    text = printable(text)
    return sign + (text if len(text) <= _LONGEST_LINE else text[:_LONGEST_LINE] + "…")


class Mask:
    """Knows what the templates say themselves.

    Args:
        literals: their texts.
    """

    def __init__(self, literals: Sequence[str]) -> None:
        self._whole: set[str] = {""}
        self._beginnings: set[str] = set()
        for text in literals:
            for line in text.split("\n"):
                at = min(
                    (place for mark in ("{{", "{%", "{#") if (place := line.find(mark)) >= 0), default=-1
                )
                if at < 0:
                    self._whole.add(line)
                elif line[:at].strip():
                    self._beginnings.add(line[:at])

    def line(self, text: str) -> str:
        """A line of a sensitive file as it may be shown."""
        # Of several beginnings the shortest: what follows it may be a value already.
        beginning = min((start for start in self._beginnings if text.startswith(start)), key=len, default="")
        return text if not beginning and text in self._whole else beginning + DOTS
