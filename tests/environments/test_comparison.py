"""What a comparison of environments says is so, and it says nothing of secrets but which are the same."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from confsync.cli.diff_values import cut, spelled, width
from confsync.cli.main import cli
from confsync.cli.markdown import code, escaped
from confsync.text import printable

NAMES = ("dev", "staging", "prod")
KEYS = ("a", "b/c", "b/d e", "z|`")
TEMPLATE = "# settings\na: {{ hush('a', default='') }}\nport = 80\nb = {{ hush('b/c', default='') }}\n[end]\n"
CONFIG = {
    "sources": {
        "values": {"backend": "file", "path": "values"},
        "hush": {"backend": "file", "path": "hush", "sensitive": True},
    },
    "environments": {name: {"values": name, "hush": [name, "common"]} for name in NAMES},
    "syncs": {"app": {"template": {"inline": TEMPLATE}, "to": "app.conf"}},
}
Stored = Mapping[str, Mapping[str, bytes]]


class World:
    """Sources made of a file for each value, all of the same age."""

    def __init__(self, root):
        self.root = root

    def put(self, source: str, stored: Stored) -> None:
        shutil.rmtree(self.root / source, ignore_errors=True)
        (self.root / source).mkdir(parents=True)
        (self.root / "confsync.yaml").write_text(yaml.safe_dump(CONFIG))
        for environment, tree in stored.items():
            for path, value in tree.items():
                file = self.root / source / environment / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(value)
                os.utime(file, (1e9, 1e9))

    def diff(self, *arguments):
        done = CliRunner().invoke(cli, ["-c", str(self.root / "confsync.yaml"), "diff", *arguments])
        assert "this is a bug" not in done.stderr, done.stderr
        return done


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.delenv("CONFSYNC_CONFIG", raising=False)
    root = logging.getLogger()
    kept = root.handlers[:], root.level
    yield World(tmp_path)
    root.handlers[:], root.level = kept


some_bytes = (
    st.sampled_from([b"", b"1", b"1.0", b"=", b"\xff", b"\n", b"x" * 3000, b"x" * 3000 + b"y"]) | st.binary()
)
trees = st.dictionaries(st.sampled_from(KEYS), some_bytes)


@settings(max_examples=40)
@given(stored=st.fixed_dictionaries(dict.fromkeys(NAMES, trees)), several=st.booleans())
def test_a_key_is_the_same_exactly_where_its_values_are_equal(world, stored, several):
    names = NAMES if several else NAMES[:2]
    world.put("values", stored)
    world.put("hush", {})

    done = world.diff(*names, "--output", "json", "--all")

    document = json.loads(done.stdout)
    told = {key["path"]: key for key in document["keys"]}
    assert told.keys() == set().union(*(stored[name] for name in names))
    for path, key in told.items():
        values = [stored[name].get(path) for name in names]
        present = [value for value in values if value is not None]
        equal = len(set(values)) == 1
        assert (key["difference"] == "none") is equal
        assert (key["difference"] == "presence") is (len(set(present)) == 1 and None in values)
        cells = list(key["environments"].values())
        for one, cell in zip(values, cells, strict=True):
            assert (cell["state"] == "missing") is (one is None)
            for other, another in zip(values, cells, strict=True):
                assert (cell["group"] == another["group"]) is (one == other)
    differing = sum(1 for key in told.values() if key["difference"] != "none")
    assert document["counts"]["same"] == len(told) - differing
    assert done.exit_code == (2 if differing else 0)


texts = st.text(st.sampled_from("xyz0 \n=|`é"), max_size=40)
PATTERNS = st.fixed_dictionaries(
    {name: st.dictionaries(st.sampled_from(KEYS), st.integers(0, 2)) for name in NAMES}
)


def filled(pattern, salt):
    """The secrets of a pattern: equal exactly where its numbers are."""
    return {
        name: {path: f"S{path}{number}{salt[number]}".encode() for path, number in tree.items()}
        for name, tree in pattern.items()
    }


@pytest.mark.timeout(900)  # it makes hundreds of comparisons
@settings(max_examples=30)
@given(pattern=PATTERNS, salts=st.tuples(*[st.tuples(texts, texts, texts)] * 2))
def test_nothing_depends_on_a_secret_but_where_it_is_the_same(world, pattern, salts):
    world.put("values", {})
    shown = []
    for salt in salts:
        world.put("hush", filled(pattern, salt))
        done = [
            world.diff(*names, *more)
            for names in (NAMES[:2], NAMES)
            for more in (
                (),
                ("--all",),
                ("--output", "json"),
                ("--output", "markdown"),
                ("--sync", "app"),
                ("--sync", "app", "--output", "json"),
            )
        ]
        shown.append([(one.exit_code, one.stdout, one.stderr) for one in done])

    assert shown[0] == shown[1]


values = st.one_of(
    st.binary(max_size=8),
    st.text(max_size=8),
    st.sampled_from(['"a"', "a", "'a'", 'b"a"', "•", "= dev", "\\n", "\n"]),
)
typed = st.one_of(values, st.none(), st.booleans(), st.integers(), st.lists(st.text(max_size=3), max_size=2))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"db.example.com", "db.example.com"), (b"a b", "a b"), (b"5432", "5432"), (5432, "5432"), ("5432", '"5432"'),
        (b"", '""'), (b" ", '" "'), (b"a ", '"a "'), (b"a\nb", r'"a\nb"'), (rb"a\nb", r"a\nb"), (b'"a"', r'"\"a\""'),
        (b"=", '"="'), (b"-", '"-"'), (b"denied", '"denied"'), (b"= dev", '"= dev"'), (b"\xff\x00", r'b"\xff\x00"'),
        ("null", '"null"'), (None, "null"), (True, "true"), ({"b": [1], "a": "x"}, '{"a": "x", "b": [1]}'),
        ("\u202eevil", r'"\u202eevil"'), (b"\xe2\x80\xae", r'"\u202e"'),
    ],
)  # fmt: skip
def test_a_value_is_one_line_that_reads_as_nothing_else(value, text):
    assert spelled([value]) == [text]


def test_texts_that_only_look_alike_are_spelled_out():
    assert spelled(["\u00e9", "e\u0301"]) == [r"'\xe9'", r"'e\u0301'"]
    assert spelled([b"a", "a\u3164".encode()]) == ["a", r"'a\u3164'"]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "1" * 10_000])
def test_a_text_that_no_reader_of_json_takes_is_shown_all_the_same(text):
    assert spelled([text])[0].strip('"') == text


@given(st.lists(st.binary(max_size=8) | st.text(max_size=8).map(str.encode), max_size=4))
def test_bytes_that_differ_are_spelled_differently(found):
    texts = spelled(found)
    assert len(set(texts)) == len(set(found))
    assert all(text.isprintable() and text for text in texts)


@given(st.lists(typed.filter(lambda value: not isinstance(value, bytes)), max_size=4))
def test_values_of_different_types_are_spelled_differently(found):
    texts = spelled(found)
    assert len(set(texts)) == len({json.dumps(value) for value in found})
    assert all(text.isprintable() for text in texts)


@given(st.text(), st.text(), st.text(), st.integers(10, 60))
@example("0", "\x1f", "\U0002ebe1", 12)
@example("\u4e00" * 7, "a" * 20, "b" * 20, 14)
@example("e" + "\u0301" * 500, "a", "b", 20)
@example("e", "\u0301" * 500, "\u0302" * 500, 20)
def test_what_is_cut_shows_where_it_differs(begin, one, other, most):
    one, other = spelled([begin + one, begin + other])
    shown = cut([one, other], most)
    assert all(width(text) <= most and len(text) <= 4 * most for text in shown)
    assert (shown[0] == shown[1]) is (one == other)


signs = st.sampled_from([*"`|\\<>*_[]()!&#@~$ab :;\n\"'.-=/", "&amp;", "https://a.b", "<!--", "\u202e"])


@settings(max_examples=100)
@given(st.lists(signs, min_size=1, max_size=12).map("".join).filter(str.strip))
def test_a_cell_of_markdown_is_the_text_and_nothing_else(text):
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    for encoded, allowed in ((code(text), {"text", "code_inline", "html_inline"}), (escaped(text), {"text"})):
        parsed = parser.parse(f"| a | b |\n| - | - |\n| {encoded} | x |\n")
        cells = [token.children for token in parsed if token.type == "inline"]
        assert len(cells) == 4
        shown = "".join(part.content for part in cells[2] if part.type != "html_inline")
        assert shown.strip() == printable(text).strip()
        assert {part.type for part in cells[2]} <= allowed
        assert {part.content for part in cells[2] if part.type == "html_inline"} <= {"<code>", "</code>"}
