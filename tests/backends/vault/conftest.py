"""A backend for a test's Vault, certificates, and servers that answer anything but as Vault would."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
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
        self._thread.join(5)

    def _serve(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
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


@dataclass
class Authority:
    """A certificate authority that writes what it issues into a directory."""

    directory: Path
    name: str

    def __post_init__(self):
        from cryptography.hazmat.primitives.asymmetric import ec

        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign(self.name, self.key.public_key(), ca=True, alternatives=[])
        self.path = self.directory / f"{self.name}.pem"
        self.path.write_bytes(_pem(self.certificate))

    def issue(self, name, *, dns=(), ips=(), days=1):
        """A certificate and its key, as (certificate path, key path)."""
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [x509.DNSName(host) for host in dns]
        alternatives += [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips]
        certificate = self._sign(name, key.public_key(), ca=False, alternatives=alternatives, days=days)
        cert_path, key_path = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        cert_path.write_bytes(_pem(certificate))
        key_path.write_bytes(_key_pem(key))
        return cert_path, key_path

    def _sign(self, name, public_key, *, ca, alternatives, days=1):
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.x509.oid import NameOID

        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=2))
            .not_valid_after(now + dt.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        return builder.sign(self.key, hashes.SHA256())


def _pem(certificate):
    from cryptography.hazmat.primitives import serialization

    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key):
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"), "ca")


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("other-pki"), "other-ca")
