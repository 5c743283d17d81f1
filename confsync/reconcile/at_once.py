"""Several things at once that are mostly waiting for somebody else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from confsync.errors import ConfsyncError

S = TypeVar("S")
T = TypeVar("T")


def at_once(act: Callable[[S], T], things: Sequence[S], most: int) -> tuple[list[T], list[ConfsyncError]]:
    """Do it for every thing, `most` at a time; after the first failure no other is begun.

    Returns:
        What those gave that succeeded, in order, and the failures: more than one where several were under way.
    """
    if not things:
        return [], []
    failures: list[ConfsyncError] = []

    def unless_failed(thing: S) -> tuple[T] | None:
        if failures:
            return None
        try:
            return (act(thing),)
        except ConfsyncError as exc:
            failures.append(exc)
            return None

    if len(things) == 1:  # most syncs have one target, and a thread costs as much as its request
        given = [unless_failed(things[0])]
    else:
        with ThreadPoolExecutor(min(most, len(things)), thread_name_prefix="writer") as pool:
            given = list(pool.map(unless_failed, things))
    return [one[0] for one in given if one is not None], failures
