"""Kubernetes, JWT, users with passwords, and certificates: what is sent, and what each refusal says."""

from __future__ import annotations

import base64
import json
import time

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from stand_ins.vault import TlsFiles, VaultAdmin, VaultServer

from confsync.errors import Denied, Invalid, Unavailable


def refusal(session, read, kind=Denied):
    with pytest.raises(kind) as caught:
        read(session)
    return caught.value


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def signed(key, tmp_path):
    """Writes a JSON Web Token with these claims, and gives its file."""

    def write(name="jwt", **claims):
        now = int(time.time())
        parts = [{"alg": "RS256", "typ": "JWT"}, {"iat": now, "exp": now + 3600} | claims]
        text = ".".join(_encoded(json.dumps(part).encode()) for part in parts)
        signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        (tmp_path / name).write_text(f"{text}.{_encoded(signature)}\n")
        return name

    return write


def _encoded(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


# Kubernetes: a real Vault would ask a cluster, so the stand-in alone.


@pytest.fixture
def pod(vault_server, vault, shelf, signed):
    """What a user writes in a pod whose account is shop/app; the role is bound to it."""
    mount = vault.admin.login_mount("kubernetes")
    vault.admin.must("POST", f"auth/{mount}/config", {"kubernetes_host": "https://127.0.0.1:1"})
    bound = {"bound_service_account_names": "app", "bound_service_account_namespaces": "shop"}
    vault.admin.must(
        "POST", f"auth/{mount}/role/web", bound | {"token_policies": [shelf.policy], "token_ttl": "60s"}
    )
    token_file = signed(**account("app"))
    return {"method": "kubernetes", "mount": mount, "role": "web", "token_file": token_file}


def account(name, namespace="shop"):
    return {"kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": f"uid-{name}"}}}


def test_a_pod_logs_in_with_its_service_account(open_session, pod, read):
    assert read(open_session(pod)) == 1


def test_the_service_account_token_is_read_again_at_each_login(open_session, pod, read, signed, times):
    session = open_session(pod)
    read(session)
    signed(pod["token_file"], **account("somebody-else"))
    times.advance(61)

    assert "bound_service_account_names" in refusal(session, read).hint


@pytest.mark.parametrize(
    ("name", "namespace", "teaches"),
    [("other", "shop", "bound_service_account_names"), ("app", "other", "bound_service_account_namespaces")],
)
def test_a_pod_the_role_is_not_bound_to(open_session, pod, read, signed, name, namespace, teaches):
    signed(pod["token_file"], **account(name, namespace))

    assert teaches in refusal(open_session(pod), read).hint


def test_a_role_that_does_not_exist(open_session, pod, read):
    error = refusal(open_session(pod | {"role": "webb"}), read)

    assert "role 'webb'" in error.message
    assert f"vault list auth/{pod['mount']}/role" in error.hint


def test_a_service_account_token_that_has_ended(open_session, pod, read, signed):
    signed(pod["token_file"], exp=1_700_000_000, **account("app"))

    error = refusal(open_session(pod), read)

    assert "permission denied" in error.message
    assert pod["token_file"] in error.hint


@pytest.mark.parametrize("content", ["a.b.c", "no jwt at all", "e30.e30", "", "W10.e30.e30"])
def test_what_is_no_token_is_not_sent(open_session, pod, read, tmp_path, vault_server, content):
    (tmp_path / pod["token_file"]).write_text(content)

    assert "no service account token" in refusal(open_session(pod), read).message
    assert vault_server.count("POST", f"auth/{pod['mount']}/login") == 0


def test_outside_a_pod(open_session, pod, read):
    del pod["token_file"]

    error = refusal(open_session(pod), read)

    assert "/var/run/secrets/kubernetes.io/serviceaccount/token cannot be read" in error.message


def test_a_vault_that_fails_inside_is_not_blamed_on_the_pod(open_session, pod, read, vault_server):
    vault_server.faults.broken(path=f"auth/{pod['mount']}/login")

    refusal(open_session(pod), read, Unavailable)


# JWT.


@pytest.fixture
def workload(vault, shelf, key, signed):
    """What a user writes where somebody issues tokens for the audience `vault`."""
    mount = vault.admin.login_mount("jwt")
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    vault.admin.must("POST", f"auth/{mount}/config", {"jwt_validation_pubkeys": [pem.decode()]})
    role = {
        "role_type": "jwt",
        "user_claim": "sub",
        "bound_audiences": ["vault"],
        "token_policies": [shelf.policy],
    }
    vault.admin.must("POST", f"auth/{mount}/role/ci", role)
    return {"method": "jwt", "mount": mount, "role": "ci", "token_file": signed(sub="job", aud="vault")}


