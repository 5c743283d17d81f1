"""Fixtures for tests that need a Vault; a conftest has them by importing them by name.

from stand_ins.vault.fixtures import vault, vault_server
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from .admin import VaultAdmin
from .server import VaultServer

ADDRESS, TOKEN = "CONFSYNC_TEST_VAULT_ADDR", "CONFSYNC_TEST_VAULT_TOKEN"


@dataclass(frozen=True)
class Vault:
    """A Vault a test may use: the stand-in, or the real one that CONFSYNC_TEST_VAULT_ADDR names.

    Attributes:
        token: may do everything.
        admin: sets things up for this test alone, and removes them after it.
    """

    address: str
    token: str
    admin: VaultAdmin


@pytest.fixture
def vault_server() -> Iterator[VaultServer]:
    """The stand-in, for tests of faults and of time; skipped when the tests run against a real Vault."""
    if os.environ.get(ADDRESS):
        pytest.skip(f"{ADDRESS} is set, and a real Vault can neither be made to fail nor its clock be moved")
    with VaultServer() as server:
        yield server
    assert not server.bugs, f"the stand-in for Vault failed: {server.bugs!r}"


@pytest.fixture
def vault(request: pytest.FixtureRequest) -> Iterator[Vault]:
    """The real Vault when there is one, else the stand-in; the same server as `vault_server` gives."""
    address = os.environ.get(ADDRESS)
    if not address:
        server: VaultServer = request.getfixturevalue("vault_server")
        yield Vault(server.address, server.root_token, VaultAdmin(server.address, server.root_token))
        return  # with the server goes all that was made
    admin = VaultAdmin(address, os.environ[TOKEN])
    yield Vault(address, os.environ[TOKEN], admin)
    admin.clean_up()
