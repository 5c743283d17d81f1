"""An addressed source on a store in memory, and a clock that only tests move."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from confsync.driver import Address
from confsync.source.addressed import AddressedSource
from confsync.source.changes import Event
from confsync.testing.memory_secrets import ManualClock, MemorySecretsBackend, SecretStore


class PacedClock(ManualClock):
    """Time that passes by itself, but hardly any while the machine is busy elsewhere: no lease ends meanwhile.

    It passes in small steps, and before each another thread has its turn: so have those that look after leases.
    """

    def __init__(self):
        super().__init__()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._pass, name="clock", daemon=True)
        self._thread.start()

    def _pass(self):
        before = time.monotonic()
        with ThreadPoolExecutor(1) as other:
            while not self._ended.wait(0.002):
                other.submit(bool).result()
                now = time.monotonic()
                self.advance(min(now - before, 0.01))
                before = now

    def close(self):
        self._ended.set()
        self._thread.join()


class AddressedRig:
    """A store, a source that asks it, and what the source told.

    Args:
        clock: a clock; by default time stands still until a test moves it, and `attend` does what is due.
    """

    def __init__(self, clock=None, store=None, backend=None, **options):
        self.clock = clock or ManualClock()
        self.store = store or SecretStore(self.clock)
        self.events: list[Event] = []
        self.backend = backend or MemorySecretsBackend(self.store)
        self.source = AddressedSource(
            "v", self.backend, clock=self.clock, notify=self.events.append, **options
        )
        self._thread: threading.Thread | None = None

    def follow(self):
        """Have what is due done in threads, as a daemon has."""
        self._thread = threading.Thread(target=self.source.follow, daemon=True)
        self._thread.start()

    def read(self, path, *parameters, looking=False, name=None):
        """The fields of a secret, or None where it is missing or may not be fetched."""
        found = self.source.read(Address(path, parameters), name or path, looking=looking)
        return None if found is None else found.data

    def told(self):
        """The names in the events so far, which are forgotten."""
        events = list(self.events)
        del self.events[: len(events)]  # and no other: one may come just now
        return sorted(name for event in events for name in event.changes[""])

    def resync(self, *names):
        """What an interval does for syncs that read these, in a daemon whose clock stands still."""
        self.source.resync(names, names)
        self.source.attend()

    def pass_time(self, seconds, step=0.05):
        """Let time pass in small steps, in each of which what is due is done."""
        left = seconds
        while left > 0:
            self.clock.advance(min(step, left))
            self.source.attend()
            left -= step

    def close(self):
        self.source.close()
        if self._thread is not None:
            self._thread.join(30)
            assert not self._thread.is_alive()
