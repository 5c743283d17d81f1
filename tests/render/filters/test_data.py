"""JSON, YAML and TOML both ways; base64 and its like."""

# ruff: noqa: E501 - a table's rows stay on one line
from __future__ import annotations

import datetime as dt

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from confsync.errors import RenderError
from confsync.render.filters import FILTERS

patient = settings(deadline=None)  # a loaded machine is no failure
TEXT = st.text(st.sampled_from("ab 1.0exXoO_-~'\"\\\n\r\t:#&*!|>%@`{}[],?\u0085\u2028\ufeffé😀\x01\0") | st.characters(codec="utf-8"), max_size=12)  # fmt: skip
SCALAR = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
DATA = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
WORDS = ["y", "N", "no", "on", "~", "null", "1e3", "0o17", "0x1f", "0b1", "12:30", "1_000", ".5", "1.", "+1", "nan", ".inf", "=",
         "<<", "2026-01-01", "a: b", "- a", "# a", " a", "a ", "\n", "a\nb", "a\nb\n", "a\n\n", "a\n b", " a\nb", "a \nb", "|", ""]  # fmt: skip


@patient
@given(DATA)
def test_what_is_written_reads_back(data):
    assert FILTERS["from_json"](FILTERS["to_json"](data)) == data
    assert FILTERS["from_yaml"](FILTERS["to_yaml"](data)) == data


@patient
@given(TEXT)
def test_both_yaml_readers_take_text_for_text(word):
    written = FILTERS["to_yaml"]({"key": word})

    assert yaml.load(written, Loader=yaml.SafeLoader) == {"key": word}


@pytest.mark.parametrize("word", WORDS)
def test_text_that_looks_like_something_else_stays_text_in_yaml(word):
    written = FILTERS["to_yaml"]([word])

    assert FILTERS["from_yaml"](written) == [word]
    assert "\n" in word or written.removeprefix("- ")[0] in "'\""


def test_text_of_several_lines_is_a_block_in_yaml():
    assert FILTERS["to_yaml"]({"cert": "BEGIN\nabc\nEND\n"}) == "cert: |\n  BEGIN\n  abc\n  END\n"


@patient
@given(st.dictionaries(TEXT, st.recursive(SCALAR.filter(lambda it: it is not None), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8), max_size=4))  # fmt: skip
def test_toml_reads_back(data):
    assert FILTERS["from_toml"](FILTERS["to_toml"](data)) == data


def test_the_same_data_is_written_the_same_whatever_its_order():
    one, other = {"b": 1, "a": {"d": 1, "c": 2}}, {"a": {"c": 2, "d": 1}, "b": 1}

    for name in ("to_json", "to_yaml", "to_toml"):
        assert FILTERS[name](one) == FILTERS[name](other)


def test_generators_tuples_keys_and_dates_become_plain():
    data = {2: (x for x in "ab"), True: (1, 2), None: range(2), "when": dt.date(2026, 1, 2)}

    assert (
        FILTERS["to_json"](data) == '{"2": ["a", "b"], "null": [0, 1], "true": [1, 2], "when": "2026-01-02"}'
    )
    assert (
        FILTERS["from_json"](FILTERS["to_json"](dt.datetime(2026, 1, 2, tzinfo=dt.UTC)))
        == "2026-01-02T00:00:00+00:00"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**5000], ids=["nan", "infinity", "huge"])
def test_numbers_json_cannot_hold_are_refused(value):
    with pytest.raises(RenderError, match="number that JSON cannot hold"):
        FILTERS["to_json"]([value])


def test_yaml_cannot_make_python_objects():
    with pytest.raises(RenderError, match="not valid YAML"):
        FILTERS["from_yaml"]("!!python/object/apply:os.system ['true']")


@patient
@given(st.binary(max_size=40))
def test_encodings_give_the_bytes_back(data):
    try:
        expected: str | bytes = data.decode()
    except UnicodeDecodeError:
        expected = data

    assert FILTERS["b64decode"](FILTERS["b64encode"](data)) == expected
    assert FILTERS["b64url_decode"](FILTERS["b64url_encode"](data)) == expected
    assert FILTERS["b64url_decode"](FILTERS["b64url_encode"](data, padding=False)) == expected
    assert FILTERS["hex_decode"](FILTERS["hex_encode"](data)) == expected


def test_text_and_bytes_have_the_same_digest():
    for name in ("md5", "sha1", "sha256", "sha512"):
        assert FILTERS[name]("é") == FILTERS[name]("é".encode())
    assert FILTERS["hmac_sha256"]("m", b"k") == FILTERS["hmac_sha256"](b"m", "k")


def test_base64_may_be_wrapped_but_not_wrong():
    assert FILTERS["b64decode"]("aGVs\nbG8=\n") == "hello"
    with pytest.raises(RenderError):
        FILTERS["b64decode"]("aGVsbG8")
