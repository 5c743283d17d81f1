"""Leases kept over a restart, encrypted: a restart must not leave a database user behind and make another."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from confsync.driver import Address, Lease, Secret
from confsync.errors import LedgerError
from confsync.source.lease_clock import LeaseClock

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeptLease:
    """One leased secret of an earlier process.

    Attributes:
        granted: the seconds the lease was granted for first.
        ends: when it ends, seconds since the epoch.
        bound: whether it hangs on the login that fetched it.
    """

    address: Address
    data: dict[str, Any] = field(repr=False)
    created: float | None
    lease: Lease
    granted: float
    ends: float
    bound: bool

    def secret(self, session: int) -> Secret:
        """The secret, bound to the login with this number."""
        return Secret(self.data, created=self.created, lease=self.lease, session=session if self.bound else 0)


@dataclass(frozen=True, slots=True)
class Kept:
    """What an earlier process kept.

    Attributes:
        session: what its driver said is needed to go on with its login, or None.
    """

    session: bytes | None = field(repr=False)
    leases: tuple[KeptLease, ...]


class Keeper:
    """Keeps the leases of one source as one encrypted text. Thread-safe as far as `load` and `save` are.

    Args:
        load: gives the text kept, or None.
        save: keeps a text; may raise LedgerError, which is told and survived.
        key: of the ledger. Who can read the state directory's key can read what is kept; who gets hold of the ledger
            alone cannot.
        owner: whose leases they are: the store, and who logs in there. What was kept for another cannot be read.
    """

    def __init__(
        self,
        load: Callable[[], str | None],
        save: Callable[[str | None], None],
        key: bytes,
        owner: str = "",
    ) -> None:
        self._load = load
        self._save = save
        self._key = key
        self._owner = owner

    def load(self) -> Kept | None:
        """What was kept, or None where there is nothing, or it cannot be read any more."""
        try:
            text = self._load()
        except LedgerError as exc:
            log.warning("the leases kept by an earlier process cannot be read", extra={"error": str(exc)})
            return None
        if text is None:
            return None
        try:
            kept = json.loads(self._decrypted(text))
            return Kept(_unpacked(kept["session"]), tuple(_lease(one) for one in kept["leases"]))
        except (ValueError, KeyError, TypeError):
            log.warning(
                "the leases kept by an earlier process are of another login or cannot be read; they are fetched anew"
            )
            return None

    def save(
        self, session: bytes | None, leased: Iterable[tuple[Address, Secret, LeaseClock, float]]
    ) -> None:
        """Keep these leases, and only these.

        Args:
            session: what the driver says is needed to go on with the login.
            leased: address, secret, times, and when it ends in seconds since the epoch.
        """
        lines = [
            {
                "path": address.path, "parameters": address.parameters, "data": dict(secret.data or {}),
                "created": secret.created, "bound": secret.session != 0, "ends": ends,
                "id": clock.lease.id, "renewable": clock.lease.renewable, "granted": clock.granted,
            }
            for address, secret, clock, ends in leased
        ]  # fmt: skip
        text = json.dumps({"session": _packed(session), "leases": lines})
        try:
            self._save(self._cipher().encrypt(text.encode()).decode() if lines else None)
        except LedgerError as exc:
            log.error("leases cannot be kept", extra={"error": str(exc)})
        except ImportError as exc:
            log.error(
                "leases cannot be kept", extra={"error": f"keep_leases needs the Python package {exc.name}"}
            )

    def _decrypted(self, text: str) -> bytes:
        """Raises `ValueError`: it was not encrypted by us, with this key."""
        try:
            from cryptography.fernet import InvalidToken
        except ImportError:
            raise ValueError("what decrypts it is not installed any more") from None
        try:
            return bytes(self._cipher().decrypt(text.encode()))
        except InvalidToken:
            raise ValueError("it was damaged, or encrypted with another key") from None

    def _cipher(self) -> Any:
        from cryptography.fernet import Fernet

        digest = hashlib.blake2b(
            self._owner.encode(), key=self._key[:64], digest_size=32, person=b"confsync-keep"
        )
        return Fernet(base64.urlsafe_b64encode(digest.digest()))


def _lease(one: dict[str, Any]) -> KeptLease:
    return KeptLease(
        Address(one["path"], tuple((name, value) for name, value in one["parameters"])),
        one["data"],
        one["created"],
        Lease(one["id"], one["granted"], one["renewable"]),
        one["granted"],
        one["ends"],
        one["bound"],
    )


def _packed(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _unpacked(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
