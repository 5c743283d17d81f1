"""How `confsync env` prints variables: to a pipe as they are, to a terminal with dots, to a job of GitHub masked."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from secrets import token_hex
from typing import TYPE_CHECKING

import click

from confsync.environments.dialects import write

if TYPE_CHECKING:
    from confsync.environments.variables import Variable


def print_variables(form: str, dialect: str | None, variables: Sequence[Variable], *, reveal: bool) -> None:
    """Print them, and the notes on stderr. Raises `RenderError`."""
    if _is_terminal():
        _print_on_terminal(form, dialect, variables, reveal=reveal)
        return
    written = write(form, variables, dialect=dialect, reveal=reveal)
    _put_out(written.text)
    _say(written.notes)
    if written.masks:
        _say(["nothing masks these secrets in a job's log: without --out -, confsync env does"])


def append_for_github(path: str, variables: Sequence[Variable]) -> None:
    """Append them to the file that gives a job's next steps their variables; the secrets are masked before."""
    written = write("github", variables)
    print_masks(written.masks)
    with open(path, "ab+") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - 1, 0))
        begun = file.read(1) not in (b"", b"\n")  # a line of somebody else's that has no end yet
        file.write(b"\n" * begun + written.text.encode())
    _say(written.notes)


def print_masks(masks: str) -> None:
    """Tell a job what to hide in its log. A terminal is no job, and would show it."""
    if masks and not _is_terminal():
        _put_out(masks)


def _print_on_terminal(
    form: str, dialect: str | None, variables: Sequence[Variable], *, reveal: bool
) -> None:
    """With dots for secrets; what stands for them until then is plain, so that each format writes it as it is."""
    from confsync.cli.printing import printable_lines
    from confsync.redact import DOTS

    hides = not reveal and any(one.sensitive for one in variables)
    dots = token_hex(16)
    shown = [replace(one, value=dots) if hides and one.sensitive else one for one in variables]
    written = write(form, shown, dialect=dialect, reveal=True)
    click.echo(printable_lines(written.text).replace(dots, DOTS), nl=False)
    _say(written.notes)
    if hides:
        _say(["secrets are dots on a terminal: --reveal shows them, a pipe or --out FILE gets them"])


def _is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def _put_out(text: str) -> None:
    """All of it on stdout, as UTF-8 whatever the locale.

    Not by `click.echo`: where Python does not buffer stdout, it loses what a full pipe does not take at once.
    """
    from confsync.sinks.disk import write_all

    if sys.stdout is None:
        raise OSError(errno.EBADF, "stdout is closed")
    sys.stdout.flush()
    write_all(sys.stdout.fileno(), text.encode())


def _say(notes: Sequence[str]) -> None:
    from confsync.text import printable

    for note in notes:
        click.echo(printable(note), err=True)
