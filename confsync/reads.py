"""What a render depended on: the keys it found, missed and listed, and the templates it used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class KeyRead(NamedTuple):
    """One key a render read.

    Attributes:
        prefix: the environment's prefix it was found under.
        revision: its revision then.
        digest: a keyed hash of its value.
        seen: when confsync first saw this revision (or when it was written, where the store tells), epoch seconds.
    """

    prefix: str
    revision: int
    digest: str
    seen: float


class PathRead(NamedTuple):
    """A path of a source, as a render asked for it."""

    source: str
    path: str


@dataclass(frozen=True, slots=True)
class Reads:
    """Everything a sync's last render depended on.

    Attributes:
        keys: what it found.
        missed: what it asked for in vain.
        listed: the prefixes it listed.
        templates: template name -> digest of its text.
        impure: whether it asked for something besides (time, DNS, the environment).
        unkept: what it asked for by names that are made of secrets: known while the process runs, never stored.
    """

    keys: Mapping[PathRead, KeyRead] = field(default_factory=dict)
    missed: frozenset[PathRead] = frozenset()
    listed: frozenset[PathRead] = frozenset()
    templates: Mapping[str, str] = field(default_factory=dict)
    impure: bool = False
    unkept: frozenset[PathRead] = field(default=frozenset(), compare=False, repr=False)
