"""A backend for a test's Vault, certificates, and servers that answer anything but as Vault would."""

from __future__ import annotations

import socket
import threading

import pytest
from stand_ins.common.certificates import Authority
from stand_ins.vault.fixtures import vault, vault_server

from confsync.clock import SystemClock
from confsync_backends.vault.calls import Calls
from confsync_backends.vault.options import VaultOptions

__all__ = ["vault", "vault_server"]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    """The variables of Vault's own clients must not reach the options of a test that does not set them."""
    for name in (
        "ADDR",
        "TOKEN",
        "NAMESPACE",
        "CACERT",
        "CAPATH",
        "CLIENT_CERT",
        "CLIENT_KEY",
        "SKIP_VERIFY",
    ):
        monkeypatch.delenv(f"VAULT_{name}", raising=False)
    for name in (
        "VAULT_TLS_SERVER_NAME",
        "VAULT_PROXY_ADDR",
        "VAULT_HTTP_PROXY",
        "HTTPS_PROXY",
        "HTTP_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def open_calls(tmp_path):
    """open_calls(address, **options): Calls that are closed after the test."""
    opened = []

    def open_calls(address, **options):
        opened.append(Calls(VaultOptions(address=address, **options), tmp_path))
        return opened[-1]

    yield open_calls
    for calls in opened:
        calls.close()


@pytest.fixture
def calls(open_calls, vault):
    return open_calls(vault.address)


@pytest.fixture
def connect(tmp_path, vault):
    """connect(policies=None, clock=None, **options): a backend that uses a token of these policies, or root's."""
    from confsync_backends.vault.backend import VaultBackend
    from confsync_backends.vault.session import Session

    backends = []

    def connect(policies=None, clock=None, **options):
        token = vault.token if policies is None else vault.admin.token(policies)
        file = tmp_path / f"token-{len(backends)}"
        file.write_text(token)
        checked = VaultOptions(address=vault.address, auth={"method": "token", "file": str(file)}, **options)
        calls, clock = Calls(checked, tmp_path), clock or SystemClock()
        backends.append(VaultBackend(checked, calls, Session(calls, checked, tmp_path, clock), clock))
        return backends[-1]

    yield connect
    for backend in backends:
        backend.close()


class ScriptedServer:
    """Answers every connection with the same bytes, then hangs up; for what no Vault would answer.

    Attributes:
        received: what each connection sent.
    """

    def __init__(self, answer: bytes, *, linger: float = 0.0) -> None:
        self.received: list[bytes] = []
        self._answer = answer
        self._over = threading.Event()
        self._linger = linger
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, name="scripted-server", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        self._over.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(30)

    def _serve(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(30)
                try:
                    self.received.append(connection.recv(65536))
                    connection.sendall(self._answer)
                    self._over.wait(self._linger)
                    connection.shutdown(socket.SHUT_WR)
                except OSError:
                    continue


@pytest.fixture
def scripted():
    """scripted(answer, linger=0): a ScriptedServer that is closed after the test."""
    servers = []

    def scripted(answer, *, linger=0.0):
        servers.append(ScriptedServer(answer, linger=linger))
        return servers[-1]

    yield scripted
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"), "ca")


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("other-pki"), "other-ca")
