"""Small helpers for messages people read."""

from __future__ import annotations

from collections.abc import Collection, Iterable

_MOST_COMPARED = 2000


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like `name` in any case of its letters, or None when nothing comes close.

    Where there are very many, those in the same folder or with the same last segment are compared first.
    """
    from difflib import get_close_matches

    wanted = name.casefold()
    pool: dict[str, str] = {}
    for one in candidates:
        pool.setdefault(one.casefold(), one)
    compared: Collection[str] = pool
    if len(pool) > _MOST_COMPARED:
        folder, _, last = wanted.rpartition("/")
        similar = [one for one in pool if one.startswith(folder + "/") or one.endswith(last)]
        compared = similar[:_MOST_COMPARED]
    found = get_close_matches(wanted, compared, n=1, cutoff=0.6)
    return pool[found[0]] if found else None


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or the whole list when it is short, or nothing."""
    known = sorted(candidates)
    near = nearest(name, known)
    if near is not None:
        return f"; did you mean {near!r}?"
    if 0 < len(known) <= 12:
        return f"; there is {', '.join(known)}"
    return ""


def printable(text: str) -> str:
    """`text` with everything a terminal could act on escaped; safe to put in a line of output."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")


def plural(count: int, noun: str) -> str:
    """`1 key`, `2 keys`."""
    return f"1 {noun}" if count == 1 else f"{count} {noun}s"


_TIMESTAMP = 10**14


def revision_text(revision: int) -> str:
    """A revision for people: stores that have none use the time of the last change, in microseconds since the epoch."""
    if revision < _TIMESTAMP:
        return str(revision)
    from datetime import UTC, datetime

    return (
        datetime.fromtimestamp(revision / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
