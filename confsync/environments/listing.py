"""The keys that a secret stands for."""

from __future__ import annotations

from collections.abc import Mapping

from confsync.snapshot import View


def fields(view: View, path: str) -> list[str]:
    """Each field of the secret at `path`, spelled as a key; one without a name has none. Raises `SourceError`."""
    looked = view.look_up(path)
    if looked is None or not isinstance(looked[1], Mapping):
        return []
    return [f"{path}#{field}" for field in sorted(looked[1]) if field]
