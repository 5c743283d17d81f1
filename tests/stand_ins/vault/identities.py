"""What clients prove themselves with: signed JSON web tokens, and certificates of an authority of one's own."""

from __future__ import annotations

import base64
import ipaddress
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from .listener import TlsFiles

_YEAR = timedelta(days=365)


class JwtIssuer:
    """Signs JSON web tokens (ES256) with a key of its own.

    Attributes:
        public_key: PEM, for auth/jwt's `jwt_validation_pubkeys`.
    """

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        self.public_key = self._key.public_key().public_bytes(serialization.Encoding.PEM, spki).decode()

    def token(self, ttl: float = 3600, **claims: Any) -> str:
        """A token that says these claims, and from when until when: now, and `ttl` seconds on."""
        now = int(time.time())
        said = {"iat": now, "nbf": now, "exp": int(now + ttl), **claims}
        signed = f"{_part({'alg': 'ES256', 'typ': 'JWT'})}.{_part(said)}"
        pair = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        signature = b"".join(number.to_bytes(32, "big") for number in pair)
        return f"{signed}.{_base64(signature)}"

    def service_account(self, namespace: str, name: str, ttl: float = 3600) -> str:
        """A token as Kubernetes projects it into a pod; only the stand-in believes it."""
        account = {"name": name, "uid": f"uid-of-{namespace}-{name}"}
        subject = f"system:serviceaccount:{namespace}:{name}"
        projected = {"kubernetes.io": {"namespace": namespace, "serviceaccount": account}}
        audience = ["https://kubernetes.default.svc"]
        return self.token(ttl, aud=audience, iss=audience[0], sub=subject, **projected)


@dataclass(frozen=True)
class Identity:
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

    def issue(self, name: str, *addresses: str) -> Identity:
        """A certificate for a common name, with these names and IP addresses beside it."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            _builder(subject, self._name, key.public_key())
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
        """What a VaultServer on the loopback serves HTTPS with."""
        identity = self.issue("server", "127.0.0.1", "localhost")
        return TlsFiles(identity.cert, identity.key, client_ca)


def _builder(subject: x509.Name, issuer: x509.Name, key: Any) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + _YEAR)
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


def _part(content: dict[str, Any]) -> str:
    return _base64(json.dumps(content).encode())


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
