"""URLs and `host:port` pairs, taken apart and put together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, unquote_to_bytes, urlencode, urlsplit

from confsync.errors import RenderError
from confsync.render.filters.values import describe, integer, raw, text

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_HIGHEST_PORT = 65535


def url_parse(value: object) -> dict[str, Any]:
    """Its parts: `{{ ('amqp://u@h/v'|url_parse).path }} → /v`.

    Those are `scheme`, `user`, `password`, `host`, `port`, `path`, `query`, `params`, `fragment`.
    """
    parts = _split(value, "url_parse")
    return {
        "scheme": parts.scheme,
        "user": _unquoted(parts.username),
        "password": _unquoted(parts.password),
        "host": parts.hostname,
        "port": parts.port,
        "path": parts.path,
        "query": parts.query,
        "params": dict(parse_qsl(parts.query, keep_blank_values=True, max_num_fields=1000)),
        "fragment": parts.fragment,
    }


def url_host(value: object) -> str:
    """The host of a URL, without brackets: `{{ 'http://[::1]:80/a'|url_host }} → ::1`."""
    host = _split(value, "url_host").hostname
    if not host:
        raise RenderError("url_host: the URL has no host")
    return host


def url_port(value: object, default: int | None = None) -> int:
    """The port of a URL, or its scheme's: `{{ 'https://example.com/'|url_port }} → 443`."""
    parts = _split(value, "url_port")
    port = parts.port if parts.port is not None else default
    port = port if port is not None else _PORTS.get(parts.scheme)
    if port is None:
        raise RenderError("url_port: the URL has no port", hint="give the default: url_port(5432)")
    return port


def url_quote(value: object, safe: str = "") -> str:
    """Text as part of a URL, a password for instance: `{{ 'p@ss/w d'|url_quote }} → p%40ss%2Fw%20d`."""
    return quote(raw(value, "url_quote"), safe=text(safe, "url_quote"))


def url_unquote(value: object) -> str | bytes:
    """The reverse of url_quote: `{{ 'p%40ss'|url_unquote }} → p@ss`."""
    data = unquote_to_bytes(text(value, "url_unquote"))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data


def url_query(value: object) -> str:
    """A mapping as a query string, sorted: `{{ {'b': 2, 'a': 'x y'}|url_query }} → a=x%20y&b=2`."""
    if not isinstance(value, Mapping):
        raise RenderError(f"url_query takes a mapping, not {describe(value)}")
    pairs = sorted((text(key, "url_query"), text(item, "url_query")) for key, item in value.items())
    return urlencode(pairs, quote_via=quote, safe="")


def host_port(value: object, default_port: int | None = None) -> dict[str, Any]:
    """A mapping of host and port (or none): `{{ ('[::1]:80'|host_port).port }} → 80`."""
    word = text(value, "host_port").strip()
    host, port = _divided(word)
    if not host:
        raise RenderError(f"host_port takes host:port or [IPv6]:port, not {describe(value)}")
    number = default_port if port is None else _port(port)
    return {"host": host, "port": number}


def _divided(word: str) -> tuple[str, str | None]:
    if word.startswith("["):
        host, bracket, rest = word[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return "", None
        return host, rest[1:] if rest else None
    if word.count(":") != 1:
        return word, None  # a bare IPv6 address has many
    host, _, port = word.partition(":")
    return host, port


def _port(port: str) -> int:
    if not port.isascii() or not port.isdigit():
        raise RenderError("host_port: the port is not a number")
    number = integer(port, "host_port")
    if number > _HIGHEST_PORT:
        raise RenderError("host_port: the port is beyond 65535")
    return number


def _split(value: object, name: str) -> SplitResult:
    word = text(value, name).strip()
    try:
        parts = urlsplit(word)
        _ = parts.port, parts.hostname  # which may raise, too
    except ValueError:
        # Not as the cause: its text may quote the URL, which may hold a password.
        raise RenderError(f"{name}: not a valid URL") from None
    if not parts.scheme:
        raise RenderError(f"{name}: the URL has no scheme such as https://")
    return parts


def _unquoted(part: str | None) -> str | None:
    return None if part is None else unquote(part)
