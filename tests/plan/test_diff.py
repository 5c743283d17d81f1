"""Diffs people can read, in which no sensitive value can be seen."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confsync.plan.diff import DOTS, unified


def diff(before, after, *literals, sensitive=False):
    return unified(before, after, sensitive=sensitive, literals=literals)


def test_a_changed_line_is_shown_with_its_neighbours():
    assert diff(b"a\nb\nc\n", b"a\nB\nc\n") == ("@@ -1,3 +1,3 @@", " a", "-b", "+B", " c")


def test_a_new_and_a_removed_file_are_shown_whole():
    assert diff(None, b"a\n") == ("@@ -0,0 +1 @@", "+a")
    assert diff(b"a\n", None) == ("@@ -1 +0,0 @@", "-a")


def test_the_missing_line_break_at_the_end_is_shown():
    assert diff(b"a", b"a\n")[1:] == ("-a  (no line break at the end)", "+a")


def test_what_is_no_text_is_not_shown():
    assert diff(b"\xff", b"a") == ("(not text)",)


def test_what_is_very_large_is_not_shown():
    (line,) = diff(b"x" * 2_000_000, b"y")
    assert "too large to compare" in line


def test_long_lines_and_long_diffs_are_cut():
    assert len(diff(None, b"x" * 10_000)[1]) < 600
    assert len(diff(None, b"x\n" * 100_000)) < 2100


def test_control_characters_are_escaped():
    assert diff(None, b"a\x1b[2J\rb\n")[1] == r"+a\x1b[2J\rb"


def test_a_directory_is_shown_file_by_file():
    lines = diff({"a": b"1\n", "same": b"x"}, {"a": b"2\n", "b": b"3\n", "same": b"x"})
    assert [line for line in lines if line.endswith("@@")][::2] == ["@@ a @@", "@@ b @@"]
    assert not any("same" in line for line in lines)


def test_of_a_sensitive_file_only_what_the_template_says_is_shown():
    template = "# settings\npassword = {{ vault('p') }}\nport = 80\n{% if x %}\nmore = {{ y }}\n{% endif %}\n"
    lines = diff(
        b"# settings\npassword = old\nport = 80\nleft = by hand\n",
        b"# settings\npassword = new\nport = 80\nmore = z\n",
        template,
        sensitive=True,
    )
    assert lines[1:] == (
        " # settings", f"-password = {DOTS}", f"+password = {DOTS}", " port = 80", f"-{DOTS}", f"+more = {DOTS}",
    )  # fmt: skip


alphabet = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])
secrets = st.text(alphabet, min_size=6, max_size=24).map(lambda text: "Zq" + text)
# Template text that cannot itself contain a secret, which begins with "Zq".
plain = st.text(st.sampled_from("abc =:#\"'"), max_size=8)
lines = st.lists(
    st.tuples(plain, st.sampled_from(["", "plain", "json", "base64", "url", "twice"]), plain), max_size=6
)

WAYS = {
    "": lambda s: "",
    "plain": str,
    "json": json.dumps,
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "url": lambda s: quote(s, safe=""),
    "twice": lambda s: s + s,
}


def written(parts, secret, expression):
    return "\n".join(
        before + ("" if not way else expression(way) if expression else WAYS[way](secret)) + after
        for before, way, after in parts
    )


@given(old=lines, new=lines, one=secrets, two=secrets, hand=st.booleans())
def test_no_form_of_a_secret_is_in_the_diff_of_a_sensitive_file(old, new, one, two, hand):
    template = written(new, two, lambda way: "{{ s('k')|" + way + " }}")
    before = written(old, one, None) + (f"\nedited by hand {one}" if hand else "")
    after = written(new, two, None)
    shown = "\n".join(diff(before.encode(), after.encode(), template, sensitive=True))
    for secret in (one, two):
        for form in (secret, json.dumps(secret)[1:-1], WAYS["base64"](secret), WAYS["url"](secret)):
            assert form not in shown


@pytest.mark.parametrize("spread", ["{{ a }}{{ b }}", "x{{ a }}y{{ b }}", "{{ a }} # {{ b }}"])
def test_a_line_with_several_values_shows_only_its_beginning(spread):
    lines = diff(None, b"xSECRET1ySECRET2\n", spread, sensitive=True)
    assert "SECRET" not in "".join(lines)


def test_a_value_is_masked_though_its_line_is_one_that_the_template_has():
    template = "pw=\npw={{ s('pw') }}\nuser={{ s('u') }}\nuser=root\nport = 80\n"
    lines = diff(
        b"pw=\npw=\nuser=root\nuser=root\nport = 80\n", b"pw=\nuser=root\n", template, sensitive=True
    )
    shown = "\n".join(lines)
    assert "root" not in shown
    assert f"-pw={DOTS}" in lines
    assert "-port = 80" in lines


def test_where_two_expressions_may_have_made_a_line_the_shorter_beginning_is_shown():
    lines = diff(None, b"ab=c\n", "a{{ s('x') }}\nab={{ s('y') }}\n", sensitive=True)
    assert lines[1:] == (f"+a{DOTS}",)


def test_values_of_several_lines_are_masked_in_each():
    key = b"-----BEGIN-----\nabcdef\n-----END-----\n"
    lines = diff(None, b"key:\n" + key, "key:\n{{ vault('key') }}\n", sensitive=True)
    assert lines[1:] == ("+key:", f"+{DOTS}", f"+{DOTS}", f"+{DOTS}")
