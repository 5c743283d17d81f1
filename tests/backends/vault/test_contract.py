"""Vault keeps the contract of addressed backends: with key-value secrets of both versions, and all it lends out."""

from __future__ import annotations

import os

import pytest
from stand_ins.vault.fixtures import ADDRESS

from confsync.driver import Address
from confsync.testing.contract_addressed import AddressedContract, AddressedHarness
from confsync.testing.ports import free_port
from confsync_backends.vault import VaultBackend, VaultOptions


class VaultHarness(AddressedHarness):
    """A mount of its own and a role whose policy grants what the tests use; `server` is None where Vault is real."""

    def __init__(self, vault, server, directory, version):
        self.admin = vault.admin
        self.mount = vault.admin.mount_kv(version=version)
        self.prefix = f"{self.mount}/contract"
        self._address = vault.address
        self._server = server
        self._directory = directory
        self._version = version
        self._rules = [
            'path "sys/leases/renew" { capabilities = ["update"] }',
            'path "sys/leases/revoke" { capabilities = ["update"] }',
            f'path "{self.mount}/*" {{ capabilities = ["read", "list"] }}',
        ]
        self._policy = vault.admin.policy("contract", "\n".join(self._rules))
        self._role = vault.admin.approle([self._policy])
        (directory / "right").write_text(self._role.secret_id)
        (directory / "wrong").write_text("00000000-0000-0000-0000-000000000000")

    def open(self):
        return self._open(self._address, "right")

    def put(self, path, data):
        below = path.removeprefix(f"{self.mount}/")
        self.admin.put(self.mount, below, dict(data))

    def delete(self, path):
        below = path.removeprefix(f"{self.mount}/")
        self.admin.must("DELETE", f"{self.mount}/data/{below}" if self._version == 2 else path)

    def calls(self):
        return None if self._server is None else len(self._server.requests)

    def credentials(self):
        return [self._role.secret_id]

    def logins(self):
        return None if self._server is None else self._server.count("POST", f"auth/{self._role.mount}/login")

    def deny(self, path):
        below = path.removeprefix(f"{self.mount}/")
        full = f"{self.mount}/data/{below}" if self._version == 2 else path
        self._grant(f'path "{full}" {{ capabilities = ["deny"] }}')
        return True

    def open_refused(self):
        return self._open(self._address, "wrong")

    def end_sessions(self):
        """Finds the tokens by where they came from, as an operator would."""
        for accessor in self.admin.must("LIST", "auth/token/accessors")["data"]["keys"]:
            status, told = self.admin.call("POST", "auth/token/lookup-accessor", {"accessor": accessor})
            if status == 200 and told["data"]["path"] == f"auth/{self._role.mount}/login":
                self.admin.must("POST", "auth/token/revoke-accessor", {"accessor": accessor})
        return True

    def open_broken(self):
        return self._open(f"http://127.0.0.1:{free_port()}", "right")

    def nowhere(self):
        return f"{self.mount}/.."

    def _open(self, address, secret_id_file):
        auth = {
            "method": "approle",
            "mount": self._role.mount,
            "role_id": self._role.role_id,
            "secret_id_file": secret_id_file,
        }
        return VaultBackend.open(VaultOptions(address=address, auth=auth), self._directory)

    def _grant(self, rule):
        self._rules.append(rule)
        self.admin.must("PUT", f"sys/policies/acl/{self._policy}", {"policy": "\n".join(self._rules)})


class LendingHarness(VaultHarness):
    """With version 2, and databases, certificates and ciphertexts beside it."""

    def destroy(self, path, version):
        below = path.removeprefix(f"{self.mount}/")
        self.admin.must("POST", f"{self.mount}/destroy/{below}", {"versions": [version]})
        return True

    def lend(self):
        mount, role = self.admin.database("60s", "300s")
        self._grant(f'path "{mount}/creds/*" {{ capabilities = ["read"] }}')
        return Address(f"{mount}/creds/{role}")

    def lend_once(self):
        return self._certificate(generate_lease=True)

    def certify(self):
        return self._certificate(generate_lease=False)

    def lent(self):
        return None if self._server is None else len(self._server.leases())

    def works(self, secret):
        return None if self._server is None else self._server.credential_alive(secret.data["username"])

    def encrypt(self, plaintexts):
        mount = self.admin.transit("app")
        self._grant(f'path "{mount}/decrypt/app" {{ capabilities = ["update"] }}')
        return f"{mount}/app", [self.admin.encrypt(mount, "app", plaintext) for plaintext in plaintexts]

    def _certificate(self, **fields):
        mount, role = self.admin.pki("contract.test", **fields)
        self._grant(f'path "{mount}/issue/*" {{ capabilities = ["update"] }}')
        return Address(f"{mount}/issue/{role}", (("common_name", "a.contract.test"), ("ttl", "1h")))


class UnversionedHarness(VaultHarness):
    versions = False
    cheap = False


@pytest.fixture
def server(request):
    """The stand-in, or None where `vault` is a real one."""
    return None if os.environ.get(ADDRESS) else request.getfixturevalue("vault_server")


class TestVersioned(AddressedContract):
    @pytest.fixture
    def harness(self, vault, server, tmp_path):
        return LendingHarness(vault, server, tmp_path, 2)


class TestUnversioned(AddressedContract):
    @pytest.fixture
    def harness(self, vault, server, tmp_path):
        return UnversionedHarness(vault, server, tmp_path, 1)
