"""YAML: nested maps are paths, scalars are the text that was written."""

from __future__ import annotations

import json
import re
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from confsync.errors import Invalid
from confsync_backends.file import yaml_text


def parse(text):
    return {leaf.path: leaf.value for leaf in yaml_text.parse(text, "f.yaml")}


def test_nested_maps_are_paths():
    assert parse("db: {host: x, port: 5432}\ntop: 1\n") == {"db/host": b"x", "db/port": b"5432", "top": b"1"}


@pytest.mark.parametrize(
    "text",
    [
        "5432", "1.10", "0x1F", "0o14", "010", "1_000", "1e3", "true", "True", "yes", "off", ".inf", "=",
        "1.2.3", "2026-01-02", "12:30:45", "2026-01-02T03:04:05Z", "sn☃w",
    ],
)  # fmt: skip
def test_a_scalar_is_the_text_that_was_written(text):
    assert parse(f"a: {text}\n") == {"a": text.encode()}


@pytest.mark.parametrize("null", ["", "~", "null", "Null", "NULL", "!!null ''", "&x ~"])
def test_a_null_is_no_key(null):
    assert parse(f"a: {null}\nb: 1\n") == {"b": b"1"}


@pytest.mark.parametrize("text", ["'null'", '"~"', "''", "!!str null", "!!str ~", "! null"])
def test_quoted_or_tagged_as_text_it_is_none(text):
    assert parse(f"a: {text}\n")["a"] in {b"null", b"~", b""}


def test_block_scalars_keep_their_lines():
    assert parse("a: |\n  one\n  two\nb: >-\n  one\n  two\n") == {"a": b"one\ntwo\n", "b": b"one two"}


def test_a_list_is_json_text_under_its_own_path():
    text = "a: [80, 1.10, x, 'y', true, yes, ~, 2026-01-02, {n: 1, m: [2]}, -0.5e3, 010]\n"
    assert parse(text) == {
        "a": b'[80, 1.10, "x", "y", true, "yes", null, "2026-01-02", {"n": 1, "m": [2]}, -0.5e3, "010"]'
    }


def test_an_empty_list_is_a_value_and_an_empty_map_is_none():
    assert parse("a: []\nb: {}\n") == {"a": b"[]"}


def test_binary_is_bytes():
    assert parse("a: !!binary /v8A\nb: !binary |\n  /v\n  8A\n") == {
        "a": b"\xfe\xff\x00",
        "b": b"\xfe\xff\x00",
    }


def test_a_slash_in_a_key_separates_and_a_leading_one_is_dropped():
    assert parse("/prod/shop: {db/host: x}\n") == {"prod/shop/db/host": b"x"}


def test_a_key_and_a_subtree_may_have_one_name():
    assert parse("a: 1\na/b: 2\n") == {"a": b"1", "a/b": b"2"}


def test_merges_bring_in_what_the_map_lacks():
    text = "base: &b {x: 1, y: 2}\nmore: &m {y: 3, z: 4}\none: {<<: *b, x: 9}\ntwo: {<<: [*m, *b], w: 5}\n"
    found = parse(text)
    assert {key: value for key, value in found.items() if key.startswith("one/")} == {
        "one/x": b"9",
        "one/y": b"2",
    }
    assert {key: value for key, value in found.items() if key.startswith("two/")} == {
        "two/y": b"3", "two/z": b"4", "two/x": b"1", "two/w": b"5",
    }  # fmt: skip


def test_a_quoted_merge_sign_is_a_key():
    assert parse('a: {"<<": 1}\n') == {"a/<<": b"1"}


def test_aliases_stand_for_what_was_anchored():
    assert parse("a: &x {k: [1]}\nb: *x\nc: &y text\nd: [*y]\n") == {
        "a/k": b"[1]", "b/k": b"[1]", "c": b"text", "d": b'["text"]',
    }  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", "\n", "# nothing\n", "---\n", "--- ~\n", "{}", "\ufeff".encode().decode("utf-8-sig")]
)
def test_an_empty_document_has_no_keys(text):
    assert parse(text) == {}


