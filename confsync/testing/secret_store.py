"""A store of secrets in memory: versions, leases, logins and ciphertexts, and faults to order.

`confsync.testing.memory_secrets` is the backend that asks it.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from confsync.clock import Clock, SystemClock
from confsync.driver import Address, Lease, Secret
from confsync.errors import Denied, Expired, Invalid, SourceError

METADATA = "metadata"
_CIPHER = "toy:v1:"
_VERSION = "version"


class ManualClock:
    """Time that only tests move.

    Attributes:
        wall: seconds since the epoch; it may be set to anything, as a wall clock may.
    """

    def __init__(self, wall: float = 1_700_000_000.0) -> None:
        self.wall = wall
        self._passed = 5000.0  # as on a machine that has been up for a while

    def now(self) -> float:
        """Wall time."""
        return self.wall

    def monotonic(self) -> float:
        """Time that never jumps."""
        return self._passed

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._passed += seconds
        self.wall += seconds


class Call(NamedTuple):
    """One request the store has seen: what was asked for, and about which path."""

    kind: str
    path: str


class NotLoggedIn(Exception):
    """The store does not know the token: it never gave it out, or it has ended. Between store and driver only."""


@dataclass(slots=True)
class _Version:
    """One version of a secret; `data` is None once it was deleted or destroyed, and `gone` says which."""

    data: Mapping[str, Any] | None
    created: float
    gone: str = ""


@dataclass(frozen=True, slots=True)
class _Role:
    """What a path lends out, and for how long."""

    duration: float
    max_ttl: float
    renewable: bool
    certificate: bool


@dataclass(slots=True)
class _Loan:
    """What was lent out, until `ends` and at most until `last`, or as long as `token` lives."""

    path: str
    username: str
    token: str
    role: _Role
    ends: float
    last: float
    revoked: bool = False


@dataclass(slots=True)
class Held:
    """Calls that wait.

    Attributes:
        arrived: set once one of them is there.
        waiting: how many have come.
    """

    arrived: threading.Event = field(default_factory=threading.Event)
    waiting: int = 0
    _open: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def release(self) -> None:
        """Let them go on."""
        self._open.set()

    def wait(self) -> None:
        """Wait, as a call that takes long does."""
        with self._lock:
            self.waiting += 1
        self.arrived.set()
        self._open.wait(120)


class SecretStore:
    """Secrets by path, what is lent out, and who is logged in. All methods may be called from any thread.

    Args:
        clock: by its monotonic time things end; by its wall time they were made.

    Attributes:
        calls: every request, in order.
        logins: how often somebody logged in.
        lent: the names of all users and certificates ever made, in order.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or SystemClock()
        self.calls: list[Call] = []
        self.logins = 0
        self.lent: list[str] = []
        self._lock = threading.RLock()
        self._secrets: dict[str, list[_Version]] = {}
        self._custom: dict[str, dict[str, str]] = {}
        self._roles: dict[str, _Role] = {}
        self._loans: dict[str, _Loan] = {}
        self._tokens: set[str] = set()
        self._faults: dict[tuple[str | None, str | None], Exception] = {}
        self._held: dict[str, Held] = {}

    # What tests do to it.

    def put(self, path: str, data: Mapping[str, Any], custom: Mapping[str, str] | None = None) -> int:
        """Write a secret's next version, and give its number."""
        with self._lock:
            versions = self._secrets.setdefault(path, [])
            versions.append(_Version(dict(data), self.clock.now()))
            self._custom.setdefault(path, {}).update(custom or {})
            return len(versions)

    def delete(self, path: str, version: int = 0) -> None:
        """Delete a version, the latest by default."""
        self._end(path, version, "deleted")

    def destroy(self, path: str, version: int = 0) -> None:
        """Destroy a version, the latest by default."""
        self._end(path, version, "destroyed")

    def remove(self, path: str) -> None:
        """Forget a secret, as if it had never been."""
        with self._lock:
            del self._secrets[path]

    def lends(self, path: str, *, duration: float, max_ttl: float = 1e9, renewable: bool = True) -> None:
        """Have a path make a user whenever it is read, on a lease of so many seconds.

        Args:
            max_ttl: seconds after which it ends, however often it is renewed.
        """
        self._roles[path] = _Role(duration, max_ttl, renewable, certificate=False)

    def certifies(self, path: str, *, duration: float) -> None:
        """Have a path issue a certificate for `common_name` whenever it is read, good for so many seconds."""
        self._roles[path] = _Role(duration, duration, renewable=False, certificate=True)

    def is_alive(self, username: str) -> bool:
        """Whether a user that was made can still log in where it was made for."""
        with self._lock:
            loans = [loan for loan in self._loans.values() if loan.username == username]
            return any(self._lives(loan) for loan in loans)

    def end_leases(self) -> None:
        """End everything that was lent out, while whoever fetched it stays logged in."""
        with self._lock:
            for loan in self._loans.values():
                loan.revoked = True

    def end_sessions(self) -> None:
        """End every login, as when it expires; what was lent out in it ends too."""
        with self._lock:
            self._tokens.clear()

    def is_logged_in(self) -> bool:
        """Whether some login lives."""
        return bool(self._tokens)

    def fail_with(self, error: Exception | None, path: str | None = None, kind: str | None = None) -> None:
        """Make calls raise `error`; None ends it.

        Args:
            path: only calls about this path, or all.
            kind: only these: login, fetch, changed, names, renew, revoke, decrypt; or all.
        """
        with self._lock:
            if error is None:
                self._faults.pop((path, kind), None)
            else:
                self._faults[path, kind] = error

    def mend(self) -> None:
        """End every fault."""
        with self._lock:
            self._faults.clear()

    def data(self, path: str) -> Mapping[str, Any] | None:
        """What a reader should find at a path now; not counted as a call."""
        with self._lock:
            return self._standing(Address(path), with_data=True).data

    def deny(self, path: str) -> None:
        """Refuse every call about this path; `allow` ends it."""
        self.fail_with(Denied(f"memory: permission denied on {path}", key=path), path)

    def allow(self, path: str) -> None:
        """End `deny`."""
        self.fail_with(None, path)

    @contextmanager
    def holding(self, path: str) -> Iterator[Held]:
        """Make calls about this path wait while the block lasts."""
        held = self._held[path] = Held()
        try:
            yield held
        finally:
            del self._held[path]
            held.release()

    def count(self, kind: str, path: str | None = None) -> int:
        """How many calls of this kind were seen, about this path or any."""
        return sum(1 for call in list(self.calls) if call.kind == kind and path in (None, call.path))

    def encrypt(self, key: str, plaintext: bytes) -> str:
        """A ciphertext that `decrypt` takes. No secret is safe in it."""
        return _CIPHER + base64.b64encode(f"{key}\n".encode() + plaintext).decode()[::-1]

    # What the driver asks, with the token of its login.

    def log_in(self) -> str:
        """A token."""
        self._seen("login", "")
        with self._lock:
            self.logins += 1
            token = f"token-{self.logins}-b64d0e"
            self._tokens.add(token)
            return token

    def log_out(self, token: str) -> None:
        """End one login, and what was lent out in it."""
        self._tokens.discard(token)

    def lends_at(self, path: str) -> bool:
        """Whether reading a path makes something. The driver knows that beforehand: it is no call."""
        return path in self._roles

    def fetch(self, token: str, address: Address) -> Secret:
        """What is there; `session` is for the driver to fill in."""
        self._asked("fetch", token, address.path)
        with self._lock:
            role = self._roles.get(address.path)
            if role is not None:
                return self._lend(token, address, role)
            return self._standing(address, with_data=True)

    def standing(self, token: str, address: Address) -> Secret:
        """As `fetch`, without the data: what is cheap to ask for."""
        self._asked("changed", token, address.path)
        with self._lock:
            return self._standing(address, with_data=False)

    def names(self, token: str, path: str) -> tuple[str, ...]:
        """The names one step below a path, sorted."""
        self._asked("names", token, path)
        start = f"{path}/" if path else ""
        with self._lock:
            below = [one[len(start) :] for one in self._secrets if one.startswith(start)]
        return tuple(sorted({name if not rest else f"{name}/" for name, _, rest in _steps(below)}))

    def renew(self, token: str, lease: Lease) -> Lease:
        """Prolong a lease. Raises `Expired`."""
        loan = self._loan(lease)
        self._asked("renew", token, loan.path)
        with self._lock:
            if not self._lives(loan) or not loan.role.renewable:
                raise Expired(f"memory: the lease of {loan.path} cannot be renewed", key=loan.path)
            now = self.clock.monotonic()
            loan.ends = min(now + lease.duration, loan.last)
            return Lease(lease.id, loan.ends - now, loan.role.renewable)

    def revoke(self, token: str, lease: Lease) -> None:
        """End a lease; one that is over already is fine."""
        loan = self._loan(lease)
        self._asked("revoke", token, loan.path)
        loan.revoked = True

    def verify(self, token: str) -> None:
        """Nothing but whether whoever asks is logged in."""
        self._asked("verify", token, "")

    def decrypt(self, token: str, key: str, ciphertexts: Sequence[str]) -> list[bytes | SourceError]:
        """What each says, or why that cannot be told."""
        self._asked("decrypt", token, key)
        return [_decrypted(key, ciphertext) for ciphertext in ciphertexts]

    def _asked(self, kind: str, token: str, path: str) -> None:
        self._seen(kind, path)
        if token not in self._tokens:
            raise NotLoggedIn

    def _seen(self, kind: str, path: str) -> None:
        """Note a call; wait, or raise, where that was ordered."""
        with self._lock:
            self.calls.append(Call(kind, path))
            held = self._held.get(path)
        if held is not None:
            held.wait()
        for ordered in ((path, kind), (path, None), (None, kind), (None, None)):
            error = self._faults.get(ordered)
            if error is not None:
                raise error.with_traceback(None)

    def _lend(self, token: str, address: Address, role: _Role) -> Secret:
        parameters = dict(address.parameters)
        number, now = len(self.lent) + 1, self.clock.monotonic()
        if role.certificate:
            name = parameters.get("common_name")
            if name is None:
                raise Invalid(f"memory: {address.path} needs common_name", key=address.path)
            self.lent.append(name)
            data = {"certificate": f"certificate {number} for {name}", "private_key": f"key-of-{number}-5e1f"}
            return Secret(data, created=self.clock.now(), lease=Lease("", role.duration))
        if parameters:
            raise Invalid(f"memory: {address.path} takes no parameters", key=address.path)
        username = f"{address.path.rpartition('/')[2]}-{number}"
        self.lent.append(username)
        lease = Lease(f"{address.path}/{number}", role.duration, role.renewable)
        self._loans[lease.id] = _Loan(
            address.path, username, token, role, now + role.duration, now + role.max_ttl
        )
        data = {"username": username, "password": f"password-of-{number}-c0ffee"}
        return Secret(data, created=self.clock.now(), lease=lease)

    def _standing(self, address: Address, *, with_data: bool) -> Secret:
        versions = self._secrets.get(address.path, [])
        parameters = dict(address.parameters)
        if METADATA in parameters and versions:
            return self._described(address.path, versions)
        asked = _asked_version(address, parameters)
        number = asked or len(versions)
        if not 0 < number <= len(versions):
            wanted = f"there is no version {asked} (the latest is {len(versions)})"
            return Secret(None, missing=wanted if asked and versions else "there is no secret")
        version = versions[number - 1]
        if version.data is None:
            return Secret(None, f"version {number} was {version.gone}", number, version.created)
        return Secret(dict(version.data) if with_data else {}, "", number, version.created)

    def _described(self, path: str, versions: Sequence[_Version]) -> Secret:
        created = datetime.fromtimestamp(versions[0].created, UTC).isoformat()
        data = {
            "current_version": len(versions),
            "created_time": created,
            "custom_metadata": self._custom[path],
        }
        return Secret(data)

    def _end(self, path: str, version: int, how: str) -> None:
        with self._lock:
            one = self._secrets[path][version - 1 if version else -1]
            one.data, one.gone = None, how

    def _loan(self, lease: Lease) -> _Loan:
        loan = self._loans.get(lease.id)
        if loan is None:
            raise Expired("memory: there is no such lease")
        return loan

    def _lives(self, loan: _Loan) -> bool:
        return not loan.revoked and loan.token in self._tokens and self.clock.monotonic() < loan.ends


def _steps(paths: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    return (path.partition("/") for path in paths)


def _asked_version(address: Address, parameters: Mapping[str, str]) -> int:
    """The version asked for, or 0 for the latest."""
    unknown = sorted(parameters.keys() - {_VERSION, METADATA})
    if unknown:
        raise Invalid(f"memory: {address.path} knows no parameter {unknown[0]!r}", key=address.path)
    text = parameters.get(_VERSION, "0")
    if not text.isdecimal():
        raise Invalid(f"memory: {address.path}: version is a number", key=address.path)
    return int(text)


def _decrypted(key: str, ciphertext: str) -> bytes | SourceError:
    try:
        made_with, _, plain = base64.b64decode(
            ciphertext.removeprefix(_CIPHER)[::-1], validate=True
        ).partition(b"\n")
    except ValueError:
        return Invalid("memory: that is no ciphertext", key=key)
    return (
        plain if made_with == key.encode() else Invalid("memory: it was encrypted with another key", key=key)
    )
