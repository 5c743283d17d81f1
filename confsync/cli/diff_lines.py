"""Lines of a comparison: signs and their colours, what is left out, which side comes first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import click

from confsync.environments.comparison.renders import Line

_COLOURS = {"~": "yellow", "-": "red", "+": "green", "±": "cyan", "?": "magenta"}
_CONTEXT = 3


def coloured(sign: str, text: str = "") -> str:
    """`text`, by default the sign itself, in the colour of a sign."""
    return click.style(text or sign, fg=_COLOURS[sign]) if sign in _COLOURS else text or sign


def folded(lines: Sequence[Line]) -> Iterator[Line]:
    """The lines that differ with a few around them, `⋮` for the others."""
    near: set[int] = set()
    for at, line in enumerate(lines):
        if line.sign != " ":
            near.update(range(at - _CONTEXT, at + _CONTEXT + 1))
    kept = [at for at in range(len(lines)) if at in near]
    for before, at in pairwise([-1, *kept]):
        if at > before + 1:
            yield Line("@", "⋮")
        yield lines[at]
    if kept and kept[-1] < len(lines) - 1:
        yield Line("@", "⋮")


def one_below_the_other(lines: Iterable[Line]) -> Iterator[str]:
    """A unified diff: of lines that replace others first the old ones, then the new ones."""
    new: list[str] = []
    for line in lines:
        if line.sign in " @":
            yield from new
            new = []
            yield f"@ {line.left}" if line.sign == "@" else f"  {line.left}".rstrip()
            continue
        if line.sign in "~-":
            yield f"- {line.left}"
        if line.sign in "~+":
            new.append(f"+ {line.right}")
    yield from new
