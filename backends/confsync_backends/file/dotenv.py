"""dotenv files, as most programs read them. Nothing in a value is expanded.

# a comment
export NAME=plain text # a comment, after a space
SINGLE='taken literally, also
over several lines'
DOUBLE="with \\n \\r \\t \\" \\\\ \\$ escapes, also over several lines"
"""

from __future__ import annotations

import re

from confsync.errors import Invalid
from confsync_backends.file.leaves import Leaf, Lines, empty_key, join, malformed, written_twice

_BLANK = re.compile(r"[ \t\r\n\f\v]*(?:#[^\n]*(?:\n|\Z)[ \t\r\n\f\v]*)*")
_KEY = re.compile(r"(?:export[ \t]+)?(?P<key>[^\s='\"#]+)[ \t]*")
_COMMENT = re.compile(r"(?:\A|[ \t])#.*")
_SINGLE = re.compile(r"'([^']*)'")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_REST = re.compile(r"[ \t]*(?:#[^\n]*)?\r?(?:\n|\Z)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_MEANS = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$", "`": "`", "\n": ""}


def parse(text: str, name: str) -> list[Leaf]:
    """The variables in the text, in order.

    Raises:
        Invalid: a line that is none of the above, or a name given twice; says where, never what.
    """
    return list(_Parser(text, name).variables().values())


class _Parser:
    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._lines = Lines(text)

    def variables(self) -> dict[str, Leaf]:
        found: dict[str, Leaf] = {}
        position = self._blank(0)
        while position < len(self._text):
            leaf, position = self._variable(position)
            first = found.setdefault(leaf.path, leaf)
            if first is not leaf:
                places = [(one.line, one.column) for one in (first, leaf)]
                raise written_twice(self._name, leaf.path, places[0], places[1])
            position = self._blank(position)
        return found

    def _blank(self, position: int) -> int:
        found = _BLANK.match(self._text, position)
        return found.end() if found else position

    def _variable(self, start: int) -> tuple[Leaf, int]:
        found = _KEY.match(self._text, start)
        line, column = self._lines.at(start)
        if found is None or self._text[found.end() : found.end() + 1] != "=":
            hint = "write NAME=value, or # before a comment"
            raise malformed(self._name, line, column, "not a variable", hint=hint)
        path = join("", found["key"])
        if path is None:
            raise empty_key(self._name, line, column)
        value, end = self._value(found.end() + 1)
        return Leaf(path, value.encode(), line, column), end

    def _value(self, start: int) -> tuple[str, int]:
        while self._text[start : start + 1] in {" ", "\t"}:
            start += 1
        quote = self._text[start : start + 1]
        if quote in {"'", '"'}:
            return self._quoted(quote, start)
        end = self._text.find("\n", start)
        end = len(self._text) if end < 0 else end
        return _COMMENT.sub("", self._text[start:end]).strip(), end

    def _quoted(self, quote: str, start: int) -> tuple[str, int]:
        found = (_SINGLE if quote == "'" else _DOUBLE).match(self._text, start)
        if found is None:
            raise self._malformed(
                start, f"the quote {quote} is never closed", "close it, or quote all of the value"
            )
        rest = _REST.match(self._text, found.end())
        if rest is None:
            raise self._malformed(found.end(), "text after the closing quote", "quote all of the value")
        return (found[1] if quote == "'" else _ESCAPE.sub(_unescape, found[1])), rest.end()

    def _malformed(self, offset: int, problem: str, hint: str) -> Invalid:
        return malformed(self._name, *self._lines.at(offset), problem, hint=hint)


def _unescape(found: re.Match[str]) -> str:
    return _MEANS.get(found[1], found[0])
