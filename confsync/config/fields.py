"""What the models of the configuration are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from confsync.units import parse_duration, parse_mode, parse_size

Duration = Annotated[
    float,
    BeforeValidator(parse_duration, json_schema_input_type=str),
    Field(json_schema_extra={"format": "duration", "examples": ["60s", "500ms", "1h30m"]}),
]
Size = Annotated[int, BeforeValidator(parse_size, json_schema_input_type=int | str)]
Mode = Annotated[int, BeforeValidator(parse_mode, json_schema_input_type=int | str)]


class Model(BaseModel):
    """Base of all configuration models: immutable, and a field nobody knows is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
