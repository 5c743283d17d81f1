"""TLS: whom to trust, who we are, and what is said when it does not fit."""

from __future__ import annotations

import shutil
import ssl
import warnings

import pytest
from stand_ins.vault import TlsFiles, VaultServer

from confsync.errors import Denied, Invalid, Unavailable


class ClientCertificateNeeded(TlsFiles):
    """A server that hangs up on clients without a certificate."""

    def context(self):
        context = super().context()
        context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.issue("server", "vault.test", "127.0.0.1")


@pytest.fixture(scope="module")
def serve():
    """serve(cert, key, client_ca=None, kind=TlsFiles): a VaultServer over TLS."""
    servers = []

    def serve(cert, key, client_ca=None, kind=TlsFiles):
        server = VaultServer(tls=kind(cert, key, client_ca))
        server.start()
        servers.append(server)
        return server

    yield serve
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def secure(serve, certificate):
    return serve(*certificate)


def ask(calls, server=None):
    token = server.root_token if server else "t"
    return calls.request("GET", "sys/internal/ui/mounts/secret/x", token=token, doing="looking").status


def test_a_ca_that_is_named_is_trusted(open_calls, secure, authority):
    assert ask(open_calls(secure.address, ca_cert=str(authority.cert)), secure) == 200


def test_files_are_relative_to_the_configuration(open_calls, secure, authority, tmp_path):
    shutil.copy(authority.cert, tmp_path / "ca.pem")

    assert ask(open_calls(secure.address, ca_cert="ca.pem"), secure) == 200


def test_a_directory_of_cas_is_trusted(open_calls, secure, authority, tmp_path):
    import subprocess

    (tmp_path / "cas").mkdir()
    shutil.copy(authority.cert, tmp_path / "cas" / "ca.pem")
    subprocess.run(["openssl", "rehash", str(tmp_path / "cas")], check=True)

    assert ask(open_calls(secure.address, ca_path="cas"), secure) == 200


def test_variables_of_vaults_own_clients_count(open_calls, secure, authority, monkeypatch):
    monkeypatch.setenv("VAULT_CACERT", str(authority.cert))

    assert ask(open_calls(secure.address), secure) == 200


def test_an_unknown_ca_is_not_trusted(open_calls, secure):
    with pytest.raises(Invalid, match=r"certificate is not trusted.*set ca_cert"):
        ask(open_calls(secure.address))


def test_another_ca_is_not_trusted(open_calls, secure, other_authority):
    with pytest.raises(Invalid, match=r"certificate is not trusted.*set ca_cert"):
        ask(open_calls(secure.address, ca_cert=str(other_authority.cert)))


