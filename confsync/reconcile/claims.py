"""Which sync each target belongs to, by the present configuration: one at a time, or two would fight over it."""

from __future__ import annotations

import threading
from collections.abc import Collection


class Claims:
    """Target id -> sync, for every sync that was assessed with this configuration. Thread-safe.

    A sync keeps its claim on a target it no longer wants until the target is removed, so that nobody takes over a file
    that is about to go.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[str, str] = {}
        self._of_sync: dict[str, frozenset[str]] = {}

    def owner(self, target: str) -> str | None:
        """Whose it is, or None where nobody has said so yet."""
        return self._owners.get(target)

    def take(self, sync: str, targets: Collection[str]) -> str | None:
        """Make these the targets of `sync`, in place of those it had.

        Returns:
            A target that belongs to another sync, in which case nothing is changed; or None.
        """
        with self._lock:
            for target in targets:
                if self._owners.get(target, sync) != sync:
                    return target
            for target in self._of_sync.get(sync, frozenset()).difference(targets):
                del self._owners[target]
            self._of_sync[sync] = frozenset(targets)
            self._owners.update(dict.fromkeys(targets, sync))
            return None

    def keep(self, sync: str, targets: Collection[str]) -> None:
        """`sync` could not be assessed: what was its stays its, as far as nobody else has taken it."""
        with self._lock:
            free = frozenset(target for target in targets if self._owners.setdefault(target, sync) == sync)
            self._of_sync[sync] = self._of_sync.get(sync, frozenset()) | free

    def release(self, sync: str, targets: Collection[str]) -> None:
        """They are removed."""
        with self._lock:
            mine = self._of_sync.get(sync, frozenset())
            for target in mine.intersection(targets):
                del self._owners[target]
            self._of_sync[sync] = mine.difference(targets)

    def __contains__(self, target: str) -> bool:
        return target in self._owners
