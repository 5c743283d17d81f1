"""What a value of each type is, and is not; and that what is said of a wrong one has nothing of it."""

from __future__ import annotations

import re
import time
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confsync.config.keys import Key, KeyType
from confsync.config.value_types import TYPES, problem, wrong

PEM = "-----BEGIN CERTIFICATE-----\nTUlJQg==\n-----END CERTIFICATE-----"
ENCRYPTED = (
    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nTUlJQg==\n"
    "-----END RSA PRIVATE KEY-----\n"
)
LABEL = "a" * 63
NAME = ".".join([LABEL, LABEL, LABEL, "a" * 61])  # 253 characters

GOOD = {
    "string": ["", "a", " a b\n", "é\0"],
    "integer": ["0", "5432", "-1", "9" * 5000],
    "number": ["0", "-0.5", "1e6", "1E-6", "3.25"],
    "boolean": ["true", "false"],
    "host": [
        "db", "db.example.com", "db.example.com.", "3com.com", "xn--bcher-kva.example", "10.0.0.1", "::1", LABEL,
        NAME, "DB-1",
    ],
    "port": ["1", "443", "65535"],
    "address": ["db:5432", "10.0.0.1:80", "[::1]:443", "db.example.com.:1"],
    "url": [
        "https://example.com", "postgres://user:p@ss@db:5432/shop?sslmode=require", "http://[::1]:80/#a",
        "mongodb://a:27017,b:27017/x", "mongodb+srv://cluster.example.com", "http://h/{id}",
    ],
    "email": ["a@b", "first.last+tag@example.com"],
    "ip": ["10.0.0.1", "::1", "2001:db8::1"],
    "cidr": ["10.0.0.0/8", "10.0.0.1/32", "fd00::/8", "0.0.0.0/0"],
    "duration": ["0", "250ms", "60s", "1h30m", "1.5h", "7d"],
    "size": ["0", "4096", "10kB", "64MiB", "1GiB"],
    "path": ["/", "/etc/app.conf", "/a b/c"],
    "json": ["{}", "[1, 2]", "null", '"text"', ' {"a": 1}\n', "9" * 5000],
    "yaml": ["a: 1\n", "text", "[" * 100 + "]" * 100, "- &a x\n- *a\n", "!Ref thing", "--- {a: b}"],
    "base64": ["YQ==", "YWI=", "YWJj", "+/+/"],
    "pem": [PEM, f"{PEM}\n", f"{PEM}\n{PEM}\n", PEM.replace("\n", "\r\n"), f"subject=a\n{PEM}\n", ENCRYPTED],
}  # fmt: skip
BAD = {
    "string": [],
    "integer": ["", "1_000", "1.0", "+1", "007", "0x1f", "1 ", " 1", "1\n", "--1", "٣", "1e3", "-"],
    "number": ["", ".5", "5.", "1,5", "NaN", "Infinity", "1_000.0", "0x1", "01", "٣", "1 000"],
    "boolean": ["", "True", "TRUE", "yes", "on", "1", "0", "true\n"],
    "host": [
        "", "-a", "a-", "a_b", "a..b", ".a", "a b", "256.0.0.1", "1.2.3", "5432", "https://a", "a:80", "[::1]",
        "fe80::1%eth0", "a" * 64, f"{NAME}a", "bücher.example", "a/b", "::g", "1.2.3.4.", "a\n", ".",
    ],
    "port": ["", "0", "65536", "-1", "080", "80/tcp", "http", "80\n", "123456", "٣"],
    "address": [
        "", "db", "db:", ":80", "db:0", "db:65536", "::1:80", "[::1]", "[db]:80", "a b:80", "db:80\n", "[::g]:1",
    ],
    "url": [
        "", "example.com", "//example.com", "http://", "http:///x", "file:///etc/passwd", "http://a b/",
        "http://a/b c", "http://a:99999/", "http://a:x", "http://::1/", "1http://a", "http://a\n", "http://a_b/",
        "http://a,/", "http://user@/", "http://a\tb",
    ],
    "email": ["", "a", "a@", "@b", "a b@c", "a@b@c", "a@b c", "a@-b", "Name <a@b>", "a@b\n"],
    "ip": ["", "10.0.0", "10.0.0.256", "10.0.0.01", "10.0.0.0/8", "[::1]", "fe80::1%eth0", "localhost", "::1\n"],
    "cidr": [
        "", "10.0.0.0", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "fd00::/129", "a/8", "fe80::%a/64",
        "٣.0.0.0/8",
    ],
    "duration": ["", "60", "1 h", "1h 30m", "-1s", "1w", "s", "60s\n", "٣s"],
    "size": ["", "64 MiB", "1.5GB", "-1", "10k", "64mib", "1TiB", "1\n", "٣"],
    "path": ["", "etc/app", "~/x", "./x", "/a\n", "/a\0b", "/a ", "C:\\x"],
    "json": ["", "{", "{'a': 1}", "NaN", "[1,]", "{} {}", "[" * 100_000, "{a: 1}", "Infinity"],
    "yaml": [
        "", "{a", "a: *b", "a: 1\n---\nb: 2\n", "# nothing", "a: b: c", "\tx: 1", "\x01", "[" * 100_000,
        "- " * 100_000 + "a", "[" * 101 + "]" * 101,
    ],
    "base64": ["", "YQ", "YQ=", "YQ==\n", "YQ= =", "Y-_=", "YR==", "YQ==YQ==", "é", "=", "Y"],
    "pem": [
        "", "TUlJQg==", "-----BEGIN A-----\nTUlJQg==\n", "TUlJQg==\n-----END A-----",
        "-----BEGIN A-----\n-----END A-----",
        "-----BEGIN A-----\nTUlJQg==\n-----END B-----", "-----BEGIN A-----\n!\n-----END A-----",
        PEM.replace("\n", "\\n"), PEM.replace("\n", " "), f"{PEM}\n-----BEGIN A-----\n", f"-----BEGIN A-----\n{PEM}",
        "-----BEGIN A-----\nb: c\nTUlJQg==\n-----END A-----",
    ],
}  # fmt: skip


