"""What a render heeds of the documentation of values: which keys may not be missing, and what values have to be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class KeyRules(Protocol):
    """What is said of one source's keys. Paths are as templates ask for them. Thread-safe; asks no store."""

    def ask(self, path: str) -> str:
        """Whom to ask of a key, and what it is, or ""."""

    def wrong(self, path: str, value: bytes) -> str | None:
        """What is wrong with the value of a key, as the end of a sentence without a word of the value; or None."""

    def is_required(self, path: str) -> bool:
        """Whether nothing may stand in for a key."""

    def may_be_elsewhere(self, path: str) -> bool:
        """Whether another source may have a required key that this one has not."""

    def required_below(self, prefix: str) -> Sequence[str]:
        """The required keys below a prefix, at any depth."""

    def required_fields(self, path: str) -> Sequence[str]:
        """The fields that the secret at `path` has to have, as paths."""
