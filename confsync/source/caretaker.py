"""Keeps what is remembered of an addressed source fresh: renews and replaces leases, looks for changes, tries again."""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial

from confsync import backoff
from confsync.clock import Clock
from confsync.driver import AddressedBackend, Lease, Secret
from confsync.errors import Expired, SourceError
from confsync.source.asking import Asking
from confsync.source.known import Known, Stage, is_listing
from confsync.source.lease_clock import LeaseClock
from confsync.source.remembered import Remembered
from confsync.units import format_duration

log = logging.getLogger(__name__)

_LEASES_AT_ONCE = 32  # threads of their own: paths that hang must not keep the others from their leases
_TROUBLED_AT_ONCE = 8  # of them for what failed last time: it may hang again
_OTHERS_AT_ONCE = 8


@dataclass(slots=True)
class _Line:
    """What is due, in the order in which it is looked after, by so many threads at most."""

    most: int
    ready: deque[Known] = field(default_factory=deque)
    at_work: int = 0


class Caretaker:
    """Does what is due. `follow` runs in one thread; everything else may be called from any.

    Args:
        wake: set when something may be due at another time than before.
        tell: called with the names of what changed, or stands otherwise than before.
    """

    def __init__(
        self,
        name: str,
        backend: AddressedBackend,
        asking: Asking,
        memory: Remembered,
        clock: Clock,
        *,
        wake: threading.Event,
        tell: Callable[[Collection[str]], None],
    ) -> None:
        self._name = name
        self._backend = backend
        self._asking = asking
        self._memory = memory
        self._clock = clock
        self._wake = wake
        self._notify = tell
        self._lock = threading.Lock()
        self._leases, self._troubled = _Line(_LEASES_AT_ONCE), _Line(_TROUBLED_AT_ONCE)
        self._others = _Line(_OTHERS_AT_ONCE)
        self._lines = (self._leases, self._troubled, self._others)
        self._tend_at = math.inf
        self._tended = 0  # the session that was tended last
        self._tending = False
        self._tend_failures = 0
        self._verifying = False  # whether to find out if the login lives

    def follow(self) -> None:
        """Do all that is due whenever it is, in threads of its own, until the source is closed."""
        while not self._asking.closed:
            self._wake.clear()
            try:
                self._begin_all()
                self._memory.keep()
                pause = self._until_due()
            except Exception:  # a mistake of ours must not end the only thread that renews leases
                log.exception("a bug: please report it", extra={"source": self._name})
                pause = backoff.CEILING
            self._wake.wait(pause)
        self._memory.keep()

    def attend(self) -> None:
        """Do all that is due now, in this thread, and tell."""
        self.tend()
        self._take()
        for line in self._lines:
            self._work(line)

    def tend(self) -> None:
        """Keep the login alive, when that is due."""
        if self._begin_tending():
            self._tend()

    def verify(self) -> None:
        """Have it found out whether the login lives, with what is due next."""
        self._verifying = True

    def look_after(self, known: Known) -> bool:
        """Do what is due for one address; failures are noted, never raised. The caller holds its `fetching`.

        Returns:
            Whether its secret is another now.
        """
        known.check = False  # now, since whoever wants to know while we ask is not answered by it
        try:
            if known.clock is not None:  # whatever is believed of the store: trying is all that can save it
                return self._look_after_lease(known, known.clock)
            self._asking.refuse_while_down()
            if known.secret is None or self._has_changed(known, known.secret):
                return self._memory.fetch(known)
            self._memory.succeeded(known)
        except SourceError as exc:
            self._memory.failed(known, exc)
        return False

    # What is due

    def _begin_all(self) -> None:
        if self._begin_tending():
            self._start(self._tend)
        self._take()
        for line in self._lines:
            with self._lock:
                missing = min(len(line.ready), line.most - line.at_work)
                line.at_work += missing
            for _ in range(missing):
                self._start(partial(self._work_and_go, line))

    def _start(self, target: Callable[[], None]) -> None:
        # Not a pool: its threads would hold the end of the process while the store hangs.
        try:
            threading.Thread(target=target, name=f"care-{self._name}", daemon=True).start()
        except RuntimeError:  # the system gives no more threads
            target()

    def _take(self) -> None:
        """Put in line what is due, of the leases first what ends soonest."""
        now = self._clock.monotonic()
        with self._memory.lock:
            due = [known for known in self._memory.all() if self._due(known) <= now]
            for known in due:
                known.busy = True
        for known in sorted(due, key=_end):
            self._line_of(known).ready.append(known)

    def _line_of(self, known: Known) -> _Line:
        if known.clock is None:
            return self._others
        return self._leases if known.error is None else self._troubled

    def _due(self, known: Known) -> float:
        """When a thread is to look after an address, by the monotonic clock."""
        return math.inf if known.busy else self._wanted(known)

    def _wanted(self, known: Known) -> float:
        """When something is to be done for an address, by the monotonic clock."""
        if known.idle or not known.names:
            return math.inf
        if known.error is not None:
            return known.retry_at
        if known.clock is None:
            return -math.inf if known.check and known.secret is not None else math.inf
        if known.is_of_old_session(self._asking.session):
            return -math.inf
        return known.clock.due

    def _until_due(self) -> float | None:
        """Seconds until something is due, or None where nothing is."""
        soonest = min((self._due(known) for known in self._memory.all()), default=math.inf)
        soonest = min(soonest, math.inf if self._tending else self._tend_due())
        return None if soonest == math.inf else max(0.0, soonest - self._clock.monotonic())

    def _work_and_go(self, line: _Line) -> None:
        try:
            self._work(line)
        finally:
            with self._lock:
                line.at_work -= 1
            self._wake.set()

    def _work(self, line: _Line) -> None:
        """Look after what is in line, and tell of each at once: another may take long."""
        while not self._asking.closed:
            try:
                known = line.ready.popleft()
            except IndexError:
                return
            try:
                self._look_after_and_tell(known)
            finally:
                known.busy = False

    def _look_after_and_tell(self, known: Known) -> None:
        with known.fetching:
            if self._clock.monotonic() < self._wanted(known):
                return  # whoever read it meanwhile has done it
            before = known.trouble
            differs = self.look_after(known)
            on_lease = known.clock is not None
        if on_lease:
            self._wake.set()  # it is due at another time now
        if differs or known.trouble != before:
            self._notify(known.told_as)

    def _has_changed(self, known: Known, secret: Secret) -> bool:
        if is_listing(known.address):
            return True
        if self._asking.ask(lambda: self._backend.is_dynamic(known.address), proves=lambda _: False):
            return False  # nothing says when it ends, and to fetch it again would make another
        # Where only fetching can tell, True is the answer without a call.
        return self._asking.ask(
            lambda: self._backend.changed(known.address, secret), proves=lambda changed: not changed
        )

    # Leases

    def _look_after_lease(self, known: Known, clock: LeaseClock) -> bool:
        """Renew a lease, or replace what it is for while it still lives."""
        now = self._clock.monotonic()
        if clock.replace or now >= clock.ends or known.is_of_old_session(self._asking.session):
            return self._memory.fetch(known)
        try:
            renewed, asked = self._asking.ask(lambda: self._renewed(clock.lease))
        except Expired:
            self._set(known, clock.to_be_replaced(now))
            return self._memory.fetch(known)
        except SourceError:
            if known.stage_at(self._clock.monotonic()) is Stage.EARLY:
                raise
            return self._memory.fetch(known)  # the last chance, whatever stands in the way of renewing
        after = clock.renewed(renewed, asked)
        self._set(known, after)
        if after.due <= asked:
            return self._memory.fetch(known)
        self._memory.succeeded(known)
        self._memory.changed()
        told = {"source": self._name, "path": "(withheld)" if known.withheld else known.address.path}
        log.debug("lease renewed", extra=told | {"ends_in": format_duration(round(renewed.duration, 1))})
        return False

    def _renewed(self, lease: Lease) -> tuple[Lease, float]:
        asked = self._clock.monotonic()
        renewed = self._backend.renew(lease)
        if not isinstance(renewed, Lease):
            raise TypeError("a renewal gives a Lease")
        return renewed, asked

    def _set(self, known: Known, clock: LeaseClock) -> None:
        with self._memory.lock:
            known.clock = clock

    # The login

    def _tend_due(self) -> float:
        return -math.inf if self._verifying or self._asking.session != self._tended else self._tend_at

    def _begin_tending(self) -> bool:
        with self._lock:
            if self._tending or self._clock.monotonic() < self._tend_due():
                return False
            self._tending = True
            return True

    def _tend(self) -> None:
        session = self._asking.session
        pause = self._tended_for()
        self._tend_at = math.inf if pause is None else self._clock.monotonic() + pause
        self._tended = session
        self._tending = False
        if self._asking.took_up() != session:
            self._memory.changed()
        self._wake.set()

    def _tended_for(self) -> float | None:
        """Have the driver do what is due; seconds until more is."""
        verifying, self._verifying = self._verifying, False
        try:
            if verifying:
                self._backend.verify()
            pause = self._backend.tend()
        except SourceError as exc:
            return self._tending_failed(exc)
        except Exception as exc:  # noqa: BLE001 - whatever a driver raises
            return self._tending_failed(self._asking.bug(exc))
        if self._tend_failures:
            log.info("the login is in order again", extra={"source": self._name})
        self._tend_failures = 0
        return pause

    def _tending_failed(self, error: SourceError) -> float:
        self._tend_failures += 1
        if self._tend_failures == 1 and not self._asking.closed:
            log.warning("the login cannot be renewed", extra={"source": self._name, "error": str(error)})
        return backoff.delay(self._tend_failures)


def _end(known: Known) -> float:
    return known.clock.ends if known.clock is not None else math.inf
