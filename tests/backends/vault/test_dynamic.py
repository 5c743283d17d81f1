"""What is made on demand: whether looking alone would make it, how long it is good for, renewing, revoking."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from confsync.driver import Address, Lease
from confsync.errors import Denied, Expired, Invalid, Unavailable
from confsync.testing.waiting import eventually


class FixedClock:
    def __init__(self, now):
        self._now = now

    def now(self):
        return self._now

    def monotonic(self):
        return 0.0


@pytest.fixture
def backend(connect):
    return connect()


@pytest.fixture
def database(vault):
    """The path of credentials that live 60 s, 120 s at most."""
    mount, role = vault.admin.database("60s", "120s")
    return f"{mount}/creds/{role}"


@pytest.fixture
def pki(vault):
    mount, role = vault.admin.pki("example.test")
    return Address(f"{mount}/issue/{role}", (("common_name", "a.example.test"), ("ttl", "1h")))


# Leased credentials.


def test_credentials_are_leased_to_the_login(backend, database):
    secret = backend.fetch(Address(database))

    assert {"username", "password"} <= set(secret.data)
    assert secret.lease.id.startswith(f"{database}/")
    assert (secret.lease.duration, secret.lease.renewable) == (60.0, True)
    assert secret.session == backend.session != 0
    assert secret.version == 0


def test_every_fetch_makes_another(backend, database):
    first, second = backend.fetch(Address(database)), backend.fetch(Address(database))

    assert first.data["username"] != second.data["username"]
    assert first.lease.id != second.lease.id


def test_only_fetching_tells_a_change_so_nothing_is_asked(vault_server, backend, database):
    known = backend.fetch(Address(database))
    vault_server.forget_requests()

    assert backend.changed(Address(database), known)
    assert vault_server.requests == []


def test_a_role_that_does_not_exist_is_said(backend, database):
    with pytest.raises(Invalid, match=r"unknown role: nope") as failed:
        backend.fetch(Address(database.replace("/app", "/nope")))

    assert failed.value.key == database.replace("/app", "/nope")


def test_credentials_that_may_not_be_had_are_denied_by_path(vault, connect, database):
    mount = database.partition("/")[0]
    policy = vault.admin.policy("config", f'path "{mount}/config/*" {{ capabilities = ["read"] }}')

    with pytest.raises(Denied, match=f"reading {database}"):
        connect([policy]).fetch(Address(database))


def test_renewing_prolongs(backend, database):
    lease = backend.fetch(Address(database)).lease

    renewed = backend.renew(lease)

    assert renewed.id == lease.id
    assert 55 <= renewed.duration <= 60
    assert renewed.renewable


def test_renewing_may_be_granted_less_than_asked(backend, database):
    """Beyond the maximum there is nothing to give."""
    lease = backend.fetch(Address(database)).lease

    renewed = backend.renew(Lease(lease.id, 3600, renewable=True))

    assert 0 < renewed.duration <= 120


def test_a_renewal_asks_for_what_was_granted(vault_server, backend, database):
    vault_server.advance(0)
    lease = backend.fetch(Address(database)).lease
    vault_server.advance(50)
    backend.renew(lease)
    vault_server.advance(50)

    assert vault_server.leases(lease.id) == [lease.id]
    vault_server.advance(15)
    assert vault_server.leases(lease.id) == []


def test_a_lease_that_is_over_is_expired(backend, database):
    lease = backend.fetch(Address(database)).lease
    backend.revoke(lease)

    with pytest.raises(Expired, match=f"renewing the lease of {database}") as failed:
        backend.renew(lease)
    assert failed.value.key == database


def test_a_lease_that_ran_out_is_expired(vault, backend):
    mount, role = vault.admin.database("1s", "1s")
    lease = backend.fetch(Address(f"{mount}/creds/{role}")).lease

    def over():
        try:
            backend.renew(lease)
        except Expired:
            return True
        return False

    eventually(over)


def test_what_is_not_renewable_is_expired(backend, pki):
    lease = backend.fetch(pki).lease

    assert not lease.renewable
    with pytest.raises(Expired):
        backend.renew(lease)


def test_what_has_no_lease_is_expired_without_a_call(vault_server, backend):
    with pytest.raises(Expired, match="no lease"):
        backend.renew(Lease("", 60))
    assert vault_server.requests == []


def test_a_renewal_that_fails_for_now_is_not_the_end(vault_server, backend, database):
    lease = backend.fetch(Address(database)).lease
    for fail in (vault_server.faults.broken, vault_server.faults.unavailable, vault_server.faults.drop):
        fail(path="sys/leases/renew")
        with pytest.raises(Unavailable):
            backend.renew(lease)

    assert backend.renew(lease).duration > 0


def test_a_renewal_that_is_forbidden_is_denied_and_not_expired(vault, connect, database):
    mount = database.partition("/")[0]
    deny = 'path "sys/leases/renew" { capabilities = ["deny"] }'
    backend = connect(
        [vault.admin.policy("no", f'path "{mount}/creds/*" {{ capabilities = ["read"] }}\n{deny}')]
    )
    lease = backend.fetch(Address(database)).lease

    with pytest.raises(Denied):
        backend.renew(lease)


def test_revoking_ends_the_credential_now(vault_server, backend, database):
    secret = backend.fetch(Address(database))
    assert vault_server.credential_alive(secret.data["username"])

    backend.revoke(secret.lease)

    assert not vault_server.credential_alive(secret.data["username"])


def test_revoking_twice_is_revoking(backend, database):
    lease = backend.fetch(Address(database)).lease
    backend.revoke(lease)
    backend.revoke(lease)
    backend.revoke(Lease("", 60))


def test_no_error_shows_the_random_part_of_a_lease(vault_server, backend, database):
    lease = backend.fetch(Address(database)).lease
    vault_server.faults.answer(400, f"lease {lease.id} not found", path="sys/leases/renew")

    with pytest.raises(Expired) as failed:
        backend.renew(lease)

    assert lease.id.rpartition("/")[2] not in str(failed.value)


# Certificates.


def test_a_certificate_its_key_and_its_chain_come_together(backend, pki):
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = backend.fetch(pki).data

    certificate = x509.load_pem_x509_certificate(data["certificate"].encode())
    key = load_pem_private_key(data["private_key"].encode(), None)
    assert certificate.public_key() == key.public_key()
    assert data["issuing_ca"].startswith("-----BEGIN CERTIFICATE-----")


def test_a_leased_certificate_has_its_lease(backend, pki):
    secret = backend.fetch(pki)

    assert secret.lease.id.startswith(pki.path)
    assert 3500 < secret.lease.duration <= 3660
    assert secret.session == backend.session


def test_a_certificate_without_a_lease_is_good_until_it_expires(vault, backend):
    mount, role = vault.admin.pki("example.test", generate_lease=False)
    secret = backend.fetch(
        Address(f"{mount}/issue/{role}", (("common_name", "a.example.test"), ("ttl", "1h")))
    )

    assert secret.lease.id == ""
    assert 3500 < secret.lease.duration <= 3600
    assert not secret.lease.renewable
    assert secret.session == 0


def test_a_clock_that_is_wrong_here_does_not_shorten_a_certificate(vault_server, connect):
    """What is left is counted by the clock of the server that made it."""
    made = dt.datetime(2026, 11, 21, 3, 27, 36, tzinfo=dt.UTC)
    body = f'{{"data": {{"certificate": "c", "expiration": {int(made.timestamp()) + 3600}}}}}'
    address = Address("m/issue/web", (("common_name", "a.example.test"),))
    for wrong in (-86400, 0, 86400):
        vault_server.faults.no_json(body, path="m/", headers={"Date": "Sat, 21 Nov 2026 03:27:36 GMT"})
        backend = connect(clock=FixedClock(made.timestamp() + wrong), mounts={"m": {"type": "pki"}})

        assert backend.fetch(address).lease == Lease("", 3600.0)


def test_a_server_without_a_date_is_taken_to_have_ours(vault_server, connect):
    vault_server.faults.no_json(
        '{"data": {"certificate": "c", "expiration": 3600}}', path="m/", headers={"Date": "?"}
    )

    secret = connect(clock=FixedClock(600.0), mounts={"m": {"type": "pki"}}).fetch(Address("m/cert/x"))

    assert secret.lease == Lease("", 3000.0)


def test_a_certificate_that_is_not_allowed_says_why(backend, pki):
    with pytest.raises(Invalid, match=r"common name .?a\.other\.test.? not allowed by this role"):
        backend.fetch(Address(pki.path, (("common_name", "a.other.test"),)))


# What fetching makes.


@pytest.mark.parametrize(
    ("kind", "below", "dynamic"),
    [
        ("kv", "prod/db", False),
        ("kv", "creds/db", False),
        ("cubbyhole", "x", False),
        ("database", "creds/app", True),
        ("database", "static-creds/app", False),
        ("database", "rotate-role/app", True),
        ("pki", "issue/web", True),
        ("pki", "cert/ca", False),
        ("pki", "cert/11-22", False),
        ("pki", "ca", False),
        ("pki", "ca_chain", False),
        ("pki", "crl", False),
        ("pki", "sign/web", True),
        ("pki", "certs", True),
        ("aws", "creds/app", True),
        ("aws", "static-creds/app", False),
        ("ldap", "static-cred/app", False),
        ("ldap", "creds/app", True),
        ("ldap", "static-role/app", True),
        ("openldap", "static-cred/app", False),
        ("gcp", "static-cred/app", True),
        ("identity", "oidc/token/app", True),
        ("transit", "keys/app", True),
        ("something-new", "x", True),
    ],
)
def test_is_dynamic(connect, kind, below, dynamic):
    backend = connect(mounts={"m": {"type": kind}})

    assert backend.is_dynamic(Address(f"m/{below}")) == dynamic


def test_is_dynamic_asks_for_the_mount_once(vault_server, backend, database):
    vault_server.forget_requests()

    assert all(backend.is_dynamic(Address(database)) for _ in range(3))
    assert vault_server.count(None, "sys/internal/ui/mounts/") == 1
    assert vault_server.count(None, database) == 0


# Rotated by Vault, and answers of any other engine.


def answered(vault_server, connect, kind, body, path="m/x", parameters=()):
    vault_server.faults.no_json(body, path=path)
    return connect(mounts={"m": {"type": kind}}).fetch(Address(path, parameters))


def test_static_credentials_are_good_until_just_after_their_rotation(vault_server, connect):
    body = '{"data": {"username": "u", "password": "p", "ttl": 100, "last_vault_rotation": "2026-11-21T03:27:36Z"}}'
    secret = answered(vault_server, connect, "database", body, "m/static-creds/app")

    assert secret.lease == Lease("", 101.0)
    assert secret.created == dt.datetime(2026, 11, 21, 3, 27, 36, tzinfo=dt.UTC).timestamp()
    assert secret.session == 0


@pytest.mark.parametrize(
    ("kind", "path", "data", "seconds"),
    [
        ("ldap", "m/static-cred/app", {"password": "p", "ttl": 100, "rotation_period": 3600}, 101.0),
        ("openldap", "m/static-cred/app", {"password": "p", "ttl": 0}, 1.0),
        (
            "ldap", "m/static-cred/app",
            {"password": "p", "rotation_period": 3600, "last_vault_rotation": "2026-11-21T03:00:00Z"}, 1801.0,
        ),
        ("aws", "m/static-creds/app", {"secret_key": "k", "expiration": "2026-11-21T04:30:00Z"}, 3601.0),
        ("identity", "m/oidc/token/app", {"token": "t", "ttl": 600}, 600.0),
        ("gcp", "m/static-account/app/token", {"token": "t", "token_ttl": 3599}, 3599.0),
        ("gcp", "m/static-account/app/token", {"token": "t", "expires_at_seconds": 1795232400}, 600.0),
        ("identity", "m/oidc/role/app", {"ttl": 0}, None),
    ],
)  # fmt: skip
def test_what_perishes_without_a_lease_is_good_until_then(vault_server, connect, kind, path, data, seconds):
    """By the clock of the server, whatever ours says."""
    headers = {"Date": "Sat, 21 Nov 2026 03:30:00 GMT"}
    vault_server.faults.no_json(json.dumps({"data": data}), path=path, headers=headers)
    address = Address(path)

    secret = connect(clock=FixedClock(0.0), mounts={"m": {"type": kind}}).fetch(address)

    assert secret.lease == (None if seconds is None else Lease("", seconds))
    assert secret.session == 0


def test_whether_a_password_that_vault_changes_is_another_only_fetching_tells(vault_server, connect):
    backend = connect(mounts={"m": {"type": "ldap"}})
    vault_server.faults.no_json('{"data": {"password": "p", "ttl": 100}}', path="m/static-cred/app")
    known = backend.fetch(Address("m/static-cred/app"))
    vault_server.forget_requests()

    assert backend.changed(Address("m/static-cred/app"), known)
    assert vault_server.requests == []


def test_a_duration_without_a_lease_is_how_long_it_is_good_for(vault_server, connect):
    assert answered(vault_server, connect, "aws", '{"data": {"a": 1}, "lease_duration": 30}').lease == Lease(
        "", 30.0
    )


def test_what_says_nothing_of_its_end_has_none(vault_server, connect):
    secret = answered(vault_server, connect, "aws", '{"data": {"a": 1, "expiration": 5, "ttl": "1h"}}')

    assert secret.lease is None
    assert secret.data == {"a": 1, "expiration": 5, "ttl": "1h"}


@pytest.mark.parametrize("expiration", ['"soon"', "true", "-1", "1e400", "null", "[1]"])
def test_an_expiration_that_is_none(vault_server, connect, expiration):
    body = f'{{"data": {{"certificate": "x", "expiration": {expiration}}}}}'

    assert answered(vault_server, connect, "pki", body).lease is None


def test_an_answer_without_data_says_so(vault_server, connect):
    assert answered(vault_server, connect, "aws", "{}").missing == "Vault answered without data"


def test_nothing_there(vault_server, connect):
    vault_server.faults.answer(404, path="m/x")

    secret = connect(mounts={"m": {"type": "aws"}}).fetch(Address("m/x"))

    assert (secret.data, secret.missing) == (None, "there is nothing")


def test_an_answer_in_pem_says_what_to_read_instead(vault_server, connect):
    headers = {"Content-Type": "application/pem-certificate-chain"}
    vault_server.faults.no_json("-----BEGIN CERTIFICATE-----", path="m/ca/pem", headers=headers)

    with pytest.raises(Invalid, match="read MOUNT/cert/ca"):
        connect(mounts={"m": {"type": "pki"}}).fetch(Address("m/ca/pem"))


def test_parameters_are_written_and_their_absence_reads(vault_server, connect):
    for parameters, method in (((), "GET"), ((("ttl", "1h"),), "POST")):
        vault_server.forget_requests()
        answered(vault_server, connect, "aws", '{"data": {}}', parameters=parameters)

        assert vault_server.count(method, "m/x") == 1


def test_a_lease_dies_with_the_login_that_made_it(vault, connect, database, vault_server):
    """Its session number is how the core knows."""
    backend = connect()
    secret = backend.fetch(Address(database))
    assert secret.session == backend.session
    assert backend.fetch(Address(database)).session == secret.session


def test_a_restarted_vault_has_forgotten_the_lease(vault_server, backend, database):
    lease = backend.fetch(Address(database)).lease
    vault_server.restart(lose_state=True)

    with pytest.raises((Expired, Denied)):
        backend.renew(lease)


def test_a_sealed_vault_keeps_the_lease(vault_server, backend, database):
    lease = backend.fetch(Address(database)).lease
    vault_server.seal()
    with pytest.raises(Unavailable, match="sealed"):
        backend.renew(lease)
    vault_server.unseal()

    assert backend.renew(lease).id == lease.id
