"""Every key of a source, as an environment shows it."""

from __future__ import annotations

from collections.abc import Mapping

from confsync.snapshot import View


def keys_of(view: View) -> list[str]:
    """Every key of a view: of secrets, each field. Raises `SourceError`."""
    if not view.by_request:
        return view.paths()
    return [field for path in view.paths() for field in fields(view, path)]


def fields(view: View, path: str) -> list[str]:
    """Each field of the secret at `path`, spelled as a key; one without a name has none. Raises `SourceError`."""
    looked = view.look_up(path)
    if looked is None or not isinstance(looked[1], Mapping):
        return []
    return [f"{path}#{field}" for field in sorted(looked[1]) if field]
