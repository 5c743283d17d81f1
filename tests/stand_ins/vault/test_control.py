"""What a test may do to the stand-in: move its clock, make it fail, look at what it was asked."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from confsync.testing.waiting import eventually

from .admin import VaultAdmin
from .fixtures import vault_server
from .identities import Authority, Identity, JwtIssuer
from .request_log import Request
from .server import VaultServer

__all__ = ["vault_server"]


@pytest.fixture
def admin(vault_server: VaultServer) -> VaultAdmin:
    return VaultAdmin(vault_server.address, vault_server.root_token)


@pytest.fixture
def kv(admin: VaultAdmin) -> str:
    """A mount with one secret, `a`."""
    mount = admin.mount_kv()
    admin.put(mount, "a", {"n": 1})
    return mount


def as_(token: str) -> dict[str, str]:
    return {"X-Vault-Token": token}


@pytest.fixture(autouse=True)
def _stopped(vault_server: VaultServer) -> None:
    """Time passes when a test says so, however slow the machine is."""
    vault_server.clock.stop()


class TestClock:
    def test_a_token_ends_when_its_time_has_come(self, vault_server: VaultServer, admin: VaultAdmin) -> None:
        token = admin.token(["default"], ttl="1m")

        vault_server.advance(59)
        assert admin.call("GET", "auth/token/lookup-self", headers=as_(token))[0] == 200

        vault_server.advance(2)
        assert admin.call("GET", "auth/token/lookup-self", headers=as_(token))[0] == 403
        assert not vault_server.token_alive(token)

    def test_a_database_user_ends_with_its_lease(self, vault_server: VaultServer, admin: VaultAdmin) -> None:
        mount, role = admin.database("20s", "60s")
        answer = admin.must("GET", f"{mount}/creds/{role}")
        user = answer["data"]["username"]
        assert vault_server.credentials == {user: answer["data"]["password"]}

        vault_server.advance(15)
        admin.must("PUT", "sys/leases/renew", {"lease_id": answer["lease_id"], "increment": 20})
        vault_server.advance(15)
        assert vault_server.credential_alive(user)

        vault_server.advance(6)
        assert not vault_server.credential_alive(user)
        assert vault_server.leases(mount) == []

    def test_a_renewal_may_give_less_than_it_is_asked_for(
        self, vault_server: VaultServer, admin: VaultAdmin
    ) -> None:
        mount, role = admin.database("20s", "1h")
        lease = admin.must("GET", f"{mount}/creds/{role}")["lease_id"]

        vault_server.cap_lease(lease, 5)
        answer = admin.must("PUT", "sys/leases/renew", {"lease_id": lease, "increment": 20})

        assert answer["lease_duration"] == 5
        assert answer["warnings"] == [
            'TTL of "20s" exceeded the effective max_ttl of "5s"; TTL value is capped accordingly'
        ]

    def test_no_renewal_beyond_the_longest_life(self, vault_server: VaultServer, admin: VaultAdmin) -> None:
        token = admin.token(["default"], ttl="10s", explicit_max_ttl="15s")
        vault_server.advance(8)

        auth = admin.must("POST", "auth/token/renew-self", {}, as_(token))["auth"]

        assert auth["lease_duration"] == 7

    def test_a_version_may_delete_itself(self, vault_server: VaultServer, admin: VaultAdmin, kv: str) -> None:
        admin.must("POST", f"{kv}/metadata/a", {"delete_version_after": "1h"})
        admin.put(kv, "a", {"n": 2})
        vault_server.advance(3599)
        assert admin.call("GET", f"{kv}/data/a")[0] == 200

        vault_server.advance(2)
        assert admin.call("GET", f"{kv}/data/a")[0] == 404

    def test_a_secret_id_ends(self, vault_server: VaultServer, admin: VaultAdmin) -> None:
        approle = admin.approle([], secret_id_ttl="1m")
        vault_server.advance(61)

        body = {"role_id": approle.role_id, "secret_id": approle.secret_id}
        answer = admin.call("POST", f"auth/{approle.mount}/login", body)

        assert answer == (400, {"errors": ["invalid secret id"]})

    def test_a_wrapped_answer_ends_too(self, vault_server: VaultServer, admin: VaultAdmin) -> None:
        approle = admin.approle([])
        wrapped = admin.secret_id(approle.mount, wrap_ttl="60s")
        vault_server.advance(61)

        status, body = admin.call("POST", "sys/wrapping/unwrap", headers=as_(wrapped))

        assert (status, body["errors"]) == (400, ["wrapping token is not valid or does not exist"])


class TestFaults:
    def test_an_answer_instead_so_many_times(
        self, vault_server: VaultServer, admin: VaultAdmin, kv: str
    ) -> None:
        fault = vault_server.faults.rate_limited(3, path=f"{kv}/data/", times=2)

        statuses = [admin.call("GET", f"{kv}/data/a")[0] for _ in range(3)]

        assert statuses == [429, 429, 200]
        assert fault.hits == 2

    def test_the_first_that_fits_is_the_one(
        self, vault_server: VaultServer, admin: VaultAdmin, kv: str
    ) -> None:
        vault_server.faults.answer(503, method="POST", times=None)
        vault_server.faults.stale()
        vault_server.faults.broken()

        assert [admin.call("GET", f"{kv}/data/a")[0] for _ in range(3)] == [412, 500, 200]
        assert admin.call("POST", f"{kv}/data/a", {"data": {}})[0] == 503

    def test_a_standby_says_so(self, vault_server: VaultServer, admin: VaultAdmin) -> None:
        vault_server.faults.standby()

        status, body = admin.call("GET", "sys/health")

        assert (status, body["performance_standby"]) == (473, True)

    def test_headers_of_an_answer(self, vault_server: VaultServer) -> None:
        vault_server.faults.rate_limited(7)

        with connected(vault_server) as connection:
            connection.request("GET", "/v1/sys/health")
            response = connection.getresponse()

        assert (response.status, response.getheader("Retry-After")) == (429, "7")

    def test_half_an_answer(self, vault_server: VaultServer, admin: VaultAdmin, kv: str) -> None:
        vault_server.faults.cut(10)

        with pytest.raises(http.client.IncompleteRead) as error:
            admin.call("GET", f"{kv}/data/a")

        assert len(error.value.partial) == 10

    def test_no_answer(self, vault_server: VaultServer, admin: VaultAdmin, kv: str) -> None:
        vault_server.faults.drop()

        with pytest.raises(http.client.RemoteDisconnected):
            admin.call("POST", f"{kv}/data/a", {"data": {"n": 2}})

        assert admin.must("GET", f"{kv}/data/a")["data"]["data"] == {"n": 1}
        assert vault_server.requests[-2] == Request("POST", f"/v1/{kv}/data/a", 0, vault_server.root_token)

    def test_no_answer_but_done(self, vault_server: VaultServer, admin: VaultAdmin, kv: str) -> None:
        vault_server.faults.drop(processed=True)

        with pytest.raises(http.client.RemoteDisconnected):
            admin.call("POST", f"{kv}/data/a", {"data": {"n": 2}})

        assert admin.must("GET", f"{kv}/data/a")["data"]["data"] == {"n": 2}

    def test_no_json(self, vault_server: VaultServer, admin: VaultAdmin) -> None:
        vault_server.faults.no_json()

        with pytest.raises(json.JSONDecodeError):
            admin.call("GET", "sys/health")

    def test_a_late_answer_holds_up_nobody_else(
        self, vault_server: VaultServer, admin: VaultAdmin, kv: str
    ) -> None:
        vault_server.faults.late(240, path=f"{kv}/data/a")
        late = threading.Thread(target=_ignore_errors, args=(admin, f"{kv}/data/a"))
        late.start()

        started = time.monotonic()
        assert admin.call("GET", "sys/health")[0] == 200
        vault_server.stop()
        late.join()

        assert time.monotonic() - started < 120

    def test_who_waits_is_let_go_with_the_faults(self, vault_server: VaultServer, admin: VaultAdmin) -> None:
        fault = vault_server.faults.late(3600)
        answers: list[int] = []
        late = threading.Thread(target=lambda: answers.append(admin.call("GET", "sys/health")[0]))
        late.start()
        assert eventually(lambda: fault.hits == 1)

        vault_server.faults.clear()
        late.join()

        assert answers == [200]


class TestRequestLog:
    def test_who_asked_for_what(self, vault_server: VaultServer, admin: VaultAdmin, kv: str) -> None:
        vault_server.forget_requests()
        admin.call("GET", f"{kv}/data/a?version=1")
        admin.call("GET", f"{kv}/data/none", headers=as_("s.nobody"))
        admin.call("LIST", f"{kv}/metadata")

        assert vault_server.requests == [
            ("GET", f"/v1/{kv}/data/a", 200, vault_server.root_token),
            ("GET", f"/v1/{kv}/data/none", 403, "s.nobody"),
            ("LIST", f"/v1/{kv}/metadata", 200, vault_server.root_token),
        ]
        assert vault_server.count("GET", f"{kv}/data/") == 2
        assert vault_server.count(None, f"/v1/{kv}/") == 3

    def test_how_many_at_once(self, vault_server: VaultServer) -> None:
        vault_server.faults.late(60, times=None)
        nobody = VaultAdmin(vault_server.address, "")
        threads = [threading.Thread(target=_ignore_errors, args=(nobody, "x")) for _ in range(4)]
        for thread in threads:
            thread.start()

        assert eventually(lambda: vault_server.log.most_at_once == 4)
        assert vault_server.log.connections == 4
        vault_server.stop()
        for thread in threads:
            thread.join()


class TestRestart:
    def test_state_outlives_a_restart(self, vault_server: VaultServer, admin: VaultAdmin, kv: str) -> None:
        vault_server.stop()
        with pytest.raises(ConnectionError):
            admin.call("GET", "sys/health")
        vault_server.start()

        assert admin.must("GET", f"{kv}/data/a")["data"]["data"] == {"n": 1}

    def test_a_dev_server_forgets(self, vault_server: VaultServer, admin: VaultAdmin, kv: str) -> None:
        vault_server.restart(lose_state=True)

        assert admin.call("GET", f"{kv}/data/a")[0] == 404

    def test_a_connection_kept_open_ends(self, vault_server: VaultServer) -> None:
        with connected(vault_server) as connection:
            assert connection.sock is None
            connection.request("GET", "/v1/sys/health")
            connection.getresponse().read()
            kept = connection.sock
            vault_server.restart()

            assert kept is not None
            assert kept.recv(1) == b""

    def test_sealed_after_a_restart(self, vault_server: VaultServer, admin: VaultAdmin, kv: str) -> None:
        vault_server.restart(sealed=True)
        assert admin.call("GET", f"{kv}/data/a")[0] == 503
        assert admin.call("GET", "sys/health")[0] == 503

        admin.must("PUT", "sys/unseal", {"key": vault_server.unseal_key})
        assert admin.call("GET", f"{kv}/data/a")[0] == 200


class TestTls:
    @pytest.fixture
    def authority(self, tmp_path: Path) -> Authority:
        return Authority(tmp_path)

    @pytest.fixture
    def secured(self, authority: Authority) -> Iterator[VaultServer]:
        with VaultServer(tls=authority.server(client_ca=authority.cert)) as server:
            yield server

    def test_a_certificate_logs_in(self, secured: VaultServer, authority: Authority) -> None:
        admin = VaultAdmin(secured.address, secured.root_token)
        mount, _ = admin.cert([], authority.cert, allowed_common_names="web-*")

        mine = post(secured, authority, f"auth/{mount}/login", authority.issue("web-1"))
        other = post(secured, authority, f"auth/{mount}/login", authority.issue("db-1"))
        none = post(secured, authority, f"auth/{mount}/login", None)

        assert (mine[0], mine[1]["auth"]["metadata"]["common_name"]) == (200, "web-1")
        text = "no chain matching all constraints could be found for this login certificate"
        assert other == (400, {"errors": [text]})
        assert none == (400, {"errors": ["client certificate must be supplied"]})

    def test_plain_http_is_told_so(self, secured: VaultServer) -> None:
        connection = http.client.HTTPConnection(urlsplit(secured.address).netloc, timeout=60)
        connection.request("GET", "/v1/sys/health")
        response = connection.getresponse()

        assert (response.status, response.read()) == (
            400,
            b"Client sent an HTTP request to an HTTPS server.\n",
        )
        connection.close()


class TestLoginsOnlyHere:
    def test_a_service_account_logs_in(self, admin: VaultAdmin) -> None:
        issuer = JwtIssuer()
        mount, role = admin.kubernetes([], "shop", "confsync")

        status, body = admin.call(
            "POST", f"auth/{mount}/login", {"role": role, "jwt": issuer.service_account("shop", "confsync")}
        )
        other = admin.call(
            "POST", f"auth/{mount}/login", {"role": role, "jwt": issuer.service_account("shop", "x")}
        )

        assert (status, body["auth"]["metadata"]["service_account_name"]) == (200, "confsync")
        assert other == (500, {"errors": ["service account name not authorized"]})

    def test_the_directory_knows_its_users(self, vault_server: VaultServer, admin: VaultAdmin) -> None:
        mount = admin.ldap(["base"])
        vault_server.directory_user("ann", "pw", ["more"])

        status, body = admin.call("POST", f"auth/{mount}/login/ann", {"password": "pw"})
        refused = admin.call("POST", f"auth/{mount}/login/ann", {"password": "no"})

        assert (status, body["auth"]["policies"]) == (200, ["base", "default", "more"])
        assert refused == (400, {"errors": ["ldap operation failed: failed to bind as user"]})


def test_what_it_cannot_do_it_says(admin: VaultAdmin) -> None:
    status, body = admin.call("POST", f"{admin.mount('transit')}/keys/app", {"type": "rsa-2048"})

    assert (status, body["errors"]) == (
        501,
        ["the stand-in for Vault does not do this: transit keys but plain symmetric ones"],
    )


class connected:  # noqa: N801 - reads as a word
    """A connection that is closed in the end."""

    def __init__(self, server: VaultServer) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(server.address).netloc, timeout=60)

    def __enter__(self) -> http.client.HTTPConnection:
        return self._connection

    def __exit__(self, *error: object) -> None:
        self._connection.close()


def post(server: VaultServer, authority: Authority, path: str, identity: Identity | None) -> tuple[int, Any]:
    """A request over TLS, as whom the identity says."""
    context = ssl.create_default_context(cafile=str(authority.cert))
    if identity is not None:
        context.load_cert_chain(identity.cert, identity.key)
    connection = http.client.HTTPSConnection(urlsplit(server.address).netloc, timeout=60, context=context)
    try:
        connection.request("POST", f"/v1/{path}", b"{}")
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def _ignore_errors(admin: VaultAdmin, path: str) -> None:
    try:
        admin.call("GET", path)
    except (OSError, http.client.HTTPException):
        return
