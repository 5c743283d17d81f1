"""A comparison of environments as Markdown, for a comment on a change: tables, and nothing that a value could break."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from confsync.cli.diff_lines import folded, one_below_the_other
from confsync.cli.diff_renders import render_doubts, rendered_at
from confsync.cli.diff_text import cells_of, count_of, doubts, read_at, sign_of
from confsync.cli.markdown import code, escaped
from confsync.environments.comparison import ComparedKey, Comparison, Difference
from confsync.environments.comparison.renders import ComparedPair, ComparedRenders, ComparedTarget
from confsync.text import plural, printable

_LONGEST_VALUE = 80
_LONGEST_TEXT = 200
_LONGEST = 60_000
"""Characters of one table, or of one diff."""
_LONGEST_COMMENT = 65_000
"""Characters of all of it: a comment on GitHub may have 65,536."""

_MEANINGS = {
    "~": "differs", "-": "only in the first", "+": "only in the second", "±": "only in some", "?": "not compared",
    "·": "made when fetched", "=": "the same",
}  # fmt: skip


def comparison_as_markdown(comparison: Comparison) -> Iterator[str]:
    """A table of all that differs, after a line that says how much; what could not be compared below."""
    return _fitting(_tables(comparison))


def _tables(comparison: Comparison) -> Iterator[str]:
    names = comparison.environments
    yield _summary(comparison)
    keys = list(comparison.keys)
    if keys:
        yield ""
        yield f"| | key | {' | '.join(map(escaped, names))} |"
        yield "| --- " * (len(names) + 2) + "|"
        yield from _limited([_row(key, names) for key in keys])
    yield from _problems(comparison)


def _summary(comparison: Comparison) -> str:
    names = " and ".join(f"**{escaped(name)}**" for name in comparison.environments)
    differing = comparison.count(Difference.VALUES, Difference.PRESENCE)
    unknown = comparison.count(Difference.UNKNOWN)
    parts = [
        _told(comparison, differing) + f" between {names}",
        f"{plural(comparison.same, 'key')} the same",
    ]
    parts += [f"{plural(unknown, 'key')} not compared"] if unknown else []
    return ", ".join(parts) + escaped(read_at(comparison)) + "."


def _told(comparison: Comparison, differing: int) -> str:
    if differing:
        return count_of(differing, "differs", "differ")
    if not comparison.incomplete:
        return "No difference"
    return "No difference is seen" if comparison.same else "Nothing could be compared"


def _row(key: ComparedKey, names: Sequence[str]) -> str:
    said = key.documentation
    owner = f"({said.owner})" if said and said.owner else ""
    about = " ".join(filter(None, ((said.about or "") if said else "", owner)))
    name = code(_short(printable(key.name), _LONGEST_TEXT)) + (
        f"<br>{escaped(_short(' '.join(about.split()), _LONGEST_TEXT))}" if about else ""
    )
    return f"| {_MEANINGS[sign_of(key)]} | {name} | {' | '.join(map(code, cells_of(key, names, _LONGEST_VALUE)))} |"


def _limited(rows: Sequence[str]) -> Iterator[str]:
    length = 0
    for number, row in enumerate(rows):
        length += len(row) + 1
        if length > _LONGEST:
            yield ""
            yield f"And {plural(len(rows) - number, 'more row')}: there is no room for them here."
            return
        yield row


def _problems(comparison: Comparison) -> Iterator[str]:
    lines = list(doubts(comparison))
    if lines:
        yield ""
    yield from (f"- {escaped(_short(line, 500))}" for line in lines)


def renders_as_markdown(renders: Iterable[ComparedRenders]) -> Iterator[str]:
    """A diff for each target that is not the same."""
    return _fitting(chain.from_iterable(map(_diffs, renders)))


def _diffs(renders: ComparedRenders) -> Iterator[str]:
    for pair in renders.pairs:
        count = sum(1 for target in pair.targets if not target.same)
        differ = f"{plural(count, 'target')} {'differs' if count == 1 else 'differ'}"
        names = f"**{escaped(pair.left)}** and **{escaped(pair.right)}**"
        told = f"{differ if count else 'no target differs'} between {names}"
        yield f"Sync {code(renders.sync)}: {told}{escaped(rendered_at(renders))}."
        yield ""
        for target in pair.targets:
            if not target.same:
                yield from _target(pair, target)
    yield from (f"- {escaped(_short(line, 500))}" for line in render_doubts(renders))


def _target(pair: ComparedPair, target: ComparedTarget) -> Iterator[str]:
    places = [place for place in (target.left, target.right) if place is not None]
    only = (
        f" (only under {escaped(pair.left if target.right is None else pair.right)})"
        if len(places) == 1
        else ""
    )
    yield " → ".join(map(code, dict.fromkeys(places))) + only
    yield ""
    lines = list(one_below_the_other(folded(target.lines)))
    if not lines:
        return
    fence = "`" * max(3, 1 + max((len(run) for line in lines for run in re.findall("`+", line)), default=0))
    yield f"{fence}diff"
    yield from _limited(lines)
    yield fence
    yield ""


def _fitting(lines: Iterable[str]) -> Iterator[str]:
    """The lines that a comment has room for; the diff that is cut ends where its last line does."""
    length, fence = 0, ""
    for line in lines:
        length += len(line) + 1
        if length > _LONGEST_COMMENT:
            yield from ([fence] if fence else [])
            yield ""
            yield "And more: there is no room for it here."
            return
        if line.startswith("```"):  # nothing else does: what is in a diff begins with a sign
            fence = "" if fence else line.removesuffix("diff")
        yield line


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + "…"
