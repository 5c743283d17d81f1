"""Notices that what a command was given is another now, and makes it anew: in a thread of its own, so that a store that
hangs holds up neither signals nor the end of the command.

An event says only that something is different; what the command gets is made afresh, for others to compare. Where that
fails (a store is down, a key is gone) the command goes on with what it has, that is said once, and it is tried again.

What was decided when the configuration was read holds for what was read then. If it is another when values change, they
are followed no longer: its policy might hold back now what it let down before.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from confsync import backoff
from confsync.clock import Clock
from confsync.config.models import Wait
from confsync.environments.execution.provision import Provider, Provision
from confsync.errors import ConfsyncError
from confsync.source.changes import Event
from confsync.source.hub import SourceHub
from confsync.source.source import Source

log = logging.getLogger(__name__)

_QUIET = 0.2  # seconds without another event after which a burst is over, at the least
_ENDING = 1.0  # seconds the thread may take to end: a store that hangs is not waited for


class Follower:
    """Follows the sources of a provision until it is closed.

    Args:
        tell: called with each provision that was made, from this thread; it may be as the one before.
    """

    def __init__(self, clock: Clock, tell: Callable[[Provision], None]) -> None:
        self._clock = clock
        self._tell = tell
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._failures = 0
        self._told = ""
        self._thread: threading.Thread | None = None

    def notice(self, _: Event) -> None:
        """Something about a source is different. From any thread."""
        self._wake.set()

    def start(self, provider: Provider, current: Provision) -> None:
        """Begin.

        Args:
            current: what the command has now.
        """
        self._thread = threading.Thread(
            target=self._run, args=(provider, current), name="follower", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """End; what is being made is for nobody. Idempotent."""
        self._closed.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_ENDING)

    def _run(self, provider: Provider, current: Provision) -> None:
        defaults = provider.core.loaded.config.defaults
        resync = self._clock.monotonic() + defaults.interval
        retry: float | None = None
        while not self._closed.is_set():
            now = self._clock.monotonic()
            woken = self._wake.wait(max(0.0, min(resync, retry or resync) - now))
            now = self._clock.monotonic()
            if now >= resync:
                resync = now + defaults.interval
                _resync(provider.core.hub, current)
            if not woken and (retry is None or now < retry):
                continue
            self._settle(defaults.wait)
            if not provider.core.loaded.is_current():
                log.warning("the configuration changed; the command goes on with what it has, start it again")
                return
            made = self._made(provider)
            retry = self._clock.monotonic() + backoff.delay(self._failures) if made is None else None
            if made is not None and not self._closed.is_set():
                current = made
                self._tell(made)

    def _settle(self, wait: Wait) -> None:
        """Wait for the end of a burst, but not for ever."""
        longest = self._clock.monotonic() + max(wait.max, _QUIET)
        while not self._closed.is_set():
            self._wake.clear()
            left = longest - self._clock.monotonic()
            if left <= 0 or not self._wake.wait(min(max(wait.min, _QUIET), left)):
                return

    def _made(self, provider: Provider) -> Provision | None:
        """What the command would get now, or None where that cannot be made."""
        try:
            made = provider.provide()
        except ConfsyncError as exc:
            self._failed(str(exc))
        except Exception:  # a mistake of ours must not end the thread that keeps what the command has alive
            if not self._closed.is_set():
                log.exception("a bug: please report it")
            self._failures += 1
        else:
            if self._failures:
                log.warning("what the command gets can be made again")
            self._failures, self._told = 0, ""
            return made
        return None

    def _failed(self, error: str) -> None:
        self._failures += 1
        if error != self._told and not self._closed.is_set():
            self._told = error
            for line in error.splitlines():
                log.warning("the command goes on with what it has", extra={"error": line})


def _resync(hub: SourceHub, current: Provision) -> None:
    """Have every source make sure that what it knows is still true."""
    hub.resync(current.paths, current.paths)


def follow_leases(hub: SourceHub) -> None:
    """Keep alive what is on lease, and the logins; other sources are left alone. Ends when they are closed."""
    for name, source in hub.sources.items():
        if not isinstance(source, Source):
            threading.Thread(target=source.follow, name=f"source-{name}", daemon=True).start()
