"""The PKI engine: a certificate authority, whose certificates are real.

Error strings: github.com/hashicorp/vault, builtin/logical/pki/cert_util.go.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .answers import Answer, Json, Refused, Secret, no_content, not_found
from .call import Call, as_list
from .durations import seconds
from .mounts import Engine, listing
from .routing import route

_BACKDATED = 30
_CURVES: dict[int, Any] = {224: ec.SECP224R1, 256: ec.SECP256R1, 384: ec.SECP384R1, 521: ec.SECP521R1}


@dataclass
class Authority:
    """What signs: its certificate, its key, and the certificates above it."""

    certificate: x509.Certificate
    key: Any
    above: list[x509.Certificate] = field(default_factory=list)

    def chain(self) -> list[str]:
        """Empty for a root, which needs none to be found."""
        return [pem(self.certificate), *(pem(one) for one in self.above)] if self.above else []


class Pki(Engine):
    without_token = ("ca", "ca/pem", "ca_chain", "cert/.*", "crl", "crl/pem")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._authority: Authority | None = None
        self._pending_key: Any = None
        self._roles: dict[str, dict[str, Any]] = {}
        self._issued: dict[str, x509.Certificate] = {}
        self.revoked: set[str] = set()

    @route("write", "root/generate/internal")
    def generate_root(self, call: Call) -> Answer:
        name = call.required("common_name", "the common_name field is required, or must be provided in a CSR")
        key = make_key(call.body)
        until = self._until(seconds(call.body.get("ttl")), 0)
        subject = _subject(str(name))
        builder = self._builder(subject, subject, key.public_key(), until, [x509.DNSName(str(name))])
        builder = _authority_extensions(builder, key.public_key())
        certificate = builder.sign(key, hashes.SHA256())
        self._authority = Authority(certificate, key)
        self._issued[serial(certificate)] = certificate
        data: Json = {
            "certificate": pem(certificate),
            "expiration": int(until),
            "issuing_ca": pem(certificate),
            "serial_number": serial(certificate),
        }
        return Answer(data=data)

    @route("write", "intermediate/generate/internal")
    def generate_intermediate(self, call: Call) -> Answer:
        name = call.required("common_name", "the common_name field is required, or must be provided in a CSR")
        self._pending_key = make_key(call.body)
        request = x509.CertificateSigningRequestBuilder(_subject(str(name))).sign(
            self._pending_key, hashes.SHA256()
        )
        return Answer(data={"csr": request.public_bytes(serialization.Encoding.PEM).decode().strip()})

    @route("write", "root/sign-intermediate")
    def sign_intermediate(self, call: Call) -> Answer:
        authority = self._signing()
        request = x509.load_pem_x509_csr(str(call.required("csr", '"csr" is empty')).encode())
        until = self._until(seconds(call.body.get("ttl")), 0)
        self._check_end(until, authority)
        subject = _subject(str(call.body["common_name"])) if call.body.get("common_name") else request.subject
        builder = self._builder(subject, authority.certificate.subject, request.public_key(), until, [])
        builder = _authority_extensions(builder, request.public_key(), authority)
        certificate = builder.sign(authority.key, hashes.SHA256())
        return Answer(data=self._shown(certificate, authority, until))

    @route("write", "intermediate/set-signed")
    def set_signed(self, call: Call) -> Answer:
        bundle = str(call.required("certificate", 'no certificate provided in the "certificate" parameter'))
        certificates = x509.load_pem_x509_certificates(bundle.encode())
        if self._pending_key is None or certificates[0].public_key() != self._pending_key.public_key():
            raise Refused(
                400,
                "verification of parsed bundle failed: public key of certificate does not match private key",
            )
        self._authority = Authority(certificates[0], self._pending_key, certificates[1:])
        return no_content()

    @route("list", "roles")
    def list_roles(self, call: Call) -> Answer:
        return listing(self._roles)

    @route("write", "roles/<name>")
    def write_role(self, call: Call, name: str) -> Answer:
        seconds(call.body.get("max_ttl"))
        self._roles[name] = dict(call.body)
        return no_content()

    @route("read", "roles/<name>")
    def read_role(self, call: Call, name: str) -> Answer:
        if name not in self._roles:
            raise not_found()
        return Answer(data=self._roles[name])

    @route("delete", "roles/<name>")
    def delete_role(self, call: Call, name: str) -> Answer:
        self._roles.pop(name, None)
        return no_content()

    @route("write", "issue/<name>")
    def issue(self, call: Call, name: str) -> Answer:
        role = self._roles.get(name)
        if role is None:
            raise Refused(400, f"unknown role: {name}")
        authority = self._signing()
        names, addresses = _names(call.body), _addresses(call.body)
        _check_names(names, role)
        until = self._until(
            seconds(call.body.get("ttl")) or seconds(role.get("ttl")), seconds(role.get("max_ttl"))
        )
        self._check_end(until, authority)
        key = make_key(role)
        alternatives = dict.fromkeys(names[1:] if call.body.get("exclude_cn_from_sans") else names)
        sans = [*(x509.DNSName(one) for one in alternatives), *(x509.IPAddress(one) for one in addresses)]
        certificate = self._leaf(names[0], key.public_key(), until, sans, authority)
        data = self._shown(certificate, authority, until) | {
            "private_key": _private(key),
            "private_key_type": _kind(key),
        }
        if call.body.get("format") == "pem_bundle":
            data["certificate"] = "\n".join([data["private_key"], data["certificate"], *authority.chain()])
        return Answer(
            data=data, secret=self._secret(certificate, until) if role.get("generate_lease") else None
        )

    @route("write", "revoke")
    def revoke(self, call: Call) -> Answer:
        number = str(call.required("serial_number", "The serial number must be provided"))
        if number not in self._issued:
            raise Refused(400, f"certificate with serial {number} not found")
        self.revoked.add(number)
        return Answer(data={"revocation_time": int(self.core.clock.now())})

    @route("read", "ca/pem")
    def read_ca(self, call: Call) -> Answer:
        text = pem(self._authority.certificate) if self._authority else ""
        return Answer(text=text, headers={"Content-Type": "application/pkix-cert"})

    @route("read", "ca_chain")
    def read_chain(self, call: Call) -> Answer:
        chain = self._authority.chain() if self._authority else []
        return Answer(text="\n".join(chain), headers={"Content-Type": "application/pkix-cert"})

    @route("read", "cert/<number>")
    def read_certificate(self, call: Call, number: str) -> Answer:
        found = (
            self._authority.certificate if number == "ca" and self._authority else self._issued.get(number)
        )
        if found is None:
            raise not_found()
        return Answer(data={"certificate": pem(found), "revocation_time": 0})

    @route("list", "certs")
    def list_certificates(self, call: Call) -> Answer:
        return listing(number.replace(":", "-") for number in self._issued)

    def _leaf(
        self, name: str, key: Any, until: float, sans: list[x509.GeneralName], authority: Authority
    ) -> x509.Certificate:
        builder = self._builder(_subject(name), authority.certificate.subject, key, until, sans)
        issuer_key = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        builder = (
            builder.add_extension(_usage(signs=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key), critical=False
            )
        )
        certificate = builder.sign(authority.key, hashes.SHA256())
        self._issued[serial(certificate)] = certificate
        return certificate

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, key: Any, until: float, sans: list[x509.GeneralName]
    ) -> x509.CertificateBuilder:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(_moment(self.core.clock.now() - _BACKDATED))
            .not_valid_after(_moment(until))
        )
        return builder.add_extension(x509.SubjectAlternativeName(sans), critical=False) if sans else builder

    def _shown(self, certificate: x509.Certificate, authority: Authority, until: float) -> Json:
        data: Json = {
            "certificate": pem(certificate),
            "expiration": int(until),
            "issuing_ca": pem(authority.certificate),
            "serial_number": serial(certificate),
        }
        return data | ({"ca_chain": authority.chain()} if authority.above else {})

    def _secret(self, certificate: x509.Certificate, until: float) -> Secret:
        left = int(until) - int(self.core.clock.now())
        return Secret(left, left, renewable=False, revoke=lambda: self.revoked.add(serial(certificate)))

    def _until(self, ttl: float, max_ttl: float) -> float:
        """The moment it ends; more than the role and the mount allow is cut down."""
        longest = min(limit for limit in (max_ttl, self.mount.max_ttl) if limit)
        return int(self.core.clock.now()) + min(ttl or self.mount.default_ttl, longest)

    def _check_end(self, until: float, authority: Authority) -> None:
        end = authority.certificate.not_valid_after_utc
        if until > end.timestamp():
            raise Refused(
                400,
                "cannot satisfy request, as TTL would result in notAfter "
                f"{_iso(_moment(until))} that is beyond the expiration of the CA certificate at {_iso(end)}",
            )

    def _signing(self) -> Authority:
        if self._authority is None:
            raise Refused(
                500,
                "error fetching CA certificate: could not fetch the CA certificate: backend must be configured with a "
                "CA certificate/key",
            )
        return self._authority


def make_key(fields: Json) -> Any:
    """A key of the role's key_type and key_bits: RSA of 2048 bits unless it says otherwise."""
    bits = int(fields.get("key_bits") or 0)
    if fields.get("key_type", "rsa") == "ec":
        return ec.generate_private_key(_CURVES[bits or 256]())
    return rsa.generate_private_key(65537, bits or 2048)


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode().strip()


