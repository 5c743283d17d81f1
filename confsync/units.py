"""Durations, sizes and file modes as users write them."""

from __future__ import annotations

import re

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_DURATIONS = re.compile(rf"(?:{_DURATION.pattern})+")
_LONGEST = 100_000
"""Days; a little less than the longest that Python's locks can wait."""
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+)\s*(B|kB|KB|MB|GB|KiB|MiB|GiB)?")
_BYTES = {
    None: 1, "B": 1, "kB": 1000, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3,
}  # fmt: skip

_MEANT_AS_OCTAL = frozenset(
    {400, 440, 444, 500, 550, 555, 600, 640, 644, 660, 664, 666, 700, 750, 755, 770, 775, 777}
)


def parse_duration(text: object) -> float:
    """Seconds in `1h30m`, `60s` or `250ms`.

    Raises:
        ValueError: no unit, not a duration, or too long a one; the text says what to write.
    """
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise ValueError("a duration is text with a unit, such as 60s")
    if text in (0, "0"):
        return 0.0
    if isinstance(text, int | float):
        raise ValueError(f"a duration needs a unit: {text}s, {text}ms or {text}m?")
    # Matched as a whole: a search would begin anew at each of very many digits.
    if not _DURATIONS.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration; write for example 500ms, 60s, 5m or 1h30m")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(text))
    if seconds > _LONGEST * _SECONDS["d"]:
        raise ValueError(f"a duration is at the most {_LONGEST}d")
    return seconds


def format_duration(seconds: float) -> str:
    """The duration in one or two units, for people: `3m12s`, `250ms`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 60:
        return f"{seconds:.3g}s"
    whole = int(seconds)
    for unit, below, length, rest in (("m", "s", 60, 1), ("h", "m", 3600, 60), ("d", "h", 86400, 3600)):
        if whole < length * (60 if unit != "h" else 24) or unit == "d":
            small = whole % length // rest
            return f"{whole // length}{unit}{small}{below}" if small else f"{whole // length}{unit}"
    raise AssertionError(seconds)


def parse_size(text: object) -> int:
    """Bytes in `64MiB`, `10kB` or a bare number.

    Raises:
        ValueError: not a size.
    """
    found = _SIZE.fullmatch(str(text).strip()) if not isinstance(text, bool) else None
    if found is None:
        raise ValueError(f"{text!r} is not a size; write for example 64MiB, 10kB or 4096")
    return int(found[1]) * _BYTES[found[2]]


def parse_mode(text: object) -> int:
    """Permission bits from `"0640"`, or from what YAML makes of a bare 0640.

    Raises:
        ValueError: not octal, or beyond 07777.
    """
    if isinstance(text, str) and re.fullmatch(r"(0o)?[0-7]{3,5}", text):
        mode = int(text.removeprefix("0o"), 8)
    elif isinstance(text, int) and not isinstance(text, bool):
        if text in _MEANT_AS_OCTAL:
            raise ValueError(f'{text} is decimal to YAML; write mode: "0{text}"')
        mode = text
    else:
        raise ValueError(f'{text!r} is not a file mode; write mode: "0644"')
    if not 0 <= mode <= 0o7777:
        raise ValueError(f'{text!r} is not a file mode; write mode: "0644"')
    return mode
