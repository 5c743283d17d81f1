"""JSON web tokens: read, and verified."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from .answers import Json


def decode(part: str) -> bytes:
    """Base64url without padding.

    Raises:
        ValueError: as Go words it.
    """
    try:
        if len(part) % 4 == 1 or not all(letter.isalnum() or letter in "-_" for letter in part):
            raise binascii.Error
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error as exc:
        bad = next(
            (place for place, letter in enumerate(part) if not (letter.isalnum() or letter in "-_")), None
        )
        raise ValueError(
            f"illegal base64 data at input byte {len(part) - 1 if bad is None else bad}"
        ) from exc


def claims(token: str) -> Json:
    """What an unproven token says.

    Raises:
        ValueError: it is no token, as go-jose words it.
    """
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("square/go-jose: compact JWS format must have three parts")
    header, payload, _ = (decode(part) for part in parts)
    try:
        json.loads(header)
        found = json.loads(payload)
    except ValueError as exc:
        raise ValueError("invalid character in JSON") from exc
    return found if isinstance(found, dict) else {}


def is_signed_by(token: str, pem: str) -> bool:
    """Whether the key of this PEM made the signature (RS256 or ES256)."""
    signed, _, signature = token.rpartition(".")
    key: Any = serialization.load_pem_public_key(pem.encode())
    raw = decode(signature)
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(raw, signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        else:
            pair = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
            key.verify(pair, signed.encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
