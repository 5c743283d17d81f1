"""dotenv files, as most programs read them. Nothing in a value is expanded.

# a comment
export NAME=plain text # a comment, after a space
SINGLE='taken literally, also
over several lines'
DOUBLE="with \\n \\r \\t \\" \\\\ \\$ escapes, also over several lines"
"""

from __future__ import annotations

import re

from confsync_backends.file.leaves import Leaf, empty_key, join, line_column, malformed, written_twice

_BLANK = re.compile(r"[ \t\r\n\f\v]*(?:#[^\n]*(?:\n|\Z)[ \t\r\n\f\v]*)*")
_KEY = re.compile(r"(?:export[ \t]+)?(?P<key>[^\s='\"#]+)[ \t]*")
_PLAIN = re.compile(r"[^\n]*")
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
    seen: dict[str, Leaf] = {}
    position = _blank(text, 0)
    while position < len(text):
        leaf, position = _variable(text, position, name)
        if leaf.path in seen:
            first = seen[leaf.path]
            raise written_twice(name, leaf.path, (first.line, first.column), (leaf.line, leaf.column))
        seen[leaf.path] = leaf
        position = _blank(text, position)
    return list(seen.values())


def _variable(text: str, start: int, name: str) -> tuple[Leaf, int]:
    found = _KEY.match(text, start)
    line, column = line_column(text, start)
    if found is None or text[found.end() : found.end() + 1] != "=":
        raise malformed(name, line, column, "not a variable", hint="write NAME=value, or # before a comment")
    path = join("", found["key"])
    if path is None:
        raise empty_key(name, line, column)
    value, end = _value(text, found.end() + 1, name)
    return Leaf(path, value.encode(), line, column), end


def _value(text: str, start: int, name: str) -> tuple[str, int]:
    while text[start : start + 1] in {" ", "\t"}:
        start += 1
    quote = text[start : start + 1]
    if quote not in {"'", '"'}:
        found = _PLAIN.match(text, start)
        assert found is not None  # noqa: S101 - it matches anything
        return _COMMENT.sub("", found[0]).strip(), found.end()
    found = (_SINGLE if quote == "'" else _DOUBLE).match(text, start)
    if found is None:
        raise malformed(name, *line_column(text, start), f"the quote {quote} is never closed")
    rest = _REST.match(text, found.end())
    if rest is None:
        raise malformed(
            name, *line_column(text, found.end()), "text after the closing quote", hint="quote all of it"
        )
    return (found[1] if quote == "'" else _ESCAPE.sub(_unescape, found[1])), rest.end()


def _unescape(found: re.Match[str]) -> str:
    return _MEANS.get(found[1], found[0])


def _blank(text: str, position: int) -> int:
    found = _BLANK.match(text, position)
    return found.end() if found else position
