"""`[SOURCE:]GLOB`: how a configuration names keys of its sources, in `local` and in `keys`."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from confsync.config.fields import IDENTIFIER
from confsync.text import did_you_mean

_SOURCE = re.compile(rf"({IDENTIFIER.strip('^$')}):(.+)", re.DOTALL)
_WILD = re.compile(r"[*\[]")  # not "?": it begins the parameters of an addressed source's path


@dataclass(frozen=True, slots=True)
class Pattern:
    """Keys of one source, or of all.

    Attributes:
        source: the source's name, or None for every source.
        glob: of paths as an environment shows them; `*` matches `/` too.
    """

    source: str | None
    glob: str

    @property
    def wild(self) -> bool:
        """Whether it may name several keys."""
        return _WILD.search(self.glob) is not None


def parse_pattern(text: str, sources: Collection[str]) -> Pattern:
    """The pattern in `text`.

    Raises:
        ValueError: it names a source there is not, or nothing; the text says what to write.
    """
    if not text.strip("/"):
        raise ValueError("a pattern names keys: db/host, db/*, or * for all")
    found = _SOURCE.fullmatch(text)
    if found is None:
        return Pattern(None, text)
    if found[1] not in sources:
        raise ValueError(f"there is no source {found[1]!r}{did_you_mean(found[1], sources)}")
    return Pattern(found[1], found[2])
