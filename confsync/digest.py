"""Keyed hashes: they tell whether two contents are the same, and nothing about a short secret to who lacks the key."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

_SIZE = 16


class Hasher:
    """Digests under one secret key. Thread-safe."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def content(self, content: bytes | Mapping[str, bytes]) -> str:
        """The digest of a file, or of a directory's names and files."""
        if isinstance(content, bytes):
            return blake2b(content, key=self._key, digest_size=_SIZE, person=b"file").hexdigest()
        return self.parts("directory", *(part for name in sorted(content) for part in (name, content[name])))

    def value(self, value: bytes) -> str:
        """The digest of one key's value."""
        return blake2b(value, key=self._key, digest_size=8, person=b"value").hexdigest()

    def parts(self, *parts: str | bytes) -> str:
        """The digest of a sequence; no two different sequences run together."""
        data = [
            part if isinstance(part, bytes) else part.encode("utf-8", "surrogateescape") for part in parts
        ]
        lengths = repr([len(part) for part in data]).encode()
        return blake2b(
            lengths + b"".join(data), key=self._key, digest_size=_SIZE, person=b"parts"
        ).hexdigest()
