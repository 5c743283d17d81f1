"""One `apply` with many sources, each with another mistake: every sync fails by its own name and reason."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass

import pytest
from stand_ins.vault import Authority, JwtIssuer, TlsFiles, VaultAdmin, VaultServer
from stand_ins.vault.fixtures import ADDRESS, Vault
from stand_ins.vaulted import VaultWorkspace, text

from confsync.testing.ports import free_port

# Source -> what is said of its sync, and what to do about it.
SAID = {
    "address": ("127.0.0.1:", "connection refused", "is Vault running, and address right?"),
    "ca": ("its certificate is not trusted", "set ca_cert to the CA that signed it"),
    "name": ("its certificate is for another name", "set tls_server_name to a name in it"),
    "plain": ("it speaks TLS", "write https:// in address"),
    "tls": ("it does not speak TLS", "write http:// in address"),
    "role_id": ("invalid role ID", "set auth.role_id"),
    "role": ("role 'nobody'", "invalid role name", "vault list auth/"),
    "mount": ("there is no such auth method", "set auth.mount"),
    "secret_id": ("invalid secret id", "used up", "secret-id"),
    "revoked": ("not accepted: it is wrong, has ended or was revoked", "put another one in its place"),
    "expired": ("not accepted: it is wrong, has ended or was revoked", "put another one in its place"),
    "html": ("the answer is not a whole JSON object", "is address Vault's?"),
}


@dataclass
class Outcome:
    """What the second `apply` did.

    Attributes:
        errors: what it wrote on stderr.
        before: sync -> when its target was written, before the mistakes.
    """

    workspace: VaultWorkspace
    status: int
    errors: str
    before: dict[str, int]

    def line(self, sync):
        return next(line for line in self.errors.splitlines() if f"sync {sync!r}" in line)


class Mistakes:
    """As many sources as mistakes, which all work until `make`."""

    def __init__(self, root, server, secure, authority):
        admin = VaultAdmin(server.address, server.root_token)
        self.workspace = VaultWorkspace(root, Vault(server.address, server.root_token, admin))
        self.admin, self.server, self.secure = admin, server, secure
        for path in ("db", "page"):
            self.workspace.put(path, password="s3cr3t-pw")
        VaultAdmin(secure.address, secure.root_token).put("secret", "db", {"password": "s3cr3t-pw"})
        self.policy = admin.policy("read", f'path "{self.workspace.kv}/*" {{ capabilities = ["read"] }}')
        self.ca = {"address": secure.address, "ca_cert": str(authority.cert)}

    def sources(self):
        workspace, admin = self.workspace, self.admin
        self.revoked = admin.token([self.policy])
        mount, role = admin.kubernetes([self.policy], "shop", "app")
        workspace.replace(workspace.root / "jwt", JwtIssuer().service_account("shop", "app"))
        pod = {"method": "kubernetes", "mount": mount, "role": role, "token_file": "jwt"}
        trusted = workspace.token(self.secure.root_token, "secure-token")
        once = admin.approle([self.policy], secret_id_num_uses=1)
        return {
            **{name: workspace.source() for name in ("good", "address", "tls", "html")},
            **{name: workspace.source(trusted, **self.ca) for name in ("ca", "name", "plain")},
            "role_id": workspace.source(workspace.approle()),
            "mount": workspace.source(workspace.approle()),
            "role": workspace.source(pod),
            "secret_id": workspace.source(workspace.approle(login=once)),
            "revoked": workspace.source(workspace.token(self.revoked, "revoked")),
            "expired": workspace.source(workspace.token(admin.token([self.policy], ttl="1h"), "expired")),
        }

    def make(self, sources, other_ca):
        wrong = copy.deepcopy(sources)
        wrong["address"]["address"] = f"http://127.0.0.1:{free_port()}"
        wrong["ca"]["ca_cert"] = str(other_ca.cert)
        wrong["name"]["tls_server_name"] = "vault.example"
        wrong["plain"]["address"] = self.secure.address.replace("https", "http")
        wrong["tls"]["address"] = self.server.address.replace("http", "https")
        wrong["role_id"]["auth"]["role_id"] = "00000000-0000-0000-0000-000000000000"
        wrong["mount"]["auth"]["mount"] = "aprole"
        wrong["role"]["auth"]["role"] = "nobody"
        self.server.faults.no_json(path=f"{self.workspace.kv}/metadata/page", times=None)
        self.server.faults.no_json(path=f"{self.workspace.kv}/data/page", times=None)
        self.admin.must("POST", "auth/token/revoke", {"token": self.revoked})
        self.server.advance(2 * 3600)
        return wrong


def syncs(sources):
    path = {"html": "page"}
    return {name: text(f"{{{{ {name}('{path.get(name, 'db')}').password }}}}", name) for name in sources}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    if os.environ.get(ADDRESS):
        pytest.skip("needs servers it may do anything to")
    root = tmp_path_factory.mktemp("mistakes")
    authority, other = Authority(root), Authority(root, "other authority")
    identity = authority.issue("vault", "127.0.0.1")
    with VaultServer() as server, VaultServer(tls=TlsFiles(identity.cert, identity.key)) as secure:
        mistakes = Mistakes(root, server, secure, authority)
        workspace, sources = mistakes.workspace, mistakes.sources()
        prefixes = {name: "secret" if name in ("ca", "name", "plain") else workspace.kv for name in sources}
        rest = {"environments": {"prod": prefixes}, "defaults": {"environment": "prod"}}
        workspace.config(sources=sources, syncs=syncs(sources), **rest)
        first = workspace.confsync("apply")
        assert first.returncode == 0, first.stderr
        before = {name: workspace.age(name) for name in sources}

        workspace.config(sources=mistakes.make(sources, other), syncs=syncs(sources), **rest)
        second = workspace.confsync("apply")

        yield Outcome(workspace, second.returncode, second.stderr, before)
        assert not [*server.bugs, *secure.bugs]


@pytest.mark.parametrize("mistake", SAID)
def test_a_mistake_about_vault_fails_its_sync_by_name_and_says_what_to_do(outcome, mistake):
    line = outcome.line(mistake)

    for said in SAID[mistake]:
        assert said in line
    assert outcome.status == 1


def test_mistakes_about_vault_change_no_target_and_stop_nobody_else(outcome):
    assert {name: outcome.workspace.age(name) for name in outcome.before} == outcome.before
    assert {outcome.workspace.read(name) for name in outcome.before} == {"s3cr3t-pw"}
    assert "sync 'good'" not in outcome.errors
    assert "s3cr3t" not in outcome.errors
