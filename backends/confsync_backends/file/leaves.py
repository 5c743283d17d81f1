"""What every format's parser gives: leaves, paths with their values; and the errors it may raise."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NamedTuple

from confsync.errors import Invalid

DEPTH = 100  # how deep a file may nest: far beyond use, far below the interpreter's stack
LARGEST = (
    32 * 1024**2
)  # bytes that all files together may hold, and what they may grow to when aliases are expanded


class Leaf(NamedTuple):
    """One value in a file.

    Attributes:
        path: relative to the file.
        value: as bytes.
        line, column: where its key is, from 1; 0 where the format's parser does not tell.
    """

    path: str
    value: bytes
    line: int = 0
    column: int = 0


class Literal(str):
    """A number that keeps the text it was written as. Within a list it is that same text in JSON."""

    __slots__ = ()


def malformed(name: str, line: int, column: int, problem: str, *, hint: str | None = None) -> Invalid:
    """The error for a mistake in file `name`. `problem` may quote keys, but no values."""
    return Invalid(f"{place(name, line, column)}: {problem}", hint=hint)


def place(name: str, line: int, column: int) -> str:
    """`file:line:column`, as exactly as it is known."""
    return f"{name}:{line}:{column}" if line else name


def written_twice(name: str, path: str, first: tuple[int, int], second: tuple[int, int]) -> Invalid:
    """The error for one path at two places, (line, column), of a file; (0, 0) where not known."""
    before = f"; the first is at {place(name, *first)}" if first[0] else ""
    problem = f"the key {path!r} is written twice{before}"
    return malformed(name, *second, problem, hint="remove one of them")


def join(base: str, key: str) -> str | None:
    """The path of `key` in the map at `base`, or None if the key is empty somewhere.

    One leading slash is dropped, so that keys can be written as etcd shows them.
    """
    key = key.removeprefix("/")
    if not key or key[0] == "/" or key[-1] == "/" or "//" in key:
        return None
    return f"{base}/{key}" if base else key


def empty_key(name: str, line: int, column: int) -> Invalid:
    """The error for a key that has an empty step."""
    return malformed(name, line, column, "a key is empty, or has nothing between two slashes", hint="name it")


class Lines:
    """Where the lines of a text begin."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]

    def at(self, offset: int) -> tuple[int, int]:
        """Line and column, from 1, of a character."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1
