"""What an environment comes down to with a Vault: what is denied, what is deleted, and how often it is asked."""

from __future__ import annotations

import pytest

from confsync.clock import SystemClock
from confsync.config.loading import load_config
from confsync.environments.policy import Policy
from confsync.environments.variables import collect
from confsync.environments.variables.selection import Selection
from confsync.errors import ConfsyncError
from confsync.ledger.ledger import memory_ledger
from confsync.reconcile.core import Core

READ = 'path "{kv}/data/prod/{path}" {{ capabilities = ["read"] }}\n'
LIST = """
path "{kv}/metadata/prod" {{ capabilities = ["list"] }}
path "{kv}/metadata/prod/*" {{ capabilities = ["list"] }}
"""


class Person:
    """Whoever asks, with a login of their own."""

    def __init__(self, vaulted):
        self.vaulted = vaulted
        self.auth = None

    def may(self, *paths, listing=True, more=""):
        kv = self.vaulted.kv
        policy = (
            "".join(READ.format(kv=kv, path=path) for path in paths) + LIST.format(kv=kv) * listing + more
        )
        login = self.vaulted.admin.approle([self.vaulted.admin.policy("person", policy)])
        self.auth = self.vaulted.approle(login=login)

    def collect(self, *prefixes, configured=None, local=None, keys=None, fetching=False, **selection):
        self.vaulted.config(
            sources={
                "values": {"backend": "file", "path": "values.yaml"},
                "vault": self.vaulted.source(self.auth),
            },
            environments={"prod": {"vault": f"{self.vaulted.kv}/prod", "values": ""}},
            syncs=configured or {},
            local={"prod": local or {}},
            keys=keys or {},
        )
        loaded, ledger = load_config(self.vaulted.root / "confsync.yaml"), memory_ledger(SystemClock())
        core = Core.open(loaded, ledger, environments=("prod",), looking=not fetching)
        if self.vaulted.server is not None:
            self.vaulted.server.forget_requests()
        try:
            selected = Selection(prefixes, **selection)
            return collect(core, "prod", Policy(loaded, core.hub, "prod"), selected, fetching=fetching)
        finally:
            core.close()
            ledger.close()

    def asked(self):
        """The paths of secrets and listings that were asked for, below the mount."""
        requests = self.vaulted.server.requests if self.vaulted.server is not None else []
        mount = f"/v1/{self.vaulted.kv}/"
        return [one.path.removeprefix(mount) for one in requests if one.path.startswith(mount)]


@pytest.fixture
def person(vaulted):
    for path in ("db", "mail", "pay", "team/key"):
        vaulted.put(f"prod/{path}", password=f"secret-{path}", user=path)
    return Person(vaulted)


def names(collected):
    return [one.name for one in collected.variables]


def keys(withheld):
    return sorted(one.key for one in withheld)


def test_half_of_the_paths_denied(person):
    person.may("db", "team/*")

    collected = person.collect()

    assert names(collected) == ["DB_PASSWORD", "DB_USER", "HOST", "TEAM_KEY_PASSWORD", "TEAM_KEY_USER"]
    assert keys(collected.denied) == ["vault:mail", "vault:pay"]
    assert all("do not allow read on" in one.why for one in collected.denied)


def test_where_listing_is_denied_documented_keys_are_found(person):
    person.may("*", listing=False)
    documented = {
        "vault:db#password": {"about": "x"},
        "vault:team/key": {"about": "x"},
        "host": {"about": "x"},
    }

    collected = person.collect(keys=documented)

    assert names(collected) == ["DB_PASSWORD", "DB_USER", "HOST", "TEAM_KEY_PASSWORD", "TEAM_KEY_USER"]
    assert len(collected.denied) == 1
    assert "list" in collected.denied[0].why
    assert names(person.collect("vault:pay")) == ["PAY_PASSWORD", "PAY_USER"]


def test_where_listing_is_denied_and_nothing_documented_that_is_told(person):
    person.may("*", listing=False)

    with pytest.raises(ConfsyncError, match="vault: nothing of it may be read") as raised:
        person.collect()

    assert "or name what you may read, without a list: confsync env prod SECRET, or" in str(raised.value)
    assert "or read only the other sources: confsync env prod OTHER:" in str(raised.value)


