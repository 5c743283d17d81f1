"""docs/vault.md, followed word for word with a real etcd, and with a real Vault where there is one.

Only places differ from the page: addresses, ports, the administrator's token, and the names of mounts and policies.
Those are as long as the page's: tests may share a Vault.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from docs.pages import a_shell, blocks_of, follow, with_own_etcd
from stand_ins.vault import VaultAdmin, VaultServer
from stand_ins.vault.fixtures import Vault, vault, vault_server

from confsync.clock import SystemClock
from confsync.driver import Address
from confsync.errors import SourceError
from confsync.testing.etcd import free_port
from confsync.testing.waiting import eventually

__all__ = ["vault", "vault_server"]

PAGE = (Path(__file__).parents[2] / "docs/vault.md").read_text(encoding="utf-8")
SKIPPED = ("vault server -dev", "kill $vault\n")
"""Blocks that start and stop the server, which runs already."""


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


@dataclass(frozen=True)
class Places:
    """Where on a Vault, which others may use as well, everything of the page is."""

    names: dict[str, str]

    @classmethod
    def for_the_page(cls, vault: Vault) -> Places:
        unique = vault.admin.unique
        mounts = {kind: unique[:2] + kind[2:] for kind in ("secret", "transit", "database", "pki")}
        return cls({**mounts, "approle": f"approle-{unique}", "shop": f"shop-{unique}"})

    def of(self, text: str) -> str:
        """Text of the page, put where this is."""
        for kind in ("secret", "transit", "database", "pki"):
            text = re.sub(rf"(?<![\w-]){kind}/(?=\w)", f"{self.names[kind]}/", text)
            text = re.sub(rf"(?<=sys/mounts/){kind}\b", self.names[kind], text)
        text = text.replace("auth/approle", f"auth/{self.names['approle']}")
        text = text.replace("method: approle,", f"method: approle, mount: {self.names['approle']},")
        text = text.replace("sys/policies/acl/shop", f"sys/policies/acl/{self.names['shop']}")
        return text.replace('"token_policies": ["shop"]', f'"token_policies": ["{self.names["shop"]}"]')

    def clear(self, vault: Vault) -> None:
        for kind in ("secret", "transit", "database", "pki"):
            vault.admin.call("DELETE", f"sys/mounts/{self.names[kind]}")
        vault.admin.call("DELETE", f"sys/auth/{self.names['approle']}")
        vault.admin.call("DELETE", f"sys/policies/acl/{self.names['shop']}")


@pytest.fixture
def places(vault: Vault) -> Iterator[Places]:
    """A key-value engine where the page has the development server's; the rest the page makes."""
    places = Places.for_the_page(vault)
    mount = places.names["secret"]
    vault.admin.must("POST", f"sys/mounts/{mount}", {"type": "kv", "options": {"version": "2"}})
    eventually(lambda: vault.admin.call("GET", f"{mount}/config")[0] == 200)
    yield places
    places.clear(vault)


# From nothing to etcd and Vault in one file


@pytest.mark.timeout(300)
def test_the_page_works_word_for_word(vault: Vault, places: Places, tmp_path: Path) -> None:
    page = with_own_etcd(places.of(PAGE))
    page = page.replace("http://127.0.0.1:8200", vault.address)
    page = page.replace("VAULT_TOKEN=root", f"VAULT_TOKEN={vault.token}")
    found = blocks_of(page)
    steps = [block for block in found if not block.commands.startswith(SKIPPED)]
    assert len(found) - len(steps) == len(SKIPPED)

    with a_shell(tmp_path, "curl", "etcdctl") as shell:
        follow(shell, steps, tmp_path)


def test_every_step_the_manual_promises_is_on_the_page() -> None:
    commands = "\n".join(block.commands for block in blocks_of(PAGE))
    for step in ("sys/policies/acl", "X-Vault-Wrap-TTL", "confsync plan", "confsync apply", "confsync explain",
                 "confsync run", '{{ etcd("db/host") }}', '{{ vault("db").password }}', "vault.decrypt("):  # fmt: skip
        assert step in commands


# How paths are spelled

ROWS = re.findall(r"^\| `(.+?)` \| `(.+?)` \|", section("Paths"), re.MULTILINE)


