"""A note on an object that another sync, of another confsync, wants as well: so that both say so."""

from __future__ import annotations

import re
from datetime import UTC, datetime

REFRESHED = 600.0
"""Seconds after which a note is written anew."""

BELIEVED = 3600.0
"""Seconds after which a note is no longer believed: whoever left it may have gone."""

_AHEAD = 300.0
"""Seconds another's clock may be ahead of ours."""

_FORM = re.compile(r"(.{1,253}) at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)", re.ASCII)
_TIME = "%Y-%m-%dT%H:%M:%SZ"


def text_of(sync: str, now: float) -> str:
    """The note: `SYNC at TIME`.

    Args:
        now: seconds since the epoch.
    """
    return f"{sync} at {datetime.fromtimestamp(now, UTC).strftime(_TIME)}"


def age(note: str | None, now: float, *, sync: str | None = None) -> float | None:
    """How old a note is, in seconds; None where there is none, or it cannot be read, or is another sync's."""
    found = _FORM.fullmatch(note or "")
    if found is None or sync not in (None, found[1]):
        return None
    try:
        time = datetime.strptime(found[2], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
    age = now - time.timestamp()
    return max(age, 0.0) if age > -_AHEAD else None


def claimant(note: str | None, now: float) -> str | None:
    """The sync that a note names, where it is still believed."""
    since = age(note, now)
    if note is None or since is None or since > BELIEVED:
        return None
    return note.rpartition(" at ")[0]
