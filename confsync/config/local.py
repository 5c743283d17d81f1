"""What a user writes under `local`: what of an environment may come down to a laptop."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from confsync.config.fields import Model, nothing


def _not_null(value: object) -> object:
    # What YAML makes of `allow:` with nothing under it. Taken for no `allow` at all it would let everything down.
    if value is None:
        raise ValueError("there is nothing under it; write [] to let nothing come down")
    return value


class LocalPolicy(Model):
    """What `confsync env` and `confsync exec` may bring down of one environment.

    A pattern is `[SOURCE:]GLOB` of keys as the environment shows them. `db/` is all below db, `SOURCE:` a whole source.
    """

    allow: Annotated[
        list[str] | None,
        BeforeValidator(_not_null, json_schema_input_type=list[str]),
        Field(description="Nothing but these keys comes down. Without it, all that is not denied."),
    ] = None
    deny: Annotated[
        list[str],
        Field(description="These keys, and all below them, never come down, whatever `allow` says of them."),
    ] = Field(default_factory=nothing)
    substitute: Annotated[
        dict[str, str | int | float | bool],
        Field(
            description="Key -> the value that comes down in place of the real one, also where that is denied."
        ),
    ] = Field(default_factory=dict)
