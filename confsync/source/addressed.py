"""A configured source whose store gives one secret for one path: asked once, remembered, kept fresh and on lease.

Drivers only ask. What must be the same for every such store is here, once: one request however many syncs want the
secret; the last good answer while the store is down; a cheap look for changes at every interval; leases renewed, and
replaced before they end; nothing fetched that makes something (a database user, a certificate) unless it is to be
written.

Threads: `follow` runs in a thread of its own and does all that is due; everything else may be called from any thread.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from confsync import backoff
from confsync.clock import Clock
from confsync.config.models import MassDelete, Revoke
from confsync.driver import Address, AddressedBackend, Secret
from confsync.errors import Expired, SourceError, Unavailable
from confsync.snapshot import Problem
from confsync.source.addressed_view import AddressedView
from confsync.source.changes import Event
from confsync.source.keeping import Keeper
from confsync.source.lease_clock import LeaseClock
from confsync.text import plural

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_PATIENCE = 10.0  # seconds for which a store that says it is busy is asked again before a read fails
_PATIENCE_FOLLOWED = (
    2.0  # the same in a daemon, where whoever reads holds a worker, and the read is repeated anyway
)
_AT_ONCE = 8  # requests under way in `follow`
_MOST_AT_ONCE = 256  # addresses looked after before looking again what is due
_ALARM = 1 / 6  # of a lease's time: when so little is left and it cannot be renewed, somebody should know
_UNUSED = 60.0  # seconds after which a secret that no sync reads is forgotten
_MOST_PLAINTEXTS = 10_000  # remembered; a plaintext is small
_CLOSING = 5.0  # seconds the end may take to revoke what was made


@dataclass(slots=True)
class _Known:
    """What is known of one address. Its fields change under the source's lock; `fetching` lets one thread ask.

    Attributes:
        names: how renders spell it.
        error: why it could not be asked, or its lease renewed, last time.
        trouble: the same for people, with the end of its lease.
        failures: how often in a row.
        retry_at: before this nobody asks again.
        used: when a render last wanted it.
        check: whether somebody wants to know if it changed.
    """

    address: Address
    names: set[str] = field(default_factory=set)
    secret: Secret | None = None
    clock: LeaseClock | None = None
    error: SourceError | None = None
    trouble: str = ""
    since: float | None = None
    failures: int = 0
    retry_at: float = -math.inf
    used: float = 0.0
    check: bool = False
    fetching: threading.Lock = field(default_factory=threading.Lock)


class AddressedSource:
    """One addressed source and what is known of it. Holds secrets in memory; writes none anywhere but to its `keeper`.

    Args:
        name: its name in the configuration.
        backend: the open driver; closed by `close`.
        clock: where the time comes from.
        revoke: what to do at the end with the login, and the leases that hang on it.
        looking: only look: leases of an earlier process are known, and left to whoever keeps them.
        keeper: where leases are kept over a restart, or None.
        notify: called with each `Event`, from the thread that noticed it; must not block.
    """

    def __init__(
        self,
        name: str,
        backend: AddressedBackend,
        *,
        clock: Clock,
        revoke: Revoke = "unless_leased",
        looking: bool = False,
        keeper: Keeper | None = None,
        notify: Callable[[Event], None] = lambda _: None,
    ) -> None:
        self.name = name
        self.backend = backend
        self._clock = clock
        self._revoke = revoke
        self._looking = looking
        self._keeper = keeper
        self._notify = notify
        self._lock = threading.RLock()
        self._known: dict[Address, _Known] = {}
        self._plaintexts: dict[tuple[str, str], bytes | SourceError] = {}
        self._down: SourceError | None = None
        self._down_failures = 0
        self._down_until = -math.inf
        self._tend_at = math.inf
        self._tend_failures = 0
        self._session = 0
        self._bugs: set[str] = set()
        self._following = False
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._restored = keeper is None

    # What the hub expects of every source

    answered = True  # whoever needs it asks, and waits for the answer
    held = False
    prefixes = ()

    def view(self, prefixes: tuple[str, ...], *, looking: bool) -> AddressedView:
        """A look at it for one render: what is read through it stays as it is until the render's end.

        Args:
            looking: only look: what fetching would make is not fetched.
        """
        return AddressedView(self, prefixes, looking=looking)

    def key_counts(self) -> dict[str, int]:
        """Nothing: how many keys there are is not known."""
        return {}

    def allow_mass_delete(self) -> None:
        """Nothing to allow: what a sync lost at once is held by the sync."""

    def set_guard(self, guard: MassDelete) -> None:
        """Nothing to guard, likewise."""

    def describe(self) -> str:
        """How it stands, for a line of status."""
        with self._lock:
            failed = next((known.error for known in self._known.values() if known.error), self._down)
            secrets = sum(
                1 for known in self._known.values() if known.secret and known.secret.data is not None
            )
            leases = sum(1 for known in self._known.values() if known.clock is not None)
        counts = f"{plural(secrets, 'secret')}, {plural(leases, 'lease')}"
        return f"in trouble ({counts}): {failed}" if failed else f"ok ({counts})"

    # Reading

    def read(self, address: Address, name: str, *, looking: bool) -> Secret | None:
        """The secret at an address, fetched if it is not known; None where fetching it would make something.

        Args:
            name: how the render spells it: what an event calls it.
            looking: whether nothing may be made.

        Raises:
            SourceError: it is not known and cannot be fetched.
        """
        self._restore()
        with self._lock:
            known = self._known.setdefault(address, _Known(address))
            known.names.add(name)
            known.used = self._clock.monotonic()
            if self._is_good(known):
                return known.secret
        if (looking or self._looking) and self._is_dynamic(address):
            return None
        with known.fetching:
            if self._is_good(known):
                return known.secret
            self._refuse_while_failing(known)
            others_know = known.secret is not None
            self._fetch(known)
        if others_know:
            self._tell(known.names)
        return known.secret

    def problem(self, addresses: Iterable[Address]) -> Problem | None:
        """Why what is known of these addresses may be out of date, or about to end."""
        with self._lock:
            for address in addresses:
                known = self._known.get(address)
                if known is not None and known.error is not None:
                    return Problem(known.trouble, known.since)
        return None

    def decrypt(self, key: str, ciphertexts: Sequence[str]) -> list[bytes | SourceError]:
        """What each ciphertext says, or why it cannot be told. Remembered in memory only.

        Raises:
            SourceError: the store cannot be asked.
        """
        with self._lock:
            unknown = [one for one in dict.fromkeys(ciphertexts) if (key, one) not in self._plaintexts]
        if unknown:
            self._refuse_while_down()
            found = self._ask(lambda: self.backend.decrypt(key, unknown))
            with self._lock:
                if len(self._plaintexts) + len(unknown) > _MOST_PLAINTEXTS:
                    self._plaintexts.clear()
                told = zip(unknown, found, strict=True)
                self._plaintexts |= {(key, one): plain for one, plain in told if isinstance(plain, bytes)}
                failed = {
                    one: plain
                    for one, plain in zip(unknown, found, strict=True)
                    if not isinstance(plain, bytes)
                }
                return [failed.get(one) or self._plaintexts[key, one] for one in ciphertexts]
        with self._lock:
            return [self._plaintexts[key, one] for one in ciphertexts]

    def decrypted(self, key: str, ciphertext: str) -> bytes | None:
        """What is remembered of a ciphertext, or None."""
        with self._lock:
            found = self._plaintexts.get((key, ciphertext))
        return found if isinstance(found, bytes) else None

    def _is_good(self, known: _Known) -> bool:
        """Whether what is known may be used: also when nobody could look lately, never when its lease is over."""
        if known.secret is None:
            return False
        return known.clock is None or self._clock.monotonic() < known.clock.ends

    def _refuse_while_failing(self, known: _Known) -> None:
        """Raise the last error again where it is too early to ask again: a thousand syncs must not storm a store."""
        now = self._clock.monotonic()
        with self._lock:
            if known.error is not None and now < known.retry_at:
                raise known.error.with_traceback(None)
        try:
            self._refuse_while_down()
        except Unavailable as exc:
            self._failed(known, exc)
            raise

    def _refuse_while_down(self) -> None:
        with self._lock:
            if self._down is not None and self._clock.monotonic() < self._down_until:
                raise self._down.with_traceback(None)

    def _fetch(self, known: _Known) -> bool:
        """Ask for an address. The caller holds its `fetching`.

        Returns:
            Whether the answer is another than before.

        Raises:
            SourceError: it could not be asked; what is known stays.
        """
        asked = self._clock.monotonic()
        try:
            secret = self._ask(lambda: self._answer(known.address))
        except SourceError as exc:
            self._failed(known, exc)
            raise
        with self._lock:
            differs = known.secret is None or (known.secret.data, known.secret.version) != (
                secret.data,
                secret.version,
            )
            known.secret = secret
            known.clock = LeaseClock.of(secret.lease, asked)
            self._succeeded(known)
        if known.clock is not None:
            self._keep()
        self._wake.set()
        return differs

    def _is_dynamic(self, address: Address) -> bool:
        return not _is_listing(address) and self._ask(lambda: self.backend.is_dynamic(address))

    def _answer(self, address: Address) -> Secret:
        if _is_listing(address):
            return Secret({"names": self.backend.names(address.path.rstrip("/"))})
        return self.backend.fetch(address)

    def _failed(self, known: _Known, error: SourceError) -> None:
        with self._lock:
            news = known.error is None or str(known.error) != str(error)
            known.failures += 1
            known.error = error
            if news:
                known.trouble = _trouble(known, error, self._clock)
            known.since = known.since or self._clock.now()
            known.retry_at = self._clock.monotonic() + backoff.delay(known.failures)
        if news and known.secret is not None:
            log.warning(
                "cannot be read or renewed",
                extra={"source": self.name, "error": known.trouble},
            )
        self._wake.set()

    def _succeeded(self, known: _Known) -> None:
        known.error, known.trouble, known.since = None, "", None
        known.failures, known.retry_at, known.check = 0, -math.inf, False

    def _ask(self, call: Callable[[], _T]) -> _T:
        """Make one request; while the store says that it will answer soon, wait for it a little."""
        patience = _PATIENCE_FOLLOWED if self._following else _PATIENCE
        deadline = self._clock.monotonic() + patience
        failures = 0
        while True:
            try:
                answer = call()
            except SourceError as exc:
                failures += 1
                if not isinstance(exc, Unavailable):
                    raise
                pause = None if exc.retry_after is None else max(exc.retry_after, backoff.delay(failures))
                if pause is None or self._clock.monotonic() + pause > deadline or self._stop.wait(pause):
                    self._note_down(exc)
                    raise
            except Exception as exc:
                raise self._bug(exc) from exc
            else:
                self._note_up()
                return answer

    def _note_down(self, error: Unavailable) -> None:
        with self._lock:
            first = self._down is None
            self._down = error
            self._down_failures += 1
            pause = max(error.retry_after or 0.0, backoff.delay(self._down_failures))
            self._down_until = self._clock.monotonic() + pause
        if first and not self._stop.is_set():
            log.warning("source cannot be read", extra={"source": self.name, "error": str(error)})

    def _note_up(self) -> None:
        with self._lock:
            was_down, self._down, self._down_failures = self._down is not None, None, 0
            for known in self._known.values() if was_down else ():
                known.retry_at = -math.inf
            new_session = self.backend.session != self._session
            self._session = self.backend.session
            if new_session:
                self._tend_at = -math.inf
        if was_down:
            log.info("source answers again", extra={"source": self.name})
        if was_down or new_session:
            self._wake.set()

    def _bug(self, error: Exception) -> Unavailable:
        # As for other sources: whatever a driver gets wrong must end no thread, and its text may hold a secret.
        name = type(error).__name__
        if name not in self._bugs and not self._stop.is_set():
            self._bugs.add(name)
            log.error("a bug in a backend: please report it", exc_info=error, extra={"source": self.name})
        return Unavailable(f"the backend failed in a way it should not: {name}", hint="see the log")

    # Keeping fresh

    def refresh(self) -> None:
        """Do once all that is due, without waiting for anything else; what fails is told by whoever reads it."""
        self._restore()
        if not self._looking:
            self._work()

    def resync(self, due: Collection[str], used: Collection[str]) -> None:
        """Have `follow` look whether what these syncs read has changed. Does not wait for it.

        Args:
            due: the names to look at now, as renders spell them.
            used: all names that any sync reads: the rest is forgotten.
        """
        wanted, kept = set(due), set(used)
        now = self._clock.monotonic()
        with self._lock:
            for address, known in list(self._known.items()):
                known.check = known.check or not known.names.isdisjoint(wanted)
                if known.names.isdisjoint(kept) and now - known.used > _UNUSED:
                    del self._known[address]  # a lease nobody uses is not renewed, and ends by itself
        self._wake.set()

    def follow(self) -> None:
        """Renew, replace, look for changes and try again what failed, until `close`."""
        self._following = True
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self._tell(self._work())
                pause = self._until_due()
            except Exception:  # a mistake of ours must not end the only thread that renews leases
                log.exception("a bug: please report it", extra={"source": self.name})
                pause = backoff.CEILING
            self._wake.wait(pause)

    def _tell(self, names: Collection[str]) -> None:
        if names and not self._stop.is_set():
            self._notify(Event(self.name, {"": frozenset(names)}))

    def _work(self) -> set[str]:
        """Do all that is due.

        Returns:
            The names of what changed, or stands otherwise than before.
        """
        self._tend()
        now = self._clock.monotonic()
        with self._lock:
            due = [known for known in self._known.values() if self._due(known) <= now]
        # Leases first, and of the rest not so much at once that a lease which becomes due meanwhile would wait long.
        due = sorted(due, key=lambda known: known.clock is None)[:_MOST_AT_ONCE]
        before = [known.trouble for known in due]
        if len(due) > 1:
            with ThreadPoolExecutor(
                min(_AT_ONCE, len(due)), thread_name_prefix=f"source-{self.name}"
            ) as pool:
                differs = list(pool.map(self._look_after, due))
        else:
            differs = [self._look_after(known) for known in due]
        news = zip(due, before, differs, strict=True)
        return {
            name
            for known, trouble, differs in news
            if differs or known.trouble != trouble
            for name in known.names
        }

    def _until_due(self) -> float | None:
        """Seconds until something is due, or None where nothing is."""
        with self._lock:
            soonest = min((self._due(known) for known in self._known.values()), default=math.inf)
        soonest = min(soonest, self._tend_at)
        return None if soonest == math.inf else max(0.0, soonest - self._clock.monotonic())

    def _due(self, known: _Known) -> float:
        """When something is to be done for an address, by the monotonic clock."""
        if known.error is not None:
            return known.retry_at
        if known.check and known.clock is None:
            return -math.inf
        if known.clock is None:
            return math.inf
        if self._is_of_old_session(known):
            return -math.inf
        return known.clock.due

    def _is_of_old_session(self, known: _Known) -> bool:
        return known.secret is not None and known.secret.session not in (0, self._session)

    def _look_after(self, known: _Known) -> bool:
        """Do what is due for one address; whether its secret is another now. Failures are noted, never raised."""
        with known.fetching:
            try:
                if known.clock is not None:
                    return self._look_after_lease(known, known.clock)
                if known.secret is None or self._has_changed(known, known.secret):
                    return self._fetch(known)
                with self._lock:
                    self._succeeded(known)
            except SourceError as exc:
                if known.error is not exc:
                    self._failed(known, exc)
            return False

    def _has_changed(self, known: _Known, secret: Secret) -> bool:
        if _is_listing(known.address):
            return True
        if self._ask(lambda: self.backend.is_dynamic(known.address)):
            return False  # nothing says when it ends, and to fetch it again would make another
        return self._ask(lambda: self.backend.changed(known.address, secret))

    def _look_after_lease(self, known: _Known, clock: LeaseClock) -> bool:
        """Renew a lease, or replace what it is for while it still lives."""
        if clock.replace or self._is_of_old_session(known):
            return self._replace(known, clock)
        asked = self._clock.monotonic()
        try:
            renewed = self._ask(lambda: self.backend.renew(clock.lease))
        except Expired:
            return self._replace(known, clock.to_be_replaced(asked))
        except SourceError:
            if clock.ends - asked < clock.granted * _ALARM:
                return self._replace(known, clock)  # the last chance, whatever stands in the way of renewing
            raise
        with self._lock:
            known.clock = clock.renewed(renewed, asked)
            self._succeeded(known)
        self._keep()
        return self._replace(known, known.clock) if known.clock.due <= asked else False

    def _replace(self, known: _Known, clock: LeaseClock) -> bool:
        with self._lock:
            known.clock = clock
        try:
            return self._fetch(known)
        except SourceError:
            left = clock.ends - self._clock.monotonic()
            if left < clock.granted * _ALARM:
                log.error(
                    "a lease ends and cannot be replaced"
                    if left > 0
                    else "a lease is over and cannot be replaced",
                    extra={"source": self.name, "error": known.trouble},
                )
            raise

    def _tend(self) -> None:
        """Keep the login alive, when that is due."""
        if self._clock.monotonic() < self._tend_at:
            return
        try:
            pause = self.backend.tend()
        except SourceError as exc:
            self._tend_failures += 1
            self._tend_at = self._clock.monotonic() + backoff.delay(self._tend_failures)
            if self._tend_failures == 1:
                log.warning("the login cannot be renewed", extra={"source": self.name, "error": str(exc)})
            return
        except Exception as exc:  # noqa: BLE001 - whatever a driver raises
            self._bug(exc)
            pause = backoff.CEILING
        if self._tend_failures:
            log.info("the login is in order again", extra={"source": self.name})
        self._tend_failures = 0
        self._tend_at = math.inf if pause is None else self._clock.monotonic() + pause
        if self.backend.session != self._session:
            with self._lock:
                self._session = self.backend.session
            self._keep()

    # Over a restart

    def _restore(self) -> None:
        """Take up the leases an earlier process kept; the login too, unless this one only looks."""
        with self._lock:
            if self._restored:
                return
            self._restored = True
            assert self._keeper is not None  # noqa: S101 - else there is nothing to restore
            kept = self._keeper.load()
            if kept is None:
                return
            if not self._looking and kept.session is not None:
                self.backend.import_session(kept.session)
                self._session, self._tend_at = self.backend.session, -math.inf
            now = self._clock.monotonic()
            for one in kept.leases:
                known = self._known.setdefault(one.address, _Known(one.address, used=now))
                known.secret = one.secret(self._session)
                known.clock = LeaseClock.restored(one.lease, one.granted, now, one.ends - self._clock.now())

    def _keep(self) -> None:
        if self._keeper is None or self._looking:
            return
        now = self._clock.monotonic()
        with self._lock:
            leased = [
                (known.address, known.secret, known.clock, self._clock.now() + known.clock.ends - now)
                for known in self._known.values()
                if known.secret is not None and known.clock is not None and known.clock.ends > now
            ]
        self._keeper.save(self.backend.export_session(), leased)

    # The end

    def close(self) -> None:
        """End `follow`, revoke what is to be revoked, close the backend. Idempotent; never raises."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._wake.set()
        if self._revoke != "never":
            # In a thread: a store that hangs must not hold the end of the process.
            ending = threading.Thread(target=self._revoke_all, name=f"end-{self.name}", daemon=True)
            ending.start()
            ending.join(_CLOSING)
        self.backend.close()

    def _revoke_all(self) -> None:
        alive = self._leases()
        if alive and (self._revoke == "unless_leased" or self._keeper is not None):
            return
        try:
            for known in alive:
                if known.clock is not None and known.clock.lease.id:
                    self.backend.revoke(known.clock.lease)
            self.backend.end_session()
        except Exception as exc:  # noqa: BLE001 - at the end nothing can be done about it but to tell
            log.warning("could not be revoked", extra={"source": self.name, "error": type(exc).__name__})

    def _leases(self) -> list[_Known]:
        """What is alive and would end with the present login."""
        now = self._clock.monotonic()
        with self._lock:
            bound = (
                k
                for k in self._known.values()
                if k.secret is not None and k.secret.session == self._session != 0
            )
            return [known for known in bound if known.clock is not None and known.clock.ends > now]


def _is_listing(address: Address) -> bool:
    """A path that ends in a slash stands for the names below it."""
    return address.path.endswith("/")


def _trouble(known: _Known, error: SourceError, clock: Clock) -> str:
    """What is wrong with an address, and until when what is known of it is good."""
    path = known.address.path
    text = str(error) if path in str(error) else f"{path}: {error}"
    if known.clock is None:
        return text
    left = known.clock.ends - clock.monotonic()
    at = datetime.fromtimestamp(clock.now() + left, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return f"{text}; its lease {'ends' if left > 0 else 'ended'} at {at}"
