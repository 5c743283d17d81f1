"""Immutable views of a source's keys at one revision, and an environment's layered look at them."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from confsync.driver import Entry, Grant, Tree
from confsync.errors import Denied, Invalid, SourceError
from confsync.text import nearest

PLACEHOLDER = "(fetched by apply)"
"""What a value is while only a command that writes may fetch it."""


class Problem(NamedTuple):
    """Why what is known may not be so any more.

    Attributes:
        text: what is wrong.
        since: seconds since the epoch, or None.
        held: whether the source answers, and is not believed until somebody confirms.
    """

    text: str
    since: float | None
    held: bool = False


class Absent(NamedTuple):
    """What can be said of a key that does not exist.

    Attributes:
        detail: why it is not there, where the store tells (`version 3 was deleted`), or "".
        nearest: the existing key most like it, or None.
    """

    detail: str
    nearest: str | None


class Found(NamedTuple):
    """A key that exists: its entry, and the prefix of the environment that has it.

    Attributes:
        fetched: False for what exists only once somebody who may write has fetched it; the entry is a placeholder.
    """

    entry: Entry
    prefix: str
    fetched: bool = True


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A source's keys at one revision. Immutable; share it between threads.

    Attributes:
        source: the source's name.
        revision: the revision all of it was read at.
        trees: prefix -> relative path -> entry.
        read_at: when it was known to be current, seconds since the epoch.
        problem: why it may be out of date, or None.
        grant: None where it is everything; else what of it may be missing, for whoever read it may not read that.
    """

    source: str
    revision: int
    trees: Mapping[str, Tree]
    read_at: float
    problem: Problem | None = None
    grant: Grant | None = None
    _views: dict[tuple[str, ...], View] = field(default_factory=dict, compare=False, repr=False)

    def view(self, prefixes: Sequence[str]) -> View:
        """The layers `prefixes`, the first of which wins."""
        key = tuple(prefixes)
        view = self._views.get(key)
        if view is None:
            kind = View if self.grant is None else PartialView
            view = self._views[key] = kind(self, key)
        return view


class View:
    """One environment's look at a source: relative paths, looked for in each prefix in order."""

    __slots__ = ("_layers", "_paths", "prefixes", "snapshot")

    def __init__(self, snapshot: Snapshot, prefixes: tuple[str, ...]) -> None:
        self.snapshot = snapshot
        self.prefixes = prefixes
        self._layers = [(prefix, snapshot.trees.get(prefix, {})) for prefix in prefixes]
        self._paths: list[str] | None = None

    @property
    def by_request(self) -> bool:
        """Whether each key is asked for on its own, which may take time and may be refused."""
        return False

    def find(self, path: str) -> Found | None:
        """The entry at `path` in the first prefix that has it."""
        for prefix, tree in self._layers:
            entry = tree.get(path)
            if entry is not None:
                return Found(entry, prefix)
        return None

    def spell(self, text: str) -> str:
        """A path as somebody typed it, in the spelling `find` takes.

        Raises:
            SourceError: it is no path here.
        """
        return text.strip("/")

    def only_look(self) -> None:
        """From now on do not fetch what fetching would make."""

    def read_ahead(self, paths: Iterable[str]) -> None:
        """Have what is at these paths read at the same time, where each key is asked for on its own."""

    def withhold(self, withheld: bool) -> None:
        """Whether the paths asked for next are made of secrets, so that nobody may be told of them."""

    def look_up(self, path: str) -> tuple[Found, Any] | None:
        """As `find`, with the value in the type the store gave it."""
        found = self.find(path)
        return None if found is None else (found, found.entry.value)

    def decrypted(self, key: str, ciphertext: str) -> bytes | None:  # noqa: ARG002 - few stores decrypt
        """What is remembered of a ciphertext, or None."""
        return None

    def decrypt(self, key: str, ciphertexts: Sequence[str]) -> list[bytes | SourceError]:  # noqa: ARG002
        """What each ciphertext says, or why that cannot be told. Raises `SourceError`: the store cannot be asked."""
        raise Invalid(f"source {self.snapshot.source!r} does not decrypt")

    def absent(self, path: str) -> Absent:
        """What can be said of a key that does not exist."""
        return Absent("", nearest(path, self.paths()))

    def problem(self, paths: Iterable[str]) -> Problem | None:  # noqa: ARG002 - all keys are read at once
        """Why these keys may be out of date, or None."""
        return self.snapshot.problem

    def shadowed(self, path: str) -> list[str]:
        """The later prefixes that have `path` too, and lose."""
        return [prefix for prefix, tree in self._layers if path in tree][1:]

    def paths(self) -> list[str]:
        """Every path, sorted. Do not change the list."""
        if self._paths is None:
            self._paths = sorted(set().union(*(tree for _, tree in self._layers)))
        return self._paths

    def under(self, prefix: str) -> list[str]:
        """The paths below `prefix` (`upstream` -> `upstream/a`, not `upstream` itself), sorted; "" means all."""
        return _under(self.paths(), prefix)

    def below(self, prefix: str) -> list[str]:
        """The paths below `prefix`, at any depth, sorted."""
        return self.under(prefix)

    def children(self, prefix: str) -> list[str]:
        """The paths exactly one step below `prefix` that have a value, sorted."""
        depth = len(prefix) + 1 if prefix else 0
        return [path for path in self.under(prefix) if "/" not in path[depth:]]

    def directories(self, prefix: str) -> list[str]:
        """The names one step below `prefix` that have something below them, sorted."""
        return sorted(self._directories(prefix))  # paths sort otherwise than names: "a./x" is before "a/x"

    def _directories(self, prefix: str) -> Iterator[str]:
        depth = len(prefix) + 1 if prefix else 0
        last = None
        for path in self.under(prefix):
            name, slash, _ = path[depth:].partition("/")
            if slash and name != last:
                last = name
                yield name


