"""A configured source whose store gives one secret for one path: asked once, remembered, kept fresh and on lease.

Drivers only ask. What must be the same for every such store is here, once: one request however many syncs want the
secret; the last good answer while the store is down; a cheap look for changes at every interval; leases renewed, and
replaced before they end; nothing fetched that makes something (a database user, a certificate) unless it is to be
written.

asking.py      how requests go to the store         known.py    what is known of one address
remembered.py  everything known, and what is kept   keeping.py  the same over a restart, encrypted
caretaker.py   does what is due                     lease_clock.py  when that is

Threads: `follow` runs in a thread of its own and has all that is due done; everything else may be called from any.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from confsync.clock import Clock
from confsync.config.models import MassDelete, Revoke
from confsync.driver import Address, AddressedBackend, Lease, Secret
from confsync.errors import Denied, SourceError
from confsync.snapshot import Problem
from confsync.source.addressed_view import AddressedView
from confsync.source.asking import Asking, again
from confsync.source.caretaker import Caretaker
from confsync.source.changes import Event
from confsync.source.keeping import Keeper
from confsync.source.known import Known, Stage, is_listing
from confsync.source.remembered import Remembered
from confsync.text import plural

log = logging.getLogger(__name__)

_MOST_PLAINTEXTS = 10_000  # remembered; a plaintext is small
_CLOSING = 4.5  # seconds the end may take to revoke what was made


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
        self._keeps = keeper is not None
        self._notify = notify
        self._wake = threading.Event()
        self._asking = Asking(name, backend, clock, self._news)
        self._memory = Remembered(
            name, backend, self._asking, clock, keeper=keeper, looking=looking, wake=self._wake
        )
        self._caretaker = Caretaker(
            name, backend, self._asking, self._memory, clock, wake=self._wake, tell=self._tell
        )
        if looking:
            backend.only_look()
        self._lock = threading.Lock()
        self._plaintexts: dict[tuple[str, str], bytes] = {}
        self._answers = 0  # of the store, when the last interval began

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
        known = self._memory.all()
        failed = next((one.trouble for one in known if one.trouble), self._asking.down)
        secrets = sum(
            1 for one in known if one.secret and one.secret.data is not None and not is_listing(one.address)
        )
        counts = f"{plural(secrets, 'secret')}, {plural(sum(1 for one in known if one.clock), 'lease')}"
        return f"in trouble ({counts}): {failed}" if failed else f"ok ({counts})"

    @property
    def has_leases(self) -> bool:
        """Whether something that is alive is on lease, and ends with the present login."""
        return bool(self._bound())

    # Reading

    def read(self, address: Address, name: str, *, looking: bool, withheld: bool = False) -> Secret | None:
        """The secret at an address, fetched if it is not known; None where fetching it would make something.

        Args:
            name: how the render spells it: what an event calls it.
            looking: whether nothing may be made.
            withheld: whether the address is made of a secret, so that no log and no status may name it.

        Raises:
            SourceError: it is not known and cannot be fetched.
        """
        self._memory.restore()
        looking = looking or self._looking
        known = self._memory.note(address, name, withheld=withheld)
        if self._is_good(known, looking):
            return known.secret
        self._spare_readers(known)
        with self._reading(known):
            return self._asked_for(known, looking)

    def _asked_for(self, known: Known, looking: bool) -> Secret | None:
        if looking and self._is_dynamic(known.address):
            return None
        with known.fetching:
            before, trouble = known.secret, known.trouble
            differs = not self._is_good(known, looking) and self._obtain(known, looking)
            secret = known.secret
        if trouble or (before is not None and differs):
            self._tell(known.told_as)
        return secret

    def problem(self, addresses: Iterable[Address]) -> Problem | None:
        """Why what is known of these addresses may be out of date, or about to end."""
        return self._memory.problem(addresses)

    def decrypt(self, key: str, ciphertexts: Sequence[str]) -> list[bytes | SourceError]:
        """What each ciphertext says, or why it cannot be told. Remembered in memory only.

        Raises:
            SourceError: the store cannot be asked.
        """
        found: dict[str, bytes | SourceError] = {}
        for ciphertext in ciphertexts:
            plain = self.decrypted(key, ciphertext)
            if plain is not None:
                found[ciphertext] = plain
        unknown = [one for one in dict.fromkeys(ciphertexts) if one not in found]
        if unknown:
            with self._asking.reading():
                self._asking.refuse_while_down()
                found |= self._asking.ask(
                    lambda: dict(zip(unknown, self.backend.decrypt(key, unknown), strict=True))
                )
            self._remember(key, {one: found[one] for one in unknown})
        return [found[one] for one in ciphertexts]

    def decrypted(self, key: str, ciphertext: str) -> bytes | None:
        """What is remembered of a ciphertext, or None."""
        return self._plaintexts.get((key, ciphertext))

    def _remember(self, key: str, found: dict[str, bytes | SourceError]) -> None:
        """Remember plaintexts, at the cost of the oldest where there are too many."""
        with self._lock:
            self._plaintexts |= {
                (key, one): plain for one, plain in found.items() if isinstance(plain, bytes)
            }
            for oldest in list(self._plaintexts)[: max(0, len(self._plaintexts) - _MOST_PLAINTEXTS)]:
                del self._plaintexts[oldest]

    def _is_good(self, known: Known, looking: bool) -> bool:
        now = self._clock.monotonic()
        return known.is_alive(now) if looking else known.is_good(now, self._asking.session)

    def _is_dynamic(self, address: Address) -> bool:
        return self._memory.is_dynamic(address)

    def _obtain(self, known: Known, looking: bool) -> bool:
        """Fetch what is not known or over; whether it is another now. The caller holds its `fetching`."""
        if not looking and known.is_unconfirmed(self._clock.monotonic()):
            differs = self._caretaker.look_after(known)
            if self._is_good(known, looking):
                return differs
        self._refuse_while_failing(known)
        try:
            if known.clock is None:
                self._asking.refuse_while_down()
            return self._memory.fetch(known)
        except SourceError as exc:
            self._memory.failed(known, exc)
            raise _told(known, exc) from exc.__cause__

    def _spare_readers(self, known: Known) -> None:
        """Raise why the store is down, where somebody follows: he tries it. One that hangs would hold every reader."""
        down = self._asking.down
        if down is None or not self._asking.followed:
            return
        raise self._refused(known, again(down))

    @contextmanager
    def _reading(self, known: Known) -> Iterator[None]:
        """As `Asking.reading`; whoever follows asks for what is refused."""
        with ExitStack() as stack:
            try:
                stack.enter_context(self._asking.reading())
            except SourceError as exc:
                raise self._refused(known, exc) from exc.__cause__
            yield

    def _refused(self, known: Known, error: SourceError) -> SourceError:
        """What to tell a reader who was not let through."""
        if known.error is None:  # from now on it is tried again; who is only refused has not failed once more
            self._memory.failed(known, error)
        return _told(known, error)

    def _refuse_while_failing(self, known: Known) -> None:
        """Raise the last error again where it is too early to ask again: a thousand syncs must not storm a store."""
        if known.error is not None and self._clock.monotonic() < known.retry_at:
            raise _told(known, known.error)

    # Keeping fresh

    def refresh(self) -> None:
        """Take up the login and the leases of an earlier process. What is wanted of them is renewed when it is read."""
        self._memory.restore()
        if not self._looking:
            self._caretaker.tend()

    def attend(self) -> None:
        """Do all that is due now, and tell. `follow` has it done by itself."""
        self._memory.restore()
        self._caretaker.attend()

    def resync(self, due: Collection[str], used: Collection[str]) -> None:
        """Have `follow` look whether what these syncs read has changed. Does not wait for it.

        Args:
            due: the names to look at now, as renders spell them.
            used: all names that any sync reads: the rest is forgotten.
        """
        self._memory.mark(due, used)
        answers, self._answers = self._answers, self._asking.answers
        if answers == self._answers and self._bound() and not self._looking:
            self._caretaker.verify()
        self._wake.set()

    def follow(self) -> None:
        """Renew, replace, look for changes and try again what failed, until `close`."""
        self._asking.followed = True
        self._memory.restore()
        self._caretaker.follow()

    def _news(self, answers_again: bool) -> None:
        """The store answers again, or somebody logged in."""
        if answers_again:
            self._memory.answers_again()
        self._wake.set()

    def _tell(self, names: Collection[str]) -> None:
        if names and not self._asking.closed:
            self._notify(Event(self.name, {"": frozenset(names)}))

    # The end

    def close(self) -> None:
        """End `follow`, revoke what is to be revoked, close the backend. Idempotent; never raises."""
        if self._asking.closed:
            return
        self._asking.close()
        self._memory.keep()
        self._wake.set()
        # In a thread: a store that hangs must not hold the end of the process.
        ending = threading.Thread(target=self._end, name=f"end-{self.name}", daemon=True)
        ending.start()
        ending.join(_CLOSING)
        try:
            self.backend.close()
        except Exception as exc:  # noqa: BLE001 - at the end nothing can be done about it but to tell
            log.warning("could not be closed", extra={"source": self.name, "error": type(exc).__name__})

    def _end(self) -> None:
        """Revoke the login and what hangs on it, where that is wanted."""
        alive = self._bound()
        if self._revoke == "never" or (alive and (self._revoke == "unless_leased" or self._keeps)):
            return
        for known in alive:
            if known.clock is not None and known.clock.lease.id:
                self._end_lease(known.clock.lease)
        try:
            self.backend.end_session()
        except Exception as exc:  # noqa: BLE001 - at the end nothing can be done about it but to tell
            log.warning("could not be revoked", extra={"source": self.name, "error": type(exc).__name__})

    def _end_lease(self, lease: Lease) -> None:
        # Few policies allow it, and none needs to: a lease ends with the login that is revoked next, if it was ours.
        try:
            self.backend.revoke(lease)
        except Denied:
            log.info("a lease ends with its login, or by itself", extra={"source": self.name})
        except Exception as exc:  # noqa: BLE001 - as above
            log.warning("could not be revoked", extra={"source": self.name, "error": type(exc).__name__})

    def _bound(self) -> list[Known]:
        """What is alive, on lease, and would end with the present login."""
        now, session = self._clock.monotonic(), self._asking.session
        return [
            known
            for known in self._memory.all()
            if known.clock is not None
            and known.is_alive(now)
            and known.secret is not None
            and known.secret.session == session
        ]


def _told(known: Known, error: SourceError) -> SourceError:
    """`error` for whoever reads, who must know when what there was has ended."""
    return again(error, known.trouble if known.stage is Stage.OVER else None)
