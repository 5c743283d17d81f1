"""Ending a render on purpose."""

from __future__ import annotations

from typing import NoReturn

from confsync.errors import RenderError
from confsync.render.filters.values import text

_LONGEST = 300


def fail(message: object) -> NoReturn:
    """Always an error, the template's own: `{{ fail('upstream/ has no servers') }}`; what was written stays."""
    raise RenderError(text(message, "fail")[:_LONGEST])
