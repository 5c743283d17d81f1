"""Certificates of an authority of one's own, for servers and clients."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .listener import TlsFiles


class Identity(NamedTuple):
    """Paths of PEM files."""

    cert: Path
    key: Path


class Authority:
    """A certificate authority that keeps its files in a directory.

    Attributes:
        cert: the path of its certificate, what a client trusts.
    """

    def __init__(self, directory: Path, name: str = "test authority") -> None:
        self._directory = directory
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.cert = directory / f"{name.replace(' ', '-')}.pem"
        certificate = (
            _builder(self._name, self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_signs(), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self, name: str, *addresses: str, organizations: tuple[str, ...] = (), days: int = 365
    ) -> Identity:
        """A certificate for a common name and organizations, with these names and IP addresses beside it.

        Args:
            days: how long it is good for from now on; it has been for two days, so that it may be over.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        within = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in organizations]
        subject = x509.Name([*within, x509.NameAttribute(NameOID.COMMON_NAME, name)])
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            _builder(subject, self._name, key.public_key(), days)
            .add_extension(above, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        )
        if addresses:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_san(one) for one in addresses]), critical=False
            )
        certificate = builder.sign(self._key, hashes.SHA256())
        identity = Identity(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        identity.cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        form = serialization.PrivateFormat.PKCS8
        raw = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        identity.key.touch(0o600)
        identity.key.write_bytes(raw)
        return identity

    def server(self, *, client_ca: Path | None = None) -> TlsFiles:
        """What a server on the loopback serves HTTPS with."""
        identity = self.issue("server", "127.0.0.1", "localhost")
        return TlsFiles(identity.cert, identity.key, client_ca)


def _builder(subject: x509.Name, issuer: x509.Name, key: Any, days: int = 365) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + timedelta(days=days))
    )


def _signs() -> x509.KeyUsage:
    nothing = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(key_cert_sign=True, crl_sign=True, **nothing)


def _san(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
