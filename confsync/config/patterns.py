"""`[SOURCE:]GLOB`: how a configuration names keys of its sources, in `local` and in `keys`.

A glob is what Python's fnmatch takes: `*` is any text, with `/` in it too, `?` one character, `[ab]` one of these, and
`[*]` the character itself. `db/` is all below db, `SOURCE:` all of a source. What other tools mean otherwise (`!`, and
alternatives in braces) is refused: read as plain text it would name nothing, and a rule that names nothing hides
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from confsync.text import did_you_mean

_SOURCE = re.compile(r"([^/#?]*?):(.*)", re.DOTALL)
_LITERAL = re.compile(r"\[([*?\[])\]")
_WILD = re.compile(r"[*\[]")  # not "?": it begins the parameters of an addressed source's path
_BRACES = re.compile(r"\{[^{}]*,[^{}]*\}")


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
        return _WILD.search(_LITERAL.sub("", self.glob)) is not None

    @property
    def key(self) -> str:
        """The path of the one key it names, where it is not `wild`."""
        return _LITERAL.sub(r"\1", self.glob)


def parse_pattern(text: str, sources: Collection[str]) -> Pattern:
    """The pattern in `text`.

    Raises:
        ValueError: it names a source there is not, or nothing; the text says what to write.
    """
    if not text.strip("/"):
        raise ValueError("a pattern names keys: db/host, db/*, or * for all")
    if text != text.strip():
        raise ValueError(f"{text!r} begins or ends with a blank")
    source, glob = _parted(text, sources)
    if glob.startswith("!"):
        raise ValueError(f"{text!r}: ! excludes nothing here")
    if _BRACES.search(glob):
        raise ValueError(f"{text!r}: there are no alternatives in braces here: write a pattern for each")
    return Pattern(source, f"{glob}*" if glob.endswith("/") else glob or "*")


def _parted(text: str, sources: Collection[str]) -> tuple[str | None, str]:
    found = _SOURCE.fullmatch(text)
    if found is None:
        return None, text
    if found[1] not in sources:
        known = did_you_mean(found[1], sources)
        raise ValueError(f"there is no source {found[1]!r}{known} (a key with a colon in it: SOURCE:{text})")
    return found[1], found[2]