def test_a_ca_that_is_named_is_the_only_one_trusted(
    open_calls, secure, authority, other_authority, monkeypatch
):
    """Neither the system's nor certifi's certificates are trusted beside it."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.cert))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(authority.cert))
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(authority.cert))  # certifi's file

    with pytest.raises(Invalid, match="not trusted"):
        ask(open_calls(secure.address, ca_cert=str(other_authority.cert)))


def test_the_systems_cas_are_trusted_where_none_is_named(open_calls, secure, authority, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.cert))

    assert ask(open_calls(secure.address), secure) == 200


def test_a_certificate_for_another_name(open_calls, serve, authority):
    server = serve(*authority.issue("elsewhere", "vault.test"))

    with pytest.raises(Invalid, match=r"for another name.*set tls_server_name"):
        ask(open_calls(server.address, ca_cert=str(authority.cert)))
    assert (
        ask(open_calls(server.address, ca_cert=str(authority.cert), tls_server_name="vault.test"), server)
        == 200
    )


def test_a_name_that_is_not_in_the_certificate(open_calls, secure, authority):
    with pytest.raises(Invalid, match="for another name"):
        ask(open_calls(secure.address, ca_cert=str(authority.cert), tls_server_name="other.test"))


def test_an_expired_certificate(open_calls, serve, authority):
    server = serve(*authority.issue("expired", "127.0.0.1", days=-1))

    with pytest.raises(Invalid, match=r"has expired.*clock"):
        ask(open_calls(server.address, ca_cert=str(authority.cert)))


def test_no_verification_is_said_in_every_message_and_not_once_for_each_call(open_calls, secure):
    calls = open_calls(secure.address, verify=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        assert ask(calls, secure) == 200
        secure.faults.broken()
        with pytest.raises(Unavailable, match=r"certificate NOT verified"):
            ask(calls, secure)

    assert calls.address == f"{secure.address} (certificate NOT verified)"


def test_skip_verify_of_the_environment_is_told_alike(open_calls, secure, monkeypatch):
    monkeypatch.setenv("VAULT_SKIP_VERIFY", "1")

    assert "NOT verified" in open_calls(secure.address).address


def test_plain_http_to_a_tls_port(open_calls, secure):
    with pytest.raises(Invalid, match=r"it speaks TLS \(write https:// in address\)"):
        ask(open_calls(secure.address.replace("https:", "http:")))


def test_https_to_a_plain_port(open_calls, vault_server):
    with pytest.raises(Invalid, match=r"does not speak TLS \(write http:// in address\)"):
        ask(open_calls(vault_server.address.replace("http:", "https:")))


def test_a_server_that_hangs_up_on_plain_http_may_speak_tls(open_calls, scripted):
    with pytest.raises(Unavailable, match=r"if it speaks TLS, write https://"):
        ask(open_calls(scripted(b"").address))


def test_a_client_certificate_is_shown(open_calls, serve, certificate, authority):
    server = serve(*certificate, authority.cert, ClientCertificateNeeded)
    cert, key = authority.issue("client")
    trusted = {"ca_cert": str(authority.cert)}

    assert (
        ask(open_calls(server.address, client_cert=str(cert), client_key=str(key), **trusted), server) == 200
    )
    with pytest.raises((Denied, Unavailable), match=r"client certificate.*set client_cert"):
        ask(open_calls(server.address, **trusted))


def test_a_client_certificate_of_a_stranger_is_refused(
    open_calls, serve, certificate, authority, other_authority
):
    server = serve(*certificate, authority.cert, ClientCertificateNeeded)
    cert, key = other_authority.issue("stranger")

    # The server's alert may be lost with the connection: then all that is known is that it hung up.
    with pytest.raises((Denied, Unavailable), match=r"client.cert"):
        ask(
            open_calls(
                server.address, ca_cert=str(authority.cert), client_cert=str(cert), client_key=str(key)
            )
        )


@pytest.mark.parametrize("name", ["ca_cert", "client_cert", "client_key"])
def test_a_file_that_is_not_there_is_named(open_calls, secure, authority, name, tmp_path):
    cert, key = authority.issue("other")
    files = {
        "ca_cert": str(authority.cert),
        "client_cert": str(cert),
        "client_key": str(key),
        name: "gone.pem",
    }

    with pytest.raises(Invalid, match=rf"{name}: {tmp_path}/gone.pem: No such file"):
        ask(open_calls(secure.address, **files))


@pytest.mark.parametrize("name", ["ca_cert", "client_cert", "client_key"])
def test_a_file_of_something_else_is_named(open_calls, secure, authority, name, tmp_path):
    cert, key = authority.issue("other")
    (tmp_path / "odd.pem").write_text("password")
    files = {
        "ca_cert": str(authority.cert),
        "client_cert": str(cert),
        "client_key": str(key),
        name: "odd.pem",
    }

    with pytest.raises(Invalid, match=rf"{name}: {tmp_path}/odd.pem: it holds nothing in PEM format"):
        ask(open_calls(secure.address, **files))


def test_a_ca_file_with_broken_pem_is_named(open_calls, secure, tmp_path):
    (tmp_path / "odd.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")

    with pytest.raises(Invalid, match=r"ca_cert: .*odd.pem: it holds no certificate"):
        ask(open_calls(secure.address, ca_cert="odd.pem"))


def test_a_key_of_another_certificate(open_calls, secure, authority):
    cert, _ = authority.issue("one")
    _, key = authority.issue("two")

    with pytest.raises(Invalid, match=r"client_cert, client_key: .*does not belong"):
        ask(open_calls(secure.address, client_cert=str(cert), client_key=str(key)))


def test_files_are_read_again_when_they_change(open_calls, secure, authority, other_authority, tmp_path):
    """A CA that is rotated in place is trusted at the next call, without a restart; the old one no longer is."""
    shutil.copy(other_authority.cert, tmp_path / "ca.pem")
    calls = open_calls(secure.address, ca_cert="ca.pem")
    with pytest.raises(Invalid, match="not trusted"):
        ask(calls)

    shutil.copy(authority.cert, tmp_path / "ca.pem")
    assert ask(calls, secure) == 200

    shutil.copy(other_authority.cert, tmp_path / "ca.pem")
    with pytest.raises(Invalid, match="not trusted"):
        ask(calls)


def test_a_rotation_does_not_break_calls_under_way(open_calls, secure, authority, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    shutil.copy(authority.cert, tmp_path / "ca.pem")
    calls = open_calls(secure.address, ca_cert="ca.pem", concurrency=4)
    secure.faults.late(0.02, times=40)

    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(ask, calls, secure) for _ in range(40)]
        for rotation in range(20):
            (tmp_path / "new.pem").write_text(authority.cert.read_text() + "\n" * rotation)
            (tmp_path / "new.pem").replace(tmp_path / "ca.pem")
            answers[2 * rotation].result(60)

        assert [answer.result(60) for answer in answers] == [200] * 40


def test_an_answer_cut_off_in_the_middle_is_worth_asking_again(open_calls, secure, authority):
    secure.faults.cut(40)
    calls = open_calls(secure.address, ca_cert=str(authority.cert))

    with pytest.raises(Unavailable, match="broke before the whole answer") as failed:
        ask(calls, secure)

    assert failed.value.retry_after == 0.0
    assert ask(calls, secure) == 200


def test_connections_in_use_outlive_a_rotation(secure, authority, tmp_path):
    """A call that has its adapter already is not disturbed, and finds its connection open."""
    from confsync_backends.vault.options import VaultOptions
    from confsync_backends.vault.transport import Transport

    shutil.copy(authority.cert, tmp_path / "ca.pem")
    transport = Transport(VaultOptions(address=secure.address, ca_cert="ca.pem"), tmp_path)
    with transport.adapter() as before:
        before.get("v1/sys/health")
        (tmp_path / "ca.pem").write_text(authority.cert.read_text() + "\n")
        with transport.adapter() as after:
            assert after is not before
        connections = secure.log.connections
        before.get("v1/sys/health")

        assert secure.log.connections == connections
    transport.close()
