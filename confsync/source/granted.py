"""As much of a source as whoever asks may read: for persons, each of whom sees what their own credentials allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from confsync.driver import Backend, Grant, Reading
from confsync.errors import Denied


def read_as_granted(backend: Backend, prefixes: Sequence[str]) -> Reading:
    """All of these prefixes, or what may be read of them, at one revision.

    Raises:
        SourceError: the store cannot be asked, or nothing of them may be read.
    """
    try:
        return backend.read(prefixes)
    except Denied as exc:
        denied = exc
    try:
        return backend.read_granted(prefixes)
    except Denied:  # nobody tells which part: each prefix is all that can be tried
        return _read_apart(backend, prefixes, denied)


@dataclass(frozen=True, slots=True)
class _WholePrefixes(Grant):
    """Each prefix may be read, or none of it.

    Attributes:
        denied: those that may not be.
    """

    denied: Mapping[str, Denied]

    def refusal(self, prefix: str, path: str) -> Denied | None:  # noqa: ARG002 - all of a prefix is alike
        return self.denied.get(prefix)

    def refusal_below(self, prefix: str, path: str) -> Denied | None:  # noqa: ARG002 - likewise
        return self.denied.get(prefix)


def _read_apart(backend: Backend, prefixes: Sequence[str], denied: Denied) -> Reading:
    """Those of the prefixes that may be read. Raises `denied` where there are none."""
    refused: dict[str, Denied] = {}
    for prefix in prefixes if len(prefixes) > 1 else ():
        try:
            backend.read([prefix])
        except Denied as exc:
            refused[prefix] = exc
    granted = [prefix for prefix in prefixes if prefix not in refused]
    if len(prefixes) == 1 or not granted:
        raise denied
    reading = backend.read(granted)
    trees = {prefix: reading.trees.get(prefix, {}) for prefix in prefixes}
    return replace(reading, trees=trees, grant=_WholePrefixes(refused))
