"""What the files of syncs are called, wherever their targets are elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confsync.environments.sync_files import _safe, _tails
from confsync.errors import RenderError

PLACES = st.lists(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(tuple), min_size=1, max_size=6, unique=True
)


@given(PLACES)
def test_each_is_the_end_of_its_path_and_no_two_are_one(places):
    try:
        tails = _tails(places)
    except RenderError:
        # One is the end of another, or a directory where another is a file.
        assert any(one != other and set(one) & set(other) for one in places for other in places)
        return

    assert len(set(tails)) == len(places)
    assert all(place[-len(tail) :] == tail for place, tail in zip(places, tails, strict=True))
    assert not [1 for one in tails for other in tails if one != other and other[: len(one)] == one]


@pytest.mark.parametrize(
    ("places", "names"),
    [
        (["etc/app.conf"], ["app.conf"]),
        (["etc/a/x", "etc/b/x", "etc/b/y"], ["a/x", "b/x", "y"]),
        (["one/conf/x", "two/conf/x"], ["one/conf/x", "two/conf/x"]),
        (["cluster/ns/db/A", "cluster/ns/db/B"], ["A", "B"]),
        (["cluster/one/db/A", "cluster/two/db/A"], ["one/db/A", "two/db/A"]),
    ],
)
def test_the_shortest_names_that_differ(places, names):
    assert ["/".join(tail) for tail in _tails([tuple(one.split("/")) for one in places])] == names


def test_names_that_cannot_be_told_apart_are_refused():
    with pytest.raises(RenderError, match="two of its targets would be one file: a"):
        _tails([("a",), ("x", "a"), ("y", "a"), ("a",)])


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b"])
def test_a_name_that_leads_elsewhere_is_refused(name):
    with pytest.raises(RenderError, match="cannot be the name of a file"):
        _safe(("etc", name))
