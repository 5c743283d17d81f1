"""The objects of one kind kept in memory: a list, and the watch that keeps it true.

A look is answered from memory while the watch lives. Without one, or while it is away, a list is believed for ten
seconds. So a resync of a thousand objects lists once, or not at all, and what the watch missed is never believed for
long:

- A watch that says nothing for 90 seconds is dead: the server sends a bookmark every minute or so.
- One that ended is resumed where it ended. Where the server has forgotten that (410), all is listed, and what is
  different is told as if it had been watched.
- Every ten minutes a resync lists all the same, should we or the server have made a mistake.
- One that ends at once, or cannot be had, is tried again with back-off for ever.

Facts: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes, and what the
recordings in tests/stand_ins/kubernetes show of watches.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from confsync.clock import Clock
from confsync.sinks.kubernetes.client import Client, Stream
from confsync.sinks.kubernetes.failures import ApiFailure, Asked, Unreachable
from confsync.sinks.kubernetes.known_objects import KnownObjects, is_before
from confsync.sinks.kubernetes.listing import read_all
from confsync.sinks.kubernetes.objects import KubeObject
from confsync.sinks.kubernetes.outage import Outage
from confsync.sinks.kubernetes.resources import Resource
from confsync.sinks.kubernetes.single_flight import SingleFlight
from confsync.sinks.kubernetes.watch_thread import WatchThread

_BELIEVED = 10.0
"""Seconds a list, or the last sign of a watch that ended, is believed."""

_LISTED_AGAIN = 600.0
"""Seconds after which `expire` lists again though the watch lives."""

_SILENCE = 90.0
"""Seconds of silence after which a watch is given up; a server sends a bookmark about every minute."""

_KEEPS_ITS_PLACE = frozenset({0, 401, 403, 429, 503})
"""Statuses that say nothing of the revision a watch asked for; 0 is none at all, or a lost connection."""


class Reflector:
    """Keeps what a selector selects. Any thread may use it.

    Args:
        namespace: None is everywhere, or for what is in none.
        selector: a label selector, as the API takes it.
        clock: how old things are is measured with.
        outage: the cluster's, where others watch it too.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        namespace: str | None,
        selector: str,
        clock: Clock,
        outage: Outage | None = None,
    ) -> None:
        self._client = client
        self._resource = resource
        self._namespace = namespace
        self._selector = selector
        self._clock = clock
        self._lock = threading.Lock()
        self._known = KnownObjects()
        self._lists = SingleFlight(self._list, clock)
        self._wanted, self._brought = 1, 0  # tickets: `expire` wants a newer list than any asked for before
        self._listed_at: float | None = None
        self._true_at = 0.0  # when what is known was last seen to be so
        self._revision = ""  # from which to watch; "" is not known
        self._stream: Stream | None = None  # while a watch lives
        self._thread = WatchThread(str(self), self._watch, self._interrupt, clock, outage)
        self._on_change: Callable[[str], None] | None = None
        self._untold: set[str] = set()  # names a list has shown to be otherwise

    def get(self, name: str) -> KubeObject | None:
        """The object of this name, or None.

        Raises:
            ApiFailure: it cannot be told.
        """
        self._make_fresh()
        with self._lock:
            return self._known.objects.get(name)

    def all(self) -> dict[str, KubeObject]:
        """Every object by its name.

        Raises:
            ApiFailure: it cannot be told.
        """
        self._make_fresh()
        return self.known()

    def known(self) -> dict[str, KubeObject]:
        """Every object that was seen last, without asking whether that is still so."""
        with self._lock:
            return dict(self._known.objects)

    def tombstone(self, name: str) -> KubeObject | None:
        """The last object of a name that has none now, without its values; None where none is remembered."""
        with self._lock:
            return self._known.tombstone(name)

    def put(self, thing: KubeObject) -> None:
        """Takes note of what our own write was answered, unless later things are known."""
        with self._lock:
            self._known.put(thing)

    def forget(self, name: str, uid: str = "") -> None:
        """Takes note that we deleted the object of this name; with a uid only if it is still that one."""
        with self._lock:
            self._known.forget(name, uid)

    def expire(self) -> None:
        """Lets the next look list again, unless a watch lives and the last list is younger than ten minutes."""
        with self._lock:
            now = self._clock.monotonic()
            if self._stream and self._listed_at is not None and now - self._listed_at < _LISTED_AGAIN:
                return
            self._wanted += 1

    def follow(self, on_change: Callable[[str], None]) -> None:
        """Watches from now on, in a thread of its own, until `stop`.

        Args:
            on_change: called with the name of every object that is known to be otherwise than before, but not for
                what `put` and `forget` told, nor for the first list. From the watch's thread, or from one whose
                look listed; it must not block.
        """
        self._on_change = on_change
        self._thread.start()

    def stop(self, *, wait: bool = True) -> None:
        """Ends the watch within a second; idempotent. Looks still work.

        Args:
            wait: whether to return only when it has ended.
        """
        self._on_change = None
        self._thread.stop(wait=wait)

    def __str__(self) -> str:
        where = f" in namespace {self._namespace}" if self._namespace else ""
        return f"{self._resource.plural}{where} of cluster {self._client.name}"

    # Looking

    def _make_fresh(self) -> None:
        with self._lock:
            if self._is_fresh():
                return
            wanted = self._wanted
        while True:
            self._join_list()
            with self._lock:
                if self._brought >= wanted:
                    return

    def _is_fresh(self) -> bool:
        if self._brought < self._wanted:
            return False
        return self._stream is not None or self._clock.monotonic() - self._true_at < _BELIEVED

    def _join_list(self) -> None:
        """Lists, or waits for the list that is on its way; then tells what is different.

        Told only now: who is told may look, and would wait for this very list.
        """
        self._lists.join()
        with self._lock:
            changed, self._untold = self._untold, set()
        self._tell(changed)

    def _list(self) -> None:
        with self._lock:
            ticket, place = self._wanted, self._revision
            begun = self._clock.monotonic()
            self._known.begin_list()
        things, revision = read_all(
            self._client,
            self._resource,
            self._namespace,
            self._parse,
            query={"labelSelector": self._selector},
        )
        with self._lock:
            changed = self._known.listed(things, revision)
            if self._listed_at is not None:
                self._untold |= changed
            self._brought = ticket
            self._listed_at = begun
            self._true_at = max(self._true_at, begun)
            self._watch_from(revision, place)
            is_watched = self._stream is not None
        if not is_watched:
            self._thread.try_again()

    def _watch_from(self, revision: str, place: str) -> None:
        """A list came, of this revision; when it was asked for, the watch had told all up to `place`."""
        if self._stream is not None and not is_before(revision, place):
            return
        self._revision = revision
        if self._stream is not None:  # a backup was restored: this watch waits for a revision far off
            self._stream.close()
            self._stream = None

    def _parse(self, item: dict[str, Any]) -> KubeObject:
        return KubeObject.parse(item, self._resource.kind)

    def _tell(self, names: Iterable[str]) -> None:
        on_change = self._on_change
        if on_change is None:
            return
        for name in names:
            on_change(name)

    # Watching

    def _watch(self) -> None:
        """Watches until that ends; lists first where there is nowhere to watch from.

        Raises:
            ApiFailure: it could not begin, or broke off.
        """
        try:
            if not self._revision:
                self._join_list()
            self._read_events()
        except ApiFailure as failure:
            if failure.status not in _KEEPS_ITS_PLACE:
                self._revision = ""
            raise
        except Exception:
            self._revision = ""
            raise

    def _read_events(self) -> None:
        with self._client.stream(
            self._resource, self._namespace, query=self._query(), read_timeout=_SILENCE
        ) as stream:
            self._begin(stream)
            try:
                for event in stream:
                    self._take(stream, event)
                self._note_end()
            finally:
                self._end(stream)

    def _begin(self, stream: Stream) -> None:
        with self._lock:
            self._stream = stream
        self._thread.opened()
        if self._thread.is_stopping:  # `stop` did not find it
            stream.close()

    def _note_end(self) -> None:
        """The server ended the watch; had it lived, so was all that it told true until now."""
        if self._thread.has_settled():
            self._true_at = self._clock.monotonic()

    def _end(self, stream: Stream) -> None:
        with self._lock:
            if self._stream is stream:
                self._stream = None

    def _interrupt(self) -> None:
        with self._lock:
            stream = self._stream
        if stream is not None:
            stream.close()

    def _take(self, stream: Stream, event: dict[str, Any]) -> None:
        """Learns from one event."""
        try:
            thing, revision = self._read(event)
        except (ValueError, KeyError, TypeError) as exc:
            self._revision = ""
            asked = Asked(self._client.name, "watch", self._resource, self._namespace)
            raise Unreachable(asked, f"an event is none of the API ({type(exc).__name__})") from None
        with self._lock:
            if self._stream is not stream:  # it was closed
                return
            changed = thing is not None and self._learn(event["type"], thing)
            self._revision = revision
            self._true_at = self._clock.monotonic()
        if thing is not None and changed:
            self._tell([thing.name])

    def _read(self, event: dict[str, Any]) -> tuple[KubeObject | None, str]:
        """The object of an event, None of a bookmark, and up to where all is told.

        Raises:
            ValueError, KeyError, TypeError: it is no such event.
        """
        if event["type"] == "BOOKMARK":
            return None, str(event["object"]["metadata"]["resourceVersion"])
        if event["type"] not in ("ADDED", "MODIFIED", "DELETED"):
            raise ValueError("an unknown type of event")
        thing = self._parse(event["object"])
        return thing, thing.resource_version

    def _learn(self, told: str, thing: KubeObject) -> bool:
        return self._known.deleted(thing) if told == "DELETED" else self._known.put(thing)

    def _query(self) -> Mapping[str, str]:
        return {
            "labelSelector": self._selector,
            "resourceVersion": self._revision,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(random.randint(240, 300)),  # noqa: S311 - so that not all end at once
        }
