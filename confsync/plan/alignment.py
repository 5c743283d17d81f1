"""Which lines of two texts are the same ones, in time that hardly grows faster than the texts.

`difflib` finds the longest run in common, then those before and after it. Where every second line of a long file was
changed, or most lines are in it many times, that takes hours. So of long texts the lines that each side has once are
matched first ("patience diff": https://bramcohen.livejournal.com/73318.html), and difflib gets what is between them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from difflib import Match, SequenceMatcher
from typing import NamedTuple, TypeVar

T = TypeVar("T", bound=Hashable)

_SHORT = 1000 * 1000
"""Lines of one side by lines of the other, up to which difflib alone is quick enough."""
_SHORT_BETWEEN = 200 * 200
"""The same, where there may be many such pieces."""
_DEEPEST = 20
"""How often what is between lines is looked through for others that are there once."""


class Alignment(SequenceMatcher[T]):
    """A `SequenceMatcher` for sequences of any length."""

    def __init__(self, left: Sequence[T], right: Sequence[T]) -> None:
        super().__init__(None, left, right)
        self._sides = left, right

    def get_matching_blocks(self) -> list[Match]:
        """As there; of what is long and has no line in common that is there once, nothing matches."""
        left, right = self._sides
        if len(left) * len(right) <= _SHORT:
            return super().get_matching_blocks()
        blocks = [Match(0, 0, 0)]
        for found in _matching(left, right, _Span(0, len(left), 0, len(right)), 0):
            last = blocks[-1]
            if (found.a, found.b) == (last.a + last.size, last.b + last.size):
                blocks[-1] = last._replace(size=last.size + found.size)
            else:
                blocks.append(found)
        return [*(block for block in blocks if block.size), Match(len(left), len(right), 0)]


class _Span(NamedTuple):
    """A piece of both sides: from the first index to before the second one."""

    i: int
    j: int
    k: int
    n: int


def _matching(left: Sequence[T], right: Sequence[T], span: _Span, depth: int) -> Iterator[Match]:
    """The runs in common, from first to last; perhaps several in a row."""
    i, j, k, n = span
    begin = 0
    while i + begin < j and k + begin < n and left[i + begin] == right[k + begin]:
        begin += 1
    end = 0
    while i + begin < j - end and k + begin < n - end and left[j - end - 1] == right[n - end - 1]:
        end += 1
    if begin:
        yield Match(i, k, begin)
    yield from _between(left, right, _Span(i + begin, j - end, k + begin, n - end), depth)
    if end:
        yield Match(j - end, n - end, end)


def _between(left: Sequence[T], right: Sequence[T], span: _Span, depth: int) -> Iterator[Match]:
    """The runs in common of what begins and ends differently."""
    i, j, k, n = span
    if i == j or k == n:
        return
    if (j - i) * (n - k) <= _SHORT_BETWEEN:
        for block in SequenceMatcher(None, left[i:j], right[k:n]).get_matching_blocks()[:-1]:
            yield Match(i + block.a, k + block.b, block.size)
        return
    if depth == _DEEPEST:
        return
    anchors = _in_order(_once_in_both(left, right, span))
    for at, to in anchors:
        yield from _matching(left, right, _Span(i, at, k, to), depth + 1)
        yield Match(at, to, 1)
        i, k = at + 1, to + 1
    if anchors:
        yield from _matching(left, right, _Span(i, j, k, n), depth + 1)


def _once_in_both(left: Sequence[T], right: Sequence[T], span: _Span) -> list[tuple[int, int]]:
    """Where each line is that either side has once, in the order of the left one."""
    i, j, k, n = span
    ours, theirs = Counter(left[i:j]), Counter(right[k:n])
    places = {right[to]: to for to in range(k, n) if theirs[right[to]] == 1}
    return [(at, places[left[at]]) for at in range(i, j) if ours[left[at]] == 1 and left[at] in places]


def _in_order(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The most of these that follow each other on both sides: the longest increasing subsequence."""
    ends: list[int] = []  # of the sequences of each length, the one that ends first: there
    last: list[int] = []  # its last pair, by number
    before: list[int] = []  # the pair before each
    for number, (_, to) in enumerate(pairs):
        length = bisect_left(ends, to)
        before.append(last[length - 1] if length else -1)
        ends[length : length + 1] = [to]
        last[length : length + 1] = [number]
    found: list[tuple[int, int]] = []
    number = last[-1] if last else -1
    while number >= 0:
        found.append(pairs[number])
        number = before[number]
    return found[::-1]
