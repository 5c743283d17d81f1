"""Tells another confsync that writes the same objects from a person who edits one.

Two confsyncs have the same field manager, so that the server sees no conflict between them: each would undo what the
other did, for ever. Where their syncs have different names the marks tell. Where both have one name (the same
configuration with another environment, say) only this does: what confsync applied has values that we never wrote. A
person's edit takes fields from us and cannot look so.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from confsync.clock import Clock
from confsync.sinks.kubernetes.manifest import fields_of
from confsync.sinks.kubernetes.objects import KubeObject

MOST = 3
"""How often another confsync may overwrite an object of ours: once is a replica that took over, or a restart."""

WITHIN = 600.0
"""Seconds in which that counts."""


@dataclass(slots=True)
class _Known:
    """What we wrote to one object last.

    Attributes:
        written: hashes of its fields and values; no value itself.
        seen: the resourceVersions that were counted.
        times: when somebody had overwritten it, the latest last.
    """

    written: frozenset[int]
    seen: str = ""
    times: list[float] = field(default_factory=list)


class Rivals:
    """Counts how often each object of ours was overwritten by another confsync. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}

    def wrote(self, target: str, written: KubeObject) -> None:
        """We made the target so."""
        values = _values(written)
        with self._lock:
            known = self._known.get(target)
            if known is None:
                self._known[target] = _Known(values)
            else:
                known.written = values

    def are_there(self, target: str, found: KubeObject, clock: Clock) -> bool:
        """Whether another confsync keeps overwriting the target, which was just found so."""
        values, now = _values(found), clock.monotonic()
        with self._lock:
            known = self._known.get(target)
            if known is None:
                return False
            known.times = [time for time in known.times if now - time < WITHIN]
            if values - known.written and known.seen != found.resource_version:
                known.seen = found.resource_version
                known.times.append(now)
            return bool(values - known.written) and len(known.times) >= MOST

    def forget(self, target: str) -> None:
        """We removed the target."""
        with self._lock:
            self._known.pop(target, None)

    def forget_all(self) -> None:
        """Others may have written meanwhile who are no rivals: the replica that led."""
        with self._lock:
            self._known.clear()


def _values(thing: KubeObject) -> frozenset[int]:
    """What a field manager of our name applied."""
    ours = fields_of(thing)
    groups = (
        ("key", thing.data, ours.keys),
        ("label", thing.labels, ours.labels),
        ("annotation", thing.annotations, ours.annotations),
    )
    return frozenset(
        hash((kind, name, values[name])) for kind, values, names in groups for name in names if name in values
    )
