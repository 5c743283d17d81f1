"""Views of a source: layers, listings and directories against a plain dict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confsync.driver import Entry
from confsync.errors import Unavailable
from confsync.snapshot import Snapshot, UnreadableView, full_key

segments = st.text(st.sampled_from("ab0-./ \n~é"), min_size=1, max_size=3).map(
    lambda s: s.replace("/", "") or "a"
)
paths = st.lists(segments, min_size=1, max_size=4).map("/".join)
trees = st.dictionaries(paths, st.binary(max_size=3), max_size=12)


def snapshot_of(**layers):
    return Snapshot(
        "s",
        7,
        {name: {path: Entry(value, 1) for path, value in tree.items()} for name, tree in layers.items()},
        0.0,
    )


@given(trees, trees, st.one_of(st.just(""), paths))
def test_a_view_agrees_with_a_plain_dict(first, second, prefix):
    view = snapshot_of(one=first, two=second).view(["one", "two"])
    model = {**second, **first}
    below = sorted(path for path in model if not prefix or path.startswith(prefix + "/"))
    rest = [path[len(prefix) + 1 if prefix else 0 :] for path in below]
    assert view.paths() == sorted(model)
    assert view.under(prefix) == below
    assert view.children(prefix) == [path for path, end in zip(below, rest, strict=True) if "/" not in end]
    assert view.directories(prefix) == sorted({end.partition("/")[0] for end in rest if "/" in end})
    for path, value in model.items():
        found = view.find(path)
        assert found is not None
        assert found.entry.value == value
        assert found.prefix == ("one" if path in first else "two")
        assert view.shadowed(path) == (["two"] if path in first and path in second else [])
    assert view.find("no such path") is None


def test_a_prefix_nobody_read_shows_nothing():
    assert snapshot_of(one={"a": b""}).view(["other"]).paths() == []


def test_the_same_layers_share_one_view():
    snapshot = snapshot_of(one={"a": b""})
    assert snapshot.view(["one"]) is snapshot.view(["one"])


def test_a_prefix_ends_at_a_path_boundary():
    view = snapshot_of(one={"up/a": b"", "upper/b": b"", "up.c": b"", "up": b""}).view(["one"])
    assert view.under("up") == ["up/a"]


@pytest.mark.parametrize(
    "ask", [lambda v: v.find("a"), lambda v: v.under("a"), lambda v: v.children(""), lambda v: v.paths()]
)
def test_a_source_never_read_answers_with_the_reason(ask):
    view = UnreadableView(Unavailable("the store is down"), ("one",))
    with pytest.raises(Unavailable, match="the store is down"):
        ask(view)


def test_a_source_never_read_says_so_also_of_directories_and_shadows():
    view = UnreadableView(Unavailable("the store is down"), ("one",))
    with pytest.raises(Unavailable):
        view.directories("a")
    with pytest.raises(Unavailable):
        view.shadowed("a")


@pytest.mark.parametrize(
    ("prefix", "path", "key"),
    [("/prod/shop", "db/host", "/prod/shop/db/host"), ("prod/", "a", "prod/a"), ("", "a", "a")],
)
def test_a_full_key_is_spelt_as_the_store_does(prefix, path, key):
    assert full_key(prefix, path) == key
