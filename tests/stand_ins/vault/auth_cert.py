"""auth/cert: the certificate a client proves to own when it connects."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from . import roles
from .answers import Answer, Refused, no_content, not_found
from .call import Call, as_list
from .mounts import Engine, listing
from .routing import route


class Cert(Engine):
    without_token = ("login",)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._certs: dict[str, dict[str, Any]] = {}

    def role_limits(self, token_role: str) -> dict[str, Any] | None:
        role = self._certs.get(token_role)
        return roles.role_limits(role) if role else None

    @route("list", "certs")
    def list_certs(self, call: Call) -> Answer:
        return listing(self._certs)

    @route("write", "certs/<name>")
    def write(self, call: Call, name: str) -> Answer:
        fields = {**self._certs.get(name, {}), **call.body}
        try:
            x509.load_pem_x509_certificates(str(fields.get("certificate", "")).encode())
        except ValueError as exc:
            raise Refused(400, "failed to parse certificate") from exc
        self._certs[name] = fields
        return no_content()

    @route("read", "certs/<name>")
    def read(self, call: Call, name: str) -> Answer:
        if name not in self._certs:
            raise not_found()
        fields = self._certs[name]
        shown = {"certificate": fields["certificate"], "display_name": fields.get("display_name") or name}
        names = {"allowed_common_names": as_list(fields.get("allowed_common_names"))}
        return Answer(data=shown | names | roles.shown(fields))

    @route("delete", "certs/<name>")
    def delete(self, call: Call, name: str) -> Answer:
        self._certs.pop(name, None)
        return no_content()

    @route("write", "login")
    def login(self, call: Call) -> Answer:
        if not call.over_tls:
            raise Refused(400, "tls connection required")
        if call.client_certificate is None:
            raise Refused(400, "client certificate must be supplied")
        mine = x509.load_pem_x509_certificate(call.client_certificate.encode())
        name, role = self._matching(mine, str(call.body.get("name") or ""))
        common_name = _common_name(mine)
        meta = {
            "authority_key_id": _key_id(mine, x509.AuthorityKeyIdentifier),
            "cert_name": name,
            "common_name": common_name,
            "serial_number": str(mine.serial_number),
            "subject_key_id": _key_id(mine, x509.SubjectKeyIdentifier),
        }
        display = f"cert-{role.get('display_name') or name}"
        return self.core.login(call, self.mount, common_name, name, role, meta, display)

    def _matching(self, mine: x509.Certificate, wanted: str) -> tuple[str, dict[str, Any]]:
        certs = {name: role for name, role in self._certs.items() if wanted in ("", name)}
        trusting = {name: role for name, role in certs.items() if _is_trusted(mine, role["certificate"])}
        if not trusting:
            raise Refused(400, "invalid certificate or no client certificate supplied")
        for name, role in trusting.items():
            allowed = as_list(role.get("allowed_common_names"))
            if not allowed or any(fnmatchcase(_common_name(mine), pattern) for pattern in allowed):
                return name, role
        raise Refused(400, "no chain matching all constraints could be found for this login certificate")


def _is_trusted(mine: x509.Certificate, pem: str) -> bool:
    return any(
        mine == known or _issued(mine, known) for known in x509.load_pem_x509_certificates(pem.encode())
    )


def _issued(mine: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        mine.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def _key_id(certificate: x509.Certificate, kind: Any) -> str:
    try:
        extension = certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return ""
    raw = extension.digest if kind is x509.SubjectKeyIdentifier else extension.key_identifier
    return ":".join(f"{byte:02x}" for byte in raw or b"")