@pytest.fixture
def apply(tmp_path: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Applies a configuration with a source called vault; gives what was said where that failed."""
    monkeypatch.setenv("VAULT_TOKEN", vault.token)

    def apply(syncs: dict[str, Any], *, prefix: str = "", **source: Any) -> str:
        config = {
            "sources": {"vault": {"backend": "vault", "address": vault.address, **source}},
            "environments": {"prod": {"vault": prefix}},
            "defaults": {"environment": "prod"},
            "state_dir": "state",
            "syncs": syncs,
        }
        (tmp_path / "confsync.yaml").write_text(yaml.safe_dump(config))
        command = [sys.executable, "-m", "confsync", "apply"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        return done.stderr if done.returncode else ""

    return apply


def inline(template: str, to: str) -> dict[str, Any]:
    return {"template": {"inline": template}, "to": to}


def test_each_spelling_of_a_path_gives_what_the_page_says(
    vault: Vault, places: Places, apply: Callable[..., str], tmp_path: Path
) -> None:
    assert len(ROWS) > 10
    mount = places.names["secret"]
    vault.admin.put(mount, "prod/shop/db", {"password": "s3cr3t-pw"})
    vault.admin.put(
        mount, "prod/shop/db", {"password": "another-pw", "port": 5432, "api-key": "k-123456", "items": 12}
    )
    vault.admin.put(mount, "prod/shop/tenants/north", {"quota": 5})
    vault.admin.put(mount, "common/smtp", {"host": "smtp1.example.com"})
    rows = [(places.of(expression), gives) for expression, gives in ROWS]

    syncs = {f"s{n}": inline(f"{{{{ {expression} }}}}", f"s{n}") for n, (expression, _) in enumerate(rows)}
    said = apply(syncs, prefix=f"{mount}/prod/shop")

    assert said == ""
    for n, (expression, gives) in enumerate(rows):
        assert (tmp_path / f"s{n}").read_text() == gives, expression


# What a policy must allow

RULES = re.findall(
    r"^path (\S+)\s*\{ capabilities = \[(.*?)\] \}", section("What a policy must allow"), re.MULTILINE
)
CAPABILITIES = [(path.strip('"'), one.strip(' "')) for path, granted in RULES for one in granted.split(",")]


def hcl(capabilities: list[tuple[str, str]]) -> str:
    granted: dict[str, list[str]] = {}
    for path, one in capabilities:
        granted.setdefault(path, []).append(f'"{one}"')
    return "\n".join(
        f'path "{path}" {{ capabilities = [{", ".join(all_)}] }}' for path, all_ in granted.items()
    )


class Later(SystemClock):
    """A clock that is moved by hand: to a login it seems that its time comes nearer to its end."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@dataclass
class World:
    """What the policy of the page is about, and a backend.

    Attributes:
        places: where on this Vault.
        auth: how to log in with some of the policy's capabilities, and without those of Vault's policy `default`.
        clock: the backend's.
        backend: logs in so.
    """

    vault: Vault
    places: Places
    auth: dict[str, Any]
    clock: Later
    backend: Any

    def address(self, path: str, **parameters: str) -> Address:
        return Address(self.places.of(path), tuple(sorted(parameters.items())))

    def exported(self) -> Any:
        """What a later process would be told of the login."""
        return json.loads(self.backend.export_session())

    # One for each capability: whether what it is for works.

    def reads_a_secret(self) -> bool:
        return self.backend.fetch(self.address("secret/prod/shop/db")).data is not None

    def looks_for_changes_without_reading(self) -> bool:
        return not self.backend.changed(
            self.address("secret/prod/shop/db"), self.backend.fetch(self.address("secret/prod/shop/db"))
        )

    def lists(self) -> bool:
        return self.backend.names(self.places.of("secret/prod/shop")) == ("db",)

    def decrypts(self) -> bool:
        mount = self.places.names["transit"]
        ciphertext = self.vault.admin.encrypt(mount, "shop", "k-123456")
        return self.backend.decrypt(f"{mount}/shop", [ciphertext]) == [b"k-123456"]

    def gets_a_credential(self) -> bool:
        return "username" in self.backend.fetch(self.address("database/creds/shop")).data

    def gets_a_certificate(self) -> bool:
        address = self.address("pki/issue/web", common_name="shop.example.com")
        return "private_key" in self.backend.fetch(address).data

    def knows_how_long_a_token_lives(self) -> bool:
        self.reads_a_secret()
        return bool(self.exported()["ttl"] > 0)

    def keeps_its_login(self) -> bool:
        self.reads_a_secret()
        for _ in range(3):
            self.clock.ahead += self.backend.tend() or 0.0
        return bool(self.backend.session == 1)

    def ends_its_login(self) -> bool:
        self.reads_a_secret()
        token = self.exported()["token"]
        self.backend.end_session()
        return self.vault.admin.call("POST", "auth/token/lookup", {"token": token})[0] != 200

    def renews_a_lease(self) -> bool:
        lease = self.backend.fetch(self.address("database/creds/shop")).lease
        return bool(self.backend.renew(lease).id == lease.id)

    def revokes_a_lease(self) -> bool:
        lease = self.backend.fetch(self.address("database/creds/shop")).lease
        self.backend.revoke(lease)
        return self.vault.admin.call("PUT", "sys/leases/lookup", {"lease_id": lease.id})[0] != 200


PURPOSES: dict[tuple[str, str], Callable[[World], bool]] = {
    ("secret/data/prod/shop/*", "read"): World.reads_a_secret,
    ("secret/metadata/prod/shop/*", "read"): World.looks_for_changes_without_reading,
    ("secret/metadata/prod/shop/*", "list"): World.lists,
    ("transit/decrypt/shop", "update"): World.decrypts,
    ("database/creds/shop", "read"): World.gets_a_credential,
    ("pki/issue/web", "update"): World.gets_a_certificate,
    ("auth/token/lookup-self", "read"): World.knows_how_long_a_token_lives,
    ("auth/token/renew-self", "update"): World.keeps_its_login,
    ("auth/token/revoke-self", "update"): World.ends_its_login,
    ("sys/leases/renew", "update"): World.renews_a_lease,
    ("sys/leases/revoke", "update"): World.revokes_a_lease,
}
NEEDS = {
    "transit/decrypt/shop": "transit",
    "database/creds/shop": "database",
    "pki/issue/web": "pki",
    "sys/leases/renew": "database",
    "sys/leases/revoke": "database",
    "auth/token/lookup-self": "token",
}
"""What else must be there; `token`: the login is by a token that was made before."""


class Worlds:
    """Makes worlds of one Vault; engines are made when a world first needs them."""

    def __init__(self, vault: Vault, directory: Path) -> None:
        self._vault = vault
        self._directory = directory
        self._places = Places({kind: kind for kind in ("transit", "database", "pki", "approle", "shop")})
        self._places.names["secret"] = vault.admin.mount_kv()
        self._backends: list[Any] = []
        vault.admin.put(self._places.names["secret"], "prod/shop/db", {"password": "s3cr3t-pw"})

    def __call__(self, needs: str | None, capabilities: list[tuple[str, str]]) -> World:
        """A world with what is needed besides secrets, and a login with these capabilities and no others."""
        from confsync_backends.vault.backend import VaultBackend
        from confsync_backends.vault.calls import Calls
        from confsync_backends.vault.options import VaultOptions
        from confsync_backends.vault.session import Session

        self._set_up(needs)
        policy = self._vault.admin.policy("shop", self._places.of(hcl(capabilities)))
        auth = self._given_token(policy) if needs == "token" else self._approle(policy)
        options = VaultOptions.model_validate({"address": self._vault.address, "auth": auth})
        calls, clock = Calls(options, self._directory), Later()
        session = Session(calls, options, self._directory, clock)
        self._backends.append(VaultBackend(options, calls, session, clock))
        return World(self._vault, self._places, auth, clock, self._backends[-1])

    def close(self) -> None:
        for backend in self._backends:
            backend.close()

    def _set_up(self, needs: str | None) -> None:
        admin, names = self._vault.admin, self._places.names
        if names.get(str(needs)) != needs:
            return
        if needs == "transit":
            names["transit"] = admin.transit("shop")
        if needs == "pki":
            names["pki"], _ = admin.pki("example.com")
        if needs == "database":
            names["database"], _ = admin.database("1h", "24h")
            admin.database_role(names["database"], "shop", "1h", "24h")

    def _approle(self, policy: str) -> dict[str, Any]:
        login = self._vault.admin.approle([policy], token_ttl="1h", token_no_default_policy=True)
        secret_id = self._kept(login.secret_id)
        return {
            "method": "approle",
            "mount": login.mount,
            "role_id": login.role_id,
            "secret_id_file": secret_id,
        }

    def _given_token(self, policy: str) -> dict[str, Any]:
        token = self._vault.admin.token([policy], no_default_policy=True)
        return {"method": "token", "file": self._kept(token)}

    def _kept(self, secret: str) -> str:
        path = self._directory / self._vault.admin.name("kept")
        path.write_text(secret)
        return str(path)


@pytest.fixture
def world(vault: Vault, tmp_path: Path) -> Iterator[Worlds]:
    worlds = Worlds(vault, tmp_path)
    yield worlds
    worlds.close()


def works(purpose: Callable[[World], bool], world: World) -> bool:
    try:
        return purpose(world)
    except SourceError:
        return False


def test_the_purpose_of_every_capability_is_known() -> None:
    assert set(CAPABILITIES) == set(PURPOSES)
    assert len(CAPABILITIES) == len(PURPOSES)


@pytest.mark.parametrize("capability", PURPOSES, ids=lambda found: f"{found[1]} {found[0]}")
def test_no_capability_of_the_policy_is_missing_or_too_many(
    capability: tuple[str, str], world: Worlds
) -> None:
    purpose, needs = PURPOSES[capability], NEEDS.get(capability[0])

    assert works(purpose, world(needs, CAPABILITIES))
    assert not works(purpose, world(needs, [one for one in CAPABILITIES if one != capability]))


def test_the_policy_of_the_walk_is_part_of_it() -> None:
    written = PAGE.partition("cat >shop.hcl <<'EOT'\n")[2].partition("EOT\n")[0]
    found = re.findall(r'^path (\S+) \{ capabilities = \["(\w+)"\] \}$', written, re.MULTILINE)
    assert len(found) == 3
    assert {(path.strip('"'), one) for path, one in found} < set(CAPABILITIES)


def test_a_configuration_with_all_of_the_page_needs_nothing_else(
    vault: Vault, world: Worlds, apply: Callable[..., str], tmp_path: Path
) -> None:
    for needs in ("transit", "pki", "database"):
        made = world(needs, CAPABILITIES)
    ciphertext = vault.admin.encrypt(made.places.names["transit"], "shop", "k-123456")
    shown = yaml.safe_load(re.search(r"```yaml\n(.*?)```", section("Leases"), re.DOTALL)[1])  # type: ignore[index]
    syncs = yaml.safe_load(made.places.of(yaml.safe_dump(shown["syncs"])))
    for name, sync in syncs.items():
        sync |= {
            "to": {kind: {"path": name} for kind in sync["to"]} if isinstance(sync["to"], dict) else name
        }
        del sync["reload"]
    syncs["kv"] = inline(
        f"{{{{ vault('db').password }}}} {{{{ vault.list('/{made.places.names['secret']}/prod/shop') }}}} "
        f"{{{{ vault.metadata('db').current_version }}}} "
        f"{{{{ vault.decrypt('{made.places.names['transit']}/shop', '{ciphertext}') }}}}",
        "kv",
    )

    said = apply(syncs, prefix=f"{made.places.names['secret']}/prod/shop", auth=made.auth, revoke="always")

    assert said == ""
    assert (tmp_path / "kv").read_text() == "s3cr3t-pw ['db'] 1 k-123456"
    assert (tmp_path / "tls/tls.key").read_text().startswith("-----BEGIN")


# What messages say

MESSAGES = [
    message
    for row in section("What messages say, and what to do").splitlines()
    for message in re.findall(r"`(.+?)`", re.split(r" (?:\(newer|\| )", row.removeprefix("| "))[0])
]
SEEN_ELSEWHERE = {
    "the secret-id in … is wrapped and opens once": "tests/backends/vault/session/test_wrapping.py",
    "all … connections are busy, none became free within …": "tests/backends/vault/test_calls.py",
    "its host name is not known": "nowhere: it needs a name server",
    "its certificate is not trusted": "tests/faults/test_vault_mistakes.py",
    "its certificate is for another name": "tests/faults/test_vault_mistakes.py",
    "its lease ends at …": "tests/source/test_addressed_leases.py",
    "the login cannot be renewed": "tests/source/test_addressed_leases.py",
}
"""What needs a name server, another certificate, or time."""


def failing(server: VaultServer, admin: VaultAdmin, directory: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sources and syncs, each with a mistake of its own."""
    admin.put("secret", "db", {"password": "s3cr3t-pw"})
    for name, gone in (("deleted", "delete"), ("destroyed", "destroy")):
        admin.put("secret", name, {"a": "b"})
        admin.must("PUT", f"secret/{gone}/{name}", {"versions": [1]})
    transit, other = admin.transit("shop"), admin.transit("shop")
    approle = admin.approle(["default"])
    files = {
        "bad": "hvs.none",
        "few": admin.token([admin.policy("few", 'path "secret/data/x" { capabilities = ["read"] }')]),
        "wrong-id": "wrong",
        "secret-id": approle.secret_id,
        "spent": admin.secret_id(approle.mount, "60s"),
        "planted": admin.must("POST", "sys/wrapping/wrap", {"a": "b"}, {"X-Vault-Wrap-TTL": "60s"})[
            "wrap_info"
        ]["token"],
    }
    admin.must("POST", "sys/wrapping/unwrap", {}, {"X-Vault-Token": files["spent"]})
    for name, content in files.items():
        (directory / name).write_text(content)

    def role(**auth: str) -> dict[str, Any]:
        return {"auth": {"method": "approle", "mount": approle.mount, "role_id": approle.role_id, **auth}}

    sources = {
        "vault": {},
        "tokenless": {"auth": {"method": "token", "file": "nowhere"}},
        "bad": {"auth": {"method": "token", "file": "bad"}},
        "few": {"auth": {"method": "token", "file": "few"}},
        "mistaken": {"mounts": {"secret": {"type": "kv", "version": 1}}},
        "nobody": role(role_id="nobody", secret_id_file="secret-id"),
        "wrong": role(secret_id_file="wrong-id"),
        "spent": role(wrapped_secret_id_file="spent"),
        "planted": role(wrapped_secret_id_file="planted"),
        "nowhere": role(mount="nowhere", secret_id_file="secret-id"),
        "away": {"address": f"http://127.0.0.1:{free_port()}"},
        "plain": {"address": server.address.replace("http:", "https:")},
    }
    templates = {name: f"{{{{ {name}('secret/db').password }}}}" for name in sources if name != "vault"}
    templates |= {
        "mount": "{{ vault('none/db').x }}",
        "secret": "{{ vault('secret/none').x }} {{ vault('secret/db').pasword }}",
        "deleted": "{{ vault('secret/deleted').a }} {{ vault('secret/destroyed').a }}",
        "plaintext": f"{{{{ vault.decrypt('{transit}/shop', 'hunter2') }}}}",
        "otherwise": f"{{{{ vault.decrypt('{transit}/shop', '{admin.encrypt(other, 'shop', 'x')}') }}}}",
    }
    defaults = {"backend": "vault", "address": server.address}
    return (
        {name: defaults | source for name, source in sources.items()},
        {name: inline(template, name) for name, template in templates.items()},
    )


def test_every_message_of_the_page_is_one_that_confsync_says(
    vault_server: VaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = VaultAdmin(vault_server.address, vault_server.root_token)
    sources, syncs = failing(vault_server, admin, tmp_path)
    mount, _ = admin.database("1h", "24h")
    syncs["computing"] = inline(f"{{{{ vault('{mount}/creds/app').username + 1 }}}}", "computing")
    config = tmp_path / "confsync.yaml"
    config.write_text(yaml.safe_dump({"sources": sources, "syncs": syncs, "state_dir": "state"}))
    monkeypatch.setenv("VAULT_TOKEN", vault_server.root_token)

    said = confsync("plan", tmp_path)
    said += confsync("apply", tmp_path)  # opens what is wrapped; plan does not
    vault_server.seal()
    said += confsync("plan", tmp_path)

    for message in MESSAGES:
        pattern = ".+".join(re.escape(part) for part in message.split("…"))
        assert re.search(pattern, said) or message in SEEN_ELSEWHERE, f"nobody says {message!r} in {said}"
    assert set(SEEN_ELSEWHERE) < set(MESSAGES)
    assert len(MESSAGES) > 20


def confsync(command: str, directory: Path) -> str:
    """What it says on standard error."""
    words = [sys.executable, "-m", "confsync", command]
    return subprocess.run(words, cwd=directory, capture_output=True, text=True, timeout=60).stderr
