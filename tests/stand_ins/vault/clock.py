"""The server's clock, and how it writes times."""

from __future__ import annotations

from datetime import UTC, datetime

from stand_ins.common.clock import Clock

__all__ = ["Clock", "rfc3339"]


def rfc3339(moment: float) -> str:
    """As Go prints a time, with nanoseconds."""
    whole = datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{round(moment % 1 * 1e6) % 10**6:06d}000Z"
