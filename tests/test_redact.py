"""Sensitive values are hidden in every form they usually take."""

from __future__ import annotations

import base64
import html
import json
import shlex
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confsync.redact import DOTS, Line, redactor

secrets = st.text(min_size=6, max_size=60).filter(lambda text: len(text.strip()) >= 6 and "•" not in text)

FORMS = {
    "plain": str,
    "json": lambda s: json.dumps(s)[1:-1],
    "json, not ascii": lambda s: json.dumps(s, ensure_ascii=False)[1:-1],
    "repr": lambda s: repr(s)[1:-1],
    "url": lambda s: quote(s, safe=""),
    "path": quote,
    "hex": lambda s: s.encode().hex(),
    "path with plus": quote_plus,
    "hex in capitals": lambda s: s.encode().hex().upper(),
    "html": html.escape,
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64 for urls": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    "base64 without padding": lambda s: base64.b64encode(s.encode()).decode().rstrip("="),
}


@pytest.mark.parametrize("form", FORMS)
@given(secret=secrets, before=st.text(max_size=5), after=st.text(max_size=5))
def test_a_secret_is_hidden_in_this_form(form, secret, before, after):
    shown = FORMS[form](secret)
    hidden = redactor([secret])(f"{before} {shown} {after}")
    assert shown not in hidden
    assert DOTS in hidden


@given(secret=secrets, before=st.binary(max_size=7), after=st.binary(max_size=7))
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_of_base64_that_has_a_secret_somewhere_in_it_nothing_can_be_decoded(encode, secret, before, after):
    token = encode(before + secret.encode() + after).decode()
    hidden = redactor([secret])(f"Authorization: Basic {token}")
    left = hidden.replace(DOTS, " ").split()[2:]
    assert DOTS in hidden
    assert sum(map(len, left)) <= 4 * (len(before) + len(after)) // 3 + 10


@given(secret=secrets)
def test_bytes_are_hidden_as_text_is(secret):
    assert secret not in redactor([secret.encode()])(f"({secret})")


@pytest.mark.parametrize(
    "escape", [html.escape, shlex.quote, repr, lambda s: s.replace("'", "''"), str.encode]
)
def test_what_is_recognisable_of_a_secret_is_hidden_in_forms_nobody_foresaw(escape):
    secret = "pa'ss&word<1234567890abcdef>"
    hidden = redactor([secret])(f"failed at {escape(secret)}")
    assert "1234567890abcdef" not in hidden


def test_a_line_of_a_secret_of_several_lines_is_hidden_on_its_own():
    key = "-----BEGIN KEY-----\nMIIB/abc+def\nqwer/tyu+iop\n-----END KEY-----\n"
    assert "qwer/tyu+iop" not in redactor([key])("error in line 3: qwer/tyu+iop")


def test_of_two_secrets_one_within_the_other_nothing_is_left():
    hidden = redactor(["hunter22", "hunter22-and-more"])("is hunter22-and-more or hunter22")
    assert "hunter" not in hidden
    assert "more" not in hidden


@given(st.text())
def test_without_secrets_nothing_is_touched(text):
    assert redactor([])(text) == text
    assert redactor([""])(text) == text
    assert redactor([" ", "\n"])(text) == text


@pytest.mark.parametrize("secret", ["e", b"e", "e\n", "r!", "inn"])
def test_a_short_secret_is_hidden_only_where_it_stands_alone(secret):
    word = (secret.decode() if isinstance(secret, bytes) else secret).strip()
    hidden = redactor([secret])(f"there is an error! in the dinner line: code={word}, where")
    assert hidden == f"there is an error! in the dinner line: code={DOTS}, where"


@pytest.mark.parametrize("value", ["1", "443", "true", "False", "no", "=", "--", b"7"])
def test_flags_marks_and_small_numbers_are_no_secrets(value):
    text = "x = 1, port 443: True/False --no true false (7)"
    assert redactor([value])(text) == text


def test_a_line_of_a_sensitive_file_is_hidden_whole_and_its_words_are_not():
    hide = redactor([Line("  database_password = abc ")], ["listen 127.0.0.1:80;\n", "short"])
    assert hide("line 3: database_password = abc!") == f"line 3: {DOTS}!"
    assert hide("near 'listen 127.0.0.1:80;'") == f"near '{DOTS}'"
    assert hide("database_password is short") == "database_password is short"
