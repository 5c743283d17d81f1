"""How the keys of environments differ, for people: a line for each, or a table where there are three or more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import click

from confsync.cli.diff_lines import coloured, folded, one_below_the_other
from confsync.cli.diff_values import cut, padded, spelled, width
from confsync.environments.comparison import Cell, ComparedKey, Comparison, Difference
from confsync.environments.comparison.looks import State
from confsync.environments.comparison.renders import compare_texts
from confsync.redact import DOTS
from confsync.text import plural, printable, revision_text

_NARROWEST = 10
"""Columns that a value needs; in a table with less for each, every environment gets a line of its own."""
_DIFFERS = f"{DOTS} differs"
_MOST_OF_A_VALUE = 20
"""Lines shown of the difference between two values that have several."""


def comparison_as_text(comparison: Comparison, named: str, columns: int) -> Iterator[str]:
    """All that differs, and what it comes to.

    Args:
        named: the environments, for the sentence at the end.
        columns: how wide a line may be.
    """
    keys = list(comparison.keys)
    if keys:
        shown = _table if len(comparison.environments) > 2 else _pairs
        yield from shown(keys, comparison.environments, columns)
    yield _summary(comparison, named)


def _summary(comparison: Comparison, named: str) -> str:
    differing = comparison.count(Difference.VALUES, Difference.PRESENCE)
    unknown = comparison.count(Difference.UNKNOWN)
    same = count_of(comparison.same, "is the same", "are the same")
    parts = [same] if comparison.same else []
    if differing:
        parts = [count_of(differing, f"differs between {named}", f"differ between {named}"), *parts]
    elif comparison.incomplete and not comparison.same:
        parts = [f"nothing could be compared between {named}"]
    elif comparison.incomplete:
        parts = [f"nothing is seen to differ between {named}", *parts]
    else:
        parts = [f"{named} are the same: {plural(comparison.same, 'key')}"]
    parts += [f"{plural(unknown, 'key')} could not be compared"] if unknown else []
    return "; ".join(parts) + read_at(comparison)


def count_of(keys: int, one: str, several: str) -> str:
    """`1 key differs`, `2 keys differ`."""
    return f"{plural(keys, 'key')} {one if keys == 1 else several}"


def read_at(comparison: Comparison) -> str:
    """At which revision each source was read, in brackets; nothing where none has one."""
    return at_revisions({one.name: [one.revision] for one in comparison.sources if one.revision is not None})


def at_revisions(revisions: Mapping[str, Iterable[int]]) -> str:
    """Those of each source, in brackets; nothing where there are none."""
    told = (
        f"{source} at revision {' and '.join(map(revision_text, at))}" for source, at in revisions.items()
    )
    return f" ({', '.join(told)})" if revisions else ""


def doubts(comparison: Comparison) -> Iterator[str]:
    """What could not be compared, and why."""
    names = comparison.environments
    for source in comparison.sources:
        if source.problem:
            yield f"source {source.name!r} was not compared: {source.problem}"
        for place in source.unlisted:
            yield (
                f"{names[place.environment]}: {source.name}:{place.place} could not be listed: {place.why}"
            )
        why = [cell.why for key in source.keys for cell in key.cells if cell.why]
        told = {place.why for place in source.unlisted}
        left = [one for one in dict.fromkeys(why) if one not in told]
        if left:
            more = f" (and {len(left) - 1} more like it)" if len(left) > 1 else ""
            yield f"{left[0]}{more}"


# Two environments


def sign_of(key: ComparedKey) -> str:
    """The character that says how a key differs."""
    match key.difference:
        case Difference.VALUES:
            return "~"
        case Difference.UNKNOWN:
            return "?"
        case Difference.UNFETCHED:
            return "·"
        case Difference.NONE:
            return "="
    if len(key.cells) > 2:
        return "±"
    return "-" if key.cells[0].state is State.PRESENT else "+"


def _pairs(keys: Sequence[ComparedKey], environments: Sequence[str], columns: int) -> Iterator[str]:
    names = [printable(key.name) for key in keys]
    widest = min(max(map(width, names)), columns * 2 // 5)
    for key, name in zip(keys, names, strict=True):
        sign = sign_of(key)
        room = columns - 2 - max(widest, width(name)) - 2
        line = _in_a_line(key, environments, room)
        if line is not None:
            yield f"{coloured(sign)} {padded(name, widest)}  {line}".rstrip()
        else:
            yield f"{coloured(sign)} {name}"
            yield from _in_lines(key, environments, columns)
        yield from described(key, columns)


def described(key: ComparedKey, columns: int) -> Iterator[str]:
    """What the configuration says of a key."""
    said = key.documentation
    if said is None or not (said.about or said.owner):
        return
    about = printable(" ".join((said.about or "").split()))
    owner = f"({printable(said.owner)})" if said.owner else ""
    text = " ".join(filter(None, (about, owner)))
    yield click.style("    " + cut([text], columns - 4)[0], dim=True)


def _in_a_line(key: ComparedKey, environments: Sequence[str], room: int) -> str | None:
    """The values of two environments, or None where they need more than a line."""
    cells = key.cells
    if key.difference is Difference.UNFETCHED:
        return "made for whoever fetches it: not compared"
    if key.difference is Difference.UNKNOWN:
        return "; ".join(
            f"{cell.state.value} in {environment}"
            for environment, cell in zip(environments, cells, strict=True)
            if cell.why
        )
    if key.sensitive:
        return _sensitive_pair(key, environments)
    texts = spelled([cell.value for cell in cells if cell.state is State.PRESENT])
    if key.difference is Difference.NONE:
        return cut(texts, max(room, _NARROWEST))[0]
    if key.difference is Difference.PRESENCE:
        where = next(
            name for name, cell in zip(environments, cells, strict=True) if cell.state is State.PRESENT
        )
        begun = f"only in {where}: "
        return begun + cut(texts, max(room - len(begun), _NARROWEST))[0]
    if _has_lines(cells) or sum(map(width, texts)) + 3 > room:
        return None
    return f"{texts[0]} → {texts[1]}"


def _sensitive_pair(key: ComparedKey, environments: Sequence[str]) -> str:
    if key.difference is not Difference.PRESENCE:
        return _DIFFERS if key.difference is Difference.VALUES else DOTS
    where = next(
        name for name, cell in zip(environments, key.cells, strict=True) if cell.state is State.PRESENT
    )
    return f"only in {where}: {DOTS}"


def _has_lines(cells: Iterable[Cell]) -> bool:
    """Whether one of the values is a text of several lines."""
    return any("\n" in text.rstrip("\n") for text in map(_text, cells) if text is not None)


def _text(cell: Cell) -> str | None:
    if isinstance(cell.value, bytes):
        try:
            return cell.value.decode("utf-8")
        except UnicodeDecodeError:
            return None
    return cell.value if isinstance(cell.value, str) else None


def _in_lines(key: ComparedKey, environments: Sequence[str], columns: int) -> Iterator[str]:
    """Two values below their key: their lines where they have several, else one below the other."""
    texts = [_text(cell) for cell in key.cells]
    if _has_lines(key.cells) and None not in texts:
        yield from _differing_lines(texts, columns - 4)
        return
    widest = max(map(width, environments))
    values = cut(spelled([cell.value for cell in key.cells]), max(columns - 6 - widest, _NARROWEST))
    for sign, environment, value in zip("-+", environments, values, strict=False):
        yield f"    {padded(environment, widest)}  {coloured(sign, value)}"


def _differing_lines(texts: Iterable[str | None], columns: int) -> Iterator[str]:
    before, after = ((text or "").encode("utf-8", "surrogatepass") for text in texts)
    lines = [
        line._replace(left=left, right=right)
        for line in folded(compare_texts(before, after))
        for left, right in [cut([line.left, line.right], columns - 2)]
    ]
    shown = list(one_below_the_other(lines))
    yield from (f"    {coloured(line[:1], line)}" for line in shown[:_MOST_OF_A_VALUE])
    if len(shown) > _MOST_OF_A_VALUE:
        yield f"    (and {plural(len(shown) - _MOST_OF_A_VALUE, 'more line')})"


# Three and more


def cells_of(key: ComparedKey, environments: Sequence[str], most: int) -> list[str]:
    """What each environment's column shows of a key: at most so wide."""
    leaders = [at for at, cell in enumerate(key.cells) if cell.group == at]
    if key.sensitive:
        other = _DIFFERS if most >= len(_DIFFERS) else "≠"
        values = dict.fromkeys(leaders, other) | dict.fromkeys(leaders[:1], DOTS)
    else:
        shown = cut(spelled([key.cells[at].value for at in leaders]), most)
        values = dict(zip(leaders, shown, strict=True))
    return [values.get(at) or _standing_for(cell, environments) for at, cell in enumerate(key.cells)]


