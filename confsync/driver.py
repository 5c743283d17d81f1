"""The contract between confsync and a backend: what a driver must do, and what it may leave to the core.

A driver reads one kind of store. It connects, reads, watches, closes, and says which kind of error happened; nothing
else. Repeating what failed, last good values, layering, sharing one read between syncs, taint and metrics are the
core's (`confsync.source`), written once for all drivers. A driver must not log, sleep, or keep values.

Its logins are its own: it makes them, keeps them alive, makes them anew and repeats the call that found one dead. It
also paces them, by raising the last login's error again until it is time for another. What it learns of the store
itself (what is mounted where) it may keep.

There are two kinds. A `Backend` is enumerable: it reads everything under a prefix at one revision, and watches it
(etcd, files). An `AddressedBackend` gives one secret for one path when somebody asks for it, maybe on a lease (Vault).

A driver is a subclass of one of them, registered under the entry-point group `confsync.backends`:

    [project.entry-points."confsync.backends"]
    etcd = "confsync_backends.etcd:EtcdBackend"

Prove it with the suite in `confsync.testing.contract`; `confsync.testing.memory` is the example to copy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, NamedTuple, Self

from pydantic import BaseModel, ConfigDict

from confsync.errors import Denied, Expired, Invalid, SourceError


class DriverOptions(BaseModel):
    """Base of a driver's options: the fields a user writes under `sources: NAME:`, besides `backend`.

    Unknown fields are refused; each field's `description` becomes the reference documentation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Entry(NamedTuple):
    """One key's value.

    Attributes:
        value: the bytes stored. Text is UTF-8; the core decodes.
        revision: grows whenever this key is written (etcd's mod_revision); 0 where the store has none.
        modified: when it was last written, seconds since the epoch, or None where the store does not tell.
    """

    value: bytes
    revision: int
    modified: float | None = None

    def __repr__(self) -> str:
        return f"<entry of {len(self.value)} bytes, revision {self.revision}>"  # the value may be a secret


Tree = Mapping[str, Entry]
"""Relative path (`db/host`: no leading slash) -> entry, for everything under one prefix."""


class Grant(ABC):
    """What somebody who may read a part of some prefixes may not: a missing key is told from a denied one by it."""

    @abstractmethod
    def refusal(self, prefix: str, path: str) -> Denied | None:
        """Why it is not told whether there is something at `path` below `prefix`; None: it is. Asks no store."""

    @abstractmethod
    def refusal_below(self, prefix: str, path: str) -> Denied | None:
        """Why not all is told that is below `path`, "" for all of `prefix`; None: it is. Asks no store."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything under some prefixes, all at one revision.

    Attributes:
        revision: the store's revision (etcd's header revision); a watch resumes after it.
        trees: the prefix exactly as it was asked for -> what is under it.
        token: whatever else the driver needs to resume a watch (a cluster id); opaque to the core.
        grant: None where it is everything; else what may have been left out: who reads may not read that.
    """

    revision: int
    trees: Mapping[str, Tree]
    token: object = None
    grant: Grant | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """What changed from the revision delivered before to `revision`: all of it, for every prefix, at once.

    Attributes:
        puts: prefix -> relative path -> the new entry.
        deletes: prefix -> relative paths that are gone.
    """

    revision: int
    puts: Mapping[str, Tree] = field(default_factory=dict)
    deletes: Mapping[str, frozenset[str]] = field(default_factory=dict)


