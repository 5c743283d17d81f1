"""The memory store of secrets keeps the contract, counted calls and logins included."""

from __future__ import annotations

import pytest

from confsync.driver import Address
from confsync.errors import Denied, Unavailable
from confsync.testing.contract_addressed import AddressedContract, AddressedHarness
from confsync.testing.memory_secrets import MemorySecretsBackend, SecretStore

KEY = "transit/app"


class MemoryHarness(AddressedHarness):
    def __init__(self):
        self.store = SecretStore()

    def open(self):
        return MemorySecretsBackend(self.store)

    def put(self, path, data):
        self.store.put(path, data)

    def delete(self, path):
        self.store.delete(path)

    def destroy(self, path, version):
        self.store.destroy(path, version)
        return True

    def calls(self):
        return len(self.store.calls)

    def credentials(self):
        return ["-b64d0e"]

    def lend(self):
        self.store.lends("database/creds/app", duration=60, max_ttl=300)
        return Address("database/creds/app")

    def lend_once(self):
        self.store.lends("database/creds/once", duration=60, renewable=False)
        return Address("database/creds/once")

    def certify(self):
        self.store.certifies("pki/issue/web", duration=60)
        return Address("pki/issue/web", (("common_name", "a.test"),))

    def lent(self):
        return len(self.store.lent)

    def works(self, secret):
        return self.store.is_alive(secret.data["username"])

    def logins(self):
        return self.store.logins

    def deny(self, path):
        self.store.deny(path)
        return True

    def open_refused(self):
        store = SecretStore()
        store.fail_with(Denied("memory: the login is refused"), kind="login")
        return MemorySecretsBackend(store)

    def end_sessions(self):
        self.store.end_sessions()
        return True

    def open_broken(self):
        store = SecretStore()
        error = Unavailable("the store is down")
        error.__cause__ = OSError("refused")
        store.fail_with(error)
        return MemorySecretsBackend(store)

    def encrypt(self, plaintexts):
        return KEY, [self.store.encrypt(KEY, plaintext) for plaintext in plaintexts]


class TestMemorySecrets(AddressedContract):
    @pytest.fixture
    def harness(self):
        return MemoryHarness()
