"""What the models of the configuration are made of."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]*$"
"""Names of sources, which templates use as variables, and of environment variables."""


class Model(BaseModel):
    """Base of all configuration models: immutable, and a field nobody knows is an error.

    Modules of models do without `from __future__ import annotations`: at each start pydantic would parse every
    annotation once more, from its text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def nothing() -> list[Any]:
    """What a list is that was not given: for `default_factory`.

    Of a factory pydantic wants to know the signature, and Python parses that of `list` from its documentation, with a
    tokenizer that is made for it: five milliseconds at each start.
    """
    return []