class Watch(ABC):
    """A stream of deltas that begins right after a `Reading`. Use it from one thread; close it from any."""

    @abstractmethod
    def __next__(self) -> Delta:
        """Block until something changed, then return all that did, up to one revision.

        MUST NOT miss a change made after the reading's revision, however early. MUST NOT make calls to the store
        while nothing changes, except a sign of life every few seconds where silence could mean death.

        Raises:
            StopIteration: `close` was called, also while blocked here.
            Gap: the place in the history is lost; the caller reads everything again.
            Unavailable, Denied, Invalid: the watch is dead; the caller backs off and opens another.
        """

    def __iter__(self) -> Iterator[Delta]:
        return self

    @abstractmethod
    def close(self) -> None:
        """End the watch and unblock `__next__` within a second. Idempotent, callable from any thread."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Personal:
    """A driver's options for whoever calls.

    Attributes:
        options: what to open the driver with.
        taken: what was taken of the caller's, for messages: names of variables and files, never what they hold; ""
            where the options are those configured.
    """

    options: Any
    taken: str = ""


class Driver(ABC):
    """What both kinds of backend have. All methods may be called from several threads at once.

    Class attributes:
        Options: the `DriverOptions` subclass that validates what the user wrote.
        sensitive: whether its values are secrets unless the configuration says otherwise.
        packages: the Python packages it imports only when it first needs them, so that one that is not installed is
            told when the configuration is checked, with nothing imported yet.
        credentials: the variables in which the store's own tools keep credentials: not for a command of `exec`, nor for
            the templates it renders.
    """

    Options: ClassVar[type[DriverOptions]]
    sensitive: ClassVar[bool] = False
    packages: ClassVar[tuple[str, ...]] = ()
    credentials: ClassVar[tuple[str, ...]] = ()

    @classmethod
    @abstractmethod
    def open(cls, options: Any, base: Path) -> Self:
        """Make the backend from validated options. MUST NOT do I/O: a store that is down is found by the first read.

        Args:
            options: an instance of `cls.Options`.
            base: the configuration's directory; relative paths in the options are relative to it.
        """

    @classmethod
    def personal(cls, options: Any, others: Sequence[Any], base: Path) -> Personal:  # noqa: ARG003
        """What to open for whoever calls, of a configuration made for machines: what the store's own tools would use.

        What is taken MUST be the caller's own (variables, files in the home directory). Where nothing is found, the
        options stay, and a refused login says what to set. A credential of the caller's MUST NOT go to an address
        that it may not be meant for: where `others` are other stores, only something of the caller's that names
        this one's address makes it meant. No I/O on the store.

        Args:
            options: an instance of `cls.Options`.
            others: those of the other sources of the same backend.
            base: as `open` has it.

        Raises:
            ConfigError: what the caller has set cannot be used; names the variable.
        """
        return Personal(options)

    @classmethod
    def withholding(cls, options: Any, variables: frozenset[str]) -> Any:  # noqa: ARG003
        """What to open for whoever calls, so that it gives none of these variables of the process.

        They hold the caller's credentials. For a driver that reads variables as a store; no other need do anything.
        """
        return options

    @property
    @abstractmethod
    def address(self) -> str:
        """Where the store is, for messages: no credentials."""

    @abstractmethod
    def close(self) -> None:
        """Release everything; open watches end. Idempotent."""


class Backend(Driver):
    """A store that is enumerable: everything under a prefix can be read at once.

    Class attributes:
        watches: whether `watch` works; if not, the core reads again at every interval.
    """

    watches: ClassVar[bool] = True

    @abstractmethod
    def read(self, prefixes: Sequence[str]) -> Reading:
        """Read everything under each prefix, at one revision.

        A prefix is what the user wrote (`/prod/shop`); it ends at a path boundary (never matches `/prod/shopping`).
        An empty prefix is the store's root. A prefix without keys gives an empty tree, not an error.

        Raises:
            Unavailable, Denied, Invalid: MUST be one of these, with the library's error as its cause; a partial
                answer is Unavailable, never a smaller tree.
        """

    def read_granted(self, prefixes: Sequence[str]) -> Reading:
        """As `read`, of each prefix as much as whoever is logged in may read, at one revision, with its `grant`.

        Asked for persons only, after `read` was denied, and not watched: it is read again at every interval. What a
        daemon writes is made of everything or not at all.

        Raises:
            Denied: nothing of it may be read, or the store does not tell what may be.
            Unavailable, Invalid: as `read`.
        """
        raise Denied(f"{self.address} does not tell what may be read", key=prefixes[0] if prefixes else None)

    def watch(self, prefixes: Sequence[str], since: Reading) -> Watch:
        """Watch the same prefixes from right after `since`. May raise what `Watch.__next__` raises."""
        raise NotImplementedError


class Address(NamedTuple):
    """What to ask an addressed store for.

    Attributes:
        path: from the store's root, without slashes at its ends: `secret/prod/db`, `database/creds/reader`.
        parameters: what goes with the request, sorted by name: a version, or what a certificate is to say.
    """

    path: str
    parameters: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Lease:
    """How long something fetched is good for.

    Attributes:
        id: what the store calls it; "" where it keeps none and only the end is known (a certificate).
        duration: seconds it was granted for, or prolonged by.
        renewable: whether `renew` may prolong it.
    """

    id: str
    duration: float
    renewable: bool = False


@dataclass(frozen=True, slots=True)
class Secret:
    """The answer for one address.

    Attributes:
        data: field -> value (anything JSON can say), or None where there is nothing; never shown by `repr`.
        missing: where there is nothing, why, for a message: `version 3 was deleted on 2026-11-21`.
        version: grows with every write; 0 where the store counts none.
        created: when this version was written or made, seconds since the epoch, or None.
        lease: how long it is good for, or None where it is good until it changes.
        session: the login it is bound to (`AddressedBackend.session`), or 0: when that login ends, it does.
    """

    data: Mapping[str, Any] | None = field(repr=False)
    missing: str = ""
    version: int = 0
    created: float | None = None
    lease: Lease | None = None
    session: int = 0


class AddressedBackend(Driver):
    """A store that gives one secret for one path, to whoever is logged in.

    Logging in happens by itself, under a lock, when a call first needs it, and once more when a call finds that the
    login has ended; then the call is repeated. Every method may raise:
        Unavailable: down, sealed, busy, half-answered; with `retry_after` where asking again soon makes sense, and with
            `key` only where the rest of the store is well.
        Denied: the login failed, or its policies do not allow this.
        Invalid: the request can never work: a mount that does not exist, parameters the store refuses.

    Class attributes:
        logins: globs of the paths, from the store's root, at which it tells of logins and makes them: with these a
            template could give away the login of whoever calls.
    """

    sensitive: ClassVar[bool] = True
    logins: ClassVar[tuple[str, ...]] = ()

    def only_look(self) -> None:
        """Told once, right after opening, in a process that only looks (`plan`, `get`): use up nothing to log in.

        A login that spends what can be used once (a wrapped credential) MUST then fail: Denied, with what to do.
        """

    @abstractmethod
    def is_dynamic(self, address: Address) -> bool:
        """Whether fetching makes something (a database user, a certificate), so that looking alone must not do it."""

    @abstractmethod
    def fetch(self, address: Address) -> Secret:
        """Get what is at an address. Nothing there is an answer, not an error."""

    @abstractmethod
    def changed(self, address: Address, known: Secret) -> bool:
        """Whether `fetch` would answer otherwise than `known`, by the cheapest call that tells.

        Where only fetching can tell, MUST answer True without any call.
        """

    @abstractmethod
    def names(self, path: str) -> tuple[str, ...]:
        """The names one step below a path, sorted; those that have more below end in `/`. Empty: there are none."""

    def renew(self, lease: Lease) -> Lease:
        """Prolong a lease by its duration. The answer may be shorter: it has come to its end.

        Raises:
            Expired: it is over, or cannot be renewed.
        """
        raise Expired(f"{self.address} does not renew leases", key=lease.id)

    def revoke(self, lease: Lease) -> None:
        """End a lease now."""

    def decrypt(self, key: str, ciphertexts: Sequence[str]) -> list[bytes | SourceError]:  # noqa: ARG002
        """What each ciphertext says, or why it cannot be told, in their order, by as few calls as possible.

        Args:
            key: the key's path from the store's root, such as `transit/app`.
        """
        raise Invalid(f"{self.address} does not decrypt", key=key)

    @property
    def session(self) -> int:
        """The number of the present login: another one each time somebody logs in; 0 before the first."""
        return 0

    def tend(self) -> float | None:
        """Keep the login alive: do what is due (renew, log in anew before it ends).

        Returns:
            In how many seconds to call again; None where nothing will ever be due.
        """
        return None

    def verify(self) -> None:
        """Find out by one cheap call whether the login still lives, and log in anew where it has ended.

        Called where nothing else has been asked for a while: what is bound to a login that was revoked is dead.
        """

    def export_session(self) -> bytes | None:
        """What `import_session` of another process needs to go on with this login; None where there is none to keep.

        It is a secret. The core encrypts it.
        """
        return None

    def import_session(self, exported: bytes) -> None:
        """Go on with a login of an earlier process; where it has ended, the next call logs in anew."""

    def end_session(self) -> None:
        """Revoke the login, if this process (or one it went on from) made it; what is bound to it ends with it.

        It is the end: a call still under way SHOULD fail with Unavailable rather than log in anew. Idempotent.
        """