def test_a_workload_logs_in_with_its_token(open_session, workload, read):
    assert read(open_session(workload)) == 1


def test_its_token_may_be_in_a_variable(open_session, workload, read, tmp_path, monkeypatch):
    monkeypatch.setenv("CI_JWT", (tmp_path / workload.pop("token_file")).read_text().strip())

    assert read(open_session(workload | {"token_env": "CI_JWT"})) == 1


@pytest.mark.parametrize("claims", [{"aud": "other"}, {"aud": "vault", "exp": 1_700_000_000}])
def test_a_token_the_role_does_not_fit(open_session, workload, read, signed, claims):
    signed(workload["token_file"], sub="job", **claims)

    error = refusal(open_session(workload), read)

    assert f"logging in as role 'ci' at auth/{workload['mount']}/login" in error.message
    assert workload["token_file"] in error.hint


def test_a_jwt_role_that_does_not_exist(open_session, workload, read):
    error = refusal(open_session(workload | {"role": "cj"}), read)

    assert f"vault list auth/{workload['mount']}/role" in error.hint


# Users with passwords.


@pytest.fixture
def user(vault, shelf, tmp_path):
    login = vault.admin.userpass([shelf.policy])
    (tmp_path / "password").write_text(login.password + "\n")
    return {
        "method": "userpass",
        "mount": login.mount,
        "username": login.username,
        "password_file": "password",
    }


def test_a_user_logs_in(open_session, user, read):
    assert read(open_session(user)) == 1


def test_the_password_may_be_in_a_variable(open_session, user, read, tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", (tmp_path / user.pop("password_file")).read_text().strip())

    assert read(open_session(user | {"password_env": "SHOP_PASSWORD"})) == 1


@pytest.mark.parametrize("wrong", [{"password_file": "wrong"}, {"username": "nobody"}])
def test_a_wrong_password_or_user(open_session, user, read, tmp_path, wrong):
    (tmp_path / "wrong").write_text("battery staple")

    error = refusal(open_session(user | wrong), read)

    assert f"logging in as user {(user | wrong)['username']!r}" in error.message
    assert "check username and the password in" in error.hint
    assert "battery staple" not in str(error)


def test_a_user_name_leads_nowhere_else(open_session, user, read):
    refusal(open_session(user | {"username": "../../../sys/seal"}), read, Invalid)


def test_a_user_of_a_directory_logs_in(open_session, read, vault, vault_server, shelf, tmp_path):
    mount = vault.admin.login_mount("ldap")
    vault.admin.must("POST", f"auth/{mount}/config", {"url": "ldap://127.0.0.1:1"})
    vault_server.directory_user("ada", "difference engine", [shelf.policy])
    (tmp_path / "password").write_text("difference engine")
    auth = {"method": "ldap", "mount": mount, "username": "ada", "password_file": "password"}

    assert read(open_session(auth)) == 1

    (tmp_path / "password").write_text("analytical engine")
    error = refusal(open_session(auth), read)
    assert "check username and the password in" in error.hint
    assert "analytical" not in str(error)


# Certificates: a server over TLS of the test's own.


@pytest.fixture
def over_tls(authority):
    with VaultServer(tls=TlsFiles(*authority.issue("vault", "127.0.0.1"), authority.cert)) as server:
        yield server


@pytest.fixture
def trusted(over_tls, authority):
    """The options of a client whose certificate the role `web` trusts."""
    admin = VaultAdmin(over_tls.address, over_tls.root_token)
    mount = admin.login_mount("cert")
    admin.put("secret", "db", {"password": "correct horse"})
    policy = admin.policy("reader", 'path "secret/data/db" { capabilities = ["read"] }')
    role = {"certificate": authority.cert.read_text(), "token_policies": [policy]}
    admin.must("POST", f"auth/{mount}/certs/web", role)
    certificate, private = authority.issue("shop")
    return {
        "address": over_tls.address,
        "ca_cert": str(authority.cert),
        "client_cert": str(certificate),
        "client_key": str(private),
        "auth": {"method": "cert", "mount": mount},
    }


@pytest.mark.parametrize("role", [{}, {"role": "web"}])
def test_the_certificate_of_the_connection_logs_in(open_session, trusted, role):
    session = open_session(**trusted | {"auth": trusted["auth"] | role})

    reply, number = session.call("GET", "secret/data/db", doing="reading")

    assert (reply.data["data"], number) == ({"password": "correct horse"}, 1)


def test_a_certificate_that_fits_no_role(open_session, trusted):
    trusted["auth"] |= {"role": "other"}

    with pytest.raises(Denied) as caught:
        open_session(**trusted).call("GET", "secret/data/db", doing="reading")

    assert "client_cert" in caught.value.hint
