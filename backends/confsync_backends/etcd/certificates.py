"""Whose a client certificate is: etcd takes its common name for a user's.

What it is asked for is one field, so it is looked up here: Python reads no certificates, and a package that does is
much to install for a name. Nothing is decided by it: etcd tells nobody of another's rights.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence

_FIRST = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_COMMON_NAME = b"\x55\x04\x03"
_VERSION = 0xA0  # stands before the other fields, or is left out
_SUBJECT = 4  # after serial number, algorithm, issuer and validity


def common_name(pem: bytes) -> str | None:
    """The common name in the first certificate of a file, the last where it has several; None where it has none."""
    found = _FIRST.search(pem)
    try:
        names = list(_common_names(base64.b64decode(found[1]))) if found else []
        return names[-1].decode("utf-8") if names else None
    except (ValueError, IndexError):
        return None


def _common_names(certificate: bytes) -> Iterator[bytes]:
    signed = _fields(_fields(certificate)[0][1])[0][1]
    fields = [contents for tag, contents in _fields(signed) if tag != _VERSION]
    for _, names in _fields(fields[_SUBJECT]):
        for _, pair in _fields(names):
            kind, value = _fields(pair)[:2]
            if kind[1] == _COMMON_NAME:
                yield value[1]


def _fields(data: bytes) -> Sequence[tuple[int, bytes]]:
    """(tag, contents) of each element of a DER structure. Raises `IndexError` where it is cut off."""
    found, at = [], 0
    while at < len(data):
        tag, length, start = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, start = int.from_bytes(data[start : start + size]), start + size
        at = start + length
        found.append((tag, data[start:at]))
    return found
