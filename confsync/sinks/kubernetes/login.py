"""The connections that our credentials give, and new ones when those are refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from confsync.clock import Clock
from confsync.errors import ConfigError
from confsync.sinks.kubernetes.connections import Connections
from confsync.sinks.kubernetes.credentials import Credentials

if TYPE_CHECKING:
    from kubernetes.client import Configuration

_READ_EVERY = 1.0
"""Seconds between two readings of credentials that are no good: a plugin is not run for each of 1,000 targets."""


class Login:
    """Reads the credentials when they are first needed, once for all threads; and again where they are refused.

    Raises:
        ConfigError: (every method) they cannot be read.
    """

    def __init__(self, credentials: Credentials, clock: Clock) -> None:
        self._credentials = credentials
        self._clock = clock
        self._lock = threading.Lock()
        self._connections: Connections | None = None
        self._failure: ConfigError | None = None
        self._read_at = float("-inf")  # again, or in vain

    @property
    def origin(self) -> str:
        """Where the credentials come from, for messages."""
        return self._credentials.origin

    @property
    def opened(self) -> Connections | None:
        """The connections, if there are any yet."""
        return self._connections

    def connections(self) -> Connections:
        """Those to send requests on."""
        with self._lock:
            if self._connections is not None:
                return self._connections
            if self._failure is not None and not self._is_due():
                raise ConfigError(self._failure.message, hint=self._failure.hint)
            return self._open(self._credentials.configuration)

    def authorization(self) -> str:
        """The header to send with them; "" for none."""
        return self._credentials.authorization()

    def renew(self, refused: Connections) -> bool:
        """Reads the credentials again, unless another thread has; False where that was just done, and to no avail."""
        with self._lock:
            if self._connections is not refused:
                return True
            if not self._is_due():
                return False
            self._read_at = self._clock.monotonic()
            self._open(self._credentials.reload)
        refused.close()
        return True

    def _open(self, read: Callable[[], Configuration]) -> Connections:
        try:
            self._connections = Connections(read())
        except ConfigError as exc:
            self._failure, self._read_at = exc, self._clock.monotonic()
            raise
        return self._connections

    def _is_due(self) -> bool:
        return self._clock.monotonic() - self._read_at >= _READ_EVERY
