"""An addressed backend whose store is in memory: versions, leases, logins and ciphertexts, and faults to order.

It is the smallest driver that keeps the whole contract of `confsync.driver.AddressedBackend`, so it is the one to copy.

    store = shared_secrets("shop")
    store.put("secret/db", {"user": "shop", "port": 5432})
    store.lends("database/creds/shop", duration=60, max_ttl=300)
    backend = MemorySecretsBackend(store)
    backend.fetch(Address("secret/db")).data["port"]                 # 5432
    backend.fetch(Address("database/creds/shop")).lease.duration     # 60

    store.fail_with(Unavailable("the store is down"))     # every call raises it, until fail_with(None)
    store.deny("secret/db")                                # one path is refused
    store.end_sessions()                                   # nobody is logged in any more; what was lent out ends
    with store.holding("secret/db") as held: ...           # calls about this path wait until the block ends
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field

from confsync.driver import Address, AddressedBackend, DriverOptions, Lease, Secret
from confsync.errors import Denied, SourceError
from confsync.testing.secret_store import METADATA, Call, Held, ManualClock, NotLoggedIn, SecretStore

__all__ = [
    "Call", "Held", "ManualClock", "MemorySecretsBackend", "MemorySecretsOptions", "SecretStore", "forget_secrets",
    "shared_secrets",
]  # fmt: skip

T = TypeVar("T")

_stores: dict[str, SecretStore] = {}
_stores_lock = threading.Lock()


def shared_secrets(name: str) -> SecretStore:
    """The store that every backend with this name asks; made when first asked for."""
    with _stores_lock:
        return _stores.setdefault(name, SecretStore())


def forget_secrets(name: str) -> None:
    """Let the next `shared_secrets` begin anew; backends that are open keep the old one."""
    with _stores_lock:
        _stores.pop(name, None)


class MemorySecretsOptions(DriverOptions):
    """Options of a memory source of secrets."""

    name: Annotated[str, Field(description="Which of the process's stores of secrets.")] = "default"


class MemorySecretsBackend(AddressedBackend):
    """Asks a `SecretStore`. It logs in when a call first needs it, and once more when the login has ended."""

    Options = MemorySecretsOptions

    def __init__(self, store: SecretStore, name: str = "default") -> None:
        self.store = store
        self._name = name
        self._logging_in = threading.Lock()
        self._token: str | None = None
        self._session = 0

    @classmethod
    def open(cls, options: MemorySecretsOptions, base: Path) -> MemorySecretsBackend:
        return cls(shared_secrets(options.name), options.name)

    @property
    def address(self) -> str:
        return f"memory:{self._name}"

    def close(self) -> None:
        pass  # there is no connection

    def is_dynamic(self, address: Address) -> bool:
        return self.store.lends_at(address.path)

    def fetch(self, address: Address) -> Secret:
        secret, session = self._call(lambda token: self.store.fetch(token, address))
        # What keeps no lease does not end with the login: a certificate is good until its day.
        bound = secret.lease is not None and secret.lease.id != ""
        return Secret(
            secret.data,
            secret.missing,
            secret.version,
            secret.created,
            secret.lease,
            session if bound else 0,
        )

    def changed(self, address: Address, known: Secret) -> bool:
        if self.is_dynamic(address):
            return True
        now, _ = self._call(lambda token: self.store.standing(token, address))
        if METADATA in dict(address.parameters):
            return now.data != known.data
        return (now.version, now.missing) != (known.version, known.missing)

    def names(self, path: str) -> tuple[str, ...]:
        return self._call(lambda token: self.store.names(token, path))[0]

    def renew(self, lease: Lease) -> Lease:
        return self._call(lambda token: self.store.renew(token, lease))[0]

    def revoke(self, lease: Lease) -> None:
        if lease.id:
            self._call(lambda token: self.store.revoke(token, lease))

    def decrypt(self, key: str, ciphertexts: Sequence[str]) -> list[bytes | SourceError]:
        if not ciphertexts:
            return []
        return self._call(lambda token: self.store.decrypt(token, key, ciphertexts))[0]

    @property
    def session(self) -> int:
        return self._session

    def verify(self) -> None:
        if self._token is not None:
            self._call(self.store.verify)

    def export_session(self) -> bytes | None:
        return None if self._token is None else self._token.encode()

    def import_session(self, exported: bytes) -> None:
        with self._logging_in:
            if self._token is None:
                self._token, self._session = exported.decode("utf-8", "replace"), self._session + 1

    def end_session(self) -> None:
        with self._logging_in:
            if self._token is not None:
                self.store.log_out(self._token)
            self._token = None

    def _call(self, ask: Callable[[str], T]) -> tuple[T, int]:
        """Ask as who we are; gives the answer and the login it was asked in."""
        token, session = self._logged_in(instead_of=None)
        try:
            return ask(token), session
        except NotLoggedIn:
            token, session = self._logged_in(instead_of=token)
        try:
            return ask(token), session
        except NotLoggedIn as exc:
            raise Denied(f"{self.address}: the login ended as soon as it was made") from exc

    def _logged_in(self, instead_of: str | None) -> tuple[str, int]:
        """The present login, made by one thread while the others wait; another than `instead_of`, which has ended."""
        with self._logging_in:
            if self._token is None or self._token == instead_of:
                self._token = self.store.log_in()
                self._session += 1
            return self._token, self._session
