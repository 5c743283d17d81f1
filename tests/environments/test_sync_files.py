"""What the files of syncs are called, wherever their targets are elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confsync.environments.execution.provision import Provider
from confsync.environments.execution.sync_files import _safe, _tails
from confsync.environments.policy import Policy
from confsync.errors import ConfsyncError, RenderError

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


REST = {
    "HOST": "values:db/host",
    "PASSWORD": "vault:db#password",
    "URL": {"template": "{{ vault('db').user }}@x"},
}


@pytest.fixture
def mapped(laptop):
    """A sync with a data map of which one entry is held back, and a template that is one whole."""
    laptop.put("db", password="canary", user="app")
    laptop.configure(
        local={"prod": {"deny": ["vault:db#password"]}},
        syncs={
            "app": {"data": REST, "to": "/run/app.env"},
            "one": {"data": {"P": "vault:db#password"}, "to": "/run/one.env"},
            "text": {"template": {"inline": "{{ vault('db').password }}"}, "to": "/etc/text"},
            "both": {
                "data": REST,
                "templates": {"t": {"inline": "{{ vault('db').password }}"}},
                "to": {"directory": {"path": "/etc/both"}},
            },
            "each": {
                "for_each": "['a']",
                "data": {"P": "vault:db#password"},
                "to": {"file": {"path": "/etc/{{ each.key }}.env"}},
            },
        },
    )
    return laptop


def provided(laptop, *syncs):
    with laptop.core("prod", looking=False) as core:
        core.hub.refresh()
        policy = Policy(core.loaded, core.hub, "prod")
        return Provider(core, policy, "prod", None, syncs).provide()


def test_of_a_data_map_comes_down_what_is_not_held_back(mapped):
    provision = provided(mapped, "app", "one")

    assert [(one.path, one.content) for one in provision.files] == [
        ("app/app.env", b"HOST=db.prod\nURL=app@x\n"), ("one/one.env", b""),
    ]  # fmt: skip
    assert provision.variables == {"HOST": "db.prod", "URL": "app@x"}
    assert [(one.key, one.why) for one in provision.collected.held_back] == [
        ("app.PASSWORD (vault:db#password)", 'local.prod.deny "vault:db#password"'),
        ("one.P (vault:db#password)", 'local.prod.deny "vault:db#password"'),
    ]
    assert "confsync.yaml:" in provision.collected.held_back[0].place


@pytest.mark.parametrize("sync", ["text", "both", "each"])
def test_what_is_no_data_map_alone_fails_as_a_whole(mapped, sync):
    with pytest.raises(
        ConfsyncError, match=f"sync {sync}: .*vault:db#password is held back by local.prod.deny"
    ):
        provided(mapped, sync)
