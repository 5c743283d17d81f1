"""Watches: what changes, told as it happens, one JSON line for each event."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from stand_ins.common.clock import Clock

from . import lists, status
from .kinds import Kind
from .request import Call
from .selectors import Test
from .status import Json, Refused
from .store import Event, Store, at_revision
from .views import View

SHORTEST = 1800
"""Seconds a watch lasts at least when it asks for no timeout; the real server ends it at random, up to twice that."""

_BOOKMARKED_EVERY = 60.0


class Watchers:
    """What tests do to all watches at once.

    Attributes:
        ends, expiries, bookmarks: how often all were ended, were told that they are too old, got a bookmark; a
            watch looks whether that is more often than when it began.
        running: those there are.
    """

    def __init__(self) -> None:
        self.ends = 0
        self.expiries = 0
        self.bookmarks = 0
        self.running: list[Watch] = []


@dataclass
class Watch:
    """One watch of a kind.

    Attributes:
        fits: the things that are told of.
        revision: up to which everything was told.
        deadline: when it ends by itself.
        bookmarked: whether the client wants bookmarks.
        first: what is told as added at the beginning.
        view: how the things are shown.
        listed: whether a bookmark says where that beginning ends.
    """

    store: Store
    clock: Clock
    watchers: Watchers
    kind: Kind
    namespace: str
    fits: Test
    revision: int
    deadline: float
    bookmarked: bool
    first: list[Json] = field(default_factory=list)
    listed: bool = False
    view: View = lambda thing: thing
    _begun: tuple[int, int] = (0, 0)
    _bookmarks: int = 0
    _next_bookmark: float = 0.0

    def __post_init__(self) -> None:
        self._begun = (self.watchers.ends, self.watchers.expiries)
        self._bookmarks = self.watchers.bookmarks
        self._next_bookmark = self.clock.now() + _BOOKMARKED_EVERY

    def events(self, alive: Callable[[], bool]) -> Iterator[list[Json]]:
        """Batches of events as they come, until the watch ends; waits in between.

        Args:
            alive: whether the client is still there, asked at least every second.
        """
        with self.store.changed:
            if self.revision < self.store.compacted:
                yield [_error(too_old(self.revision, self.store.compacted))]
                return
            self.watchers.running.append(self)
        try:
            if self.first or self.listed:
                yield self._initial()
            while True:
                batch = self._next(alive)
                if batch is None:
                    return
                yield batch
                if batch and batch[-1]["type"] == "ERROR":
                    return
        finally:
            with self.store.changed:
                self.watchers.running.remove(self)

    def _initial(self) -> list[Json]:
        batch = [{"type": "ADDED", "object": self.view(thing)} for thing in self.first]
        if self.listed:
            batch.append(self._bookmark({"k8s.io/initial-events-end": "true"}))
        return batch

    def _next(self, alive: Callable[[], bool]) -> list[Json] | None:
        """What happened since, waiting for it; None when the watch is over."""
        with self.store.changed:
            while True:
                now = self.clock.now()
                if self._begun[1] != self.watchers.expiries:
                    return [_error(too_old(self.revision, self.store.revision))]
                batch = self._happened()
                if batch:
                    return batch
                if self._begun[0] != self.watchers.ends or now >= self.deadline or not alive():
                    return None
                if self._is_bookmark_due(now):
                    return [self._bookmark()]
                self.store.changed.wait(min(self.deadline - now, self._next_bookmark - now, 1.0))

    def _happened(self) -> list[Json]:
        events = self.store.events_after(self.revision)
        self.revision = max(self.revision, self.store.revision)
        told = (self._told(event) for event in events if self._concerns(event))
        return [event for event in told if event]

    def _concerns(self, event: Event) -> bool:
        return event.key.kind == self.kind.path and self.namespace in ("", event.key.namespace)

    def _told(self, event: Event) -> Json | None:
        """The event as this watch sees it: what no longer fits its selectors is deleted, to it."""
        before = event.old is not None and self.fits(event.old)
        after = event.new is not None and self.fits(event.new)
        if after and event.new is not None:
            return {"type": "MODIFIED" if before else "ADDED", "object": self.view(event.new)}
        if before and event.old is not None:
            return {"type": "DELETED", "object": self.view(at_revision(event.old, event.revision))}
        return None

    def _is_bookmark_due(self, now: float) -> bool:
        if not self.bookmarked:
            self._next_bookmark = now + _BOOKMARKED_EVERY
            return False
        return now >= self._next_bookmark or self._bookmarks != self.watchers.bookmarks

    def _bookmark(self, annotations: Json | None = None) -> Json:
        self._bookmarks = self.watchers.bookmarks
        self._next_bookmark = self.clock.now() + _BOOKMARKED_EVERY
        metadata: Json = {"resourceVersion": str(self.revision)}
        if annotations:
            metadata["annotations"] = annotations
        zero = {name: value for name, value in self.kind.zero.items() if name != "metadata"}
        thing = {"apiVersion": self.kind.api_version, "kind": self.kind.kind, "metadata": metadata, **zero}
        return {"type": "BOOKMARK", "object": self.view(thing)}


def watch(store: Store, clock: Clock, watchers: Watchers, call: Call, kind: Kind) -> Watch:
    """The watch that was asked for. The caller holds the store's lock.

    Raises:
        Refused: an option cannot be read.
    """
    fits, asked = lists.selected(call, kind), lists.revision_asked(call, kind)
    namespace = call.target.namespace if kind.namespaced else ""
    initial = call.flag("sendInitialEvents")
    first: list[Json] = []
    if initial or not asked:
        first = [thing for _, thing in store.all(kind.path, namespace) if fits(thing)]
    return Watch(
        store,
        clock,
        watchers,
        kind,
        namespace,
        fits,
        revision=store.revision if initial or not asked else asked,
        deadline=clock.now() + _seconds(call),
        bookmarked=call.flag("allowWatchBookmarks"),
        first=first,
        listed=initial and call.flag("allowWatchBookmarks"),
    )


def too_old(revision: int, oldest: int) -> Refused:
    return status.expired(f"too old resource version: {revision} ({oldest})")


def _error(refused: Refused) -> Json:
    return {"type": "ERROR", "object": refused.body}


def _seconds(call: Call) -> float:
    text = call.option("timeoutSeconds")
    if text.isdigit() and int(text):
        return float(text)
    return SHORTEST * (1 + random.random())
