"""What a field may hold, in the configuration as in a driver's options: written with units, kept as numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from confsync.units import parse_duration, parse_mode, parse_size

Duration = Annotated[
    float,
    BeforeValidator(parse_duration, json_schema_input_type=str),
    Field(json_schema_extra={"format": "duration", "examples": ["60s", "500ms", "1h30m"]}),
]
"""Seconds."""

Timespan = Annotated[Duration, Field(gt=0)]
"""Seconds, more than none."""

Size = Annotated[int, BeforeValidator(parse_size, json_schema_input_type=int | str)]
"""Bytes."""

Mode = Annotated[int, BeforeValidator(parse_mode, json_schema_input_type=int | str)]
"""Permission bits."""
