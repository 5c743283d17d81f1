"""Values that go into a configuration without quotes, since they can only be what they have to be.

Each gives a word with nothing in it that any syntax could take for its own, or refuses; an error never shows the value.
"""

from __future__ import annotations

import re
import string
from typing import Literal

from confsync.config.value_types import problem
from confsync.errors import RenderError
from confsync.render.filters.urls import host_port
from confsync.render.filters.values import describe, text

_IDENTIFIER = frozenset(string.ascii_letters + string.digits + "_")
_PLAIN = _IDENTIFIER | frozenset(".-")
_PATH = re.compile(r"/[A-Za-z0-9/._~%-]*")
_NUMBER = re.compile(r"-?[0-9]{1,18}")


def bare_word(value: object, also: str = "") -> str:
    """Letters, digits, `_`, `.` and `-`, and what `also` has: `{{ '256mb'|bare_word }} → 256mb`."""
    word = text(value, "bare_word")
    if word.startswith(("-", ".")) or not _consists_of(word, _PLAIN, text(also, "bare_word")):
        raise RenderError(
            f"bare_word takes letters, digits, '_', '.' and '-'{_also(also)}, neither '.' nor '-' first, "
            f"not this {describe(value)}"
        )
    return word


def identifier(value: object, also: str = "") -> str:
    """Letters, digits and `_`, no digit first, and what `also` has: `{{ 'LOG_LEVEL'|identifier }} → LOG_LEVEL`."""
    word = text(value, "identifier")
    if word[:1].isdigit() or not _consists_of(word, _IDENTIFIER, text(also, "identifier")):
        raise RenderError(
            f"identifier takes letters, digits and '_'{_also(also)}, no digit first, not this {describe(value)}"
        )
    return word


def one_of(value: object, *choices: str) -> str:
    """The value, which has to be one of these: `{{ 'warn'|one_of('info', 'warn') }} → warn`."""
    word = text(value, "one_of")
    if word not in choices:
        raise RenderError(f"this {describe(value)} is none of {', '.join(choices)}")
    return word


def whole_number(value: object, least: int = 0, most: int = 10**18) -> int:
    """A whole number in these bounds, where `int` would make 0 of anything: `{{ '10'|whole_number }} → 10`."""
    word = text(value, "whole_number")
    if not _NUMBER.fullmatch(word) or not least <= int(word) <= most:
        raise RenderError(f"whole_number takes {least} to {most}, not this {describe(value)}")
    return int(word)


def port(value: object) -> int:
    """A port, 1 to 65535: `{{ '8080'|port }} → 8080`."""
    word = text(value, "port")
    _check("port", word, "port", value)
    return int(word)


def url_path(value: object) -> str:
    """A path of a URL, of plain characters only: `{{ '/api/v1'|url_path }} → /api/v1`."""
    word = text(value, "url_path")
    if not _PATH.fullmatch(word):
        raise RenderError(
            f"url_path takes a slash and then letters, digits and /._~%-, not this {describe(value)}"
        )
    return word


def host(value: object, wildcard: bool = False) -> str:
    """A host's name or address, or with `wildcard` *.example.com: `{{ 'db1.example.com'|host }} → db1.example.com`."""
    word = text(value, "host")
    _check("host", word.removeprefix("*.") if wildcard else word, "host", value)
    return word


def address(value: object, default_port: int | None = None) -> str:
    """A `host:port`, an IPv6 address in brackets: `{{ '10.0.0.1'|address(80) }} → 10.0.0.1:80`."""
    parts = host_port(text(value, "address"), default_port)
    if parts["port"] is None:
        raise RenderError(
            f"address takes host:port, and this {describe(value)} has no port",
            hint="address(PORT) gives it one",
        )
    _check("host", parts["host"], "address", value)
    _check("port", str(parts["port"]), "address", value)
    name = f"[{parts['host']}]" if ":" in parts["host"] else parts["host"]
    return f"{name}:{parts['port']}"


def _check(kind: Literal["host", "port"], word: str, name: str, value: object) -> None:
    """Hold a word to what `keys:` calls by this type, so that both mean the same."""
    wrong = problem(kind, word)
    if wrong is not None:
        raise RenderError(f"{name}: this {describe(value)} {wrong}")


def _consists_of(word: str, plain: frozenset[str], also: str) -> bool:
    return bool(word) and all(char in plain or char in also for char in word)


def _also(also: str) -> str:
    return f" and any of {also}" if also else ""
