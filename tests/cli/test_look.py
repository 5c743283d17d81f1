"""`confsync get`, `ls` and `explain`, as programs and as people are told of values."""

from __future__ import annotations

import json

import pytest

from confsync.redact import DOTS

LONG = "x" * 1000
ODD = "a\n\x1b[31m\x9b31m\u202eb"
VALUES = {"binary": b"\x00\xff", "long": LONG, "odd": ODD, "dots": DOTS}


@pytest.fixture
def looked_at(bare):
    bare.config("sources: {values: {backend: file, path: values.yaml}}\n")
    bare.values(VALUES)
    return bare


def hide(project):
    project.config("sources: {values: {backend: file, path: values.yaml, sensitive: true}}\n")


def told(project, key):
    """What each of the commands tells programs of the value of a key."""
    (listed,) = project.ok("ls", "--values", key, "--output", "json").json
    (explained,) = project.ok("explain", f"values:{key}", "--output", "json").json
    got = project.ok("get", key, "--output", "json").json
    return [(one["sensitive"], one["value"], one["encoding"]) for one in (listed, explained, got)]


@pytest.mark.parametrize(
    ("key", "value", "encoding"),
    [("binary", "AP8=", "base64"), ("long", LONG, None), ("odd", ODD, None), ("dots", DOTS, None)],
)
def test_programs_are_told_a_value_as_it_is(looked_at, key, value, encoding):
    assert told(looked_at, key) == [(False, value, encoding)] * 3


def test_of_a_sensitive_value_programs_are_told_that_it_is_one(looked_at):
    hide(looked_at)

    assert told(looked_at, "dots") == [(True, None, None)] * 3


def test_without_values_none_are_told(looked_at):
    assert not {"value", "encoding"} & set(looked_at.ok("ls", "--output", "json").json[0])


def test_people_are_shown_the_beginning_of_a_value_on_one_line(looked_at):
    shown = looked_at.ok("ls", "--values").out.splitlines()

    assert [line.split()[-1] for line in shown] == [
        r"\x00\xff",
        DOTS,
        f"{'x' * 200}…",
        r"a\n\x1b[31m\x9b31m\u202eb",
    ]


def test_one_long_key_does_not_lengthen_every_line(looked_at):
    looked_at.values({"k" * 10_000: "1", "a": "2", "b": "3"})

    lines = looked_at.ok("ls", "--values").out.splitlines()

    assert [line.split()[0] for line in lines] == ["values:a", "values:b", f"values:{'k' * 10_000}"]
    assert max(map(len, lines[:2])) < 200


def test_json_has_nothing_that_a_terminal_acts_on_and_says_all_the_same(looked_at):
    looked_at.values({ODD: ODD})

    for call in (["ls", "--values"], ["explain", f"values:{ODD}"], ["get", ODD]):
        out = looked_at.ok(*call, "--output", "json").out
        assert all(char.isprintable() or char == "\n" for char in out)
        assert json.dumps(ODD) in json.dumps(json.loads(out))
