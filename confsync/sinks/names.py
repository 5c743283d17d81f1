"""Where a target is, and what the hidden files beside it are called."""

from __future__ import annotations

import os
import re
from secrets import token_hex
from zlib import crc32

from confsync.errors import SinkError
from confsync.text import printable

_NAME_MAX = 255
_TOKEN_BYTES = 6
_LONGEST_STEM = _NAME_MAX - len("..confsync-old-") - 2 * _TOKEN_BYTES


def locate(kind: str, path: str) -> str:
    """`path`, normalised as text: no `.`, `..`, doubled or trailing slash. Asks no filesystem.

    Raises:
        SinkError: it is not absolute, is the root, or cannot be a path at all.
    """
    target = f"{kind}:{printable(path)}"
    if "\0" in path:
        raise SinkError(target, "the path contains a NUL character", hint="no file can be called so")
    if not path.startswith("/"):
        raise SinkError(
            target, "the path is not absolute", hint="write it from the root, such as /etc/app.conf"
        )
    try:
        os.fsencode(path)
    except UnicodeEncodeError as exc:
        raise SinkError(target, "the path cannot be encoded", hint="correct `path`") from exc
    normal = "/" + os.path.normpath(path).lstrip("/")
    if normal == "/":
        raise SinkError(target, "the root directory cannot be a target", hint="name something in it")
    return normal


def staging_path(path: str) -> str:
    """A fresh hidden name beside `path`, for what is going to replace it."""
    folder, base = os.path.split(path)
    return f"{folder.rstrip('/')}/{hidden_head(base)}{token_hex(_TOKEN_BYTES)}"


def saved_path(path: str) -> str:
    """A fresh hidden name beside `path`, for what it held before."""
    folder, base = os.path.split(path)
    return f"{folder.rstrip('/')}/{hidden_head(base)}old-{token_hex(_TOKEN_BYTES)}"


def hidden_head(base: str) -> str:
    """How all hidden names for a target called `base` begin."""
    return f".{_stem(base)}.confsync-"


def head_of(name: str) -> str | None:
    """The `hidden_head` of a name that `staging_path` or `saved_path` made; None for any other name."""
    found = _HIDDEN.fullmatch(name)
    return found[1] if found else None


_HIDDEN = re.compile(rf"(\..*\.confsync-)(?:old-)?[0-9a-f]{{{2 * _TOKEN_BYTES}}}", re.DOTALL)


def _stem(base: str) -> str:
    """`base`, or where that is too long its beginning and a checksum, so that two long names stay two."""
    encoded = os.fsencode(base)
    if len(encoded) <= _LONGEST_STEM:
        return base
    return f"{encoded[: _LONGEST_STEM - 9].decode('utf-8', 'ignore')}~{crc32(encoded):08x}"
