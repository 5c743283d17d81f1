"""A plan kept in a file: applied exactly, or refused because the world moved. It holds digests, never values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from confsync.errors import PlanRefused
from confsync.plan.change import Change
from confsync.text import plural

_FORMATS = "confsync-plan-"
_FORMAT = f"{_FORMATS}1"


def dump(changes: Sequence[Change], *, key_fingerprint: str) -> str:
    """The plan as JSON text.

    Args:
        key_fingerprint: tells which ledger's key the digests were made with.
    """
    lines = [_line(change) for change in changes]
    return json.dumps({"format": _FORMAT, "key": key_fingerprint, "changes": lines}, indent=1) + "\n"


def is_plan(text: str | bytes) -> bool:
    """Whether this is a saved plan, of whichever version."""
    try:
        return str(json.loads(text)["format"]).startswith(_FORMATS)
    except (ValueError, KeyError, TypeError):
        return False


def verify(text: str | bytes, changes: Sequence[Change], *, key_fingerprint: str) -> None:
    """Make sure that `changes`, planned now, are exactly those in the saved plan `text`.

    Raises:
        PlanRefused: they are not; names what moved.
    """
    try:
        saved: dict[str, Any] = json.loads(text)
        known = {line["target"]: line for line in saved["changes"]}
    except (ValueError, KeyError, TypeError) as exc:
        raise PlanRefused(
            "this is not a plan saved by confsync", hint="make one with: confsync plan --out FILE"
        ) from exc
    if saved.get("format") != _FORMAT or saved.get("key") != key_fingerprint:
        raise PlanRefused("this plan was saved with another state directory or version", hint="plan again")
    now = {change.target: _line(change) for change in changes}
    moved = sorted(target for target in known.keys() | now.keys() if known.get(target) != now.get(target))
    if moved:
        differ = f"{plural(len(moved), 'target')} {'differs' if len(moved) == 1 else 'differ'}"
        names = ", ".join(moved[:5]) + (" …" if len(moved) > 5 else "")
        raise PlanRefused(
            f"the world has moved since this plan was saved: {differ}: {names}", hint="plan again"
        )


def _line(change: Change) -> dict[str, Any]:
    return {
        "sync": change.sync, "target": change.target, "action": change.action.value,
        "before": change.before, "after": change.after, "attributes": dict(change.attributes or {}),
    }  # fmt: skip
