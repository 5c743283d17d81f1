"""Helpers for messages people read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from confsync.text import did_you_mean, nearest, plural, printable, revision_text


@given(st.text())
def test_printable_text_moves_no_cursor_and_breaks_no_line(text):
    assert printable(text).isprintable()


@given(st.text().filter(str.isprintable))
def test_text_that_is_printable_stays_as_it_is(text):
    assert printable(text) == text


def test_surrogates_are_escaped():
    assert printable("a\udc80b").encode() == rb"a\udc80b"


def test_the_nearest_name_is_found_among_very_many():
    names = [f"folder{n % 100}/key{n}" for n in range(50_000)] + ["db/password"]
    assert nearest("db/pasword", names) == "db/password"


def test_the_case_of_letters_is_no_matter_to_what_is_nearest():
    assert nearest("STAGING", ["prod", "staging"]) == "staging"
    assert nearest("db/host", ["DB/HOST", "de/hose"]) == "DB/HOST"
    assert nearest("DB/PASWORD", [*(f"folder/key{n}" for n in range(3000)), "db/Password"]) == "db/Password"


def test_nothing_comes_close():
    assert nearest("zzz", ["abc", "def"]) is None
    assert did_you_mean("zzz", []) == ""


def test_a_short_list_is_shown_whole_where_nothing_comes_close():
    assert did_you_mean("zzz", ["b", "a"]) == "; there is a, b"
    assert did_you_mean("zzz", [str(n) * 9 for n in range(100)]) == ""


def test_plurals():
    assert (plural(1, "key"), plural(0, "key"), plural(2, "key")) == ("1 key", "0 keys", "2 keys")


def test_a_revision_that_is_a_time_is_shown_as_one():
    assert revision_text(42) == "42"
    assert revision_text(1_700_000_000_123_456) == "2023-11-14T22:13:20.123Z"
