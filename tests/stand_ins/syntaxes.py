"""How programs read their configuration, after their documented rules: for tests, where the program may not be there.

Each reader raises `AssertionError` where the program would not read on, or where it would see more than text.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Directive(NamedTuple):
    """One directive of nginx."""

    depth: int
    words: tuple[str, ...]


def nginx(text: str) -> list[Directive]:
    """The directives, as `ngx_conf_read_token` reads them."""
    found: list[Directive] = []
    words: list[str] = []
    depth = at = 0
    while at < len(text):
        char = text[at]
        if char in " \t\r\n":
            at += 1
        elif char == "#":
            at = text.index("\n", at)
        elif char in ";{":
            assert words, "a directive without a name"
            found.append(Directive(depth, tuple(words)))
            words, depth, at = [], depth + (char == "{"), at + 1
        elif char == "}":
            assert not words, "a directive that is not ended"
            depth, at = depth - 1, at + 1
            assert depth >= 0
        else:
            word, at = _nginx_word(text, at)
            words.append(word)
    assert (depth, words) == (0, [])
    return found


def _nginx_word(text: str, at: int) -> tuple[str, int]:
    quote = text[at] if text[at] in "\"'" else ""
    at += len(quote)
    start = at
    while text[at] != quote if quote else text[at] not in " \t\r\n;{":
        at += 2 if text[at] == "\\" else 1
    meant = {"t": "\t", "r": "\r", "n": "\n"}
    word = re.sub(r"\\([\"'\\trn])", lambda found: meant.get(found[1], found[1]), text[start:at])
    at += len(quote)
    assert text[at] in " \t\r\n;{", "nginx wants a blank after a closing quote"
    return word, at


def haproxy(text: str) -> list[list[str]]:
    """The words of each line, as HAProxy's `parse_line` reads it; `{` and `}` are words like others."""
    return [words for line in text.split("\n") if (words := _haproxy_words(line))]


def _haproxy_words(line: str) -> list[str]:
    words: list[str] = []
    word: str | None = None
    double, at = False, 0
    while at < len(line):
        char = line[at]
        assert char not in "\r\0", "HAProxy ends the line here"
        assert char != "'" or double, "none of ours has it"
        if char == '"':
            double, word = not double, word or ""
        elif char == "\\":
            at += 1
            assert line[at] in '\\"$nrt'
            word = (word or "") + {"n": "\n", "r": "\r", "t": "\t"}.get(line[at], line[at])
        elif char == "#" and not double:
            break
        elif char in " \t" and not double:
            words += [] if word is None else [word]
            word = None
        else:
            assert char != "$", "HAProxy expands a variable here"
            word = (word or "") + char
        at += 1
    assert not double, "a quote that is not closed"
    return words + ([] if word is None else [word])


def redis(text: str) -> list[list[str]]:
    """The words of each line of redis.conf, as `sdssplitargs` reads it."""
    lines = [line.strip(" \t\r") for line in text.split("\n")]
    return [_redis_words(line) for line in lines if line and not line.startswith("#")]


_REDIS_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "a": "\a"}
_REDIS_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"(?= |$)|([^ "\']+)(?= |$)')


def _redis_words(line: str) -> list[str]:
    words, at = [], 0
    while at < len(line):
        found = _REDIS_WORD.match(line, at)
        assert found, "Redis: unbalanced quotes in configuration line"
        if found[1] is None:
            words.append(found[2])
        else:
            words.append(re.sub(r"\\(.)", lambda one: _REDIS_ESCAPES.get(one[1], one[1]), found[1]))
        at = found.end() + 1
    return words


_POSTGRESQL_LINE = re.compile(
    r"([A-Za-z_][A-Za-z0-9_$.]*) = (?:'((?:[^'\\\n]|\\.|'')*)'|([A-Za-z0-9_.:/-]+))"
)


def postgresql(text: str) -> list[tuple[str, str]]:
    """The parameters of postgresql.conf and their values, as the server's guc-file.l reads them."""
    meant = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "''": "'"}
    found = []
    for line in text.split("\n"):
        if not line or line.startswith("#"):
            continue
        match = _POSTGRESQL_LINE.fullmatch(line)
        assert match, "PostgreSQL: syntax error"
        value = match[3] or re.sub(
            r"\\(.)|''", lambda one: meant.get(one[1] or one[0], one[1]), match[2] or ""
        )
        found.append((match[1], value))
    return found


