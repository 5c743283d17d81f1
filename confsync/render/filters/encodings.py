"""Base64, hexadecimal and digests. Text is taken as UTF-8; bytes as they are."""

from __future__ import annotations

import base64
import binascii
import hashlib

from confsync.errors import RenderError
from confsync.render.filters.values import raw, text


def b64encode(value: object) -> str:
    """In base64: `{{ 'hello'|b64encode }} → aGVsbG8=`."""
    return base64.b64encode(raw(value, "b64encode")).decode("ascii")


def b64decode(value: object) -> str | bytes:
    """From base64, blanks ignored; text where UTF-8, else bytes: `{{ 'aGVsbG8='|b64decode }} → hello`."""
    return _text_if_utf8(_b64decoded(text(value, "b64decode"), "b64decode"))


def b64url_encode(value: object, padding: bool = True) -> str:
    """In base64 for URLs and JWTs: `{{ '??>'|b64url_encode(padding=false) }} → Pz8-`."""
    encoded = base64.urlsafe_b64encode(raw(value, "b64url_encode")).decode("ascii")
    return encoded if padding else encoded.rstrip("=")


def b64url_decode(value: object) -> str | bytes:
    """From base64 for URLs, padded or not: `{{ 'Pz8-'|b64url_decode }} → ??>`."""
    encoded = text(value, "b64url_decode").rstrip("=").replace("-", "+").replace("_", "/")
    return _text_if_utf8(_b64decoded(encoded + "=" * (-len(encoded) % 4), "b64url_decode"))


def hex_encode(value: object) -> str:
    """In hexadecimal: `{{ 'hi'|hex_encode }} → 6869`."""
    return raw(value, "hex_encode").hex()


def hex_decode(value: object) -> str | bytes:
    """From hexadecimal; text where it is UTF-8, else bytes: `{{ '6869'|hex_decode }} → hi`."""
    try:
        return _text_if_utf8(bytes.fromhex(text(value, "hex_decode")))
    except ValueError as exc:
        raise RenderError("hex_decode: not valid hexadecimal") from exc


def md5(value: object) -> str:
    """The MD5 digest; not for security: `{{ 'a'|md5 }} → 0cc175b9c0f1b6a831c399e269772661`."""
    return hashlib.md5(raw(value, "md5"), usedforsecurity=False).hexdigest()


def sha1(value: object) -> str:
    """The SHA-1 digest; not for security: `{{ 'a'|sha1 }} → 86f7e437faa5a7fce15d1ddcb9eaeaea377667b8`."""
    return hashlib.sha1(raw(value, "sha1"), usedforsecurity=False).hexdigest()


def sha256(value: object) -> str:
    """The SHA-256 digest: `{{ ('a'|sha256)[:16] }} → ca978112ca1bbdca`."""
    return hashlib.sha256(raw(value, "sha256")).hexdigest()


def sha512(value: object) -> str:
    """The SHA-512 digest: `{{ ('a'|sha512)[:16] }} → 1f40fc92da241694`."""
    return hashlib.sha512(raw(value, "sha512")).hexdigest()


def hmac_sha256(value: object, key: object) -> str:
    """The HMAC-SHA-256 with a key: `{{ ('message'|hmac_sha256('key'))[:16] }} → 6e9ef29b75fffc5b`."""
    import hmac

    return hmac.new(raw(key, "hmac_sha256"), raw(value, "hmac_sha256"), "sha256").hexdigest()


def _b64decoded(encoded: str, name: str) -> bytes:
    try:
        return base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise RenderError(f"{name}: not valid base64") from exc


def _text_if_utf8(data: bytes) -> str | bytes:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data
