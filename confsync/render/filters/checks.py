"""Tests, as in `{% if address is ipv4 %}`."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from confsync.render.filters.network import has_strange_zone
from confsync.render.filters.textual import to_bool


def is_ip(value: object) -> bool:
    """Whether it is an IP address: `{{ '10.0.0.5' is ip }} → True`."""
    return _version(value) is not None


def is_ipv4(value: object) -> bool:
    """Whether it is an IPv4 address: `{{ '::1' is ipv4 }} → False`."""
    return _version(value) == 4


def is_ipv6(value: object) -> bool:
    """Whether it is an IPv6 address: `{{ '::1' is ipv6 }} → True`."""
    return _version(value) == 6


def is_cidr(value: object) -> bool:
    """Whether it is a network or an address with a prefix length: `{{ '10.0.0.0/8' is cidr }} → True`."""
    import ipaddress

    if not isinstance(value, str) or "/" not in value or has_strange_zone(value):
        return False
    try:
        ipaddress.ip_interface(value)
    except ValueError:
        return False
    return True


def is_url(value: object) -> bool:
    """Whether it is a URL with scheme and host: `{{ 'https://example.com' is url }} → True`."""
    if not isinstance(value, str) or any(char.isspace() for char in value):
        return False
    try:
        parts = urlsplit(value)
        return bool(parts.scheme and parts.hostname and (parts.port is None or parts.port >= 0))
    except ValueError:
        return False


def is_uuid(value: object) -> bool:
    """Whether it is a UUID with hyphens: `{{ '123e4567-e89b-12d3-a456-426614174000' is uuid }} → True`."""
    if not isinstance(value, str):
        return False
    parts = value.split("-")
    return [len(part) for part in parts] == [8, 4, 4, 4, 12] and _is_hex("".join(parts))


def is_truthy(value: Any) -> bool:
    """Whether it says yes, as to_bool understands it: `{{ 'on' is truthy }} → True`."""
    return to_bool(value)


def _is_hex(text: str) -> bool:
    return all(char in "0123456789abcdefABCDEF" for char in text)


def _version(value: object) -> int | None:
    import ipaddress

    if not isinstance(value, str) or has_strange_zone(value):
        return None
    try:
        return ipaddress.ip_address(value).version
    except ValueError:
        return None
