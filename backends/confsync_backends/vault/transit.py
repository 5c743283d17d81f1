"""Decryption by the transit engine: many ciphertexts in one call, an answer or an error for each.

https://developer.hashicorp.com/vault/api-docs/secret/transit#decrypt-data
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from confsync.errors import Invalid, SourceError, Unavailable
from confsync.text import plural, printable
from confsync_backends.vault.faults import Refused, spoken

if TYPE_CHECKING:
    from confsync_backends.vault.session import Session

_CHUNK = 200
_CIPHERTEXT = re.compile(r"vault:v\d{1,9}:.")


def decrypt(session: Session, key: str, ciphertexts: Sequence[str], shown: str) -> list[bytes | SourceError]:
    """What each ciphertext says, or why it cannot be told, in their order.

    Args:
        key: the key's path: `transit/app`.
        shown: where Vault is, for messages.

    Raises:
        SourceError: a whole call failed; then nothing of it is known.
    """
    mount, _, name = key.rpartition("/")
    about = f"vault at {shown}: decrypting with {printable(key)}"
    if not mount:
        raise Invalid(f"{about}: a key is a mount and a name", key=key, hint="write for example transit/app")
    batch = _Batch(session, f"{mount}/decrypt/{name}", key, about)
    good = [text for text in ciphertexts if _CIPHERTEXT.match(text)]
    answers = iter([answer for chunk in _chunks(good) for answer in batch.decrypt(chunk)])
    return [
        next(answers) if _CIPHERTEXT.match(text) else Invalid(f"{about}: {_no_ciphertext(text)}", key=key)
        for text in ciphertexts
    ]


def _chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), _CHUNK):
        yield texts[start : start + _CHUNK]


def _no_ciphertext(text: str) -> str:
    # It may well be a password in the clear: nothing of it is shown.
    return f"a value of {plural(len(text), 'character')} is no ciphertext, which begins with vault:v1:"


class _Batch:
    """Calls with many ciphertexts for one key."""

    def __init__(self, session: Session, path: str, key: str, about: str) -> None:
        self._session = session
        self._path = path
        self._key = key
        self._about = about

    def decrypt(self, ciphertexts: Sequence[str]) -> list[bytes | SourceError]:
        results = self._results(ciphertexts)
        if not isinstance(results, list) or len(results) != len(ciphertexts):
            raise Unavailable(f"{self._about}: its answer is not one for each ciphertext", key=self._key)
        return [self._one(result, text) for result, text in zip(results, ciphertexts, strict=True)]

    def _results(self, ciphertexts: Sequence[str]) -> Any:
        """Where only some fail, Vault answers 200 up to 1.12 and 400 since, unless asked for 200; where all do, 400."""
        body = {
            "batch_input": [{"ciphertext": text} for text in ciphertexts],
            "partial_failure_response_code": 200,
        }
        try:
            reply, _ = self._session.call("POST", self._path, body=body, doing=f"decrypting with {self._key}")
        except Refused as error:
            if error.data is None or "batch_results" not in error.data:
                raise
            return error.data["batch_results"]
        if reply.status == 404:
            raise Invalid(
                f"{self._about}: there is no such transit mount", key=self._key, hint="check the key's path"
            )
        return (reply.data or {}).get("batch_results")

    def _one(self, result: Any, ciphertext: str) -> bytes | SourceError:
        if not isinstance(result, dict):
            return Unavailable(f"{self._about}: its answer for one ciphertext is none", key=self._key)
        if result.get("error"):
            said = spoken([result["error"]], [ciphertext])
            return Invalid(f"{self._about}: {said}", key=self._key, hint="was it encrypted with another key?")
        try:
            # Older servers leave an empty plaintext out.
            return base64.b64decode(result.get("plaintext", ""), validate=True)
        except (binascii.Error, ValueError, TypeError):
            return Unavailable(f"{self._about}: its answer is not base64", key=self._key)
