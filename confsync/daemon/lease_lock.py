"""The Lease in the API server, read and written whole, each time on top of what was last seen of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confsync.daemon.lease import Record, new_lease, revision_of
from confsync.sinks.kubernetes.client import Client
from confsync.sinks.kubernetes.failures import NotFound
from confsync.sinks.kubernetes.resources import LEASE


class LeaseLock:
    """One Lease. For one thread.

    Args:
        seconds: how long the others wait, where a lease does not say so itself.
    """

    def __init__(self, client: Client, namespace: str, name: str, seconds: int) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._seconds = seconds
        self._lease: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self._namespace}/{self._name}"

    @property
    def there(self) -> bool:
        """Whether the lease was there when it was last seen."""
        return self._lease is not None

    def look(self) -> Record | None:
        """Ask what it says now; None where it is not there. Raises ApiFailure."""
        try:
            answer = self._client.request("GET", LEASE, self._namespace, self._name, retry=False)
        except NotFound:
            return self.see(None)
        return self.see(answer.body)

    def write(self, record: Record) -> Record | None:
        """Have it say `record`; gives what it says then.

        Raises:
            Conflict: it is no longer as it was last seen, or is there though it was not.
            ApiFailure: it was not written, or nobody knows.
        """
        if self._lease is None:
            body = record.written_to(new_lease(self._namespace, self._name))
            return self.see(self._client.request("POST", LEASE, self._namespace, body=body, retry=False).body)
        body = record.written_to(self._lease)
        return self.see(
            self._client.request("PUT", LEASE, self._namespace, self._name, body=body, retry=False).body
        )

    def see(self, lease: Mapping[str, Any] | None) -> Record | None:
        """Take note of the lease as somebody else has read it (None: it is gone); gives what it says."""
        self._lease = lease
        return None if lease is None else Record.of(lease, self._seconds)

    def is_newer(self, lease: Mapping[str, Any]) -> bool:
        """Whether `lease` is a later state than the one last seen: a watch may lag behind what was read."""
        return self._lease is None or revision_of(lease) > revision_of(self._lease)
