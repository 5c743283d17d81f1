"""What writing variables comes to."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Written:
    """Variables, written.

    Attributes:
        text: the file's content.
        masks: for a CI job's stdout, before anything else: the commands that keep secrets out of its log.
        notes: what the user should know, a line each; no values.
    """

    text: str = field(repr=False)
    masks: str = field(default="", repr=False)
    notes: tuple[str, ...] = ()
