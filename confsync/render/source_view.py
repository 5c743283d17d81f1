"""A source as what is rendered, or comes down, sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from confsync.render.key_rules import KeyRules
from confsync.snapshot import View


@dataclass(frozen=True, slots=True)
class SourceView:
    """One source as a sync's environment shows it.

    Attributes:
        name: the source's name.
        view: its keys, layered, at one revision.
        is_sensitive: whether the value at a relative path is a secret.
        rules: what its keys have to be, or None where nothing is said of them.
    """

    name: str
    view: View
    is_sensitive: Callable[[str], bool]
    rules: KeyRules | None = None