def _under(paths: list[str], prefix: str) -> list[str]:
    """Those of sorted paths that are below `prefix`."""
    if not prefix:
        return paths
    start = bisect_left(paths, prefix + "/")
    return paths[start : bisect_left(paths, prefix + "0", start)]  # "0" is the character after "/"


class PartialView(View):
    """Of a source that may be read in part. What may be hidden there, for it may not be read, raises `Denied`."""

    __slots__ = ()

    def find(self, path: str) -> Found | None:
        for prefix, tree in self._layers:
            entry = tree.get(path)
            if entry is not None:
                return Found(entry, prefix)
            self._raise_if(self._grant.refusal(prefix, path))
        return None

    def paths(self) -> list[str]:
        return self.under("")

    def under(self, prefix: str) -> list[str]:
        for layer in self.prefixes:
            self._raise_if(self._grant.refusal_below(layer, prefix))
        return _under(super().paths(), prefix)

    def absent(self, path: str) -> Absent:
        return Absent("", nearest(path, super().paths()))

    @property
    def _grant(self) -> Grant:
        assert self.snapshot.grant is not None  # noqa: S101 - else it is no part
        return self.snapshot.grant

    def _raise_if(self, refusal: Denied | None) -> None:
        if refusal is not None:
            raise refusal


def full_key(prefix: str, path: str) -> str:
    """The key as the store spells it: `/prod/shop` and `db/host` -> `/prod/shop/db/host`."""
    return f"{prefix.rstrip('/')}/{path}" if prefix else path


def as_bytes(value: Any) -> bytes:
    """What a secret or one of its fields is as a value: text as it is, all else as JSON, the same for the same."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


class UnreadableView(View):
    """Stands for a source that was never read: whoever asks it anything gets the reason."""

    __slots__ = ("_error",)

    def __init__(self, error: SourceError, prefixes: tuple[str, ...]) -> None:
        super().__init__(Snapshot("", 0, {}, 0.0), prefixes)
        self._error = error

    def find(self, path: str) -> Found | None:  # noqa: ARG002 - as the class it stands in for has it
        raise self._error

    def paths(self) -> list[str]:
        raise self._error

    def problem(self, paths: Iterable[str]) -> Problem | None:  # noqa: ARG002 - nothing is known
        return None

    def shadowed(self, path: str) -> list[str]:  # noqa: ARG002 - likewise
        raise self._error
