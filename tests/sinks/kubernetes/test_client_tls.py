"""TLS: whom we trust, whom we are taken for, and what is told where it fails."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from stand_ins.common.certificates import Authority
from stand_ins.kubernetes import ApiServer, TlsFiles
from stand_ins.pauses import Pauses

from confsync.sinks.kubernetes.client import Client
from confsync.sinks.kubernetes.failures import Forbidden, Refused, Unreachable
from confsync.sinks.kubernetes.resources import SECRET


@pytest.fixture
def serve(api_server: ApiServer) -> Iterator[Callable[[TlsFiles], ApiServer]]:
    """Starts a server; `api_server` skips where a real cluster is to be used."""
    with ExitStack() as stack:
        yield lambda tls: stack.enter_context(ApiServer(tls=tls))


@pytest.fixture
def ask(connect: Callable[..., Client], pauses: Pauses) -> Callable[[Path], int]:
    """Reads something by a kubeconfig; gives the status."""
    return lambda path: connect(path, pauses=pauses).request("GET", SECRET, "default").status


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "stranger")


def changed(path: Path, **cluster: Any) -> Path:
    """A kubeconfig with other entries for its cluster."""
    content = yaml.safe_load(path.read_text())
    content["clusters"][0]["cluster"] |= cluster
    path.write_text(yaml.safe_dump(content))
    return path


def test_who_is_vouched_for_is_spoken_to(serve, ask, authority: Authority, tmp_path: Path) -> None:
    server = serve(authority.server())

    assert ask(server.kubeconfig(tmp_path / "config", ca=authority.cert)) == 200


def test_an_authority_nobody_trusts(
    serve, ask, authority: Authority, stranger: Authority, tmp_path, pauses: Pauses
) -> None:
    server = serve(authority.server())

    with pytest.raises(Unreachable) as failure:
        ask(server.kubeconfig(tmp_path / "config", ca=stranger.cert))
    assert "its certificate comes from an authority that is not trusted" in failure.value.why
    assert "certificate-authority" in str(failure.value.hint)
    assert not failure.value.sent
    assert pauses.taken == []


def test_a_certificate_for_another_address(serve, ask, authority: Authority, tmp_path) -> None:
    identity = authority.issue("server", "192.0.2.1")
    server = serve(TlsFiles(identity.cert, identity.key))

    with pytest.raises(Unreachable, match="its certificate is for another address") as failure:
        ask(server.kubeconfig(tmp_path / "config", ca=authority.cert))
    assert "tls-server-name" in str(failure.value.hint)


def test_a_certificate_for_another_host_name(serve, ask, authority: Authority, tmp_path) -> None:
    identity = authority.issue("server", "other.example")
    server = serve(TlsFiles(identity.cert, identity.key))
    path = server.kubeconfig(tmp_path / "config", ca=authority.cert)

    with pytest.raises(Unreachable, match="its certificate is for another host name"):
        ask(changed(path, server=server.address.replace("127.0.0.1", "localhost")))


def test_the_name_it_has_may_be_given(serve, ask, authority: Authority, tmp_path) -> None:
    identity = authority.issue("server", "other.example")
    server = serve(TlsFiles(identity.cert, identity.key))
    path = server.kubeconfig(tmp_path / "config", ca=authority.cert)

    assert ask(changed(path, **{"tls-server-name": "other.example"})) == 200


def test_one_that_has_expired(serve, ask, authority: Authority, tmp_path) -> None:
    identity = authority.issue("server", "127.0.0.1", days=-1)
    server = serve(TlsFiles(identity.cert, identity.key))

    with pytest.raises(Unreachable, match="its certificate has expired"):
        ask(server.kubeconfig(tmp_path / "config", ca=authority.cert))


def test_http_to_a_server_of_https(serve, ask, authority: Authority, tmp_path) -> None:
    server = serve(authority.server())
    path = server.kubeconfig(tmp_path / "config", ca=authority.cert)

    with pytest.raises(Refused, match="the server speaks HTTPS, and was spoken to in HTTP"):
        ask(changed(path, server=server.address.replace("https", "http")))


def test_https_to_a_server_of_http(api_server: ApiServer, ask, tmp_path, pauses: Pauses) -> None:
    path = api_server.kubeconfig(tmp_path / "config")

    with pytest.raises(Unreachable, match="it does not speak TLS"):
        ask(changed(path, server=api_server.address.replace("http", "https")))
    assert pauses.taken == []


def test_a_client_certificate_is_who_we_are(serve, ask, authority: Authority, tmp_path) -> None:
    server = serve(authority.server(client_ca=authority.cert))
    jane = authority.issue("jane")
    path = server.kubeconfig(tmp_path / "config", ca=authority.cert, identity=jane)
    with pytest.raises(Forbidden, match="403: jane may not list secrets in namespace 'default'"):
        ask(path)

    server.grant("jane", "default", ["list"], ["secrets"])
    assert ask(path) == 200


def test_one_that_the_server_does_not_accept(
    serve, ask, authority: Authority, stranger: Authority, tmp_path
) -> None:
    server = serve(authority.server(client_ca=authority.cert))
    path = server.kubeconfig(tmp_path / "config", ca=authority.cert, identity=stranger.issue("jane"))

    # In TLS 1.3 the server says so after the handshake, and may have hung up before we could hear it.
    with pytest.raises(Unreachable, match=r"it refuses our client certificate|the connection was lost"):
        ask(path)


def test_a_key_that_is_another_s(serve, ask, authority: Authority, tmp_path) -> None:
    server = serve(authority.server(client_ca=authority.cert))
    jane, john = authority.issue("jane"), authority.issue("john")
    path = server.kubeconfig(tmp_path / "config", ca=authority.cert, identity=jane._replace(key=john.key))

    with pytest.raises(Unreachable, match="the certificates or keys of the kubeconfig cannot be used"):
        ask(path)


def test_an_authority_that_is_no_certificate(serve, ask, authority: Authority, tmp_path) -> None:
    server = serve(authority.server())
    nonsense = tmp_path / "ca.pem"
    nonsense.write_text("hunter2")

    with pytest.raises(
        Unreachable, match="the certificates or keys of the kubeconfig cannot be used"
    ) as failure:
        ask(server.kubeconfig(tmp_path / "config", ca=nonsense))
    assert "hunter2" not in str(failure.value)


def test_a_certificate_that_is_not_looked_at(serve, ask, stranger: Authority, tmp_path, caplog) -> None:
    server = serve(stranger.server())
    path = server.kubeconfig(tmp_path / "config")

    assert ask(path) == 200
    assert caplog.text.count("NOT VERIFIED") == 1


def test_certificates_that_somebody_tidied_away_are_written_again(
    serve, connect, authority: Authority, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library keeps those of a kubeconfig's `-data` in temporary files, and /tmp is swept in the end."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    server = serve(authority.server(client_ca=authority.cert))
    server.grant("jane", None, ["list"], ["secrets"])
    jane = authority.issue("jane")
    path = server.kubeconfig(tmp_path / "config", ca=authority.cert)
    content = yaml.safe_load(path.read_text())
    content["users"][0]["user"] = {
        "client-certificate-data": base64.b64encode(jane.cert.read_bytes()).decode(),
        "client-key-data": base64.b64encode(jane.key.read_bytes()).decode(),
    }
    path.write_text(yaml.safe_dump(content))
    client = connect(path)
    assert client.request("GET", SECRET, "default").status == 200

    for file in temporary.iterdir():
        assert file.stat().st_mode & 0o077 == 0
        file.unlink()
    server.restart()

    assert client.request("GET", SECRET, "default", retry=False).status == 200
