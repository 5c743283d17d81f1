"""A workspace whose syncs read a Vault beside a file; fixtures for tests of the whole product against it.

from stand_ins.vaulted import vault, vault_server, vaulted

    vaulted.put("db", password="…")
    vaulted.configure({"app": {"template": {"inline": "{{ vault('db').password }}"}, "to": "out/app"}})
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from confsync.testing.daemon import Workspace
from stand_ins.vault import VaultServer
from stand_ins.vault.admin import AppRoleLogin
from stand_ins.vault.fixtures import ADDRESS, Vault, vault, vault_server

__all__ = ["VaultWorkspace", "vault", "vault_server", "vaulted"]


class VaultWorkspace(Workspace):
    """Two sources: `values`, a file that holds no secrets, and `vault`, seen from its own KV mount.

    Attributes:
        kv: where that mount is.
        server: the stand-in; None where the Vault is a real one.
    """

    def __init__(self, root: Path, vault: Vault, server: VaultServer | None = None) -> None:
        super().__init__(root)
        self.vault = vault
        self.server = server
        self.admin = vault.admin
        self.kv = vault.admin.mount_kv()
        self.values({"host": "db1"})

    def put(self, path: str, **data: Any) -> int:
        """Write a secret; gives its version."""
        return self.admin.put(self.kv, path, data)

    def source(self, auth: Mapping[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """The configuration of a source for this Vault, by default with a login that may read everything."""
        return {
            "backend": "vault",
            "address": self.vault.address,
            "auth": auth or self.token(self.vault.token),
            **options,
        }

    def token(self, token: str, file: str = "token") -> dict[str, Any]:
        """`auth` for a token, which is written to a file."""
        self.replace(self.root / file, token)
        return {"method": "token", "file": file}

    def approle(
        self, policy: str = "", *, login: AppRoleLogin | None = None, **fields: Any
    ) -> dict[str, Any]:
        """`auth` for a new AppRole (its role has these fields), or for `login`.

        Args:
            policy: HCL, added to what lets it read the KV mount.
        """
        if login is None:
            read = f'path "{self.kv}/*" {{ capabilities = ["read", "list"] }}\n'
            login = self.admin.approle([self.admin.policy("app", read + policy)], **fields)
        file = f"secret-id-{login.mount}"
        self.replace(self.root / file, login.secret_id)
        return {
            "method": "approle",
            "mount": login.mount,
            "role_id": login.role_id,
            "secret_id_file": file,
        }

    def configure(
        self,
        syncs: Mapping[str, Any],
        *,
        auth: Mapping[str, Any] | None = None,
        interval: str = "1s",
        sources: Mapping[str, Any] | None = None,
        prod: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Write the configuration.

        Args:
            sources: more of them.
            prod: what the environment is for those.
            options: those of the source `vault`.
        """
        self.config(
            sources={
                "values": {"backend": "file", "path": "values.yaml", "sensitive": False},
                "vault": self.source(auth, **options),
                **(sources or {}),
            },
            environments={"prod": {"vault": self.kv, **(prod or {})}},
            defaults={"environment": "prod", "interval": interval},
            syncs=syncs,
        )

    def leases(self, path: str) -> list[str]:
        """The ids of the leases alive that came from a path, such as `database/creds/app`."""
        _, answer = self.admin.call("LIST", f"sys/leases/lookup/{path}/")
        return [f"{path}/{name}" for name in ((answer or {}).get("data") or {}).get("keys") or []]

    def renewal(self, lease: str) -> str | None:
        """When a lease was renewed last, or None."""
        answer = self.admin.must("PUT", "sys/leases/lookup", {"lease_id": lease})
        return answer["data"]["last_renewal"]  # type: ignore[no-any-return]

    def logins(self, auth: Mapping[str, Any]) -> int:
        """How many tokens are alive that this `auth` has logged in for."""
        made_at = f"auth/{auth['mount']}/login"
        accessors = self.admin.must("LIST", "auth/token/accessors")["data"]["keys"]
        found = [
            self.admin.call("POST", "auth/token/lookup-accessor", {"accessor": one}) for one in accessors
        ]
        return sum(1 for status, answer in found if status == 200 and answer["data"]["path"] == made_at)

    def age(self, name: str) -> int:
        """When the target `out/NAME` was written, as a number that any rewrite changes."""
        found = (self.out / name).stat()
        return hash((found.st_ino, found.st_mtime_ns))


def text(template: str, to: str, **more: Any) -> dict[str, Any]:
    """A sync of one inline template and one file."""
    return {"template": {"inline": template}, "to": f"out/{to}", **more}


@pytest.fixture
def vaulted(
    tmp_path: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[VaultWorkspace]:
    """A directory of its own and a mount of its own; the variables of Vault's clients reach no test."""
    for name in [name for name in os.environ if name.startswith("VAULT_")]:
        monkeypatch.delenv(name)
    server = None if os.environ.get(ADDRESS) else request.getfixturevalue("vault_server")
    workspace = VaultWorkspace(tmp_path, vault, server)
    yield workspace
    workspace.close()