def serial(certificate: x509.Certificate) -> str:
    digits = f"{certificate.serial_number:040x}"
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))


def _private(key: Any) -> str:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    raw: bytes = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return raw.decode().strip()


def _kind(key: Any) -> str:
    return "rsa" if isinstance(key, rsa.RSAPrivateKey) else "ec"


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _moment(epoch: float) -> datetime:
    return datetime.fromtimestamp(int(epoch), UTC)


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_encipherment=not signs,
        key_agreement=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        data_encipherment=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_extensions(
    builder: x509.CertificateBuilder, key: Any, issuer: Authority | None = None
) -> x509.CertificateBuilder:
    mine = x509.SubjectKeyIdentifier.from_public_key(key)
    theirs = mine
    if issuer is not None:
        theirs = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    above = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(theirs)
    return (
        builder.add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(mine, critical=False)
        .add_extension(above, critical=False)
    )


def _names(body: Json) -> list[str]:
    """The names asked for, the common one first."""
    name = body.get("common_name")
    if not name:
        raise Refused(
            400,
            'the common_name field is required, or must be provided in a CSR with "use_csr_common_name" set to true, '
            'unless "require_cn" is set to false',
        )
    return [str(name), *as_list(body.get("alt_names"))]


def _addresses(body: Json) -> list[Any]:
    found = []
    for text in as_list(body.get("ip_sans")):
        try:
            found.append(ipaddress.ip_address(text))
        except ValueError as exc:
            raise Refused(400, f"the value {text!r} is not a valid IP address") from exc
    return found


def _check_names(names: list[str], role: Json) -> None:
    for place, name in enumerate(names):
        if not _is_allowed(name, role):
            what = "common name" if place == 0 else "subject alternate name"
            raise Refused(400, f"{what} {name} not allowed by this role")


def _is_allowed(name: str, role: Json) -> bool:
    if role.get("allow_any_name"):
        return True
    if role.get("allow_localhost", True) and name in ("localhost", "localdomain"):
        return True
    for domain in as_list(role.get("allowed_domains")):
        if role.get("allow_bare_domains") and name == domain:
            return True
        if role.get("allow_subdomains") and name.endswith(f".{domain}"):
            return True
    return False