class Token(NamedTuple):
    """One name in a field of pg_hba.conf; keywords are those without quotes."""

    text: str
    quoted: bool


def pg_hba(text: str) -> list[list[list[Token]]]:
    """The fields of each line of pg_hba.conf, each a list of names, as `next_field_expand` reads them."""
    return [_hba_fields(line) for line in text.split("\n") if line and not line.startswith("#")]


_HBA_TOKEN = re.compile(r'"((?:[^"]|"")*)"|([^\s,"#]+)')


def _hba_fields(line: str) -> list[list[Token]]:
    fields: list[list[Token]] = [[]]
    at = 0
    while at < len(line):
        if line[at] == " ":
            fields.append([])
            at += 1
            continue
        at += line[at] == ","
        found = _HBA_TOKEN.match(line, at)
        assert found, "PostgreSQL cannot read this field"
        quoted = found[1] is not None
        token = Token(found[1].replace('""', '"') if quoted else found[2], quoted)
        assert not token.text.startswith("/"), "a regular expression, quoted or not"
        fields[-1].append(token)
        at = found.end()
    return fields


class Php(NamedTuple):
    """A script, its strings apart.

    Attributes:
        code: all but comments, with `''` for every string.
        strings: what the strings are.
    """

    code: str
    strings: list[str]


_PHP_PIECE = re.compile(r"'((?:[^'\\]|\\.)*)'|//[^\n]*|[^'\"`#/<?]|[/<?]", re.DOTALL)


def php(text: str) -> Php:
    """The script, as PHP's scanner reads it; all its strings are in single quotes, in which nothing is expanded."""
    assert text.startswith("<?php\n")
    code, strings, at = [], [], 6
    while at < len(text):
        assert not text.startswith(("?>", "/*", "<<<"), at), (
            "code ends, or something begins that none of ours has"
        )
        found = _PHP_PIECE.match(text, at)
        assert found, "PHP reads something else here"
        if found[1] is not None:
            strings.append(re.sub(r"\\([\\'])", r"\1", found[1]))
            code.append("''")
        elif not found[0].startswith("//"):
            code.append(found[0])
        at = found.end()
    return Php("".join(code), strings)


class Setting(NamedTuple):
    """One assignment in a unit of systemd."""

    section: str
    name: str
    value: str


def systemd(text: str) -> list[Setting]:
    """The assignments of a unit, in which no line is continued."""
    found, section = [], ""
    for line in text.split("\n"):
        assert not line.endswith("\\"), "systemd would go on with the next line"
        if not line or line.startswith(("#", ";")):
            continue
        if line.startswith("["):
            assert line.endswith("]")
            section = line[1:-1]
            continue
        name, equals, value = line.partition("=")
        assert equals, "no assignment"
        assert re.fullmatch(r"[A-Za-z]+", name)
        found.append(Setting(section, name, value.strip()))
    return found


def systemd_words(value: str) -> list[str]:
    """The words of Environment=, as `extract_first_word` takes them with C escapes, and then specifiers."""
    words, at = [], 0
    while at < len(value):
        found = re.compile(r'"((?:[^"\\]|\\.)*)"(?= |$)').match(value, at)
        assert found, "none of ours is without quotes"
        word = re.sub(r"\\(.)", lambda one: {"n": "\n", "t": "\t"}.get(one[1], one[1]), found[1])
        assert not re.search(r"(?<!%)(?:%%)*%(?!%)", word), "a specifier is expanded here"
        words.append(word.replace("%%", "%"))
        at = found.end() + 1
    return words


def connection_string(text: str) -> dict[str, str]:
    """The pairs of a connection string of .NET."""
    found, at = {}, 0
    pair = re.compile(r'([^=;"]+)=(?:"((?:[^"]|"")*)"|([^;"]*))(?:;|$)')
    while at < len(text):
        match = pair.match(text, at)
        assert match, "not a connection string"
        found[match[1]] = match[2].replace('""', '"') if match[2] is not None else match[3].strip()
        at = match.end()
    return found
