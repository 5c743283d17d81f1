"""Which values are secrets: one glob covers every spelling of what it names."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confsync.address import spelled
from confsync.source.matching import for_certain, in_any_spelling, shown_as

maybe_by_key = partial(in_any_spelling, of_secrets=False)
by_address = partial(in_any_spelling, of_secrets=True)
surely_by_address = partial(for_certain, of_secrets=True)


PREFIXES = ("secret/prod/shop", "/secret/common/", "")

SPELLINGS = [
    "db#password",
    "db?version=1#password",
    "/secret/prod/shop/db#password",
    "/secret/prod/shop/db/?version=1#password",
    "/secret/common/db#password",
    "db",
    "db?version=1",
    "/secret/prod/shop/db",
    "/secret/common/db?version=1",
]
"""All that shows the password."""


@pytest.mark.parametrize("path", SPELLINGS)
@pytest.mark.parametrize(
    "glob",
    [
        "db#password",
        "db",
        "*password*",
        "*#password",
        "d?#pass*",
        "[d]b#password",
        "db[#]password",
        "/db/",
        "*",
    ],
)
def test_a_glob_covers_every_spelling_of_what_it_names(glob, path):
    assert by_address([glob], PREFIXES)(path)


@pytest.mark.parametrize("path", ["db#password", "db", "/secret/prod/shop/db#password"])
@pytest.mark.parametrize("glob", ["/secret/prod/shop/db#password", "/secret/prod/*", "secret/*/db#password"])
def test_a_glob_from_the_root_covers_what_is_read_below_a_prefix(glob, path):
    assert by_address([glob], PREFIXES)(path)


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("db#password", "db#user"),
        ("db#password", "/secret/prod/shop/db#user"),
        ("*#password", "db?version=1#user"),
        ("db", "dbs"),
        ("db", "dbs#db"),
        ("web#*", "db"),
        ("db[!#/]x", "db"),
        ("/secret/prod/shop/db", "web"),
        ("db#password", "/secret/production/shop/db#password"),
        ("db#password", "app/db#password"),
    ],
)
def test_what_no_glob_names_is_public(glob, path):
    assert not by_address([glob], PREFIXES)(path)


@pytest.mark.parametrize("glob", ["north#pw", "north%23pw", "north#*"])
def test_a_secret_named_like_a_field_is_covered_by_both_its_names(glob):
    assert by_address([glob], PREFIXES)("north%23pw#user")


def test_what_is_no_address_is_taken_for_a_secret():
    assert by_address([], PREFIXES)("db#")
    assert not by_address([], PREFIXES)("db")


signs = st.text(st.sampled_from("ab#*?[]!"), min_size=1, max_size=6)


@given(
    signs, st.text(st.sampled_from("ab"), min_size=1, max_size=2), st.text(st.sampled_from("ab!"), min_size=1)
)
def test_a_secret_is_sensitive_if_one_of_its_fields_is(glob, secret, field):
    is_sensitive = by_address([glob], ("p",))

    if is_sensitive(f"{secret}#{field}"):
        assert is_sensitive(secret)
        assert is_sensitive(f"/p/{secret}")
        assert is_sensitive(f"/p/{secret}#{field}")


@pytest.mark.parametrize("said", [True, False])
def test_all_or_none(said):
    assert maybe_by_key(said, PREFIXES)("a") is said
    assert by_address(said, PREFIXES)("a#") is said


def test_keys_are_matched_as_a_whole():
    is_sensitive = for_certain(["*password*", "tls/*", "/a#b"], PREFIXES, of_secrets=False)

    assert [is_sensitive(key) for key in ("db/password", "tls/key", "a#b")] == [True] * 3
    assert [is_sensitive(key) for key in ("db/user", "tls", "a", "a?b")] == [False] * 4


@pytest.mark.parametrize(
    ("glob", "path", "meant"),
    [
        ("db", "db#password", True),
        ("db", "db", True),
        ("db#password", "db#password", True),
        ("db#password", "db", False),
        ("db#*", "db", False),
        ("db", "/secret/prod/shop/db", True),
        ("db", "/secret/dev/shop/db", False),
        ("db", "/db", False),
        ("/secret/prod/shop/db", "db", True),
        ("/secret/prod/*", "/secret/prod/shop/db#password", True),
        ("*", "/secret/dev/shop/db", False),
        ("*", "../x", False),
    ],
)
def test_what_may_be_shown_is_only_what_is_meant_for_certain(glob, path, meant):
    assert surely_by_address([glob], ["secret/prod/shop"])(path) is meant


@pytest.mark.parametrize("path", ["db#password", "/secret/prod/shop/db#password", "db?version=1#password"])
@pytest.mark.parametrize("glob", ["db/*", "db/password", "*/password", "db/**"])
def test_a_field_is_below_its_secret(glob, path):
    assert by_address([glob], PREFIXES)(path)
    assert by_address([glob], PREFIXES)("db"), "some field of it may be"
    assert surely_by_address([glob], ["secret/prod/shop"])(path)
    assert not surely_by_address([glob], ["secret/prod/shop"])("db")


@pytest.mark.parametrize("path", ["dbs#password", "app#db", "db2#db/password"])
def test_below_a_secret_is_no_other_secret(path):
    assert not by_address(["db/*"], PREFIXES)(path)
    assert not surely_by_address(["db/*"], ["secret/prod/shop"])(path)


def test_from_the_root_every_layer_has_to_be_meant():
    assert not surely_by_address(["/secret/prod/*"], ["secret/prod/shop", "secret/common"])("db")


@pytest.mark.parametrize(
    ("glob", "meant"), [("a#b", False), ("a%23b", True), ("a*", True), ("a%23*", True), ("a", False)]
)
def test_a_name_with_a_hash_is_meant_for_certain_only_as_an_address_spells_it(glob, meant):
    assert surely_by_address([glob], ["p"])("a%23b#user") is meant
    assert surely_by_address(["a#b"], ["p"])("a#b"), "the field"


@pytest.mark.parametrize("path", ["db#x", "/db#x"])
@pytest.mark.parametrize("glob", ["db", "/db", "db#*", "/db#x"])
def test_without_a_prefix_an_environment_shows_the_store_itself(glob, path):
    assert surely_by_address([glob], [""])(path)


@pytest.mark.parametrize(
    ("glob", "path", "meant"),
    [
        ("db/*", "db/host", True),
        ("/db/*", "db/host", True),
        ("/prod/db/*", "db/host", True),
        ("/prod/*/host", "db/host", True),
        ("/common/db/host", "db/host", True),
        ("prod/db/*", "db/host", True),
        ("prod*", "db/host", False),
        ("dev/db/*", "db/host", False),
        ("/dev/db/*", "db/host", False),
        ("/prod/db", "db/host", False),
    ],
)
def test_a_full_key_may_be_meant_where_a_glob_begins_like_one(glob, path, meant):
    assert maybe_by_key([glob], ["/prod", "common/"])(path) is meant
    assert maybe_by_key(["/db/*"], [""])("db/host")


NESTED = ["/prod/shop", "/prod", "/common"]


@pytest.mark.parametrize("path", ["db/password", "shop/db/password"])
@pytest.mark.parametrize("glob", ["db/*", "db/password", "shop/db/*", "/prod/shop/db/*", "prod/shop/db/*"])
def test_where_one_prefix_lies_below_another_a_key_has_two_names(glob, path):
    assert maybe_by_key([glob], NESTED)(path)
    assert shown_as(path, NESTED) >= {"db/password", "shop/db/password"}


def test_other_prefixes_give_a_key_no_other_name():
    assert shown_as("db/password", ["/prod", "/common", "/produce"]) == {"db/password"}
    assert not maybe_by_key(["db/*"], NESTED)("web/db/password")
    assert not maybe_by_key(["password"], NESTED)("db/password")


@pytest.mark.parametrize("glob", ["pay/*", "pay/token", "pay#*"])
def test_a_key_called_like_a_field_is_below_its_secret_too(glob):
    assert maybe_by_key([glob], ["prod"])("pay#token")
    assert not maybe_by_key([glob], ["prod"])("payment#token")


@given(
    signs,
    st.text(st.sampled_from("ab#"), min_size=1, max_size=3),
    st.text(st.sampled_from("ab#!"), min_size=1),
)
def test_what_is_meant_for_certain_may_be_meant(glob, secret, field):
    path = f"{spelled(secret)}#{field}"

    for spelling in (path, f"/p/{path}", path.partition("#")[0]):
        assert not surely_by_address([glob], ["p"])(spelling) or by_address([glob], ["p", "q"])(spelling)
        assert not for_certain([glob], ["p"], of_secrets=False)(spelling) or maybe_by_key([glob], ["p"])(
            spelling
        )
