"""What commands show of the documentation of values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confsync.text import printable

if TYPE_CHECKING:
    from confsync.config.keys import Key

_LONGEST = 60


def facts_of(key: Key | None, environment: str | None) -> dict[str, Any]:
    """What is said of a key, for programs; None where nothing is said."""
    return {
        "about": key.about if key else None,
        "owner": key.owner if key else None,
        "type": key.type if key else None,
        "one_of": key.one_of if key else None,
        "required": key.required_in(environment) if key else False,
    }


def about_and_owner(about: str | None, owner: str | None) -> str:
    """What a key is and whose, short enough for a column."""
    text = printable(" ".join((about or "").split()))
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return " ".join(filter(None, (text, f"({printable(owner)})" if owner else "")))


def rule_of(key: Key) -> str:
    """What its value has to be, in a few words: `port, one of 80, 443`; "" where nothing is said of it."""
    values = f"one of {', '.join(key.one_of)}" if key.one_of else ""
    return ", ".join(filter(None, (key.type, values)))