def _standing_for(cell: Cell, environments: Sequence[str]) -> str:
    if cell.group is None:
        return "-" if cell.state is State.MISSING else cell.state.value
    return "=" if cell.group == 0 else f"= {environments[cell.group]}"


def _table(keys: Sequence[ComparedKey], environments: Sequence[str], columns: int) -> Iterator[str]:
    names = [printable(key.name) for key in keys]
    widest = min(max(map(width, names)), columns * 2 // 5)
    room = (columns - 2 - widest) // len(environments) - 2
    if room < max(_NARROWEST, *map(width, environments)):
        yield from _stacked(keys, environments, columns)
        return
    rows = [cells_of(key, environments, room) for key in keys]
    wide = [max(map(width, column)) for column in zip(environments, *rows, strict=True)]
    yield "  ".join([" " * (widest + 2), *map(padded, environments, wide)]).rstrip()
    for key, name, cells in zip(keys, names, rows, strict=True):
        head = f"{coloured(sign_of(key))} {padded(name, widest)}"
        if width(name) > widest:
            yield head
            head = " " * (widest + 2)
        yield "  ".join([head, *map(padded, cells, wide)]).rstrip()
        yield from described(key, columns)


def _stacked(keys: Sequence[ComparedKey], environments: Sequence[str], columns: int) -> Iterator[str]:
    widest = max(map(width, environments))
    for key in keys:
        yield f"{coloured(sign_of(key))} {printable(key.name)}"
        yield from described(key, columns)
        cells = cells_of(key, environments, max(columns - 6 - widest, _NARROWEST))
        for environment, cell in zip(environments, cells, strict=True):
            yield f"    {padded(environment, widest)}  {cell}".rstrip()
