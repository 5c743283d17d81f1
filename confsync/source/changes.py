"""What is different between two states of a source, and how others are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from confsync.driver import Delta, Tree

Changes = Mapping[str, frozenset[str]]
"""Prefix -> the relative paths whose value appeared, changed or vanished."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something about a source is different: look again at the syncs concerned.

    Attributes:
        source: its name.
        changes: which paths changed, or None when every sync of the source must look (first read, stale, held).
    """

    source: str
    changes: Changes | None


def count_new(tree: Tree, puts: Tree) -> int:
    """How many of `puts` are not in `tree` yet."""
    return sum(1 for path in puts if path not in tree)


def changed(old: Tree, new: Tree) -> frozenset[str]:
    """The paths whose value appeared, changed or vanished between two states of a prefix."""
    return frozenset(_put(old, new) | (old.keys() - new.keys()))


def differing(tree: Tree, delta: Delta, prefix: str) -> frozenset[str]:
    """The paths whose value `delta` makes another."""
    put = _put(tree, delta.puts.get(prefix, {}))
    return frozenset(put | (delta.deletes.get(prefix, frozenset()) & tree.keys()))


def _put(tree: Tree, puts: Tree) -> set[str]:
    return {
        path for path, entry in puts.items() if (was := tree.get(path)) is None or was.value != entry.value
    }
