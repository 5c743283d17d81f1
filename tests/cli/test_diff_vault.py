"""`confsync diff` against a Vault: what is denied, what is missing, what only a fetch would make, types."""

from __future__ import annotations

import json

import pytest
from stand_ins.vaulted import text

from confsync.redact import DOTS


@pytest.fixture
def shop(vaulted, monkeypatch):
    """Two environments below one mount; whoever calls has no login of their own."""
    monkeypatch.setenv("HOME", str(vaulted.root))
    vaulted.put("dev/db", host="localhost", password="dev-password", port=5432)
    vaulted.put("prod/db", host="db.example.com", password="prod-password", port="5432")
    vaulted.put("dev/pay", key="dev-key")
    vaulted.put("prod/pay", key="prod-key")
    vaulted.put("dev/only", token="dev-token")
    vaulted.put("dev/alike", flag="on", secret="one and the same")
    vaulted.put("prod/alike", flag="on", secret="one and the same")
    return vaulted


def configure(shop, policy="", syncs=None, **options):
    """The environments dev and prod, and a login that may read them as far as `policy` lets it."""
    auth = None
    if policy:
        login = shop.admin.approle([shop.admin.policy("person", policy)])
        auth = shop.approle(login=login)
    options = {"sensitive": ["*#password", "*#key", "*#token", "*#secret"], **options}
    shop.config(
        sources={
            "values": {"backend": "file", "path": "values.yaml"},
            "vault": shop.source(auth, **options),
        },
        environments={name: {"vault": f"{shop.kv}/{name}", "values": ""} for name in ("dev", "prod")},
        syncs=syncs or {},
    )


def diff(shop, *arguments):
    done = shop.confsync("diff", "dev", "prod", *arguments)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def compared(shop, *arguments):
    """Key -> its difference and the states, and all of the document."""
    document = json.loads(diff(shop, "--output", "json", *arguments).stdout)
    keys = {
        key["path"]: (key["difference"], *(cell["state"] for cell in key["environments"].values()))
        for key in document["keys"]
    }
    return keys, document


def test_fields_are_compared_and_secrets_are_not_shown(shop):
    configure(shop)

    done = diff(shop)

    assert done.returncode == 2
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()[:-1]]
    assert {key: (sign, rest) for sign, key, rest in lines} == {
        "vault:db#host": ("~", "localhost → db.example.com"),
        "vault:db#password": ("~", f"{DOTS} differs"),
        "vault:db#port": ("~", '5432 → "5432"'),
        "vault:only#token": ("-", f"only in dev: {DOTS}"),
        "vault:pay#key": ("~", f"{DOTS} differs"),
    }
    assert "5 keys differ between dev and prod; 3 keys are the same" in done.stdout


DENIES_ONE = """
    path "{kv}/data/*" {{ capabilities = ["read"] }}
    path "{kv}/metadata/*" {{ capabilities = ["list"] }}
    path "{kv}/data/prod/pay" {{ capabilities = ["deny"] }}
"""


def test_what_one_environment_denies_is_told_from_what_is_missing(shop):
    configure(shop, DENIES_ONE.format(kv=shop.kv))

    keys, document = compared(shop)

    assert keys["pay#key"] == ("unknown", "present", "denied")
    assert keys["only#token"] == ("presence", "present", "missing")
    assert document["complete"] is False
    assert document["counts"]["unknown"] == 1
    done = diff(shop, "pay")
    assert done.returncode == 1
    assert "? vault:pay#key  denied in prod" in done.stdout
    assert "nothing could be compared between dev and prod" in done.stdout
    assert "permission denied" in done.stderr or "do not allow" in done.stderr


def test_where_listing_is_denied_what_others_have_is_asked_for(shop):
    policy = """
        path "{kv}/data/*" {{ capabilities = ["read"] }}
        path "{kv}/data/prod/pay" {{ capabilities = ["deny"] }}
        path "{kv}/metadata/dev/*" {{ capabilities = ["list"] }}
    """
    configure(shop, policy.format(kv=shop.kv))

    keys, document = compared(shop)

    assert keys["db#password"] == ("values", "present", "present")
    assert keys["only#token"] == ("presence", "present", "missing")
    assert keys["pay#key"] == ("unknown", "present", "denied")
    (place,) = document["sources"]["vault"]["unlisted"]
    assert (place["environment"], place["place"]) == ("prod", f"{shop.kv}/prod/")
    assert "could not be listed" in diff(shop).stderr


