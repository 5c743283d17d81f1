"""A Vault with a secret to read, sessions at it, and a clock for both that the tests move."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from stand_ins.vault import VaultServer
from stand_ins.vault.fixtures import Vault

from confsync.testing.waiting import eventually
from confsync_backends.vault.calls import Calls
from confsync_backends.vault.options import VaultOptions
from confsync_backends.vault.session import Session


class Times:
    """The session's clock. Time passes for Vault as well: at once for the stand-in, for real at a real one.

    With the stand-in it passes only when a test says so: no login ends because the machine is slow.

    Args:
        vault: tells its time, where it is a real one.
        server: the stand-in, if it is one.
    """

    def __init__(self, vault: Vault, server: VaultServer | None) -> None:
        self._vault = vault
        self._server = server
        self._ahead = 0.0
        self._stands_at: tuple[float, float] | None = None
        if server is not None:
            server.clock.stop()
            self._stands_at = time.time(), time.monotonic()

    def now(self) -> float:
        return (self._stands_at[0] if self._stands_at else time.time()) + self._ahead

    def monotonic(self) -> float:
        return (self._stands_at[1] if self._stands_at else time.monotonic()) + self._ahead

    def advance(self, seconds: float) -> None:
        if self._server is None:
            until = self._told_by_vault() + seconds + 1  # it tells whole seconds
            eventually(lambda: self._told_by_vault() >= until, within=seconds + 10)
            return
        self._ahead += seconds
        self._server.advance(seconds)

    def _told_by_vault(self) -> float:
        return float(self._vault.admin.must("GET", "sys/health")["server_time_utc"])

    def advance_here(self, seconds: float) -> None:
        """Only the session's clock: it reckons that what it holds has come nearer to its end."""
        self._ahead += seconds


@dataclass(frozen=True)
class Shelf:
    """A secret at `path`, and a policy that lets it be read and its folder listed, but nothing else."""

    mount: str
    path: str
    policy: str


@pytest.fixture(autouse=True)
def _no_vault_of_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("VAULT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def times(request: pytest.FixtureRequest, vault: Vault) -> Times:
    real = bool(os.environ.get("CONFSYNC_TEST_VAULT_ADDR"))
    return Times(vault, None if real else request.getfixturevalue("vault_server"))


@pytest.fixture
def shelf(vault: Vault) -> Shelf:
    mount = vault.admin.mount_kv()
    vault.admin.put(mount, "db", {"password": "correct horse"})
    rules = f'path "{mount}/data/db" {{ capabilities = ["read"] }}\n'
    return Shelf(mount, f"{mount}/data/db", vault.admin.policy("reader", rules))


@pytest.fixture
def open_session(vault: Vault, times: Times, tmp_path: Path) -> Iterator[Callable[..., Session]]:
    """Makes a session from what a user writes under `auth`; other options by name."""
    opened: list[Calls] = []

    def make(auth: dict[str, Any], **options: Any) -> Session:
        chosen = VaultOptions.model_validate({"address": vault.address, "auth": auth, **options})
        calls = Calls(chosen, tmp_path)
        opened.append(calls)
        return Session(calls, chosen, tmp_path, times)

    yield make
    for calls in opened:
        calls.close()


@pytest.fixture
def approle(vault: Vault, shelf: Shelf, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Makes a role that may read the shelf; gives what a user writes to log in as it. `fields` are the role's."""

    def make(**fields: Any) -> dict[str, Any]:
        login = vault.admin.approle([shelf.policy], **fields)
        kept = tmp_path / f"secret-id-{login.mount}"
        kept.write_text(login.secret_id + "\n")
        return {
            "method": "approle",
            "mount": login.mount,
            "role_id": login.role_id,
            "secret_id_file": str(kept),
        }

    return make


@pytest.fixture
def read(shelf: Shelf) -> Callable[[Session], int]:
    """Reads the shelf's secret, and gives the number of the session it was read in."""

    def once(session: Session) -> int:
        reply, number = session.call("GET", shelf.path, doing=f"reading {shelf.path}")
        assert reply.data is not None
        assert reply.data["data"] == {"password": "correct horse"}
        return number

    return once
