"""Prefixes as users write them, and etcd's byte ranges; paths and raw keys.

"/prod/shop"  ->  every key that begins with b"/prod/shop/"
"/"           ->  every key that begins with b"/"
""            ->  every key; one leading slash is dropped from its path
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from confsync.driver import Entry
from confsync.errors import Invalid

_EVERYTHING = b"\0"


def decode(raw: bytes) -> str:
    """A key as text; bytes that are not UTF-8 survive as lone surrogates."""
    return raw.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """The bytes that `decode` made the text of."""
    return text.encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class View:
    """One prefix as it was asked for.

    Attributes:
        asked: what the user wrote.
        start: what its keys begin with; empty for the store's root.
    """

    asked: str
    start: bytes

    def path(self, raw: bytes) -> str | None:
        """The key's path within this prefix, or None if it is outside, or the prefix itself."""
        if not raw.startswith(self.start):
            return None
        path = decode(raw[len(self.start) :])
        return (path if self.start else path.removeprefix("/")) or None


class Span(NamedTuple):
    """A range of raw keys.

    Attributes:
        first: the first that belongs to it; empty for the first of all.
        end: the first that does not any more, or None where all later ones do.
    """

    first: bytes
    end: bytes | None

    @classmethod
    def of_key(cls, key: bytes) -> Span:
        """That key alone."""
        return cls(key, key + b"\0")

    @classmethod
    def of_range(cls, key: bytes, end: bytes) -> Span:
        """As etcd writes it."""
        return cls(b"" if key == _EVERYTHING else key, None if end == _EVERYTHING else end)

    @classmethod
    def of_start(cls, start: bytes) -> Span:
        """All that begins so: every start but the empty one ends in a slash, whose successor is 0."""
        return cls(start, start[:-1] + b"0" if start else None)

    def common(self, other: Span) -> Span | None:
        """What is in both."""
        ends = [end for end in (self.end, other.end) if end is not None]
        first, end = max(self.first, other.first), min(ends, default=None)
        return None if end is not None and end <= first else Span(first, end)

    def joined(self, other: Span) -> Span:
        """From the first of both to the last."""
        end = None if self.end is None or other.end is None else max(self.end, other.end)
        return Span(min(self.first, other.first), end)


@dataclass(frozen=True, slots=True)
class Cover:
    """One range to ask etcd for, and the views that lie within it. The first view is the whole range.

    Attributes:
        part: what of it to ask for, where that is not all.
    """

    start: bytes
    views: list[View] = field(default_factory=list)
    part: Span | None = None

    @property
    def span(self) -> Span:
        """What to ask for."""
        return self.part or Span.of_start(self.start)

    @property
    def key(self) -> bytes:
        """Where the range begins."""
        return self.span.first or _EVERYTHING

    @property
    def end(self) -> bytes:
        """Where it ends."""
        return _EVERYTHING if self.span.end is None else self.span.end

    @property
    def prefix(self) -> str:
        """For messages and hints."""
        return decode(self.start)


def covers(prefixes: Sequence[str]) -> list[Cover]:
    """The fewest ranges that hold all prefixes; none overlaps another."""
    views = sorted(
        (View(asked, _start(asked)) for asked in dict.fromkeys(prefixes)), key=lambda view: len(view.start)
    )
    found: list[Cover] = []
    for view in views:
        cover = next((cover for cover in found if view.start.startswith(cover.start)), None)
        if cover is None:
            cover = Cover(view.start)
            found.append(cover)
        cover.views.append(view)
    return found


def _start(asked: str) -> bytes:
    return encode(asked.rstrip("/") + "/") if asked else b""


def keys_of(asked: str, path: str) -> Sequence[bytes]:
    """Each key that has `path` below a prefix: at the root there are two."""
    key = encode(path)
    return [_start(asked) + key] if asked else [b"/" + key, key]


def below(asked: str, path: str) -> Sequence[Span]:
    """Where the keys below `path`, below a prefix, lie; "" for all of the prefix."""
    if not path:
        return [Span.of_start(_start(asked))]
    return [Span.of_start(key + b"/") for key in keys_of(asked, path)]


def fill(tree: dict[str, Entry], view: View, cover: Cover, kvs: Iterable[Any]) -> None:
    """Add a page of the cover's keys to the view's tree.

    Raises:
        Invalid: two keys have the same path in the root view.
    """
    if not view.start:
        _fill_root(tree, kvs)
        return
    skip = len(view.start)
    if view.start != cover.start:
        kvs = [kv for kv in kvs if kv.key.startswith(view.start)]
    # The hot loop: 50,000 rounds for a large source.
    for kv in kvs:
        tree[kv.key[skip:].decode("utf-8", "surrogateescape")] = Entry(kv.value, kv.mod_revision)
    tree.pop("", None)  # a "directory" marker: the prefix itself, not under it


def _fill_root(tree: dict[str, Entry], kvs: Iterable[Any]) -> None:
    for kv in kvs:
        path = decode(kv.key).removeprefix("/")
        if path in tree:
            raise same_path(path)
        if path:
            tree[path] = Entry(kv.value, kv.mod_revision)


def same_path(path: str) -> Invalid:
    """The error for two keys that the root view cannot tell apart."""
    return Invalid(
        f"etcd holds both {path!r} and {'/' + path!r}: at the root both have the path {path!r}",
        key=path,
        hint='remove one of them, or read the prefix "/" instead of the root',
    )


def twin(raw: bytes) -> bytes:
    """The other key that has the same path at the root."""
    return raw[1:] if raw.startswith(b"/") else b"/" + raw
