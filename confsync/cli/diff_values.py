"""Values in one line each, so that those which differ look different, and where they do is to be seen."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

from confsync.text import printable

_BEFORE = 12
"""Characters shown before the place where long values begin to differ."""

_MOST_CHARACTERS = 4
"""Characters shown for each column: more than any script puts above each other, and fewer than fill a screen."""

_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""What takes no ink, though Unicode calls it printable."""

MARKS = frozenset({"=", "≠", "-", "denied", "unreadable", "unfetched", "(none)"})
"""What stands for something else in place of a value; a value that reads so is quoted."""


def spelled(values: Sequence[Any]) -> list[str]:
    """Each value as one line that a terminal may be given: two are the same text only if the values are equal.

    Plain text stands as it is. What could be taken for something else (empty, with spaces at its ends, with line
    breaks, bytes that are no text) is quoted, with the escapes of JSON and Python.

    Args:
        values: bytes, or what JSON can say.
    """
    texts = [_spelled(value) for value in values]
    looks = {unicodedata.normalize("NFKC", _UNSEEN.sub("", text)) for text in texts}
    if len(looks) == len(set(texts)):
        return texts
    return [text if text.isascii() else ascii(text) for text in texts]


def _spelled(value: Any) -> str:
    if isinstance(value, bytes):
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError:
            return "b" + _quoted(value.decode("latin-1"), ascii_only=True)
        return _quoted(text) if _is_doubtful(text) else text
    if isinstance(value, str):
        return _quoted(value) if _is_doubtful(value) or _is_json(value) else value
    return printable(json.dumps(value, ensure_ascii=False, sort_keys=True))


def _is_doubtful(text: str) -> bool:
    """Whether `text` could be taken for something else, or not be seen."""
    return (
        not text
        or not text.isprintable()
        or text != text.strip()
        or text.startswith(('"', 'b"', "'", "•", "= "))
        or text in MARKS
    )


def _is_json(text: str) -> bool:
    """Whether a text that a store has as such looks like what is none: a number, true, a list."""
    if text[0] not in "-0123456789{[tfnNI":
        return False
    try:
        json.loads(text, parse_int=str)
    except (ValueError, RecursionError):
        return False
    return True


def _quoted(text: str, *, ascii_only: bool = False) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if not ascii_only:
        return f'"{printable(escaped)}"'
    return '"' + "".join(one if " " <= one <= "~" else f"\\x{ord(one):02x}" for one in escaped) + '"'


def cut(texts: Sequence[str], most: int) -> list[str]:
    """Texts that are at most so wide; of long ones the part where they begin to differ, the same of each."""
    if all(width(text) <= most for text in texts):
        return list(texts)
    differing = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*texts, strict=False)))
    before = min(_BEFORE, most // 3)
    hidden = len(set(texts)) > 1 and width(texts[0][:differing]) > most - before - 1
    start = differing - before if hidden else 0
    return [_part(text, start, most) for text in texts]


def _part(text: str, start: int, most: int) -> str:
    begun = "…" if start else ""
    rest = text[start:]
    if width(begun + rest) <= most:
        return begun + rest
    return begun + next(wrapped(rest, most - len(begun) - 1), "") + "…"


def wrapped(text: str, most: int) -> Iterator[str]:
    """`text` in pieces that are at most so wide; nothing of an empty one."""
    if text.isascii():
        yield from (text[at : at + most] for at in range(0, len(text), most))
        return
    piece, taken = "", 0
    for char in text:
        wide = _columns(char)
        if piece and (taken + wide > most or len(piece) == most * _MOST_CHARACTERS):
            yield piece
            piece, taken = "", 0
        piece, taken = piece + char, taken + wide
    if piece:
        yield piece


def width(text: str) -> int:
    """How many columns of a terminal `text` takes; where very many signs stand above each other, more."""
    if text.isascii():
        return len(text)
    return max(sum(map(_columns, text)), -(-len(text) // _MOST_CHARACTERS))


def _columns(char: str) -> int:
    return 0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1


def padded(text: str, wide: int) -> str:
    """`text` with spaces up to a width."""
    return text + " " * max(0, wide - width(text))
