"""Addresses and networks. A host may carry a prefix length: `10.0.0.5/24`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from confsync.errors import RenderError
from confsync.render.filters.values import describe, text

if TYPE_CHECKING:
    from ipaddress import IPv4Interface, IPv6Interface


_STRANGE_ZONE = re.compile(r"%[A-Za-z0-9._~-]*[^A-Za-z0-9._~/-]")


def has_strange_zone(word: str) -> bool:
    """Whether an IPv6 address has a zone (what follows `%`) that is more than a plain word.

    Python takes any text for one: blanks, line breaks and what else would be syntax wherever the address is written.
    """
    return _STRANGE_ZONE.search(word) is not None


def ip_host(value: object) -> str:
    """The address without its prefix length: `{{ '10.0.0.5/24'|ip_host }} → 10.0.0.5`."""
    return str(_interface(value, "ip_host").ip)


def ip_network(value: object) -> str:
    """The network an address is in: `{{ '10.0.0.5/24'|ip_network }} → 10.0.0.0/24`."""
    return str(_interface(value, "ip_network").network)


def ip_netmask(value: object) -> str:
    """The netmask: `{{ '10.0.0.5/24'|ip_netmask }} → 255.255.255.0`."""
    return str(_interface(value, "ip_netmask").netmask)


def ip_prefixlen(value: object) -> int:
    """The prefix length: `{{ '10.0.0.0/255.255.0.0'|ip_prefixlen }} → 16`."""
    return _interface(value, "ip_prefixlen").network.prefixlen


def ip_version(value: object) -> int:
    """4 or 6: `{{ '::1'|ip_version }} → 6`."""
    return _interface(value, "ip_version").version


def ip_in(value: object, network: object) -> bool:
    """Whether an address or network is in a network: `{{ '10.1.2.3'|ip_in('10.0.0.0/8') }} → True`."""
    inner = _interface(value, "ip_in").network
    outer = _interface(network, "ip_in").network
    # Two versions never contain each other; ipaddress would raise.
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def ip_sort(value: Iterable[object]) -> list[str]:
    """Addresses by number: `{{ ['10.0.0.10', '10.0.0.9']|ip_sort|join(' ') }} → 10.0.0.9 10.0.0.10`."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise RenderError(f"ip_sort takes a list, not {describe(value)}")

    def place(item: str) -> tuple[int, int, int]:
        found = _interface(item, "ip_sort")
        return found.version, int(found.ip), found.network.prefixlen

    return sorted((text(item, "ip_sort") for item in value), key=place)


def _interface(value: object, name: str) -> IPv4Interface | IPv6Interface:
    import ipaddress

    word = text(value, name).strip()
    wrong = RenderError(f"{name} takes an address such as 10.0.0.5 or fd00::1/64, not {describe(value)}")
    if has_strange_zone(word):
        raise wrong
    try:
        return ipaddress.ip_interface(word)
    except ValueError:
        # Not as the cause: its text quotes the value.
        raise wrong from None