ERRORS = {
    "a: [1\nb: 2\n": (2, 2, "not valid YAML"),
    "a: 1\n\tb: 2\n": (2, 1, "not valid YAML"),
    "a: b: c\n": (1, 5, "not valid YAML"),
    "a: 1\nb: 2\na: 3\n": (3, 1, r"the key 'a' is written twice; the first is at f.yaml:1:1"),
    "a: {b: 1}\na: {c: 2}\n": (2, 1, r"the key 'a' is written twice; the first is at f.yaml:1:1"),
    "a/b: 1\nx: 0\na:\n  b: 2\n": (4, 3, r"the key 'a/b' is written twice; the first is at f.yaml:1:1"),
    "x: [{k: 1, k: 2}]\n": (1, 12, r"the key 'k' is written twice; the first is at f.yaml:1:6"),
    "- 1\n": (1, 1, "must hold a mapping"),
    "\n  text\n": (2, 3, "must hold a mapping"),
    "a: 1\n---\nb: 2\n": (2, 1, "a second document"),
    "a: !secret x\n": (1, 4, "this tag is not known"),
    "a: !!python/object:x {}\n": (1, 4, "this tag is not known"),
    "a: [!secret x]\n": (1, 5, "this tag is not known"),
    "a: !!binary '*'\n": (1, 4, "is not base64"),
    "a: *nowhere\n": (1, 4, "no anchor for this alias"),
    "a: &x [*x]\n": (1, 8, "the alias is within what it stands for"),
    "? [a, b]\n: 1\n": (1, 3, "a key must be text"),
    "'': 1\n": (1, 1, "a key is empty"),
    "a:\n  b//c: 1\n": (2, 3, "a key is empty"),
    "a/: 1\n": (1, 1, "a key is empty"),
    "a: {<<: 1}\n": (1, 9, "<< takes a mapping"),
    "a: 1\nb: \x01\n": (2, 4, "not valid YAML"),
}  # fmt: skip


@pytest.mark.parametrize("text", ERRORS)
def test_a_mistake_is_invalid_and_says_where(text):
    line, column, problem = ERRORS[text]
    with pytest.raises(Invalid, match=rf"^f\.yaml:{line}:{column}: .*{problem}") as caught:
        parse(text)
    assert "\n" not in str(caught.value)


def nested(number):
    """`number` levels of ten aliases each."""
    levels = [f"k{level}: &a{level} [{','.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, number)]
    return "k0: &a0 [lol]\n" + "".join(levels)


@pytest.mark.parametrize(
    "bomb",
    [
        nested(10),
        "k0: &a0 {x: 1}\n"
        + "".join(
            f"k{level}: &a{level} {{{', '.join(f'n{n}: *a{level - 1}' for n in range(10))}}}\n"
            for level in range(1, 10)
        ),
        "k: &a " + "x" * 1_000_000 + "\nb: [" + "*a, " * 100 + "]\n",
    ],
    ids=["lists", "maps", "text"],
)
def test_aliases_that_grow_beyond_measure_are_invalid_before_they_do(bomb):
    began = time.process_time()
    with pytest.raises(Invalid, match=r"^f\.yaml:\d+:\d+: too large"):
        parse(bomb)
    assert time.process_time() - began < 10


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000])
def test_nesting_beyond_use_is_invalid(text):
    with pytest.raises(Invalid, match=r"^f\.yaml:1:\d+: nested more than 100 deep"):
        parse(text)


def test_fifty_thousand_keys_take_no_minutes():
    text = "".join(
        f"service{n}:\n" + "".join(f"  key{k}: value {n} {k}\n" for k in range(50)) for n in range(1000)
    )
    began = time.process_time()
    assert len(parse(text)) == 50_000
    assert time.process_time() - began < 4


segments = st.text(
    st.characters(codec="utf-8", exclude_characters="/", exclude_categories=["Cc", "Cs"]), min_size=1
)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]))
trees = st.recursive(
    texts | st.binary(), lambda inner: st.dictionaries(segments, inner, max_size=4), max_leaves=12
)


def flat(tree, base=""):
    if not isinstance(tree, dict):
        return {base: tree.encode() if isinstance(tree, str) else tree}
    found = {}
    for key, value in tree.items():
        found |= flat(value, f"{base}/{key}" if base else key)
    return found


@given(st.dictionaries(segments, trees, max_size=5))
def test_whatever_is_written_nested_is_read_as_paths(tree):
    assert parse(yaml.safe_dump(tree)) == flat(tree)


scalars = st.none() | st.booleans() | st.integers() | texts
items = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(items, max_size=4))
def test_whatever_is_in_a_list_is_the_same_in_its_json(value):
    assert json.loads(parse(yaml.safe_dump({"a": value}))["a"]) == value


def test_an_error_never_shows_a_value():
    for text in (
        "password: sesame\nport: [1\n",
        "a: !x sesame\n",
        "a: !!binary sesame!\n",
        "a: sesame: x\n",
        "sesame\n",
    ):
        with pytest.raises(Invalid) as caught:
            parse(text)
        assert not re.search("sesame", str(caught.value))
