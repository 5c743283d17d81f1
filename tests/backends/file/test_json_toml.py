"""JSON and TOML."""

from __future__ import annotations

import json

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from confsync.errors import Invalid
from confsync_backends.file.objects import parse_json, parse_toml


def from_json(text):
    return {leaf.path: leaf.value for leaf in parse_json(text, "f.json")}


def from_toml(text):
    return {leaf.path: leaf.value for leaf in parse_toml(text, "f.toml")}


def test_json_objects_are_paths_and_numbers_keep_their_text():
    text = '{"db": {"host": "x", "port": 5432}, "v": 1.10, "e": 1E5, "big": 12345678901234567890, "n": null}'
    assert from_json(text) == {
        "db/host": b"x", "db/port": b"5432", "v": b"1.10", "e": b"1E5", "big": b"12345678901234567890",
    }  # fmt: skip


def test_a_json_list_is_its_json_text():
    assert from_json('{"a": [1.10, "sn\\u2603w", {"b": [null, false]}]}') == {
        "a": '[1.10, "sn☃w", {"b": [null, false]}]'.encode()
    }


def test_toml_tables_are_paths_and_floats_keep_their_text():
    text = (
        'v = 1.10\nt = true\nbig = 1_000\n[db]\nhost = "x"\n[db.pool]\nsizes = [1, 2.50, "x"]\n[[s]]\nn = 1\n'
    )
    assert from_toml(text) == {
        "v": b"1.10", "big": b"1000", "t": b"true", "db/host": b"x",
        "db/pool/sizes": b'[1, 2.50, "x"]', "s": b'[{"n": 1}]',
    }  # fmt: skip


@pytest.mark.parametrize(
    "moment",
    ["1979-05-27", "07:32:00", "1979-05-27T07:32:00", "1979-05-27T07:32:00Z", "1979-05-27T00:32:00-07:00"],
)
def test_toml_dates_and_times_keep_their_text(moment):
    assert from_toml(f"a = {moment}\nl = [{moment}]\n") == {
        "a": moment.encode(),
        "l": f'["{moment}"]'.encode(),
    }


JSON_ERRORS = {
    '{"a": 1,\n  "b": }': (2, 8, "not valid JSON"),
    "": (1, 1, "not valid JSON"),
    '{"a": 1}\nx': (2, 1, "not valid JSON: Extra data"),
    '{"a": 1,\n "b": 2,\n "a": 3}': (3, 2, "the key 'a' is written twice; the first is at f.json:1:2"),
    '{"x": {"a": [{"k": "\\"k\\":", "k": 2}]}}': (1, 30, "is written twice; the first is at f.json:1:15"),
    '{"a/b": 1,\n "a": {"b": 2}}': (2, 8, "the key 'a/b' is written twice; the first is at f.json:1:2"),
    "[1]": (1, 1, "must hold a mapping"),
}

TOML_ERRORS = {
    "a = \n": (1, 5, "not valid TOML: Invalid value"),
    "a = 1\nb = 2 3\n": (2, 7, "not valid TOML"),
    "a = 1\na = 2\n": (2, 6, "not valid TOML: Cannot overwrite a value"),
    "a = 1\nb = '''x\n": (3, 1, "not valid TOML"),
}


@pytest.mark.parametrize("text", JSON_ERRORS)
def test_a_mistake_in_json_is_invalid_and_says_where(text):
    line, column, problem = JSON_ERRORS[text]
    with pytest.raises(Invalid, match=rf"^f\.json:{line}:{column}: .*{problem}"):
        from_json(text)


@pytest.mark.parametrize("text", TOML_ERRORS)
def test_a_mistake_in_toml_is_invalid_and_says_where(text):
    line, column, problem = TOML_ERRORS[text]
    with pytest.raises(Invalid, match=rf"^f\.toml:{line}:{column}: {problem}"):
        from_toml(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a": NaN}', "not valid JSON: NaN is no JSON number"),
        ('{"a":' * 100_000, "not valid JSON: it is nested too deeply"),
        ('{"a":' * 200 + "1" + "}" * 200, "nested more than 100 deep"),
        ('{"": 1}', "a key is empty"),
    ],
    ids=["NaN", "very deep", "deep", "empty key"],
)
def test_what_json_allows_or_python_cannot_do_is_invalid_and_names_the_file(text, problem):
    with pytest.raises(Invalid, match=rf"^f\.json: {problem}"):
        from_json(text)


def test_one_toml_path_written_in_two_ways_is_invalid():
    with pytest.raises(Invalid, match=r"^f\.toml: the key 'a/b' is written twice"):
        from_toml('"a/b" = 1\n[a]\nb = 2\n')


def test_deep_toml_is_invalid():
    with pytest.raises(Invalid, match=r"^f\.toml: not valid TOML: it is nested too deeply"):
        from_toml("a = " + "[" * 100_000)


segments = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1)
trees = st.dictionaries(
    segments,
    st.recursive(
        st.text(st.characters(codec="utf-8")), lambda inner: st.dictionaries(segments, inner, max_size=3)
    ),
    max_size=4,
)


def flat(tree, base=""):
    found = {}
    for key, value in tree.items():
        path = f"{base}/{key}" if base else key
        found |= flat(value, path) if isinstance(value, dict) else {path: value.encode()}
    return found


@given(trees)
def test_whatever_is_written_nested_is_read_as_paths(tree):
    assert from_json(json.dumps(tree)) == flat(tree)
    assert from_toml(tomli_w.dumps(tree)) == flat(tree)
