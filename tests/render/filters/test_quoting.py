"""Whatever the text, the reader it is quoted for reads exactly that text back, as one value."""

# ruff: noqa: E501 - a table's rows stay on one line
from __future__ import annotations

import json
import re
import subprocess
import tomllib

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from stand_ins import syntaxes

from confsync.errors import RenderError
from confsync.render.filters import FILTERS
from confsync.render.formats import parse

patient = settings(deadline=None)  # a loaded machine is no failure
TEXT = st.text(st.sampled_from("ab1 \t\r\n'\"\\$`{}();#%&|<>*?[]!~=,:@-é\u2028\x01\x7f😀\0") | st.characters(codec="utf-8"), max_size=30)  # fmt: skip


def quoted(name: str, value: str, **options: object) -> str | None:
    """The filter's result, or None where it refuses."""
    try:
        return FILTERS[name](value, **options)
    except RenderError:
        return None


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_real_shell_reads_each_quoted_word_back(shell):
    words = ["", " ", "a b", "it's", "'", "''", '"$HOME"', "`id`", "$(id)", "\\", "\\'", "a\nb", "\n", "!x", "~", "*", "-n",
             "#", ";", "a=b", "=ls", "%1", "é😀", "\x01\x7f", "\r", "{a,b}", "&&", "<x", "\t"]  # fmt: skip

    script = "printf '%s\\0' " + " ".join(FILTERS["shell_quote"](word) for word in words)
    read = subprocess.run([shell, "-c", script], capture_output=True, check=True).stdout

    assert read.decode().split("\0")[:-1] == words


@settings(deadline=None, max_examples=30)
@given(st.lists(TEXT.filter(lambda word: "\0" not in word), min_size=200, max_size=200))
def test_a_real_shell_reads_any_words_back(words):
    script = "printf '%s\\0' " + " ".join(FILTERS["shell_quote"](word) for word in words)

    read = subprocess.run(["sh"], input=script.encode(), capture_output=True, check=True).stdout

    assert read.decode().split("\0")[:-1] == words


@patient
@given(TEXT)
def test_json_yaml_and_toml_strings_read_back(word):
    assert json.loads(FILTERS["json_string"](word)) == word
    assert yaml.safe_load(f"key: {FILTERS['yaml_quote'](word)}") == {"key": word}
    assert tomllib.loads(f"key = {FILTERS['toml_quote'](word)}") == {"key": word}
    assert "\n" not in FILTERS["json_string"](word) + FILTERS["yaml_quote"](word) + FILTERS["toml_quote"](
        word
    )


@patient
@given(TEXT)
def test_properties_hcl_and_dotenv_values_read_back(word):
    line = f"{FILTERS['properties_escape'](word, key=True)}={FILTERS['properties_escape'](word)}\n"
    assert parse("properties", line.encode()) == {word: word}
    assert parse("tfvars", f"key = {FILTERS['hcl_quote'](word)}\n".encode()) == {"key": word}
    dotenv = quoted("dotenv_quote", word)
    assert dotenv is None or parse("dotenv", f"KEY={dotenv}\n".encode()) == {"KEY": word}


@patient
@given(TEXT)
def test_an_ini_value_is_unchanged_or_refused(word):
    assert quoted("ini_value", word) in (word, None)


@patient
@given(TEXT)
def test_nginx_reads_one_parameter_back(word):
    result = quoted("nginx_quote", word)

    if "$" in word or "\0" in word:
        assert result is None
    else:
        assert nginx_words(f"set {result};") == ["set", word]


def test_nginx_variables_pass_when_they_are_meant():
    assert FILTERS["nginx_quote"]("$host;", variables=True) == '"$host;"'


def test_nginx_parameters_longer_than_its_buffer_are_refused():
    assert quoted("nginx_quote", "é" * 1999) is not None
    assert quoted("nginx_quote", "é" * 2001) is None


@patient
@given(TEXT)
def test_haproxy_reads_one_argument_back(word):
    result = quoted("haproxy_quote", word)

    assert (result is None) == ("\0" in word)
    assert result is None or haproxy_words(f"a {result} b") == ["a", word, "b"]


