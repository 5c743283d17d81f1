"""Credentials on lease while something goes wrong: the old one stays until there is a better one."""

from __future__ import annotations

from time import monotonic

import pytest
from stand_ins.vaulted import text

from confsync.testing.waiting import eventually


def configure(vaulted, ttl, max_ttl, **options):
    """A sync on a database credential, and one on a static secret; gives mount and role."""
    mount, role = vaulted.admin.database(ttl, max_ttl)
    vaulted.put("db", password="pw1")
    syncs = {
        "user": text(f"{{{{ vault('/{mount}/creds/{role}').username }}}}", "user"),
        "app": text("{{ vault('db').password }}", "app"),
    }
    policy = f'path "{mount}/creds/*" {{ capabilities = ["read"] }}'
    vaulted.configure(syncs, auth=vaulted.approle(policy, **options.pop("role", {})), **options)
    return mount, role


def first_user(vaulted):
    vaulted.wait_content("app", "pw1")
    return eventually(lambda: vaulted.read("user"))


def new_user(vaulted, old):
    def check():
        user = vaulted.read("user")
        assert user not in (None, old), f"still {user}"
        return user

    return eventually(check, within=120)  # a login that was refused is tried again after up to a minute


def test_a_renewal_that_gives_less_than_asked_brings_a_new_credential_while_the_old_lives(
    vaulted, vault_server
):
    mount, _ = configure(vaulted, "9s", "1h")
    vault_server.clock.stop()  # the old one lives until somebody ends it
    capped = []

    def cap(method, path):
        if not capped:
            capped.extend(vault_server.leases(f"{mount}/creds"))
            vault_server.cap_lease(capped[0], 3)
        return False

    vault_server.faults.late(0, path="sys/leases/renew", times=None, when=cap)
    with vaulted.daemon() as daemon:
        old = first_user(vaulted)

        new = new_user(vaulted, old)
        assert vault_server.credential_alive(old)
        assert vault_server.credential_alive(new)
        asked = [one.path for one in vault_server.requests]
        about = [path for path in asked if path.startswith(f"/v1/{mount}/creds") or path.endswith("/renew")]
        assert [path.endswith("/renew") for path in about][:3] == [False, True, False]
        assert len(capped) == 1
        assert not daemon.lines("cannot be read or renewed")
        vaulted.wait_state("user", "ok")


def test_a_database_that_is_down_alarms_before_the_end_and_the_old_credential_stays_until_it_is_back(
    vaulted, vault_server
):
    mount, role = configure(vaulted, "10s", "10s")
    alive = []

    def note(method, path):
        alive.append(vault_server.credential_alive(old))
        return True

    with vaulted.daemon() as daemon:
        old = first_user(vaulted)
        down = vault_server.faults.broken(path=f"{mount}/creds", times=None, when=note)

        daemon.wait_log("cannot be read or renewed", error="its lease ends at")
        assert alive[0]
        vaulted.wait_state("user", "stale", detail=f"{mount}/creds/{role}")
        daemon.wait_log("a lease ends and cannot be replaced", error="its lease ends at")
        assert vaulted.read("user") == old
        assert down.hits >= 2

        vault_server.faults.clear()

        vault_server.clock.stop()
        new = new_user(vaulted, old)
        assert vault_server.credential_alive(new)
        vaulted.wait_state("user", "ok")
        vaulted.put("db", password="pw2")
        vaulted.wait_content("app", "pw2")


def test_a_vault_that_comes_back_empty_changes_no_target_and_restored_it_gives_a_new_credential(
    vaulted, vault_server
):
    """First without logins, mounts and leases; then as it was, when those leases are over."""
    configure(vaulted, "2s", "1h")
    with vaulted.daemon() as daemon:
        first_user(vaulted)
        backup = vault_server.core

        vault_server.restart(lose_state=True)

        vaulted.wait_state("app", "stale", detail="logging in")
        vaulted.wait_state("user", "stale", detail="logging in")
        old = vaulted.read("user")
        assert backup.credentials.keys() >= {old}
        daemon.wait_log("a lease is over and cannot be replaced")
        assert (vaulted.read("user"), vaulted.read("app")) == (old, "pw1")

        vault_server.stop()
        vault_server.core = backup
        vault_server.clock.stop()
        vault_server.advance(10)
        vault_server.start()

        new = new_user(vaulted, old)
        assert vault_server.credential_alive(new)
        vaulted.wait_state("user", "ok")
        vaulted.wait_state("app", "ok")


def test_a_login_that_is_revoked_takes_its_credentials_along_and_new_ones_are_made(vaulted, vault_server):
    mount, _ = configure(vaulted, "1h", "2h")
    with vaulted.daemon() as daemon:
        old = first_user(vaulted)
        token = next(one.token for one in vault_server.requests if "/creds/" in one.path)

        vaulted.admin.must("POST", "auth/token/revoke", {"token": token})

        assert not vault_server.credential_alive(old)
        new = new_user(vaulted, old)
        assert vault_server.credential_alive(new)
        assert vault_server.count("GET", f"{mount}/creds") == 2
        assert not daemon.lines("sync is stale")


def test_a_lease_that_ended_by_a_jump_of_vaults_clock_is_replaced(vaulted, vault_server):
    configure(vaulted, "3s", "1h", role={"token_ttl": "0"})
    with vaulted.daemon() as daemon:
        old = first_user(vaulted)

        vault_server.clock.stop()  # what is new lives on, then
        vault_server.advance(1800)

        assert not vault_server.credential_alive(old)
        new = new_user(vaulted, old)
        assert vault_server.credential_alive(new)
        assert not daemon.lines("sync is stale")


@pytest.mark.parametrize("years", [-9, 9])
def test_a_vault_whose_clock_is_years_from_ours_makes_nothing_too_early_or_too_late(
    vaulted, vault_server, years
):
    """A credential of an hour stays; a certificate of four seconds, of which only the end is told, is issued anew."""
    vault_server.advance(years * 365 * 24 * 3600)
    authority, issuer = vaulted.admin.pki("example.test", generate_lease=False)
    mount, role = vaulted.admin.database("1h", "2h")
    issue = f"{authority}/issue/{issuer}"
    certificate = f"{{{{ vault('/{issue}', common_name='www.example.test', ttl='4s').certificate }}}}"
    vaulted.configure({
        "user": text(f"{{{{ vault('/{mount}/creds/{role}').username }}}}", "user"),
        "certificate": text(certificate, "certificate"),
    })  # fmt: skip
    asked = []
    vault_server.faults.late(0, path=issue, times=None, when=lambda *_: asked.append(monotonic()) or False)
    with vaulted.daemon():
        user = eventually(lambda: vaulted.read("user"))
        eventually(lambda: len(asked) > 2)

        assert asked[2] - asked[1] > 0.5  # the first is reckoned from before the login
        assert vaulted.read("user") == user
        assert vault_server.count("GET", f"{mount}/creds") == 1
