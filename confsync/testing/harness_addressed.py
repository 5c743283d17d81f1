"""What the suite for addressed backends asks of a store, and what its parts share."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, TypeVar

import pytest

from confsync.driver import Address, AddressedBackend, Lease, Secret

T = TypeVar("T")

PLAIN = "hunter2-of-the-contract"  # stands in no path and no address, so wherever it shows it was leaked


class AddressedHarness(ABC):
    """What the suite needs to know of a store, and to do to it. Made anew, and empty, for each test.

    Class attributes:
        prefix: a path that the store has, below which the suite writes: `secret/contract`.
        versions: whether the store keeps versions that `?version=N` asks for.
        cheap: whether `changed` can tell without fetching; if not, it answers True, without a call.
        odd_names: names that are unusual but possible as one step of a path.
        odd_data: fields whose types must come back as they were.
    """

    prefix: ClassVar[str] = "secret/contract"
    versions: ClassVar[bool] = True
    cheap: ClassVar[bool] = True
    odd_names: ClassVar[Sequence[str]] = (
        "with space",
        "ünï☃",
        "per%20cent",
        "a.b-c_d:e@f",
        "UPPER",
        "0",
        "&=+",
    )
    odd_data: ClassVar[Mapping[str, Any]] = {
        "text": "two\nlines ☃ '\"\\$(x){{ y }}",
        "empty": "",
        "number": 5432,
        "large": 2**40,
        "fraction": 1.5,
        "true": True,
        "false": False,
        "null": None,
        "list": [1, "two", {"three": 3}],
        "mapping": {"b": [], "a": {}},
        "looks like a number": "0123",
        "": "a field without a name",
        "items": "a field with the name of a method",
    }

    # Every store.

    @abstractmethod
    def open(self) -> AddressedBackend:
        """A new backend of the store, not logged in yet; the suite closes it."""

    @abstractmethod
    def put(self, path: str, data: Mapping[str, Any]) -> None:
        """Write a secret (its next version); when it returns, `fetch` sees it."""

    @abstractmethod
    def delete(self, path: str) -> None:
        """Delete a secret (its latest version, which can still be told from one that never was, if `versions`)."""

    def destroy(self, path: str, version: int) -> bool:
        """Destroy one version for good; False where the store has no such thing."""
        return False

    def calls(self) -> int | None:
        """How many calls the store has seen, logins included, or None where they cannot be counted."""
        return None

    def credentials(self) -> Sequence[str]:
        """What `open` was configured with, and whatever it became (tokens), that nobody may see."""
        return ()

    # What is made when it is read.

    def lend(self) -> Address | None:
        """Something leased for a minute or more, whose lease can be renewed; None where nothing is."""
        return None

    def lend_once(self) -> Address | None:
        """Something whose lease cannot be renewed, or None."""
        return None

    def certify(self) -> Address | None:
        """A certificate, with parameters: nothing that has a lease; None where there are none."""
        return None

    def lent(self) -> int | None:
        """How many things were made so far, or None where they cannot be counted."""
        return None

    def works(self, secret: Secret) -> bool | None:
        """Whether what was lent out works where it is for, or None where it cannot be tried."""
        return None

    # Who may do what.

    def logins(self) -> int | None:
        """How often somebody logged in so far, or None where nobody logs in, or it cannot be counted."""
        return None

    def deny(self, path: str) -> bool:
        """Let the backend read everything below `prefix` but this; False where that cannot be arranged."""
        return False

    def open_refused(self) -> AddressedBackend | None:
        """A backend whose credentials are wrong, or None."""
        return None

    def end_sessions(self) -> bool:
        """End every login, as when it expires or is revoked; False where that cannot be."""
        return False

    # What goes wrong.

    def open_broken(self) -> AddressedBackend | None:
        """A backend whose store gives no answer, or None."""
        return None

    def nowhere(self) -> str | None:
        """A path that no secret can ever be at (no such mount), or None where every path may."""
        return None

    # Ciphertexts.

    def encrypt(self, plaintexts: Sequence[bytes]) -> tuple[str, list[str]] | None:
        """A key's path, and the ciphertexts it gives; None where the store has no such thing."""
        return None


def skip_unless(possible: bool, why: str) -> None:
    """Skip the test where it is not possible."""
    if not possible:
        pytest.skip(why)


def given(value: T | None) -> T:
    """What the harness gave, or a skipped test."""
    if value is None:
        pytest.skip("the harness has nothing for this test")
    return value


counted = given


def lease_of(secret: Secret) -> Lease:
    """The lease it must be on."""
    assert secret.lease is not None, "it must be on a lease"
    return secret.lease


def renewed_lease(backend: AddressedBackend, secret: Secret) -> Lease | None:
    """Its lease after a renewal, or None where it has none that can be renewed."""
    return backend.renew(secret.lease) if secret.lease is not None and secret.lease.renewable else None


def at_once(count: int, call: Callable[[int], T]) -> list[T]:
    """Make calls from several threads that begin together."""
    together = threading.Barrier(count)

    def one(number: int) -> T:
        together.wait(30)
        return call(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def whole_story(error: BaseException) -> str:
    """An error with all that it was made from, as a traceback would show it."""
    told = []
    one: BaseException | None = error
    while one is not None:
        told.append(f"{one!r} {one}")
        one = one.__cause__ or one.__context__
    return "\n".join(told)


def leaked(harness: AddressedHarness, text: str) -> list[str]:
    """Which secrets show in a text."""
    return [secret for secret in (*harness.credentials(), PLAIN) if secret in text]