@pytest.mark.parametrize("documented", [{}, {"vault:db": {"about": "x"}}])
def test_a_login_that_is_none_is_told(person, documented):
    person.auth = person.vaulted.token("hvs.no-such-token")

    with pytest.raises(ConfsyncError) as raised:
        person.collect(keys=documented)

    assert "token" in str(raised.value)
    assert "hvs.no-such-token" not in str(raised.value)
    assert names(person.collect("values:")) == ["HOST"]


def test_each_secret_is_asked_for_once_and_a_closed_one_never(person):
    person.may("*")

    collected = person.collect(
        local={"deny": ["pay", "team/*", "vault:mail#password"], "substitute": {"vault:mail#password": "dev"}}
    )

    assert names(collected) == ["DB_PASSWORD", "DB_USER", "HOST", "MAIL_PASSWORD", "MAIL_USER"]
    assert keys(collected.held_back) == ["vault:pay", "vault:team/key"]
    if person.vaulted.server is not None:
        assert sorted(one.rstrip("/") for one in person.asked()) == [
            "data/prod/db", "data/prod/mail", "metadata/prod", "metadata/prod/team",
        ]  # fmt: skip


@pytest.mark.parametrize(
    "local",
    [
        {"deny": ["vault:"]},
        {"deny": ["*"], "substitute": {"host": "x", "vault:db#password": "dev"}},
        {"allow": ["values:host"]},
    ],
)
def test_of_a_closed_vault_nothing_is_asked_not_even_a_login(person, local):
    person.auth = person.vaulted.token("hvs.no-such-token")

    collected = person.collect(local=local)

    assert names(collected) in (["HOST"], ["DB_PASSWORD", "HOST"])
    assert "vault:*" in keys(collected.held_back)
    if person.vaulted.server is not None:
        assert person.vaulted.server.requests == []


def test_deleted_secrets_are_none(person):
    person.may("*")
    person.vaulted.admin.must("DELETE", f"{person.vaulted.kv}/data/prod/db")

    collected = person.collect("vault:db", "vault:mail")

    assert names(collected) == ["MAIL_PASSWORD", "MAIL_USER"]
    assert collected.denied == ()
    found = person.collect("vault:", local={"substitute": {"vault:db#password": "dev"}})
    assert "DB_PASSWORD" in names(found)


def test_credentials_are_not_made_while_only_looking(person):
    mount, role = person.vaulted.admin.database("1h", "2h")
    creds = f"{mount}/creds/{role}"
    person.may("*", more=f'path "{mount}/creds/*" {{ capabilities = ["read"] }}\n')
    syncs = {
        "map": {"data": {"USER": f"vault:/{creds}#username", "HOST": "values:host"}, "to": "out.env"},
        "template": {
            "template": {"inline": f"{{{{ vault('/{creds}').username }}}}{{{{ vault('db').user }}}}"},
            "to": "out",
        },
    }

    looked = person.collect(configured=syncs, syncs=["map", "template"])
    assert names(looked) == ["DB_PASSWORD", "DB_USER", "HOST"]
    assert keys(looked.unfetched) == ["map.USER", f"vault:/{creds}"]
    assert person.vaulted.leases(creds) == []

    made = person.collect(configured=syncs, syncs=["map"], fetching=True)
    assert names(made) == ["HOST", "USER"]


@pytest.mark.parametrize(
    "path",
    [
        "/auth/token/lookup-self",
        "/auth/token/lookup-self#id",
        "/auth/token/create",
        "/ns/auth/token/create#x",
    ],
)
@pytest.mark.parametrize("local", [{}, {"allow": ["*", "/*"]}])
def test_no_template_is_given_the_callers_login(person, path, local):
    person.may("db", more='path "auth/token/*" { capabilities = ["read", "update", "create"] }')
    template = {"template": f"{{{{ vault('{path}')|default('none') }}}}"}
    configured = {"app": {"data": {"MINE": template, "USER": "vault:db#user"}, "to": "/run/a.env"}}

    collected = person.collect(configured=configured, local=local, fetching=True, syncs=["app"])

    assert [one.name for one in collected.variables] == ["USER"]
    assert [one.key for one in collected.held_back] == [f"app.MINE (vault:{path})"]
    assert "tells of logins" in collected.held_back[0].why


def test_a_secret_called_auth_is_a_secret(person):
    person.vaulted.put("prod/auth/token", value="v")
    person.may("auth/token")
    configured = {"app": {"data": {"X": "vault:auth/token#value"}, "to": "/run/a.env"}}

    assert [one.value for one in person.collect(configured=configured, syncs=["app"]).variables] == ["v"]