def cases(table):
    return [pytest.param(kind, text, id=f"{kind}-{text[:20]!r}") for kind in table for text in table[kind]]


def test_every_type_has_good_and_bad_values():
    assert list(GOOD) == list(BAD) == list(TYPES) == list(get_args(KeyType))


@pytest.mark.parametrize(("kind", "text"), cases(GOOD))
def test_a_value_of_its_type(kind, text):
    assert problem(kind, text) is None


@pytest.mark.parametrize(("kind", "text"), cases(BAD))
def test_a_value_that_is_not_of_its_type(kind, text):
    told = problem(kind, text)

    assert told is not None
    assert told.startswith(f"is {TYPES[kind].noun}")
    assert told.isprintable()


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        ("port", "x", "is no port; write a whole number from 1 to 65535"),
        ("port", "80\n", "is no port: it ends in a line break"),
        ("port", "80\r\n", "is no port: it ends in a line break"),
        ("port", "", "is no port: it is empty"),
        ("host", " db", "is no host: it begins or ends with a blank"),
        ("host", "a\nb", "is no host: it has a line break or another character that cannot be seen"),
        ("host", "a\u200bb", "is no host: it has a line break or another character that cannot be seen"),
        ("address", "db", "is no address: it has no port: host:port"),
        ("address", "::1:80", "is no address: an IPv6 address stands in brackets: [::1]:80"),
        ("url", "http:///x", "is no URL: it has no host"),
        ("cidr", "10.0.0.1/8", "is no CIDR: it names a machine in a network: bits beyond the prefix are set"),
        ("json", '{"a": 1,\n "b"}', "is not JSON: line 2, column 5"),
        ("yaml", "a: 1\nb: {", "is not YAML: line 3, column 1"),
        ("base64", "YQ==\n", "is not base64: it ends in a line break"),
        (
            "pem", PEM.replace("\n", "\\n"),
            r"is not PEM: BEGIN and END stand on lines of their own (its line breaks are written as \n)",
        ),
        ("pem", "-----BEGIN A-----\nTUlJQg==\n", "is not PEM: a block does not end"),
    ],
)  # fmt: skip
def test_what_is_said_of_a_wrong_value(kind, text, told):
    assert problem(kind, text) == told


@given(kind=st.sampled_from(get_args(KeyType)), text=st.text(max_size=50))
def test_of_a_secret_no_figure_is_told_that_depends_on_it(kind, text):
    told = wrong(Key(type=kind), text.encode("utf-8", "surrogatepass"), secret=True)

    assert told is None or not re.search(r"line \d|column \d|byte \d", told)


LONG = 20_000


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("url", f"http://{'a' * LONG}/ b"),
        ("url", f"http://{'a,' * LONG}/ b"),
        ("url", "a" * LONG),
        ("duration", "1" * LONG),
        ("duration", f"{'1h' * LONG}x"),
        ("size", f"{'1' * LONG}x"),
        ("number", f"{'1' * LONG}e"),
        ("email", f"a@{'a.' * LONG}"),
        ("cidr", "/8" * LONG),
        ("pem", f"-----BEGIN {'A ' * LONG}"),
    ],
    ids=lambda text: text[:12],
)
def test_a_long_value_takes_time_in_proportion_to_its_length(kind, text):
    begin = time.thread_time()

    assert problem(kind, text) is not None
    assert time.thread_time() - begin < 1


@given(kind=st.sampled_from(get_args(KeyType)), text=st.text(max_size=200))
def test_any_text_is_of_a_type_or_not_and_is_not_repeated(kind, text):
    marked = f"hunter2{text}hunter2"
    for one in (text, marked, f"{marked}\n"):
        told = problem(kind, one)
        assert told is None or "hunter2" not in told


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ({"about": "anything"}, b"\xff", None),
        ({"type": "string"}, b"\xff", "is not UTF-8 text (byte 0)"),
        ({"one_of": ["a"]}, b"a\xff", "is not UTF-8 text (byte 1)"),
        ({"one_of": ["dev", "prod"]}, b"prod", None),
        ({"one_of": ["dev", "prod"]}, b"test", "is none of 'dev', 'prod'"),
        ({"one_of": ["dev", "prod"]}, b"prod\n", "has blanks or a line break around it; write one of 'dev', 'prod'"),
        ({"type": "port", "one_of": ["80"]}, b"81", "is none of '80'"),
        ({"type": "port", "one_of": ["x"]}, b"x", "is no port; write a whole number from 1 to 65535"),
    ],
)  # fmt: skip
def test_what_is_said_of_a_key_is_checked(key, value, told):
    assert wrong(Key.model_validate(key), value) == told
