"""Certificates for the TLS tests."""

from __future__ import annotations

import datetime as dt
import ipaddress
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from confsync.testing.etcd import EtcdCluster, EtcdTls, wait_until
from confsync_backends.etcd import EtcdBackend, EtcdOptions


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

    def issue(self, name, *, dns=(), ips=()):
        """A certificate and its key, as (certificate path, key path)."""
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [x509.DNSName(host) for host in dns]
        alternatives += [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips]
        certificate = self._sign(name, key.public_key(), ca=False, alternatives=alternatives)
        cert_path, key_path = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        cert_path.write_bytes(_pem(certificate))
        key_path.write_bytes(_key_pem(key))
        return cert_path, key_path

    def _sign(self, name, public_key, *, ca, alternatives):
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
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
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
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"), "ca")


@pytest.fixture(scope="session")
def tls_files(authority) -> EtcdTls:
    server = authority.issue("server", dns=["etcd.test", "localhost"], ips=["127.0.0.1"])
    client = authority.issue("client")
    return EtcdTls(authority.path, *server, *client)


@pytest.fixture(scope="session")
def shared_etcd():
    """One node for every test that leaves it as healthy as it was."""
    with EtcdCluster(arguments=["--max-request-bytes=16777216"]) as cluster:
        yield cluster


@pytest.fixture
def etcd(shared_etcd):
    """An empty single node."""
    shared_etcd.clear()
    return shared_etcd


@pytest.fixture
def connect(tmp_path):
    """connect(cluster, **options): a backend that is closed after the test, and leaves no thread behind."""
    before = set(threading.enumerate())
    backends = []

    def connect(cluster=None, **options):
        if cluster is not None:
            options = {"endpoints": cluster.endpoints, **options}
        backend = EtcdBackend.open(EtcdOptions(**options), tmp_path)
        backends.append(backend)
        return backend

    yield connect
    for backend in backends:
        backend.close()
    wait_until(lambda: set(threading.enumerate()) <= before, "no thread is left", 5)


@pytest.fixture
def within():
    """within(seconds, call, *arguments): what the call returns or raises; TimeoutError if it takes longer."""
    with ThreadPoolExecutor() as pool:
        yield lambda seconds, call, *arguments: pool.submit(call, *arguments).result(seconds)


class Follower:
    """Reads, watches, applies every delta, in a thread of its own; `trees` is what it believes."""

    def __init__(self, backend, prefixes, check=None):
        reading = backend.read(prefixes)
        self.trees = {asked: dict(tree) for asked, tree in reading.trees.items()}
        self.revision = reading.revision
        self.deltas = 0
        self.error = None
        self._check = check
        self.watch = backend.watch(prefixes, reading)
        self._thread = threading.Thread(target=self._run, name="follower")
        self._thread.start()

    def values(self, asked):
        return {path: entry.value for path, entry in dict(self.trees[asked]).items()}

    def stop(self):
        self.watch.close()
        self._thread.join(5)
        assert not self._thread.is_alive()

    def _run(self):
        try:
            for delta in self.watch:
                self._apply(delta)
                if self._check is not None:
                    self._check(self)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    def _apply(self, delta):
        assert delta.revision > self.revision
        assert delta.puts or delta.deletes
        for asked, paths in delta.deletes.items():
            for path in paths:
                self.trees[asked].pop(path, None)
        for asked, entries in delta.puts.items():
            assert all(self.revision < entry.revision <= delta.revision for entry in entries.values())
            self.trees[asked].update(entries)
        self.revision = delta.revision
        self.deltas += 1


@pytest.fixture
def follow(connect):
    """follow(backend, prefixes): a Follower that is stopped after the test."""
    followers = []

    def follow(backend, prefixes, check=None):
        followers.append(Follower(backend, prefixes, check))
        return followers[-1]

    yield follow
    for follower in followers:
        follower.stop()


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other-pki"), "other-ca")
