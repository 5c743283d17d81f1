"""How an environment shows a key that may be written otherwise."""

from __future__ import annotations

from confsync.address import parse
from confsync.source.hub import SourceHub
from confsync.source.matching import names_in
from confsync.source.source import Source


def is_whole(source: str, hub: SourceHub) -> bool:
    """Whether a source is read as a whole, not asked for one secret at a time."""
    return isinstance(hub.sources[source], Source)


def as_shown(path: str, source: str, hub: SourceHub, environment: str | None) -> str:
    """A path as `environment` shows it, which may be written with one of the environment's prefixes before it.

    What is from the root of an addressed source's store, and below none of its prefixes, stays so.

    Raises:
        ValueError: it is no path of an addressed source.
    """
    prefixes = [prefix.strip("/") for prefix in hub.prefixes(source, environment)]
    if is_whole(source, hub):
        return _relative(path, prefixes)
    wanted = parse(path)
    below = sorted(names_in(wanted, prefixes)[0], key=len) if wanted.absolute else []
    return str(wanted._replace(path=below[0], absolute=False) if below else wanted)


def _relative(path: str, prefixes: list[str]) -> str:
    key = path.strip("/")
    for prefix in prefixes if path.startswith("/") else ():
        if prefix and key.startswith(f"{prefix}/"):
            return key.removeprefix(f"{prefix}/")
    return key
