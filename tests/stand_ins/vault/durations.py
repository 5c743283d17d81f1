"""Durations as Vault reads and prints them; all in seconds."""

from __future__ import annotations

import re
from typing import Any

from .answers import Refused

DEFAULT_TTL = MAX_TTL = 768 * 3600
"""What a server gives, and gives at most, when nobody says otherwise."""

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s|d)")


def seconds(value: Any) -> float:
    """A number of seconds, or "90", "1h30m", "7d"; nothing is 0."""
    if value in (None, ""):
        return 0.0
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    text = str(value).strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not text or _PART.sub("", text):
        raise Refused(400, f'error converting input {value} for field "ttl": time: invalid duration "{text}"')
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def in_words(value: float) -> str:
    """As in Vault's warnings: 3600 is "1h", 90 is "1m30s"."""
    left = int(value)
    parts = []
    for unit, size in (("h", 3600), ("m", 60), ("s", 1)):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"
