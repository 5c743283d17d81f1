"""One JSON object. Numbers and booleans keep their types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from confsync.render.formats.scalars import Plain

TYPED = True


def encode(mapping: Mapping[str, Plain]) -> str:
    """Indented by two, UTF-8 unescaped."""
    return json.dumps(mapping, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def parse(text: str) -> dict[str, Any]:
    """The object in `text`. Raises `ValueError`."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    return found
