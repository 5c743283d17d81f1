"""dotenv: what a writer wrote is read, and nothing is expanded."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confsync.errors import Invalid
from confsync_backends.file import dotenv


def parse(text):
    return {leaf.path: leaf.value.decode() for leaf in dotenv.parse(text, ".env")}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=plain", "plain"),
        ("A=", ""),
        ("A= # nothing", ""),
        ("A=#nothing", ""),
        ("A=two words  ", "two words"),
        ("A = spaced", "spaced"),
        ("export A=exported", "exported"),
        ("export\tA=exported", "exported"),
        ("  A=indented", "indented"),
        ("A=x # comment", "x"),
        ("A=x#no comment", "x#no comment"),
        ("A=it's", "it's"),
        ('A=5" disk', '5" disk'),
        ("A=a=b==", "a=b=="),
        ("A=$HOME ${B} `c`", "$HOME ${B} `c`"),
        (r"A=C:\new", r"C:\new"),
        ("A=dos\r\n", "dos"),
        ("A='dos'\r\n", "dos"),
        ("A=''", ""),
        ("A='lit $X \\n # \"q\"' # comment", 'lit $X \\n # "q"'),
        ("A='two\nlines\n'", "two\nlines\n"),
        ('A=""', ""),
        (r'A="\n\r\t\"\\\$\`"', '\n\r\t"\\$`'),
        (r'A="kept \d \x"', r"kept \d \x"),
        (r'A="\\n"', r"\n"),
        ('A="two\nlines" # comment', "two\nlines"),
        ('A="joined \\\nline"', "joined line"),
        ('A="# no comment"', "# no comment"),
    ],
)
def test_a_value_is_read(text, value):
    assert parse(text) == {"A": value}
    assert parse(f"# before\n\nX='1'\n{text}\nY=2 # after\n") == {"X": "1", "A": value, "Y": "2"}


def test_names_keep_their_case_and_slashes_separate():
    assert parse("Db/Host=x\nlog.level=y\nA-B=z\n") == {"Db/Host": "x", "log.level": "y", "A-B": "z"}


@pytest.mark.parametrize("text", ["", "\n\n", "# only\n  # comments", "\r\n"])
def test_an_empty_file_has_no_keys(text):
    assert parse(text) == {}


ERRORS = {
    "A=1\nsesame\n": (2, 1, "not a variable"),
    "A=1\n  export sesame\n": (2, 3, "not a variable"),
    "=sesame\n": (1, 1, "not a variable"),
    "A B=sesame\n": (1, 1, "not a variable"),
    "'A'=sesame\n": (1, 1, "not a variable"),
    "A=1\nB='sesame\nC=2\n": (2, 3, "the quote ' is never closed"),
    'A="sesame\\"\n': (1, 3, 'the quote " is never closed'),
    "A='sesame' x\n": (1, 11, "text after the closing quote"),
    "A='sesame'# x\nB=1\nA=2\n": (3, 1, "the key 'A' is written twice; the first is at .env:1:1"),
    "A//B=sesame\n": (1, 1, "a key is empty"),
}


@pytest.mark.parametrize("text", ERRORS)
def test_a_mistake_is_invalid_and_says_where_but_not_what(text):
    line, column, problem = ERRORS[text]
    with pytest.raises(Invalid) as caught:
        parse(text)
    assert str(caught.value).startswith(f".env:{line}:{column}: {problem}")
    assert "sesame" not in str(caught.value)


names = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]*\Z").filter(lambda name: name != "export")
values = st.text(st.characters(codec="utf-8"))


def double(value):
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("\r", "\\r")
    return f'"{escaped}"'


def single(value):
    return double(value) if "'" in value else f"'{value}'"


def plain(value):
    simple = value.isalnum() or not value
    return value if simple else single(value)


@given(
    st.dictionaries(names, values, max_size=8),
    st.sampled_from([double, single, plain]),
    st.sampled_from(["", "export "]),
    st.sampled_from(["\n", "\r\n", " # 'comment\"\n", "\n\n# comment\n  "]),
)
def test_whatever_a_writer_quotes_is_read_back(variables, quote, export, end):
    text = "".join(f"{export}{name}={quote(value)}{end}" for name, value in variables.items())
    assert parse(text) == variables


@given(st.text(st.characters(codec="utf-8"), max_size=60) | st.text("A=\"'\\# \n$", max_size=30))
def test_any_text_is_read_or_refused(text):
    with suppress(Invalid):
        parse(text)


def test_a_long_file_takes_linear_time():
    import time

    text = "".join(f'NAME{number}="value {number}" # comment\n' for number in range(20_000))
    began = time.process_time()
    assert len(parse(text)) == 20_000
    parse("A=" + " " * 100_000 + "x")
    with pytest.raises(Invalid):
        parse('A="' + "\\a" * 100_000)
    assert time.process_time() - began < 3
