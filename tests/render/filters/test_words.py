"""What goes into a configuration without quotes has nothing in it that could need them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confsync.errors import RenderError
from confsync.render.filters import FILTERS

SECRET = "hunter2; swordfish"
HARMLESS = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


@given(st.text(st.sampled_from("aZ09_.-/:[]*%~ \n\t\0'\"\\$`{}();#&|<>=,@é😀"), max_size=12))
def test_nothing_passes_that_any_syntax_takes_for_its_own(word):
    for name, also in (
        ("bare_word", ""), ("identifier", ""), ("one_of", ""), ("whole_number", ""), ("port", ""), ("host", ":"),
        ("address", ":[]"), ("url_path", "/~%"),
    ):  # fmt: skip
        try:
            passed = str(FILTERS[name](word))
        except RenderError:
            continue
        assert passed
        assert set(passed) <= HARMLESS | set(also), name


@pytest.mark.parametrize(("name", "arguments"), [
    ("bare_word", ()), ("identifier", ()), ("one_of", ("a", "b")), ("whole_number", ()), ("port", ()), ("host", ()),
    ("address", ()), ("url_path", ()),
])  # fmt: skip
def test_an_error_has_nothing_of_the_value(name, arguments):
    with pytest.raises(RenderError) as caught:
        FILTERS[name](SECRET, *arguments)

    assert not any(word in str(caught.value) for word in SECRET.split())


@pytest.mark.parametrize(("value", "options", "wanted"), [
    ("db1", {"default_port": 80}, "db1:80"),
    ("db1:81", {"default_port": 80}, "db1:81"),
    ("2001:db8::1", {"default_port": 80}, "[2001:db8::1]:80"),
    ("[2001:db8::1]:81", {}, "[2001:db8::1]:81"),
])  # fmt: skip
def test_an_address_is_one_that_any_program_reads(value, options, wanted):
    assert FILTERS["address"](value, **options) == wanted


@pytest.mark.parametrize(("name", "value"), [
    ("address", "db1"), ("address", "db1:0"), ("address", ":80"), ("address", "db1:80:81"),
    ("address", "db_1:80;"), ("port", "0"), ("port", "65536"), ("port", "+80"), ("port", "٣"), ("port", "80\n"),
    ("port", True), ("host", ""), ("host", "a..b"), ("host", "-a"), ("host", "fe80::1%eth0"), ("host", "*.example.com"),
    ("whole_number", "1.0"), ("whole_number", "-1"), ("whole_number", "1_000"), ("whole_number", ""),
    ("identifier", "1a"), ("identifier", ""),
    ("bare_word", ".."), ("bare_word", "-a"), ("bare_word", ""), ("url_path", "a/b"),
])  # fmt: skip
def test_what_it_cannot_be_is_refused(name, value):
    with pytest.raises(RenderError):
        FILTERS[name](value)


def test_what_is_allowed_besides_is_named():
    assert FILTERS["bare_word"]("/run/a.env", also="/") == "/run/a.env"
    assert FILTERS["host"]("*.example.com", wildcard=True) == "*.example.com"
    assert FILTERS["whole_number"]("-5", -10, 10) == -5


def test_a_template_can_refuse(render):
    with pytest.raises(RenderError, match=r"upstream/ has no servers"):
        render("{% if not [] %}{{ fail('upstream/ has no servers') }}{% endif %}")
