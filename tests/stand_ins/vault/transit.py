"""The transit engine: encrypts and decrypts, and keeps nothing but the keys.

Error strings: github.com/hashicorp/vault, sdk/helper/keysutil/policy.go and builtin/logical/transit.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from .answers import Answer, Json, Refused, beyond_the_stand_in, no_content, not_found
from .call import Call
from .mounts import Engine, listing
from .routing import route

_NONCE, _TAG = 12, 16
_CIPHERS: dict[str, Any] = {
    "aes256-gcm96": AESGCM,
    "aes128-gcm96": AESGCM,
    "chacha20-poly1305": ChaCha20Poly1305,
}


@dataclass
class Key:
    type: str
    created: float
    versions: dict[int, tuple[bytes, float]] = field(default_factory=dict)
    min_decryption_version: int = 1
    min_encryption_version: int = 0
    deletion_allowed: bool = False

    def rotate(self, now: float) -> None:
        size = 16 if self.type == "aes128-gcm96" else 32
        self.versions[len(self.versions) + 1] = secrets.token_bytes(size), now

    def cipher(self, version: int) -> Any:
        return _CIPHERS[self.type](self.versions[version][0])


class Transit(Engine):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._keys: dict[str, Key] = {}

    def collections(self) -> dict[str, Collection[str]]:
        return {"encrypt": self._keys}

    @route("list", "keys")
    def list_keys(self, call: Call) -> Answer:
        return listing(self._keys)

    @route("write", "keys/<name>")
    def create(self, call: Call, name: str) -> Answer:
        kind = str(call.body.get("type") or "aes256-gcm96")
        if kind not in _CIPHERS or call.body.get("derived") or call.body.get("convergent_encryption"):
            raise beyond_the_stand_in("transit keys but plain symmetric ones")
        self._create(name, kind)
        return no_content()

    @route("read", "keys/<name>")
    def read(self, call: Call, name: str) -> Answer:
        key = self._keys.get(name)
        if key is None:
            raise not_found()
        data: Json = {
            "allow_plaintext_backup": False,
            "deletion_allowed": key.deletion_allowed,
            "derived": False,
            "exportable": False,
            "keys": {str(number): int(created) for number, (_, created) in key.versions.items()},
            "latest_version": len(key.versions),
            "min_available_version": 0,
            "min_decryption_version": key.min_decryption_version,
            "min_encryption_version": key.min_encryption_version,
            "name": name,
            "supports_decryption": True,
            "supports_derivation": True,
            "supports_encryption": True,
            "supports_signing": False,
            "type": key.type,
        }
        return Answer(data=data)

    @route("delete", "keys/<name>")
    def delete(self, call: Call, name: str) -> Answer:
        key = self._keys.get(name)
        if key is None:
            raise Refused(400, f"error deleting policy {name}: could not delete key; not found")
        if not key.deletion_allowed:
            raise Refused(400, f"error deleting policy {name}: deletion is not allowed for this key")
        del self._keys[name]
        return no_content()

    @route("write", "keys/<name>/config")
    def configure(self, call: Call, name: str) -> Answer:
        key = self._keys.get(name)
        if key is None:
            raise Refused(400, f"no existing key named {name} could be found")
        lowest = int(call.body.get("min_decryption_version") or key.min_decryption_version)
        if lowest > len(key.versions):
            raise Refused(
                400,
                f"cannot set min decryption version of {lowest}, latest key version is {len(key.versions)}",
            )
        key.min_decryption_version = lowest
        key.min_encryption_version = int(
            call.body.get("min_encryption_version") or key.min_encryption_version
        )
        key.deletion_allowed = bool(call.body.get("deletion_allowed", key.deletion_allowed))
        return no_content()

    @route("write", "keys/<name>/rotate")
    def rotate(self, call: Call, name: str) -> Answer:
        key = self._keys.get(name)
        if key is None:
            raise Refused(400, "key not found")
        key.rotate(self.core.clock.now())
        return no_content()

    @route("write", "encrypt/<name>")
    def encrypt(self, call: Call, name: str) -> Answer:
        key = self._keys.get(name) or self._create(name, str(call.body.get("type") or "aes256-gcm96"))
        if "batch_input" in call.body:
            return self._batch(call, lambda item: _encrypt(key, item))
        if "plaintext" not in call.body:
            raise Refused(400, "missing plaintext to encrypt")
        return Answer(data=_encrypt(key, call.body))

    @route("write", "decrypt/<name>")
    def decrypt(self, call: Call, name: str) -> Answer:
        if "batch_input" not in call.body:
            call.required("ciphertext", "missing ciphertext to decrypt")
        key = self._keys.get(name)
        if key is None:
            raise Refused(400, "encryption key not found")
        if "batch_input" in call.body:
            return self._batch(call, lambda item: _decrypt(key, item))
        return Answer(data=_decrypt(key, call.body))

    def _create(self, name: str, kind: str) -> Key:
        if name not in self._keys:
            now = self.core.clock.now()
            key = self._keys[name] = Key(kind, now)
            key.rotate(now)
        return self._keys[name]

    def _batch(self, call: Call, work: Callable[[Json], Json]) -> Answer:
        """One result for each item, in order. Servers since 1.12 answer 400 when any failed, older ones 200."""
        items = call.required("batch_input", "missing batch input to process")
        results = [_result(work, item) for item in items]
        failed = any("error" in result for result in results)
        partial = failed and not all("error" in result for result in results)
        status = self.core.batch_failure_status if failed else 200
        if partial and call.body.get("partial_failure_response_code") and status != 200:
            status = int(call.body["partial_failure_response_code"])
        return Answer(data={"batch_results": results}, status=status)


def _result(work: Callable[[Json], Json], item: Json) -> Json:
    reference = {"reference": item["reference"]} if item.get("reference") else {}
    try:
        return work(item) | reference
    except Refused as refused:
        return {"error": refused.errors[0]} | reference


def _encrypt(key: Key, item: Json) -> Json:
    for name in ("context", "nonce", "associated_data"):
        if item.get(name):
            raise beyond_the_stand_in(f"transit's {name}")
    plaintext = _plain(str(item.get("plaintext", "")))
    version = int(item.get("key_version") or 0) or len(key.versions)
    if version > len(key.versions):
        raise Refused(400, "requested version for encryption is higher than the latest key version")
    nonce = secrets.token_bytes(_NONCE)
    sealed = nonce + key.cipher(version).encrypt(nonce, plaintext, None)
    return {"ciphertext": f"vault:v{version}:{base64.b64encode(sealed).decode()}", "key_version": version}


def _decrypt(key: Key, item: Json) -> Json:
    text = str(item.get("ciphertext") or "")
    if not text:
        raise Refused(400, "missing ciphertext to decrypt")
    version, raw = _parsed(text)
    if version > len(key.versions):
        raise Refused(400, "invalid ciphertext: version is too new")
    if version < key.min_decryption_version:
        raise Refused(400, "ciphertext or signature version is disallowed by policy (too old)")
    sealed = _sealed(raw)
    try:
        plaintext = key.cipher(version).decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
    except InvalidTag as exc:
        raise Refused(400, "cipher: message authentication failed") from exc
    return {"plaintext": base64.b64encode(plaintext).decode()}


def _parsed(text: str) -> tuple[int, str]:
    if not text.startswith("vault:v"):
        raise Refused(400, "invalid ciphertext: no prefix")
    number, colon, raw = text.removeprefix("vault:v").partition(":")
    if not colon:
        raise Refused(400, "invalid ciphertext: wrong number of fields")
    if not number.isdigit():
        raise Refused(400, "invalid ciphertext: version number could not be decoded")
    return int(number) or 1, raw


def _sealed(raw: str) -> bytes:
    try:
        sealed = base64.b64decode(raw, validate=True)
    except binascii.Error as exc:
        raise Refused(400, "invalid ciphertext: could not decode base64") from exc
    if len(sealed) < _NONCE:
        raise Refused(400, "invalid ciphertext length")
    if len(sealed) < _NONCE + _TAG:
        raise Refused(400, "cipher: message authentication failed")
    return sealed


def _plain(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as exc:
        place = next(
            (at for at, letter in enumerate(text) if not (letter.isalnum() or letter in "+/=")), len(text)
        )
        raise Refused(400, f"illegal base64 data at input byte {place}") from exc
