"""What clients prove themselves with: signed JSON web tokens, and certificates."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from stand_ins.common.certificates import Authority, Identity

__all__ = ["Authority", "Identity", "JwtIssuer"]


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


def _part(content: dict[str, Any]) -> str:
    return _base64(json.dumps(content).encode())


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
