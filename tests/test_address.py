"""What may be asked of an addressed source, and its one spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confsync.address import Wanted, canonical, parse
from confsync.driver import Address

steps = st.text(
    st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1, max_size=6
).filter(lambda step: step not in (".", ".."))
paths = st.lists(steps, min_size=1, max_size=4).map("/".join)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
parameters = st.dictionaries(texts, texts, max_size=3).map(lambda given: tuple(sorted(given.items())))
fields = st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)


@given(paths, st.booleans(), parameters, fields)
def test_whatever_is_wanted_can_be_spelled_and_read_back(path, absolute, parameters, field):
    wanted = Wanted(path, absolute, parameters, field)

    assert parse(str(wanted)) == wanted
    assert canonical(str(wanted)) == str(wanted)


@given(st.text(st.sampled_from("ab/?#=&.%+ 23F"), max_size=12))
def test_any_text_is_refused_or_has_one_spelling(text):
    try:
        spelled = canonical(text)
    except ValueError:
        return
    assert canonical(spelled) == spelled
    assert parse(spelled) == parse(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("db", Wanted("db", absolute=False)),
        ("db/", Wanted("db", absolute=False)),
        ("/secret/db", Wanted("secret/db", absolute=True)),
        ("db#password", Wanted("db", absolute=False, field="password")),
        ("db?version=2#password", Wanted("db", False, (("version", "2"),), "password")),
        ("db?", Wanted("db", absolute=False)),
        ("pki/web?ttl=1h&name=a.test", Wanted("pki/web", False, (("name", "a.test"), ("ttl", "1h")))),
        ("db?x=a%26b+c", Wanted("db", False, (("x", "a&b c"),))),
        ("db?metadata=", Wanted("db", False, (("metadata", ""),))),
        ("db#a#b?c", Wanted("db", absolute=False, field="a#b?c")),
        ("a%2fb", Wanted("a%2fb", absolute=False)),
        ("%2e%2e/db", Wanted("%2e%2e/db", absolute=False)),
        ("north%23pw", Wanted("north#pw", absolute=False)),
        ("what%3f/100%25#a%23b", Wanted("what?/100%", absolute=False, field="a%23b")),
        ("100%", Wanted("100%", absolute=False)),
        ("a%2523b", Wanted("a%23b", absolute=False)),
        ("a.b/..c/...", Wanted("a.b/..c/...", absolute=False)),
    ],
)  # fmt: skip
def test_spellings(text, wanted):
    assert parse(text) == wanted


def test_a_name_with_the_signs_of_an_address_has_one_spelling():
    assert str(Wanted("a#b?c%d", absolute=True, field="e#?%")) == "/a%23b%3Fc%25d#e#?%"
    assert canonical("a%3fb") == "a%3Fb"
    assert canonical("100%") == "100%25"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the path is empty"),
        ("/", "the path is empty"),
        ("#password", "the path is empty"),
        ("?version=2", "the path is empty"),
        ("db#", "the name of a field is missing"),
        ("db?version", "name=value"),
        ("db?version=2&", "name=value"),
        ("db?version=1&version=2", "given twice"),
        ("../other/db", "empty, . or .."),
        ("app/../../other/db", "empty, . or .."),
        ("/secret/./db", "empty, . or .."),
        ("app//db", "empty, . or .."),
        ("app/..", "empty, . or .."),
    ],
)
def test_what_is_no_address(text, problem):
    with pytest.raises(ValueError, match=problem):
        parse(text)


@pytest.mark.parametrize(
    ("prefix", "text", "path"),
    [
        ("secret/prod", "db", "secret/prod/db"),
        ("/secret/prod/", "db", "secret/prod/db"),
        ("", "db", "db"),
        ("/", "db", "db"),
        ("secret/prod", "/pki/issue/web", "pki/issue/web"),
    ],
)
def test_a_path_is_below_the_prefix_unless_it_begins_with_a_slash(prefix, text, path):
    assert parse(text).under(prefix) == Address(path)


@pytest.mark.parametrize(
    "text", ["p?a=1&b=2#f", "p?b=2&a=1#f", "p/?b=2&a=1#f", "p?b=%32&a=1#f", "p?a=1&%62=2#f"]
)
def test_all_spellings_of_one_address_are_one(text):
    assert canonical(text) == "p?a=1&b=2#f"
