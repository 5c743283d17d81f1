"""How Go decodes: base64 and JSON, and what its libraries say of what they cannot read."""

from __future__ import annotations

import base64
import json
import re
import string
from typing import Any

_ALPHABET = set(string.ascii_letters + string.digits + "+/")


class Undecodable(ValueError):
    """With Go's words for why."""


def from_base64(text: str) -> bytes:
    """Standard base64 with padding; line ends are skipped.

    Raises:
        Undecodable: names the place of the first bad byte, as encoding/base64 counts it.
    """
    bad = _bad_byte(text)
    if bad is not None:
        raise Undecodable(f"illegal base64 data at input byte {bad}")
    return base64.b64decode(text)


def _bad_byte(text: str) -> int | None:
    count = 0
    for place, letter in enumerate(text):
        if letter in "\r\n":
            continue
        if letter == "=" and count >= 2:
            return _bad_padding(text, place, two=count == 2)
        if letter not in _ALPHABET:
            return place
        count = (count + 1) % 4
    return len(text) - count if count else None


def _bad_padding(text: str, first: int, *, two: bool) -> int | None:
    """What follows the first "=": another one if there have to be two, and then nothing."""
    rest = [place for place in range(first + 1, len(text)) if text[place] not in "\r\n"]
    if two and not rest:
        return len(text)
    if two and text[rest[0]] != "=":
        return rest[0] - 1
    return next(iter(rest[1:] if two else rest), None)


def from_json(raw: bytes) -> Any:
    """A JSON document.

    Raises:
        Undecodable: as encoding/json words it.
    """
    try:
        text = raw.decode()
        return json.loads(text)
    except UnicodeDecodeError as exc:
        raise Undecodable("invalid UTF-8") from exc
    except json.JSONDecodeError as exc:
        raise Undecodable(_json_problem(text, exc.pos)) from exc


def _json_problem(text: str, place: int) -> str:
    """encoding/json reads byte by byte, so a word that is none is bad where it departs from the one it could be."""
    if place >= len(text):
        return "unexpected end of JSON input"
    for literal in ("null", "true", "false"):
        word = text[place : place + len(literal)]
        if not word or word[0] != literal[0]:
            continue
        same = next((i for i, (a, b) in enumerate(zip(word, literal, strict=False)) if a != b), len(word))
        if same >= len(word):
            return "unexpected end of JSON input"
        return f"invalid character {_quoted(word[same])} in literal {literal} (expecting {_quoted(literal[same])})"
    before = re.sub(r"\s+$", "", text[:place])
    where = {
        "{": "looking for beginning of object key string",
        ",": "looking for beginning of value",
        ":": "looking for beginning of value",
        "[": "looking for beginning of value",
        "": "looking for beginning of value",
    }.get(before[-1:], "after top-level value")
    return f"invalid character {_quoted(text[place])} {where}"


def _quoted(letter: str) -> str:
    if letter in ("'", '"'):
        return {"'": r"'\''", '"': "'\"'"}[letter]
    return "'" + json.dumps(letter, ensure_ascii=False)[1:-1] + "'"
