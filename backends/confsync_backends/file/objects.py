"""JSON and TOML: parsed by the standard library, numbers kept as they were written."""

from __future__ import annotations

import datetime as dt
import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from confsync.errors import Invalid
from confsync_backends.file.leaves import (
    DEPTH,
    Leaf,
    Lines,
    Literal,
    empty_key,
    join,
    malformed,
    written_twice,
)

_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[{}\[\]:,]')


class _Twice(Exception):
    """A JSON object has a key twice."""


def parse_json(text: str, name: str) -> list[Leaf]:
    """The values of a JSON object.

    Raises:
        Invalid: malformed, not an object, or a path written twice.
    """
    try:
        document = json.loads(
            text,
            parse_int=Literal,
            parse_float=Literal,
            parse_constant=_no_constant,
            object_pairs_hook=_object,
        )
    except json.JSONDecodeError as exc:
        raise malformed(name, exc.lineno, exc.colno, f"not valid JSON: {exc.msg}") from exc
    except _Twice as exc:
        raise _locate_twice(text, name) from exc
    except (ValueError, RecursionError) as exc:
        raise malformed(name, 0, 0, f"not valid JSON: {_reason(exc)}") from exc
    try:
        return _leaves(document, name)
    except _Repeated as exc:
        raise _locate(text, name, exc.path) from exc


def parse_toml(text: str, name: str) -> list[Leaf]:
    """The values of a TOML document. Integers are decimal, dates and times are RFC 3339.

    Raises:
        Invalid: malformed, or a path written twice.
    """
    try:
        document = tomllib.loads(text, parse_float=Literal)
    except tomllib.TOMLDecodeError as exc:
        found = _TOML_PLACE.search(str(exc))
        line, column = (
            Lines(text).at(len(text)) if not found or not found[1] else (int(found[1]), int(found[2]))
        )
        problem = _TOML_PLACE.sub("", str(exc))
        raise malformed(name, line, column, f"not valid TOML: {problem}") from exc
    except (ValueError, RecursionError) as exc:
        raise malformed(name, 0, 0, f"not valid TOML: {_reason(exc)}") from exc
    try:
        return _leaves(document, name)
    except _Repeated as exc:
        raise written_twice(name, exc.path, (0, 0), (0, 0)) from exc


class _Repeated(Exception):
    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


def _leaves(document: object, name: str) -> list[Leaf]:
    if not isinstance(document, dict):
        raise malformed(name, 1, 1, "the file must hold a mapping of keys to values")
    seen: dict[str, Leaf] = {}
    for leaf in _walk(document, "", name, 0):
        if leaf.path in seen:
            raise _Repeated(leaf.path)
        seen[leaf.path] = leaf
    return list(seen.values())


def _walk(mapping: dict[str, Any], base: str, name: str, depth: int) -> Iterator[Leaf]:
    if depth > DEPTH:
        raise malformed(name, 0, 0, f"nested more than {DEPTH} deep")
    for key, value in mapping.items():
        path = join(base, key)
        if path is None:
            raise empty_key(name, 0, 0)
        if isinstance(value, dict):
            yield from _walk(value, path, name, depth + 1)
        elif value is not None:
            yield Leaf(path, _scalar(value).encode("utf-8", "surrogatepass"))


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return as_json(value)
    if isinstance(value, dt.date | dt.time):
        return _moment(value)
    return str(value)


def _moment(value: dt.date | dt.time) -> str:
    # tomllib turns a Z into an offset of zero, which RFC 3339 says is the same.
    text = value.isoformat()
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text


def as_json(value: Any) -> str:
    """JSON text of what a list holds; a `Literal` is written as it is."""
    if isinstance(value, Literal):
        return value
    if isinstance(value, list):
        return f"[{', '.join(as_json(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_quote(key)}: {as_json(item)}' for key, item in value.items())}}}"
    if value is None or isinstance(value, bool | int):
        return json.dumps(value)
    return _quote(_scalar(value))


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise _Twice
    return mapping


def _no_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")


def _reason(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


# The standard library tells no positions of keys. They are only needed for a message, so they are looked for
# only then.


class _Key(NamedTuple):
    owner: int  # which object it is in
    key: str
    path: str
    offset: int


def _locate_twice(text: str, name: str) -> Invalid:
    seen: dict[tuple[int, str], int] = {}
    for found in _keys(text):
        first = seen.setdefault((found.owner, found.key), found.offset)
        if first != found.offset:
            return _twice_at(text, name, found.path, [first, found.offset])
    return written_twice(name, "?", (0, 0), (0, 0))


def _locate(text: str, name: str, path: str) -> Invalid:
    return _twice_at(text, name, path, [found.offset for found in _keys(text) if found.path == path])


def _twice_at(text: str, name: str, path: str, offsets: Sequence[int]) -> Invalid:
    places = [Lines(text).at(offset) for offset in offsets]
    return (
        written_twice(name, path, places[0], places[1])
        if len(places) > 1
        else written_twice(name, path, (0, 0), (0, 0))
    )


def _keys(text: str) -> Iterator[_Key]:
    """Every key of valid JSON with its place."""
    stack: list[tuple[int, str]] = []  # the objects and lists around, with their paths
    count = 0
    path, before = "", ""
    for token in _TOKEN.finditer(text):
        char = token[0][0]
        if char in "{[":
            stack.append((count, path))
            count += 1
        elif char in "}]":
            stack.pop()
        elif char == '"' and before in "{," and text[token.end() :].lstrip(" \t\r\n")[:1] == ":":
            key = json.loads(token[0])
            owner, base = stack[-1]
            path = join(base, key) or key
            yield _Key(owner, key, path, token.start())
        before = char
