"""Durations, sizes and modes as users write them."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confsync.units import format_duration, parse_duration, parse_mode, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60s", 60),
        ("250ms", 0.25),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("2d", 172800),
        ("0", 0),
        (0, 0),
        ("5m", 300),
    ],
)
def test_a_duration_is_read(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "wrong", [60, 1.5, "60", "", "s", "1 s", "-5s", "5S", "1h 30m", "5 minutes", None, True, [1]]
)
def test_what_is_no_duration_is_refused_with_an_example(wrong):
    with pytest.raises(ValueError, match=r"60s|unit"):
        parse_duration(wrong)


def test_very_many_digits_are_refused_at_once():
    begin = time.process_time()

    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration("1" * 20_000)

    assert time.process_time() - begin < 1


@pytest.mark.parametrize("text", ["100001d", "2400001h", "9" * 400 + "s", "99999d1d1d"])
def test_what_no_clock_can_wait_for_is_refused(text):
    with pytest.raises(ValueError, match="at the most 100000d"):
        parse_duration(text)


def test_the_longest_duration_can_be_waited_for():
    assert parse_duration("100000d") < threading.TIMEOUT_MAX


def test_a_bare_number_is_asked_for_its_unit():
    with pytest.raises(ValueError, match="needs a unit: 60s, 60ms or 60m"):
        parse_duration(60)


@given(st.floats(min_value=0, max_value=1e8, allow_nan=False))
def test_a_formatted_duration_reads_back_as_nearly_the_same(seconds):
    shown = format_duration(seconds)
    back = parse_duration(shown)
    assert back == pytest.approx(seconds, rel=0.05, abs=0.001)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.25, "250ms"),
        (1, "1s"),
        (59.9, "59.9s"),
        (60, "1m"),
        (192, "3m12s"),
        (3600, "1h"),
        (90000, "1d1h"),
    ],
)
def test_a_duration_is_shown_in_at_most_two_units(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [("64MiB", 64 * 1024**2), ("10kB", 10_000), (4096, 4096), ("4096", 4096), ("1 GB", 10**9)],
)
def test_a_size_is_read(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("wrong", ["", "x", "10 kb", "-1", "1.5MB", True, None, "1MiBs"])
def test_what_is_no_size_is_refused_with_an_example(wrong):
    with pytest.raises(ValueError, match="64MiB"):
        parse_size(wrong)


@pytest.mark.parametrize(
    ("text", "mode"), [("0644", 0o644), ("644", 0o644), ("0o600", 0o600), (0o644, 0o644), ("4755", 0o4755)]
)
def test_a_mode_is_read(text, mode):
    assert parse_mode(text) == mode


@pytest.mark.parametrize("wrong", [644, 600, 755, 777])
def test_a_mode_that_yaml_took_for_decimal_is_refused_and_corrected(wrong):
    with pytest.raises(ValueError, match=f'write mode: "0{wrong}"'):
        parse_mode(wrong)


@pytest.mark.parametrize("wrong", ["0999", "rw-r--r--", "", -1, 0o10000, "77777", None, True, 6.44, "0b11"])
def test_what_is_no_mode_is_refused_with_an_example(wrong):
    with pytest.raises(ValueError, match='write mode: "0644"'):
        parse_mode(wrong)
