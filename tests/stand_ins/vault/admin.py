"""Sets a Vault up for a test, a stand-in or a real one alike: over HTTP, with names no other test has."""

from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
import threading
import uuid
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import pytest

from .identities import JwtIssuer

_TIMEOUT = 30.0


class AppRoleLogin(NamedTuple):
    """What a machine logs in with; its role is named "app"."""

    mount: str
    role_id: str
    secret_id: str


class UserpassLogin(NamedTuple):
    mount: str
    username: str
    password: str


class VaultAdmin:
    """Makes mounts, policies, tokens and roles for one test, and removes them again. One thread at a time.

    Args:
        address: http:// or https://; a certificate is not checked.
        token: may do everything, as a root token.
        namespace: everything happens in this one.

    Attributes:
        unique: part of every name it makes, so that tests may share a server.
        namespace_path: what a client sends as X-Vault-Namespace; None is the root namespace.
    """

    def __init__(self, address: str, token: str, namespace: str | None = None) -> None:
        self.address = address
        self.unique = uuid.uuid4().hex[:8]
        self.namespace_path = namespace
        self._token = token
        self._versions: dict[str, int] = {}
        self._made: list[tuple[str, str, Any]] = []
        self._numbers = 0

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """One request, as admin unless the headers bring another token.

        Args:
            path: below /v1/, with or without that; may have a query.
            headers: added; an empty X-Vault-Token is left out.

        Returns:
            The status and the parsed body, which is None when there is none.
        """
        sent = {"X-Vault-Token": self._token} | (
            {"X-Vault-Namespace": self.namespace_path} if self.namespace_path else {}
        )
        sent |= headers or {}
        raw = None if body is None else json.dumps(body)
        where, mark, query = path.removeprefix("/v1/").partition("?")
        connection = self._connection()
        try:
            wanted = {name: value for name, value in sent.items() if value}
            connection.request(method, f"/v1/{quote(where)}{mark}{query}", raw, wanted)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        return response.status, json.loads(content) if content.strip() else None

    def must(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """As `call`, for what has to work: gives the body.

        Raises:
            AssertionError: the status is not 2xx; says which and why.
        """
        status, answer = self.call(method, path, body, headers)
        if not 200 <= status < 300:
            raise AssertionError(f"{method} {path} was answered {status}: {(answer or {}).get('errors')}")
        return answer

    def name(self, stem: str) -> str:
        """A name nobody else has."""
        self._numbers += 1
        return f"{stem}-{self.unique}-{self._numbers}"

    def mount(
        self, kind: str, options: dict[str, str] | None = None, config: dict[str, Any] | None = None
    ) -> str:
        """Mounts a secret engine; gives its path, without a slash."""
        path = self.name(kind)
        body = {"type": kind, "options": options or {}, "config": config or {}}
        self.must("POST", f"sys/mounts/{path}", body)
        self._made.append(("DELETE", f"sys/mounts/{path}", None))
        return path

    def mount_kv(self, version: int = 2) -> str:
        """A KV engine; gives its path once it can be used (a real version 2 takes a moment to set itself up)."""
        path = self.mount("kv", {"version": str(version)})
        self._versions[path] = version
        if version == 2:
            self._wait_for(f"{path}/config")
        return path

    def put(self, mount: str, path: str, data: dict[str, Any]) -> int:
        """Writes a secret of a mount of `mount_kv`; gives its version, 0 for KV version 1."""
        if self._versions.get(mount, 2) == 1:
            self.must("PUT", f"{mount}/{path}", data)
            return 0
        return int(self.must("PUT", f"{mount}/data/{path}", {"data": data})["data"]["version"])

    def policy(self, name: str, hcl: str) -> str:
        """Writes a policy; gives the unique name it got."""
        unique = self.name(name)
        self.must("PUT", f"sys/policies/acl/{unique}", {"policy": hcl})
        self._made.append(("DELETE", f"sys/policies/acl/{unique}", None))
        return unique

    def token(self, policies: list[str], ttl: str | int = "1h", **fields: Any) -> str:
        """A child token of the admin's."""
        auth = self.must("POST", "auth/token/create", {"policies": policies, "ttl": ttl, **fields})["auth"]
        self._made.append(("POST", "auth/token/revoke", {"token": auth["client_token"]}))
        return str(auth["client_token"])

    def login_mount(self, kind: str, config: dict[str, Any] | None = None) -> str:
        """Enables a login engine; gives its path below auth/, without slashes."""
        path = self.name(kind)
        self.must("POST", f"sys/auth/{path}", {"type": kind, "config": config or {}})
        self._made.append(("DELETE", f"sys/auth/{path}", None))
        return path

    def approle(self, policies: list[str], **fields: Any) -> AppRoleLogin:
        """A role of its own mount, and one secret id; `fields` are the role's."""
        mount = self.login_mount("approle")
        self.must("POST", f"auth/{mount}/role/app", {"token_policies": policies, **fields})
        role_id = self.must("GET", f"auth/{mount}/role/app/role-id")["data"]["role_id"]
        return AppRoleLogin(mount, role_id, self.secret_id(mount))

    def secret_id(self, mount: str, wrap_ttl: str | None = None) -> str:
        """One more secret id of an `approle`; with `wrap_ttl`, the token that opens the wrapped one."""
        headers = {"X-Vault-Wrap-TTL": wrap_ttl} if wrap_ttl else {}
        answer = self.must("POST", f"auth/{mount}/role/app/secret-id", {}, headers)
        return str(answer["wrap_info"]["token"] if wrap_ttl else answer["data"]["secret_id"])

    def userpass(self, policies: list[str], **fields: Any) -> UserpassLogin:
        """A user of its own mount; `fields` are the user's."""
        mount, password = self.login_mount("userpass"), uuid.uuid4().hex
        body = {"password": password, "token_policies": policies, **fields}
        self.must("POST", f"auth/{mount}/users/app", body)
        return UserpassLogin(mount, "app", password)

    def jwt(self, policies: list[str], issuer: JwtIssuer, **fields: Any) -> tuple[str, str]:
        """A JWT login of its own; gives mount and role.

        It believes the issuer's tokens whose `aud` is "vault", and calls their `sub` the user.
        """
        mount = self.login_mount("jwt")
        self.must("POST", f"auth/{mount}/config", {"jwt_validation_pubkeys": [issuer.public_key]})
        role = {
            "role_type": "jwt",
            "user_claim": "sub",
            "bound_audiences": ["vault"],
            "token_policies": policies,
        }
        self.must("POST", f"auth/{mount}/role/app", role | fields)
        return mount, "app"

    def kubernetes(self, policies: list[str], namespace: str, name: str, **fields: Any) -> tuple[str, str]:
        """A Kubernetes login of its own, for one service account; gives mount and role.

        Only the stand-in lets anybody in who has no cluster.
        """
        mount = self.login_mount("kubernetes")
        self.must("POST", f"auth/{mount}/config", {"kubernetes_host": "https://127.0.0.1:6443"})
        role = {
            "bound_service_account_names": name,
            "bound_service_account_namespaces": namespace,
            "token_policies": policies,
        }
        self.must("POST", f"auth/{mount}/role/app", role | fields)
        return mount, "app"

    def cert(self, policies: list[str], authority: Path, **fields: Any) -> tuple[str, str]:
        """A certificate login of its own, for all whom this PEM file vouches for; gives mount and name."""
        mount = self.login_mount("cert")
        body = {"certificate": authority.read_text(), "token_policies": policies, **fields}
        self.must("POST", f"auth/{mount}/certs/app", body)
        return mount, "app"

    def ldap(self, policies: list[str], **fields: Any) -> str:
        """An LDAP login of its own; gives the mount. VaultServer.directory_user says who is known."""
        mount = self.login_mount("ldap")
        body = {"url": "ldap://127.0.0.1", "token_policies": policies, **fields}
        self.must("POST", f"auth/{mount}/config", body)
        return mount

    def namespace(self, stem: str) -> VaultAdmin:
        """An admin of a new namespace of its own; skips the test where there are none (Vault's free edition)."""
        name = self.name(stem)
        status, _ = self.call("POST", f"sys/namespaces/{name}", {})
        if status == 404:
            pytest.skip(f"the Vault at {self.address} has no namespaces")
        self._made.append(("DELETE", f"sys/namespaces/{name}", None))
        return VaultAdmin(
            self.address, self._token, f"{self.namespace_path}/{name}" if self.namespace_path else name
        )

    def database(self, default_ttl: str, max_ttl: str) -> tuple[str, str]:
        """A database engine of its own; gives mount and role. Credentials come from `<mount>/creds/<role>`.

        A real Vault needs a PostgreSQL it can reach: CONFSYNC_TEST_POSTGRES_URL, …_USER and …_PASSWORD name it.
        The test is skipped when it cannot.
        """
        mount = self.mount("database")
        user = os.environ.get("CONFSYNC_TEST_POSTGRES_USER", "vaultadmin")
        url = "postgresql://{{username}}:{{password}}@127.0.0.1:5432/postgres?sslmode=disable"
        config = {
            "plugin_name": "postgresql-database-plugin",
            "allowed_roles": "*",
            "connection_url": os.environ.get("CONFSYNC_TEST_POSTGRES_URL", url),
            "username": user,
            "password": os.environ.get("CONFSYNC_TEST_POSTGRES_PASSWORD", "vaultadmin"),
        }
        status, answer = self.call("POST", f"{mount}/config/pg", config)
        if status not in (200, 204):
            pytest.skip(f"the Vault at {self.address} reaches no PostgreSQL: {(answer or {}).get('errors')}")
        self.database_role(mount, "app", default_ttl, max_ttl)
        return mount, "app"

    def database_role(self, mount: str, role: str, default_ttl: str, max_ttl: str) -> None:
        """One more role of a `database`, or another life for one there is."""
        create = "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';"
        body = {
            "db_name": "pg",
            "creation_statements": [create],
            "default_ttl": default_ttl,
            "max_ttl": max_ttl,
        }
        self.must("POST", f"{mount}/roles/{role}", body)

    def pki(self, domain: str, **fields: Any) -> tuple[str, str]:
        """A certificate authority of its own; gives mount and role. `fields` are the role's.

        The role issues for the domain and all below it, for 72 h at most, with a lease.
        """
        mount = self.mount("pki", config={"max_lease_ttl": "87600h"})
        root = {"common_name": domain, "ttl": "1000h", "key_type": "ec", "key_bits": 256}
        self.must("POST", f"{mount}/root/generate/internal", root)
        role = {
            "allowed_domains": domain,
            "allow_subdomains": True,
            "allow_bare_domains": True,
            "key_type": "ec",
            "key_bits": 256,
            "max_ttl": "72h",
            "generate_lease": True,
        }
        self.must("POST", f"{mount}/roles/web", role | fields)
        return mount, "web"

    def transit(self, key: str, **fields: Any) -> str:
        """A transit engine of its own with one key; gives the mount."""
        mount = self.mount("transit")
        self.must("POST", f"{mount}/keys/{key}", fields)
        return mount

    def encrypt(self, mount: str, key: str, plaintext: str | bytes) -> str:
        """The ciphertext, as `vault:v1:…`."""
        raw = plaintext.encode() if isinstance(plaintext, str) else plaintext
        body = {"plaintext": base64.b64encode(raw).decode()}
        return str(self.must("POST", f"{mount}/encrypt/{key}", body)["data"]["ciphertext"])

    def clean_up(self) -> None:
        """Removes what it made, the newest first; what is gone already, or a server that is, is no error."""
        while self._made:
            method, path, body = self._made.pop()
            try:
                self.call(method, path, body)
            except (OSError, http.client.HTTPException):
                return

    def _wait_for(self, path: str) -> None:
        pause = threading.Event()
        for _ in range(200):
            if self.call("GET", path)[0] == 200:
                return
            pause.wait(0.05)
        self.must("GET", path)

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.address)
        if parts.scheme == "http":
            return http.client.HTTPConnection(parts.netloc, timeout=_TIMEOUT)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return http.client.HTTPSConnection(parts.netloc, timeout=_TIMEOUT, context=context)
