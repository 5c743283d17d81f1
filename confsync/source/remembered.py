"""What an addressed source knows: answers, their leases, and why some could not be had."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Collection, Iterable

from confsync import backoff
from confsync.clock import Clock
from confsync.driver import Address, AddressedBackend, Secret
from confsync.errors import SourceError, Unavailable
from confsync.snapshot import Problem
from confsync.source.asking import Asking, again, is_of_the_path
from confsync.source.keeping import Keeper
from confsync.source.known import Known, Stage, is_listing
from confsync.source.lease_clock import LeaseClock
from confsync.units import format_duration

log = logging.getLogger(__name__)

_LONGEST_WAIT = 60.0  # seconds a store may ask us to wait: one that says an hour may be well in a minute
_BEFORE_ANOTHER = 5.0  # seconds: a fetch that failed may have made a user nobody knows of; not many of them
_FAILURES_AHEAD = 6  # with so many more than there were, pauses begin there
_UNUSED = 60.0  # seconds after which a secret that no sync reads is forgotten
_NOT_TAKEN_UP = -1  # the login of an earlier process, which is not ours
_ALARMS = {
    Stage.EARLY: (logging.WARNING, "cannot be read or renewed"),
    Stage.ENDING: (logging.ERROR, "a lease ends and cannot be replaced"),
    Stage.OVER: (logging.ERROR, "a lease is over and cannot be replaced"),
}


class Remembered:
    """All that is known of one store. Thread-safe. In memory only, but for the leases that a `keeper` keeps.

    Args:
        keeper: where leases are kept over a restart, or None.
        looking: leave what is kept to whoever keeps it.
        wake: set when something may be due at another time than before.
    """

    def __init__(
        self,
        name: str,
        backend: AddressedBackend,
        asking: Asking,
        clock: Clock,
        *,
        keeper: Keeper | None,
        looking: bool,
        wake: threading.Event,
    ) -> None:
        self.lock = threading.RLock()
        self._name = name
        self._backend = backend
        self._asking = asking
        self._clock = clock
        self._keeper = keeper
        self._looking = looking
        self._wake = wake
        self._known: dict[Address, Known] = {}
        self._restored = keeper is None
        self._keeping = threading.Lock()
        self._unkept = False  # whether what is on lease is not as it was kept

    def all(self) -> list[Known]:
        """Everything."""
        with self.lock:
            return list(self._known.values())

    def note(self, address: Address, name: str, *, withheld: bool = False) -> Known:
        """Somebody wants an address, and calls it so."""
        with self.lock:
            known = self._known.setdefault(address, Known(address))
            asleep = known.idle or not known.names
            known.names.add(name)
            known.withheld = known.withheld or withheld
            known.used, known.idle = self._clock.monotonic(), False
        if asleep:
            self._wake.set()
        return known

    def fetch(self, known: Known) -> bool:
        """Ask for an address. The caller holds its `fetching`.

        Returns:
            Whether the answer is another than before.

        Raises:
            SourceError: it could not be asked; what is known stays, and the caller says so (`failed`).
        """
        known.check = False
        known.dynamic = known.dynamic or known.clock is not None or self.is_dynamic(known.address)
        secret, asked = self._asking.ask(lambda: self._answer(known.address), once=known.dynamic)
        with self.lock:
            before, known.secret = known.secret, secret
            on_lease = known.clock is not None
            known.clock = LeaseClock.of(secret.lease, asked)
            self.succeeded(known)
        if known.clock is not None:
            told = {"source": self._name, "path": "(withheld)" if known.withheld else known.address.path}
            log.info("on lease", extra=told | {"ends_in": format_duration(round(known.clock.granted, 1))})
        if on_lease or known.clock is not None:
            self.changed()
            self._wake.set()
        return before is None or (before.data, before.version) != (secret.data, secret.version)

    def is_dynamic(self, address: Address) -> bool:
        """Whether fetching makes something. Raises `SourceError`: it cannot be told."""
        return not is_listing(address) and self._asking.ask(
            lambda: self._backend.is_dynamic(address), proves=lambda _: False
        )

    def _answer(self, address: Address) -> tuple[Secret, float]:
        """The answer, and when it was asked for: a lease cannot have begun earlier."""
        asked = self._clock.monotonic()
        if is_listing(address):
            return Secret({"names": tuple(self._backend.names(address.path.rstrip("/")))}), asked
        secret = self._backend.fetch(address)
        if not isinstance(secret, Secret):
            raise TypeError("a fetch gives a Secret")
        return secret, asked

    def succeeded(self, known: Known) -> None:
        """It is as it should be."""
        with self.lock:
            known.error, known.trouble, known.since, known.stage = None, "", None, Stage.EARLY
            known.failures, known.retry_at = 0, -math.inf
            known.kept = False

    def failed(self, known: Known, error: SourceError) -> None:
        """It could not be asked for, or its lease not be renewed."""
        now = self._clock.monotonic()
        with self.lock:
            stage = known.stage_at(now)
            news = known.error is None or (str(known.error), known.stage) != (str(error), stage)
            known.failures += 1
            known.error, known.stage = again(error), stage
            known.since = known.since or self._clock.now()
            known.retry_at = known.next_try(now, self._pause(known, error))
            if news:
                known.trouble = known.describe(error, self._clock)
        if news and known.secret is not None:
            self._tell(known, stage, error)
        self._wake.set()

    def _pause(self, known: Known, error: SourceError) -> float:
        """Seconds until it is asked for again: when the store is, or by its own failures where others are well.

        A lease is not made to wait until the store is tried: it ends.
        """
        down = None if is_of_the_path(error) or known.clock is not None else self._asking.pause()
        soon = (error.retry_after if isinstance(error, Unavailable) else None) or 0.0
        pause = max(min(soon, _LONGEST_WAIT), backoff.delay(known.failures)) if down is None else down
        if known.dynamic and isinstance(error, Unavailable) and error.key is None:  # its answer may be lost
            return max(pause, _BEFORE_ANOTHER, backoff.delay(known.failures + _FAILURES_AHEAD))
        return pause

    def _tell(self, known: Known, stage: Stage, error: SourceError) -> None:
        if self._asking.closed or (stage is Stage.EARLY and error.key is None and self._asking.down):
            return  # that the store is down has been told
        level, event = _ALARMS[stage]
        log.log(level, event, extra={"source": self._name, "error": known.trouble})

    def answers_again(self) -> None:
        """The store does: whatever failed may be tried at once."""
        with self.lock:
            for known in self._known.values():
                known.retry_at = -math.inf

    def mark(self, due: Collection[str], used: Collection[str]) -> None:
        """Say what is to be looked at, and forget what nobody wants.

        Args:
            due: the names to look at, as renders spell them.
            used: all names that some sync reads.
        """
        wanted, kept = set(due), set(used)
        now = self._clock.monotonic()
        with self.lock:
            for address, known in list(self._known.items()):
                known.check = known.check or not known.names.isdisjoint(wanted)
                unused = known.names.isdisjoint(kept) and now - known.used > _UNUSED
                # A lease nobody uses is not renewed and ends by itself; who wants it before has it still.
                known.idle = unused and known.clock is not None and known.is_alive(now)
                if unused and not known.idle and not known.fetching.locked():
                    del self._known[address]

    def problem(self, addresses: Iterable[Address]) -> Problem | None:
        """Why what is known of these addresses may be out of date, or about to end."""
        with self.lock:
            for address in addresses:
                known = self._known.get(address)
                if known is not None and known.error is not None:
                    return Problem(known.trouble, known.since)
        return None

    # Over a restart

    def restore(self) -> None:
        """Take up the leases an earlier process kept, once; the login too, unless this one only looks."""
        with self.lock:
            if self._restored or self._keeper is None:
                return
            self._restored = True
            kept = self._keeper.load()
            if kept is None:
                return
            session = 0 if self._looking or kept.session is None else self._take_up(kept.session)
            now = self._clock.monotonic()
            for one in kept.leases:
                left = one.ends - self._clock.now()
                if left <= 0:
                    continue
                known = self._known.setdefault(one.address, Known(one.address, used=now))
                known.kept = not self._looking
                known.secret = one.secret(session or _NOT_TAKEN_UP)
                known.clock = LeaseClock.restored(one.lease, one.granted, now, left)

    def _take_up(self, exported: bytes) -> int:
        try:
            self._backend.import_session(exported)
        except Exception as exc:  # noqa: BLE001 - whatever a driver raises
            self._asking.bug(exc)
        return self._asking.took_up()

    def changed(self) -> None:
        """What is on lease is not as it was: keep it now, or have whoever follows do it for many at once."""
        self._unkept = True
        if self._asking.followed and not self._asking.closed:
            self._wake.set()
        else:
            self.keep()

    def keep(self) -> None:
        """Keep what is on lease now for the next process, where that has changed."""
        if self._keeper is None or self._looking or not self._unkept:
            return
        with self._keeping:  # whoever comes later has seen more
            self._unkept = False
            now = self._clock.monotonic()
            with self.lock:
                leased = [
                    (known.address, known.secret, known.clock, self._clock.now() + known.clock.ends - now)
                    for known in self._known.values()
                    if known.secret is not None
                    and known.clock is not None
                    and known.is_alive(now)
                    and not known.is_of_old_session(self._asking.session)
                ]
            self._keeper.save(self._exported(), leased)

    def _exported(self) -> bytes | None:
        try:
            return self._backend.export_session()
        except Exception as exc:  # noqa: BLE001 - whatever a driver raises
            self._asking.bug(exc)
            return None
