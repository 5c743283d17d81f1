"""Time: now, and other times. Every time has a zone; one that is given without is taken as UTC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confsync.errors import LimitExceeded, RenderError
from confsync.render.filters.values import describe, text
from confsync.units import parse_duration

if TYPE_CHECKING:
    import datetime as dt

_LONGEST_FORMAT = 1000


def now(tz: str = "UTC") -> dt.datetime:
    """The time now in a zone: `{{ now('Europe/Berlin').tzinfo }} → Europe/Berlin`."""
    import datetime as dt

    return dt.datetime.now(_zone(tz, "now"))


def from_unix(value: object, tz: str = "UTC") -> dt.datetime:
    """The time so many seconds after 1970: `{{ 86400|from_unix }} → 1970-01-02 00:00:00+00:00`."""
    import datetime as dt

    try:
        return dt.datetime.fromtimestamp(float(text(value, "from_unix")), _zone(tz, "from_unix"))
    except (ValueError, OverflowError, OSError) as exc:
        raise RenderError(f"from_unix takes seconds since 1970, not {describe(value)}") from exc


def to_datetime(value: object) -> dt.datetime:
    """The time that ISO 8601 text says: `{{ ('2026-02-03T04:05:06Z'|to_datetime).day }} → 3`."""
    import datetime as dt

    if isinstance(value, dt.datetime):
        found = value
    else:
        try:
            found = dt.datetime.fromisoformat(text(value, "to_datetime").strip())
        except ValueError:
            # Not as the cause: its text quotes the value.
            problem = f"to_datetime takes a time such as 2026-02-03T04:05:06Z, not {describe(value)}"
            raise RenderError(problem) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=dt.UTC)


def strftime(value: object, form: str = "%Y-%m-%dT%H:%M:%S%z", tz: str | None = None) -> str:
    """A time, or seconds since 1970, in C's notation: `{{ 0|strftime('%d.%m.%Y') }} → 01.01.1970`."""
    import datetime as dt

    pattern = text(form, "strftime")
    if len(pattern) > _LONGEST_FORMAT or _has_width(pattern):
        raise LimitExceeded("strftime: a format that long, or with a width, is not allowed")
    moment = from_unix(value) if isinstance(value, int | float) else to_datetime(value)
    if tz is not None:
        moment = moment.astimezone(_zone(tz, "strftime"))
    try:
        return dt.datetime.strftime(moment, pattern)
    except ValueError as exc:
        raise RenderError("strftime: not a valid format") from exc


def duration_seconds(value: object) -> int | float:
    """The seconds in a duration: `{{ '1h30m'|duration_seconds }} → 5400`."""
    try:
        seconds = parse_duration(value if isinstance(value, int | float) else text(value, "duration_seconds"))
    except ValueError:
        # Not as the cause: its text quotes the value.
        raise RenderError(
            f"duration_seconds takes a duration such as 90s or 1h30m, not {describe(value)}"
        ) from None
    return int(seconds) if seconds.is_integer() else seconds


def _zone(name: object, function: str) -> Any:
    import datetime as dt

    if name == "UTC":
        return dt.UTC
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(text(name, function))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise RenderError(
            f"{function}: no time zone of that name is installed", hint="such as Europe/Berlin"
        ) from exc


def _has_width(pattern: str) -> bool:
    """glibc pads `%9999d` to any width."""
    return any(
        part[:1].isdigit() or part[:2].lstrip("_-^#+")[:1].isdigit() for part in pattern.split("%")[1:]
    )
