"""What the server answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from .status import Json
from .watches import Watch


@dataclass(frozen=True)
class Answer:
    """A status and a JSON body, a page of text, or a stream of events.

    Attributes:
        text: the body when it is no JSON.
        watch: what is told from now on, instead of a body.
    """

    status: int = 200
    body: Json | None = None
    headers: dict[str, str] = field(default_factory=dict)
    text: str | None = None
    watch: Watch | None = None


def to_json(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
