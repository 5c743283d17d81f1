"""YAML, read as libyaml's events: fast, every scalar the text that was written, every key with its place.

PyYAML's own loaders would make 1.1 of 1.10 and a date of a version, and go down with the process on deep
nesting. Within a list, whose JSON text is wanted, plain scalars count as in YAML 1.2: true, false, null and
decimal numbers are no text, anything else (yes, 0x1F, 2026-01-01) is.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from confsync.errors import Invalid
from confsync_backends.file.leaves import (
    DEPTH,
    LARGEST,
    Leaf,
    Lines,
    Literal,
    empty_key,
    join,
    malformed,
    written_twice,
)
from confsync_backends.file.objects import as_json

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # without libyaml: slower, not different

_STANDARD = "tag:yaml.org,2002:"
_KNOWN_TAGS = frozenset(_STANDARD + tag for tag in ("set", "omap", "pairs", "merge", "yaml"))
"""Those of YAML that mean nothing here. Another may be a value that somebody forgot to quote: it is not shown."""
_TEXT_TAGS = frozenset(_STANDARD + tag for tag in ("str", "int", "float", "bool", "timestamp", "value"))
_BINARY_TAGS = frozenset({_STANDARD + "binary", "!binary"})
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_MOST_NODES = 1_000_000  # after expansion of aliases


@dataclass(slots=True)
class _Scalar:
    text: str
    tag: str | None
    plain: bool
    mark: Any


@dataclass(slots=True)
class _List:
    items: list[_Node]
    mark: Any


@dataclass(slots=True)
class _Map:
    pairs: list[tuple[_Scalar, _Node]]
    mark: Any


_Node = _Scalar | _List | _Map


def parse(text: str, name: str) -> list[Leaf]:
    """The values of a YAML document; an empty one has none.

    Raises:
        Invalid: malformed, not a mapping, a path written twice, an unknown tag, aliases that grow too large.
    """
    try:
        document = _Builder(text, name).document()
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        raise _at(name, mark, f"not valid YAML: {exc.problem or exc.context}") from exc
    except yaml.reader.ReaderError as exc:
        line, column = Lines(text).at(exc.position) if isinstance(exc.position, int) else (0, 0)
        raise malformed(name, line, column, f"not valid YAML: {exc.reason}") from exc
    except yaml.YAMLError as exc:
        raise malformed(name, 0, 0, f"not valid YAML: {str(exc).splitlines()[0]}") from exc
    if document is None or (isinstance(document, _Scalar) and _is_null(document)):
        return []
    if not isinstance(document, _Map):
        raise _at(name, document.mark, "the file must hold a mapping of keys to values")
    return _Flattener(name).flatten(document)


class _Builder:
    """Events -> nodes. Aliases share the node they stand for."""

    def __init__(self, text: str, name: str) -> None:
        self._events = yaml.parse(text, Loader=_Loader)
        self._name = name
        self._anchors: dict[str, _Node | None] = {}  # None while the node is still being built

    def document(self) -> _Node | None:
        found: _Node | None = None
        count = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                count += 1
                if count > 1:
                    raise _at(
                        self._name, event.start_mark, "a second document begins", hint="one document per file"
                    )
            elif isinstance(event, yaml.NodeEvent):
                found = self._node(event, 0)
        return found

    def _node(self, event: Any, depth: int) -> _Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if depth > DEPTH:
            raise _at(self._name, event.start_mark, f"nested more than {DEPTH} deep")
        anchor = event.anchor
        if anchor is None:
            return self._build(event, depth)
        self._anchors[anchor] = None
        node = self._anchors[anchor] = self._build(event, depth)
        return node

    def _build(self, event: Any, depth: int) -> _Node:
        if isinstance(event, yaml.ScalarEvent):
            return _Scalar(event.value, event.tag, event.implicit[0], event.start_mark)
        if event.tag not in {None, "!", _STANDARD + "map", _STANDARD + "seq"}:
            raise _unknown_tag(self._name, event.tag, event.start_mark)
        if isinstance(event, yaml.SequenceStartEvent):
            return _List(list(self._items(yaml.SequenceEndEvent, depth)), event.start_mark)
        return _Map(self._pairs(depth), event.start_mark)

    def _items(self, end: type[Any], depth: int) -> Iterator[_Node]:
        for event in self._events:
            if isinstance(event, end):
                return
            yield self._node(event, depth + 1)

    def _pairs(self, depth: int) -> list[tuple[_Scalar, _Node]]:
        items = self._items(yaml.MappingEndEvent, depth)
        pairs: list[tuple[_Scalar, _Node]] = []
        for key in items:
            if not isinstance(key, _Scalar):
                raise _at(self._name, key.mark, "a key must be text")
            pairs.append((key, next(items)))
        return pairs

    def _alias(self, event: Any) -> _Node:
        if event.anchor not in self._anchors:
            # Not its name: it may be a value that somebody forgot to quote.
            raise _at(
                self._name,
                event.start_mark,
                "there is no anchor for this alias",
                hint="a value that begins with * must be quoted",
            )
        node = self._anchors[event.anchor]
        if node is None:
            raise _at(self._name, event.start_mark, "the alias is within what it stands for")
        return node


class _Flattener:
    """Nodes -> leaves. Counts what it does, since a few nested aliases can stand for billions of values."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes = 0
        self._bytes = 0
        self._leaves: dict[str, Leaf] = {}

    def flatten(self, document: _Map) -> list[Leaf]:
        self._map(document, "")
        return list(self._leaves.values())

    def _map(self, node: _Map, base: str) -> None:
        for key, value in self._merged(node):
            self._count(key)
            path = join(base, key.text)
            if path is None:
                raise empty_key(self._name, key.mark.line + 1, key.mark.column + 1)
            if isinstance(value, _Map):
                self._map(value, path)
                continue
            content = self._content(value)
            if content is not None:
                self._add(path, content, key)

    def _add(self, path: str, content: bytes, key: _Scalar) -> None:
        line, column = key.mark.line + 1, key.mark.column + 1
        before = self._leaves.get(path)
        if before is not None:
            raise written_twice(self._name, path, (before.line, before.column), (line, column))
        self._bytes += len(content) + len(path)
        if self._bytes > LARGEST:
            raise self._too_large(key)
        self._leaves[path] = Leaf(path, content, line, column)

    def _content(self, node: _Scalar | _List) -> bytes | None:
        if isinstance(node, _List):
            return as_json(self._plain(node)).encode()
        if _is_null(node):
            return None
        if node.tag in _BINARY_TAGS:
            return self._binary(node)
        self._check_tag(node)
        return node.text.encode()

    def _binary(self, node: _Scalar) -> bytes:
        try:
            return base64.b64decode("".join(node.text.split()), validate=True)
        except (binascii.Error, ValueError) as exc:
            raise _at(self._name, node.mark, "what is tagged !!binary is not base64") from exc

    def _check_tag(self, node: _Scalar) -> None:
        if node.tag is not None and node.tag != "!" and node.tag not in _TEXT_TAGS:
            raise _unknown_tag(self._name, node.tag, node.mark)

    def _merged(self, node: _Map) -> list[tuple[_Scalar, _Node]]:
        """The pairs, with those that `<<` brings in where the map has none of its own."""
        own: dict[str, _Scalar] = {}
        merges: list[_Node] = []
        for key, value in node.pairs:
            if key.text == "<<" and key.plain:
                merges.append(value)
                continue
            before = own.setdefault(key.text, key)
            if before is not key:
                raise self._duplicate(before, key)
        if not merges:
            return node.pairs
        pairs = [pair for pair in node.pairs if own.get(pair[0].text) is pair[0]]
        for merge in merges:
            self._merge(merge, own, pairs)
        return pairs

    def _merge(self, merge: _Node, own: dict[str, _Scalar], pairs: list[tuple[_Scalar, _Node]]) -> None:
        self._count(merge)
        for one in merge.items if isinstance(merge, _List) else [merge]:
            if not isinstance(one, _Map):
                raise _at(self._name, one.mark, "<< takes a mapping, or a list of mappings")
            for key, value in self._merged(one):
                self._count(key)
                if key.text not in own:  # not by identity: an alias brings in the same key again
                    own[key.text] = key
                    pairs.append((key, value))

    def _duplicate(self, first: _Scalar, second: _Scalar) -> Invalid:
        places = [(key.mark.line + 1, key.mark.column + 1) for key in (first, second)]
        return written_twice(self._name, second.text, places[0], places[1])

    def _plain(self, node: _Node) -> Any:
        """What a list's item is in JSON."""
        self._count(node)
        if isinstance(node, _List):
            return [self._plain(item) for item in node.items]
        if isinstance(node, _Map):
            return {key.text: self._plain(value) for key, value in self._merged(node)}
        self._bytes += len(node.text)
        if self._bytes > LARGEST:
            raise self._too_large(node)
        return self._item(node)

    def _item(self, node: _Scalar) -> Any:
        if node.tag in _BINARY_TAGS:
            return "".join(node.text.split())
        if _is_null(node):
            return None
        self._check_tag(node)
        if not node.plain or node.tag is not None:
            return node.text
        if node.text in _BOOLS:
            return _BOOLS[node.text]
        return Literal(node.text) if _NUMBER.fullmatch(node.text) else node.text

    def _count(self, node: _Node) -> None:
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise self._too_large(node)

    def _too_large(self, node: _Node) -> Invalid:
        return _at(
            self._name,
            node.mark,
            f"too large: more than {_MOST_NODES:,} values or {LARGEST >> 20} MiB with its aliases",
        )


def _is_null(node: _Scalar) -> bool:
    if node.tag is not None:
        return node.tag == _STANDARD + "null"
    return node.plain and node.text in _NULLS


def _unknown_tag(name: str, tag: str, mark: Any) -> Invalid:
    shown = f"the tag {tag.replace(_STANDARD, '!!')}" if tag in _KNOWN_TAGS else "this tag"
    hint = "use !!binary, !!str or none; a value that begins with ! must be quoted"
    return _at(name, mark, f"{shown} is not known here", hint=hint)


def _at(name: str, mark: Any, problem: str, *, hint: str | None = None) -> Invalid:
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
    return malformed(name, line, column, problem, hint=hint)
