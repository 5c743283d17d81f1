"""How results look: for people with colour where there is a terminal, for programs as JSON."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import click

from confsync.text import printable


def path_of(target: str) -> str:
    """A target as people call it: the path of a file; the whole id of what has none."""
    kind, _, place = target.partition(":")
    return printable(place if kind in ("file", "directory") else target)


def print_json(value: object) -> None:
    """One JSON document on stdout, in which what a terminal could act on is escaped, as are bytes that are no UTF-8."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    unseen = [char for char in set(text) if not char.isprintable() and char != "\n"]
    click.echo(text.translate({ord(char): json.dumps(char)[1:-1] for char in unseen}))


def as_text(value: bytes) -> tuple[str, str | None]:
    """A value for JSON, and its encoding: `base64` where it is no text, else None."""
    try:
        return value.decode("utf-8"), None
    except UnicodeDecodeError:
        return base64.b64encode(value).decode("ascii"), "base64"


def complain(text: str) -> None:
    """A problem, on stderr."""
    for line in printable_lines(text).split("\n"):
        click.echo(f"{click.style('confsync:', fg='red')} {line}", err=True)


def printable_lines(text: str) -> str:
    """`text` safe for a terminal, its line breaks kept."""
    return "\n".join(map(printable, text.split("\n")))


_WIDEST = 100
"""Characters of a column that others are aligned to: one very long key would fill every line with blanks."""


def table(rows: Sequence[Sequence[str]]) -> None:
    """Columns, aligned; the last is as long as it likes, and so is a cell that is much longer than a line."""
    if not rows:
        return
    columns = range(len(rows[0]) - 1)
    widths = [min(_WIDEST, max(len(row[column]) for row in rows)) for column in columns]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join([*cells, row[-1]]).rstrip())


def when(at: float | None) -> str | None:
    """A moment as every command writes it, or None."""
    return (
        datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if at else None
    )


def progress(total: int) -> Callable[[str], None]:
    """Counts on a terminal's stderr while long work is done; says nothing elsewhere or when there is little to do."""
    if total < 50 or not sys.stderr.isatty():
        return lambda _: None
    count = 0

    def step(_: str) -> None:
        nonlocal count
        count += 1
        if count % 25 == 0 or count == total:
            click.echo(f"\r{count}/{total} syncs", nl=count == total, err=True)

    return step
