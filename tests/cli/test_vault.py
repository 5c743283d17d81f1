"""The commands on a Vault: what only looks makes nothing, and whoever logged in logs out."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from stand_ins.vaulted import text

from confsync.testing.leaks import Leaks

PASSWORD = "correct horse battery staple"
PLAIN = "plaintext-of-a-ciphertext"


@pytest.fixture
def mixed(vaulted):
    """Static secrets, a ciphertext in a file, a database credential and a certificate, read by an AppRole.

    Attributes of the workspace it gives:
        made: the paths that make something.
        auth: how the AppRole logs in.
    """
    admin = vaulted.admin
    (database, role), (pki, issuer), transit = (
        admin.database("1h", "2h"),
        admin.pki("example.test"),
        admin.transit("app"),
    )
    vaulted.put("db", password=PASSWORD, port=5432)
    vaulted.values({"host": "db1", "encrypted": admin.encrypt(transit, "app", PLAIN)})
    vaulted.made = f"{database}/creds/{role}", f"{pki}/issue/{issuer}"
    policy = f"""
        path "{database}/creds/*" {{ capabilities = ["read"] }}
        path "{pki}/issue/*" {{ capabilities = ["update"] }}
        path "{transit}/decrypt/*" {{ capabilities = ["update"] }}
    """
    auth = vaulted.auth = vaulted.approle(policy)
    user = f"vault('/{vaulted.made[0]}')"
    certificate = f"vault('/{vaulted.made[1]}', common_name='a.example.test').certificate"
    vaulted.configure(
        {
            "app": text("{{ values('host') }} {{ vault('db').password }}", "app"),
            "user": text(f"{{{{ {user}.username }}}} {{{{ {user}.password }}}}", "user"),
            "certificate": text(f"{{{{ {certificate} }}}}", "certificate"),
            "plain": text(f"{{{{ vault.decrypt('{transit}/app', values('encrypted')) }}}}", "plain"),
            "data": {
                "data": {
                    "HOST": "values:host",
                    "PORT": "vault:db#port",
                    "PASSWORD": "vault:db#password",
                    "USER": f"vault:/{vaulted.made[0]}#username",
                },
                "to": "out/data.env",
            },
        },
        auth=auth,
    )
    return vaulted


def made(mixed):
    """How many credentials are alive, and how many certificates were issued by the role."""
    database, (pki, _, _) = mixed.made[0], mixed.made[1].partition("/issue/")
    certificates = mixed.admin.must("LIST", f"{pki}/certs/")["data"]["keys"]
    return len(mixed.leases(database)), len(certificates) - 1  # without that of the authority


def run_all(workspace, commands):
    """Run them, a few at a time: they hold no lock. Gives what they wrote, by command."""
    with ThreadPoolExecutor(3) as threads:
        done = threads.map(lambda command: workspace.confsync("--log-level", "debug", *command), commands)
        return {command: one.stdout + one.stderr for command, one in zip(commands, done, strict=True)}


def test_what_only_looks_makes_nothing_shows_no_secret_and_logs_out(mixed):
    credential, certificate = (f"vault:/{path}" for path in mixed.made)
    get, explain = ("get", f"{credential}#username"), ("explain", f"{credential}#password")
    first = run_all(mixed, [("check",), ("plan",), get, explain])
    assert (made(mixed), mixed.logins(mixed.auth)) == ((0, 0), 0)
    assert "+ create" in first["plan",]
    assert "is made when it is fetched; get only looks" in first[get]

    applied = mixed.confsync("apply", "--log-level", "debug")
    assert applied.returncode == 0, applied.stderr
    looks = [("get", f"{certificate}?common_name=a.example.test"), ("get", "vault:db#password"), explain]
    more = [("plan", "--output", "json"), ("diff", "prod", "prod"), ("ls", "vault:", "--values"), ("status",)]
    second = run_all(mixed, [*looks, *more, ("explain", "out/user")])

    assert made(mixed) == (1, 1)
    assert mixed.logins(mixed.auth) == 1, "that of apply, on which the credential's lease hangs"
    assert credential in second["explain", "out/user"]
    assert "goes to" in second[explain]
    said = [*first.values(), *second.values(), applied.stdout, applied.stderr]
    leaks = Leaks([PASSWORD, PLAIN, *mixed.read("user").split(), *credentials(mixed)])
    assert [found for one in said for found in leaks.find(one)] == []
    assert leaks.find_in_files(mixed.state) == {}


def credentials(mixed):
    """The secret-id, and the tokens where they are known."""
    secret_id = next(mixed.root.glob("secret-id-*")).read_text()
    requests = mixed.server.requests if mixed.server is not None else []
    return {secret_id, *(one.token for one in requests if one.token)}


def test_apply_writes_what_is_mixed_for_its_owner_alone_and_all_of_one_credential(mixed):
    assert mixed.confsync("apply").returncode == 0

    assert mixed.read("app") == f"db1 {PASSWORD}"
    assert mixed.read("plain") == PLAIN
    assert mixed.read("certificate").startswith("-----BEGIN CERTIFICATE-----")
    user, _ = mixed.read("user").split()
    assert mixed.read("data.env").splitlines() == [
        "HOST=db1", f"PASSWORD='{PASSWORD}'", "PORT=5432", f"USER={user}",
    ]  # fmt: skip
    assert {stat.S_IMODE(path.stat().st_mode) for path in mixed.out.iterdir()} == {0o600}


def test_a_saved_plan_with_a_credential_is_applied_and_makes_it_once(mixed):
    assert mixed.confsync("apply", "app").returncode == 0
    assert mixed.confsync("plan", "--out", "saved").returncode == 2

    done = mixed.confsync("apply", "--plan", "saved")

    assert done.returncode == 0, done.stderr
    assert made(mixed) == (1, 1)
    mixed.put("db", password="another", port=5432)
    assert mixed.confsync("plan", "--out", "saved").returncode == 2
    mixed.put("db", password="a third", port=5432)
    refused = mixed.confsync("apply", "--plan", "saved")
    assert refused.returncode == 1
    assert "the world has moved since this plan was saved" in refused.stderr


def test_a_saved_plan_in_which_nothing_is_to_do_does_nothing(mixed):
    assert mixed.confsync("apply").returncode == 0
    for lease in mixed.leases(mixed.made[0]):
        mixed.admin.must("PUT", "sys/leases/revoke", {"lease_id": lease})
    before, issued = mixed.age("user"), made(mixed)
    assert mixed.confsync("plan", "--out", "saved").stdout == "nothing to do\n"

    done = mixed.confsync("apply", "--plan", "saved")

    assert (done.returncode, done.stdout) == (0, "nothing to do\n")
    assert (mixed.age("user"), made(mixed)) == (before, issued)

    mixed.put("db", password="another", port=5432)
    assert mixed.confsync("plan", "app", "--out", "saved").returncode == 2
    assert mixed.confsync("apply", "app", "--plan", "saved").returncode == 0
    assert mixed.read("app") == "db1 another"
    assert (mixed.age("user"), made(mixed)) == (before, issued)


def test_apply_of_static_secrets_leaves_no_login_behind(vaulted):
    vaulted.put("db", password=PASSWORD)
    auth = vaulted.approle()
    vaulted.configure({"app": text("{{ vault('db').password }}", "app")}, auth=auth)

    assert vaulted.confsync("apply").returncode == 0

    assert vaulted.read("app") == PASSWORD
    assert vaulted.logins(auth) == 0


def test_a_secret_named_like_the_field_of_another_is_masked_as_a_secret(vaulted):
    vaulted.put("north", pw=PASSWORD)
    vaulted.put("north#pw", pw=PLAIN)
    vaulted.configure({"app": text("{{ vault('north').pw }}", "app")}, prod={}, sensitive=True)

    listed = vaulted.confsync("ls", "vault:", "--values", "--output", "json")
    by_its_mount = vaulted.confsync("ls", f"vault:/{vaulted.kv}/", "--output", "json")

    assert listed.returncode == 0, listed.stderr
    assert {row["key"]: (row["sensitive"], row["value"]) for row in json.loads(listed.stdout)} == {
        "vault:north#pw": (True, None),
        "vault:north%23pw#pw": (True, None),
    }
    assert f"vault:/{vaulted.kv}/north%23pw" in {row["key"] for row in json.loads(by_its_mount.stdout)}
    assert vaulted.confsync("get", "vault:north%23pw#pw", "--reveal").stdout == f"{PLAIN}\n"


@pytest.fixture
def explained(vaulted):
    """One sync reads `db` below the prefix, one from the root, and one the user alone."""
    vaulted.put("db", user="app", password=PASSWORD)
    vaulted.configure({
        "below": text("{{ vault('db').password }}", "below"),
        "root": text(f"{{{{ vault('/{vaulted.kv}/db#password') }}}}", "root"),
        "user": text("{{ vault('db#user') }}", "user"),
    })  # fmt: skip
    assert vaulted.confsync("apply").returncode == 0
    return vaulted


@pytest.mark.parametrize(
    ("field", "readers"), [("", {"below", "root", "user"}), ("#password", {"below", "root"})]
)
def test_explain_finds_readers_by_whichever_spelling(explained, field, readers):
    for key in (f"vault:db{field}", f"vault:/{explained.kv}/db{field}"):
        facts = json.loads(explained.confsync("explain", key, "--output", "json").stdout)
        assert {one["sync"] for one in facts[0]["goes_to"]} == readers


def test_explain_says_what_cannot_be_read_and_who_reads_it_all_the_same(explained):
    kept_from_us = explained.approle(login=explained.admin.approle([]))
    explained.configure({"below": text("{{ vault('db').password }}", "below")}, auth=kept_from_us)

    known = explained.confsync("explain", "vault:db#password")
    unknown = explained.confsync("explain", "vault:web#password")

    assert known.returncode == 0
    assert "value     cannot be read: " in known.stdout
    assert f"goes to   {explained.out / 'below'}" in known.stdout
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "vault:web#password cannot be read: " in unknown.stderr
    assert "does not exist" not in known.stdout + unknown.stderr


def test_plan_tells_what_an_apply_would_fetch_anew(mixed):
    assert mixed.confsync("apply").returncode == 0
    planned = mixed.confsync("plan", "--output", "json")
    told = json.loads(planned.stdout)
    assert (planned.returncode, told["changes"], told["problems"]) == (0, [], {})
    assert set(told["notes"]) == {"user", "certificate", "data"}
    assert "fetches another" in told["notes"]["user"]


def test_ls_shows_what_other_sources_have_where_one_refuses(mixed):
    policy = f'path "{mixed.kv}/metadata/*" {{ capabilities = ["deny"] }}'
    mixed.configure({"app": text("x", "app")}, auth=mixed.approle(policy))
    listed = mixed.confsync("ls")
    assert listed.returncode == 1
    assert "values:host" in listed.stdout
    assert "do not allow list" in listed.stderr
