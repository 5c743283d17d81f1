"""Watches one Lease while somebody stands by, so that a hand-over is at once and nobody asks in the meantime."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from confsync import backoff
from confsync.sinks.kubernetes.client import Client, Stream
from confsync.sinks.kubernetes.failures import ApiFailure, Forbidden
from confsync.sinks.kubernetes.resources import LEASE

log = logging.getLogger(__name__)

Tell = Callable[[Mapping[str, Any], bool], None]
"""Called with a lease as it is now (or was at last), and whether it is gone."""

_LIFETIME = 300  # seconds after which the server ends the watch, and another begins


class LeaseWatch:
    """Tells of every change between `start` and `stop`, from a thread of its own; begins anew for ever.

    Thread-safe. A watch only makes things quicker: who uses it has to look for himself when it is silent.

    Args:
        silence: seconds without an event after which the connection is not believed any more.
    """

    def __init__(self, client: Client, namespace: str, name: str, silence: float, tell: Tell) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._silence = silence
        self._tell = tell
        self._lock = threading.Lock()
        self._following: _Following | None = None

    @property
    def alive(self) -> bool:
        """Whether a watch runs, as far as can be told."""
        following = self._following
        return following is not None and following.stream is not None

    def start(self) -> None:
        """Begin; nothing where it has begun already."""
        with self._lock:
            if self._following is None:
                self._following = _Following()
                threading.Thread(
                    target=self._follow, args=(self._following,), name="lease-watch", daemon=True
                ).start()

    def stop(self) -> None:
        """End at once; nothing is told afterwards but what is being told. Idempotent."""
        with self._lock:
            following, self._following = self._following, None
        if following is not None:
            following.end()

    def _follow(self, following: _Following) -> None:
        failures, told = 0, False
        while not following.over.is_set():
            try:
                if self._watch(following):
                    failures, told = 0, False
            except ApiFailure as failure:
                if not told and not following.over.is_set():
                    told = True
                    _complain(failure)
            failures += 1  # also where the server ends a watch before it has said anything
            following.over.wait(backoff.delay(failures))

    def _watch(self, following: _Following) -> bool:
        """One watch, from beginning to end; gives whether there was an event."""
        query = {"fieldSelector": f"metadata.name={self._name}", "timeoutSeconds": str(_LIFETIME)}
        heard = False
        with self._client.stream(LEASE, self._namespace, query=query, read_timeout=self._silence) as stream:
            following.begin(stream)
            try:
                for event in stream:
                    heard = True
                    lease = event.get("object")
                    if isinstance(lease, dict) and not following.over.is_set():
                        self._tell(lease, event.get("type") == "DELETED")
            finally:
                following.stream = None
        return heard


class _Following:
    """What `start` began and `stop` ends."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.stream: Stream | None = None

    def begin(self, stream: Stream) -> None:
        self.stream = stream
        if self.over.is_set():  # `end` came before there was anything to close
            stream.close()

    def end(self) -> None:
        self.over.set()
        stream = self.stream
        if stream is not None:
            stream.close()


def _complain(failure: ApiFailure) -> None:
    level = logging.WARNING if isinstance(failure, Forbidden) else logging.DEBUG
    log.log(level, "the lease cannot be watched; it is looked at instead", extra={"error": str(failure)})
