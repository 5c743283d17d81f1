"""`confsync env` against a Vault: each person sees what their own credentials allow, and is told of the rest."""

from __future__ import annotations

import json
import os

import pytest

POLICY = """
path "{kv}/data/prod/db" {{ capabilities = ["read"] }}
path "{kv}/data/prod/mail" {{ capabilities = ["read"] }}
path "{kv}/metadata/prod" {{ capabilities = ["list"] }}
path "{kv}/metadata/prod/*" {{ capabilities = ["list"] }}
"""


@pytest.fixture
def shop(vaulted, monkeypatch):
    """One environment; whoever calls has no login of their own."""
    monkeypatch.setenv("HOME", str(vaulted.root))
    for name in [name for name in os.environ if name.startswith("VAULT")]:
        monkeypatch.delenv(name)
    for path in ("db", "mail", "pay", "team/key"):
        vaulted.put(f"prod/{path}", password=f"{path}-password")
    return vaulted


def configure(shop, policy=None, syncs=None, **more):
    auth = None
    if policy is not None:
        login = shop.admin.approle([shop.admin.policy("person", policy.format(kv=shop.kv))])
        auth = shop.approle(login=login)
    shop.config(
        sources={"values": {"backend": "file", "path": "values.yaml"}, "vault": shop.source(auth)},
        environments={"prod": {"vault": f"{shop.kv}/prod", "values": ""}},
        syncs=syncs or {},
        **more,
    )


def env(shop, *arguments):
    done = shop.confsync("env", "prod", *arguments)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_half_the_paths_denied_are_listed_and_are_no_failure(shop):
    configure(shop, POLICY)
    done = env(shop)
    assert done.returncode == 0, done
    assert done.stdout == "DB_PASSWORD=db-password\nHOST=db1\nMAIL_PASSWORD=mail-password\n"
    denied = [line for line in done.stderr.splitlines() if line.startswith("denied")]
    assert len(denied) == 2
    assert "vault:pay" in denied[0]
    assert "vault:team/key" in denied[1]
    strict = env(shop, "--strict", "--out", ".env")
    assert (strict.returncode, strict.stdout) == (1, "")
    assert "0 keys held back, 2 keys denied" in strict.stderr
    assert not (shop.root / ".env").exists()
    report = json.loads(env(shop, "--output", "json").stdout)
    assert [one["key"] for one in report["denied"]] == ["vault:pay", "vault:team/key"]
    assert report["held_back"] == []


def test_what_is_held_back_is_told_apart_from_what_is_denied(shop):
    configure(shop, POLICY, local={"prod": {"deny": ["vault:mail", "vault:pay#*"]}})
    done = env(shop)
    assert done.stdout == "DB_PASSWORD=db-password\nHOST=db1\n"
    assert 'local.prod.deny "vault:mail"' in done.stderr
    assert 'local.prod.deny "vault:pay#*"' in done.stderr
    (denied,) = [line for line in done.stderr.splitlines() if line.startswith("denied")]
    assert "vault:team/key" in denied


def test_a_required_key_that_is_denied_is_a_failure(shop):
    configure(shop, POLICY, keys={"vault:pay#password": {"required": True}})
    done = env(shop, "--out", ".env")
    assert (done.returncode, done.stdout) == (1, "")
    assert "vault:pay#password is required in prod: " in done.stderr
    assert not (shop.root / ".env").exists()


def test_without_credentials_it_says_so_and_writes_nothing(shop):
    configure(shop)
    shop.replace(shop.root / "token", "")
    done = env(shop, "--out", ".env")
    assert (done.returncode, done.stdout) == (1, "")
    assert "vault" in done.stderr
    assert not (shop.root / ".env").exists()
    assert env(shop, "values:").stdout == "HOST=db1\n"


def test_what_is_made_when_it_is_fetched_is_not_made_and_is_told(shop):
    database, role = shop.admin.database("1h", "2h")
    made = f"{database}/creds/{role}"
    app = {"data": {"USER": f"vault:/{made}#username", "MAIL": "vault:mail#password"}, "to": "app.env"}
    configure(shop, syncs={"app": app})
    done = env(shop, "--sync", "app")
    assert (done.returncode, done.stdout) == (0, "MAIL=mail-password\n")
    assert "not fetched  app.USER: it is made anew for each who fetches it\n" in done.stderr
    assert shop.leases(made) == []


def test_who_may_read_but_not_list_is_told_to_name_what_to_read(shop):
    configure(shop, 'path "{kv}/data/prod/db" {{ capabilities = ["read"] }}')
    for arguments in (("vault:",), ("--key", "db#*")):
        done = env(shop, *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert (
            "or name what you may read, without a list: confsync env prod SECRET, or the configuration's `keys:`"
            in (done.stderr)
        )
        assert "confsync env prod OTHER:" in done.stderr
    assert env(shop, "vault:db").stdout == "DB_PASSWORD=db-password\n"


def test_of_a_place_where_secrets_are_made_nothing_is_made_and_that_is_told(shop):
    database, role = shop.admin.database("1h", "2h")
    made = f"{database}/creds/{role}"
    configure(shop)
    done = env(shop, f"vault:/{made}")
    assert (done.returncode, done.stdout) == (0, "")
    assert f"not fetched  vault:/{made}: it is made anew for each who fetches it\n" in done.stderr
    assert shop.leases(made) == []
