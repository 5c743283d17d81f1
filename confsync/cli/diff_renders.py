"""What a sync makes under several environments, for people: two columns on a wide terminal, else a unified diff."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click

from confsync.cli.diff_lines import coloured, folded, one_below_the_other
from confsync.cli.diff_text import at_revisions
from confsync.cli.diff_values import cut, padded, wrapped
from confsync.cli.printing import path_of
from confsync.environments.comparison.renders import ComparedPair, ComparedRenders, ComparedTarget, Line

_MOST_LINES = 2000


def renders_as_text(renders: ComparedRenders, named: str, columns: int | None) -> Iterator[str]:
    """What a sync makes under each environment, against the first.

    Args:
        named: the environments, for the sentence at the end.
        columns: to set two sides beside each other in; None: one below the other.
    """
    for pair in renders.pairs:
        if len(renders.pairs) > 1:
            yield click.style(f"{pair.left} and {pair.right}", bold=True)
        for target in pair.targets:
            yield from _target(pair, target, columns)
    sync = f"sync {renders.sync!r}"
    read = rendered_at(renders)
    if renders.differ:
        yield f"{sync} makes something else under {named}{read}"
    elif not renders.incomplete:
        yield f"{sync} makes the same under {named}{read}"
    elif renders.pairs:
        yield f"{sync} is not seen to make anything else under {named}{read}"


def render_doubts(renders: ComparedRenders) -> Iterator[str]:
    """What could not be rendered, and why."""
    for one in renders.rendered:
        if one.error:
            yield f"sync {renders.sync!r} cannot be rendered under {one.environment}: {one.error}"
        if one.unfetched:
            yield f"{one.environment}: {', '.join(one.unfetched)} is made when it is fetched: not compared"


def _target(pair: ComparedPair, target: ComparedTarget, columns: int | None) -> Iterator[str]:
    yield _heading(pair, target)
    lines = list(folded(target.lines))
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], Line("@", f"(and {len(lines) - _MOST_LINES} more lines)")]
    if columns is None:
        yield from ("    " + _coloured_line(line) for line in one_below_the_other(lines))
    elif lines:
        yield from _beside(pair, lines, columns)


def _heading(pair: ComparedPair, target: ComparedTarget) -> str:
    if target.right is None:
        return coloured("-", f"- {path_of(target.left or '')}  (only under {pair.left})")
    if target.left is None:
        return coloured("+", f"+ {path_of(target.right)}  (only under {pair.right})")
    moved = f" → {path_of(target.right)}" if target.left != target.right else ""
    text = f"{path_of(target.left)}{moved}"
    if target.same:
        return f"= {text}"
    return coloured("~", f"~ {text}") + ("" if target.lines else "  (the content is the same)")


def _coloured_line(line: str) -> str:
    colour = {"-": "red", "+": "green", "@": "cyan"}.get(line[:1])
    return click.style(line, fg=colour) if colour else line


def _beside(pair: ComparedPair, lines: Iterable[Line], columns: int) -> Iterator[str]:
    """Two columns: what replaces a line stands beside it."""
    wide = (columns - 3) // 2
    yield click.style(f"{padded(pair.left, wide)}   {pair.right}".rstrip(), bold=True)
    for line in lines:
        if line.sign == "@":
            yield click.style(cut([line.left], columns)[0], fg="cyan")
            continue
        left, right = list(wrapped(line.left, wide)) or [""], list(wrapped(line.right, wide)) or [""]
        between = {" ": " │ ", "~": " ~ ", "-": " < ", "+": " > "}[line.sign]
        colours = {" ": ("", ""), "~": ("red", "green"), "-": ("red", ""), "+": ("", "green")}[line.sign]
        for at in range(max(len(left), len(right))):
            one = padded(left[at] if at < len(left) else "", wide)
            other = right[at] if at < len(right) else ""
            yield f"{_in(one, colours[0])}{between}{_in(other, colours[1])}".rstrip()


def _in(text: str, colour: str) -> str:
    return click.style(text, fg=colour) if colour and text.strip() else text


def rendered_at(renders: ComparedRenders) -> str:
    """At which revision each source was read; several where the environments had to be read apart."""
    found: dict[str, dict[int, None]] = {}
    for one in renders.rendered:
        for source, revision in one.revisions.items():
            found.setdefault(source, {})[revision] = None
    return at_revisions(found)
