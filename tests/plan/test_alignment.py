"""Which lines of two texts are the same ones: right for all texts, and soon for long ones."""

from __future__ import annotations

import time
from difflib import SequenceMatcher, unified_diff
from itertools import pairwise
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confsync.environments.comparison.renders import compare_texts
from confsync.plan import alignment
from confsync.plan.alignment import Alignment
from confsync.plan.diff import unified

few = st.lists(st.integers(0, 9), max_size=40)
many = st.lists(st.integers(0, 60), max_size=80)


def applied(opcodes, left, right):
    """What the opcodes make of `left`; what they say is equal comes from there."""
    made, at = [], 0
    for kind, i, j, k, n in opcodes:
        assert (i, k) == (at, len(made))
        made += left[i:j] if kind == "equal" else right[k:n]
        at = j
    assert at == len(left)
    return made


@given(left=few | many, right=few | many, short=st.sampled_from([0, 4, 10**6]))
def test_what_is_told_to_be_the_same_is(left, right, short):
    with patch.multiple(alignment, _SHORT=0, _SHORT_BETWEEN=short):
        opcodes = Alignment(left, right).get_opcodes()

    assert applied(opcodes, left, right) == right
    kinds = [kind for kind, *_ in opcodes]
    assert ("equal", "equal") not in pairwise(kinds)


@given(left=few | many, right=few | many)
def test_short_texts_are_compared_by_difflib(left, right):
    assert Alignment(left, right).get_opcodes() == SequenceMatcher(None, left, right).get_opcodes()


def test_of_a_long_text_the_lines_that_changed_are_found():
    left = [*range(3000), "end"]
    right = [*left[:1000], "new", *left[1000:2000], *left[2001:]]

    changed = [one for one in Alignment(left, right).get_opcodes() if one[0] != "equal"]

    assert changed == [("insert", 1000, 1000, 1000, 1001), ("delete", 2000, 2001, 2001, 2001)]


@given(left=few, right=few)
def test_a_diff_of_files_is_the_one_of_diff(left, right):
    before, after = ("".join(f"{one}\n" for one in side).encode() for side in (left, right))
    lines = unified_diff(before.decode().splitlines(), after.decode().splitlines(), lineterm="")

    assert list(unified(before, after, sensitive=False, literals=())) == list(lines)[2:]


LONG = range(10_000)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (LONG, [f"{one} changed" if one % 2 else one for one in LONG]),
        (LONG, [one ^ 1 for one in LONG]),
        ([one % 150 for one in LONG], [one * 7 % 151 for one in LONG]),
        ([one % 150 for one in LONG], [one % 150 for one in reversed(LONG)]),
    ],
    ids=["every second line", "swapped", "repeated", "reversed"],
)
def test_long_texts_take_no_minutes(before, after):
    before, after = ("".join(f"{one}\n" for one in side).encode() for side in (before, after))
    begin = time.thread_time()

    unified(before, after, sensitive=False, literals=())
    compare_texts(before, after)

    assert time.thread_time() - begin < 3