@patient
@given(TEXT)
def test_redis_and_postgresql_read_one_value_back(word):
    argument, parameter = quoted("redis_quote", word), quoted("postgresql_quote", word)

    if argument is None or parameter is None:
        assert "\0" in word
    else:
        assert syntaxes.redis(f"dir {argument}\nport 1\n") == [["dir", word], ["port", "1"]]
        assert syntaxes.postgresql(f"a = {parameter}\nb = 1\n") == [("a", word), ("b", "1")]


@patient
@given(TEXT)
def test_pg_hba_reads_one_name_back(word):
    result = quoted("pg_hba_quote", word)

    if result is None:
        assert word.startswith("/") or set(word) & set("\0\r\n")
    else:
        [[_, names, user]] = syntaxes.pg_hba(f"local {result} all\n")
        assert (names, user) == ([syntaxes.Token(word, quoted=True)], [syntaxes.Token("all", quoted=False)])


@patient
@given(TEXT)
def test_php_reads_one_string_back(word):
    assert syntaxes.php(f"<?php\n$a = {quoted('php_quote', word)};") == syntaxes.Php("$a = '';", [word])


@patient
@given(TEXT)
def test_spring_reads_one_text_back_and_expands_nothing(word):
    result = quoted("spring_quote", word)

    assert (result is None) == ("${" in word or "#{" in word)
    assert result is None or yaml.safe_load(f"a: {result}\nb: 1") == {"a": word, "b": 1}


@patient
@given(TEXT)
def test_a_connection_string_has_one_value(word):
    result = quoted("connection_string_quote", word)

    assert (result is None) == ("\0" in word)
    assert result is None or syntaxes.connection_string(f"A={result};B=1") == {"A": word, "B": "1"}


@patient
@given(TEXT)
def test_systemd_reads_one_word_back(word):
    plain, command = quoted("systemd_quote", word), quoted("systemd_quote", word, command=True)

    if plain is None or command is None:
        assert re.search(r"[\x00-\x08\x0b-\x1f\x7f]", word)
    else:
        assert systemd_words(f"A {plain} B", dollar=False) == ["A", word, "B"]
        assert systemd_words(f"A {command} B", dollar=True) == ["A", word, "B"]


@patient
@given(TEXT)
def test_an_escaped_text_is_matched_literally(word):
    assert re.fullmatch(FILTERS["regex_escape"](word), word)


def nginx_words(line: str) -> list[str]:
    """The words of one directive, after nginx's ngx_conf_read_token."""
    words, at = [], 0
    while line[at] != ";":
        if line[at] in " \t\r\n":
            at += 1
            continue
        quote = line[at] if line[at] in "\"'" else ""
        at += len(quote)
        start = at
        while line[at] != quote if quote else line[at] not in " \t\r\n;{":
            at += 2 if line[at] == "\\" else 1
        words.append(
            re.sub(
                r"\\([\"'\\trn])", lambda m: {"t": "\t", "r": "\r", "n": "\n"}.get(m[1], m[1]), line[start:at]
            )
        )
        at += len(quote)
        assert line[at] in " \t\r\n;{", "nginx wants a blank after a closing quote"
    return words


def haproxy_words(line: str) -> list[str]:
    """The arguments of a line, after HAProxy's parse_line."""
    words, at, double, single = [""], 0, False, False
    while at < len(line):
        char = line[at]
        assert char not in "\r\n", "HAProxy ends the line here"
        if char == '"' and not single:
            double = not double
        elif char == "'" and not double:
            single = not single
        elif char == "\\" and not single:
            following = line[at + 1]
            assert following in '\\"$nrt '
            words[-1] += {"n": "\n", "r": "\r", "t": "\t"}.get(following, following)
            at += 1
        elif char.isspace() and char in " \t" and not single and not double:
            words.append("")
        else:
            assert char != "$" or not double, "a variable is expanded here"
            assert char != "#" or double, "a comment begins here"
            words[-1] += char
        at += 1
    return words


def systemd_words(line: str, dollar: bool) -> list[str]:
    """The words of an assignment, after systemd's extract_first_word with C escapes, then specifiers."""
    words: list[str] = []
    for match in re.finditer(r'"((?:[^"\\\n]|\\.)*)"(?= |$)|([^ "\\]+)', line):
        word = match[1] if match[1] is not None else match[2]
        word = re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}[m[1]], word)
        assert not re.search(r"(?<!%)(?:%%)*%(?!%)", word), "a specifier is expanded here"
        word = word.replace("%%", "%")
        words.append(word.replace("$$", "$") if dollar else word)
    return words