def test_a_secret_that_nobody_may_read_could_not_be_compared(shop):
    policy = 'path "{kv}/metadata/*" {{ capabilities = ["list"] }}'
    configure(shop, policy.format(kv=shop.kv))
    keys, _ = compared(shop)
    assert keys["pay"] == ("unknown", "denied", "denied")
    assert keys["only"] == ("unknown", "denied", "missing")
    assert diff(shop).returncode == 1


def test_the_type_of_a_value_is_a_difference(shop):
    for number, (one, other) in enumerate([(1, "1"), (True, "true"), (1, True), (None, "null"), (1, 1.5)]):
        shop.put(f"dev/t{number}", value=one)
        shop.put(f"prod/t{number}", value=other)
    shop.put("dev/same", value={"b": [1, None], "a": "x"})
    shop.put("prod/same", value={"a": "x", "b": [1, None]})
    configure(shop)

    keys, document = compared(shop)

    assert {keys[f"t{number}#value"][0] for number in range(5)} == {"values"}
    assert "same#value" not in keys
    values = {
        key["path"]: [cell["value"] for cell in key["environments"].values()] for key in document["keys"]
    }
    assert values["t0#value"] == [1, "1"]
    assert values["db#password"] == [None, None]


@pytest.mark.parametrize("prefix", ["vault:db", "db", "vault:db#password", "db#password"])
def test_a_prefix_may_be_a_secret_or_a_field(shop, prefix):
    configure(shop)
    keys, _ = compared(shop, prefix)
    assert {key.partition("#")[0] for key in keys} == {"db"}
    assert set(keys) == {"db#password"} if "#" in prefix else len(keys) == 3


def test_a_secret_that_is_nowhere_gets_the_nearest(shop):
    configure(shop)
    done = diff(shop, "vault:dbb")
    assert done.returncode == 3
    assert "'vault:dbb': no key is at or below it in dev and prod (the nearest key is 'db')" in done.stderr


def test_what_is_made_when_it_is_fetched_is_not_fetched(shop):
    database, role = shop.admin.database("1h", "24h")
    configure(shop)
    before = shop.leases(f"{database}/creds/{role}")
    done = diff(shop, f"vault:/{database}/creds/{role}#username")
    assert done.returncode == 0
    assert "made for whoever fetches it: not compared" in done.stdout
    assert shop.leases(f"{database}/creds/{role}") == before == []


def test_a_vault_that_is_gone_is_told_and_the_other_sources_are_compared(shop):
    shop.config(
        sources={
            "values": {"backend": "file", "path": "values.yaml"},
            "vault": {**shop.source(), "address": "http://127.0.0.1:1"},
        },
        environments={name: {"vault": f"{shop.kv}/{name}", "values": name} for name in ("dev", "prod")},
        syncs={},
    )
    shop.values({"dev": {"a": "1"}, "prod": {"a": "1"}})
    done = diff(shop)
    assert done.returncode == 1
    assert "source 'vault' was not compared: " in done.stderr
    assert "1 key is the same" in done.stdout
    shop.values({"dev": {"a": "1"}, "prod": {"a": "2"}})
    assert diff(shop).returncode == 2


def test_a_sync_is_rendered_with_the_secrets_of_each_and_masked(shop):
    app = text(
        "host={{ vault('db').host }}\npassword={{ vault('db').password }}\n[end]\n", "app", environment="dev"
    )
    configure(shop, syncs={"app": app})
    done = diff(shop, "--sync", "app")
    assert done.returncode == 2
    assert "password=" in done.stdout
    assert "  [end]" in done.stdout
    assert "dev-password" not in done.stdout + done.stderr
    assert "localhost" not in done.stdout + done.stderr


def test_a_sync_that_cannot_be_rendered_under_one_is_told(shop):
    configure(shop, DENIES_ONE.format(kv=shop.kv), syncs={"app": text("{{ vault('pay').key }}", "app")})
    done = diff(shop, "--sync", "app")
    assert done.returncode == 1
    assert "sync 'app' cannot be rendered under prod: " in done.stderr
    assert "under dev" not in done.stderr
