"""Names looked up in DNS and the hosts file, never for longer than a few seconds.

`getaddrinfo` has no timeout, so it is not used: dnspython asks the servers of `/etc/resolv.conf` (with its
search list), after the hosts file, as the usual `hosts: files dns` does. The files are read afresh each time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from confsync.errors import RenderError
from confsync.render.filters.network import has_strange_zone
from confsync.render.filters.values import shown, text

_REQUIRED: Any = object()
_LARGEST_HOSTS_FILE = 1024 * 1024


class Lookups:
    """The lookup functions of templates. Thread-safe.

    Args:
        hosts: the hosts file.
        nameservers: (address, port) pairs to ask instead of those in /etc/resolv.conf.
        timeout: seconds that one lookup may take in all.
    """

    def __init__(
        self, hosts: str = "/etc/hosts", nameservers: tuple[tuple[str, int], ...] = (), timeout: float = 5.0
    ) -> None:
        self._hosts = hosts
        self._nameservers = nameservers
        self._timeout = timeout

    def lookup_ip(self, name: object, default: Any = _REQUIRED) -> Any:
        """A host's addresses, IPv4 first: `{{ lookup_ip('192.0.2.7')|first }} → 192.0.2.7`."""
        return self._or_default("lookup_ip", name, default, lambda it: self._addresses(it, ("A", "AAAA")))

    def lookup_ipv4(self, name: object, default: Any = _REQUIRED) -> Any:
        """Its IPv4 addresses: `{{ lookup_ipv4('web.example')|join(' ') }} → 192.0.2.9 192.0.2.10`."""
        return self._or_default("lookup_ipv4", name, default, lambda it: self._addresses(it, ("A",)))

    def lookup_ipv6(self, name: object, default: Any = _REQUIRED) -> Any:
        """Its IPv6 addresses: `{{ lookup_ipv6('web.example')|join(' ') }} → 2001:db8::9`."""
        return self._or_default("lookup_ipv6", name, default, lambda it: self._addresses(it, ("AAAA",)))

    def lookup_srv(self, service: object, proto: object, name: object, default: Any = _REQUIRED) -> Any:
        """A service's servers, best first: `{{ lookup_srv('http', 'tcp', 'web.example')[0].port }} → 8080`.

        Each has `priority`, `weight`, `target` and `port`."""
        full = f"_{text(service, 'lookup_srv')}._{text(proto, 'lookup_srv')}.{text(name, 'lookup_srv')}"
        return self._or_default("lookup_srv", full, default, self._services)

    def lookup_txt(self, name: object, default: Any = _REQUIRED) -> Any:
        """The texts at a name, sorted: `{{ lookup_txt('web.example')|first }} → v=1`."""
        return self._or_default("lookup_txt", name, default, self._texts)

    def _or_default(
        self, function: str, name: object, default: Any, lookup: Callable[[str], list[Any]]
    ) -> Any:
        wanted = text(name, function).strip()
        try:
            found = lookup(wanted)
            problem = "it has no such records"
        except _LookupFailed as exc:
            found, problem = [], str(exc)
        if found:
            return found
        if default is not _REQUIRED:
            return default
        hint = f"{function}(…, default=[]) goes on without"
        raise RenderError(f"{function}: {shown(wanted)} cannot be looked up: {problem}", hint=hint)

    def _addresses(self, name: str, kinds: tuple[str, ...]) -> list[str]:
        import ipaddress

        try:
            known = [] if has_strange_zone(name) else [str(ipaddress.ip_address(name))]
        except ValueError:
            known = self._in_hosts_file(name)
        if known:
            found = known
        else:
            deadline = time.monotonic() + self._timeout
            found = [record.address for kind in kinds for record in self._records(name, kind, deadline)]
        versions = [4 if kind == "A" else 6 for kind in kinds]
        addresses = {ipaddress.ip_address(each) for each in found}
        wanted = (each for each in addresses if each.version in versions)
        return [str(each) for each in sorted(wanted, key=lambda it: (it.version, int(it)))]

    def _services(self, name: str) -> list[dict[str, Any]]:
        records = self._records(name, "SRV", time.monotonic() + self._timeout)
        found = [_service(record) for record in records]
        return sorted(found, key=lambda it: (it["priority"], -it["weight"], it["target"], it["port"]))

    def _texts(self, name: str) -> list[str]:
        records = self._records(name, "TXT", time.monotonic() + self._timeout)
        return sorted(b"".join(record.strings).decode("utf-8", "backslashreplace") for record in records)

    def _records(self, name: str, kind: str, deadline: float) -> list[Any]:
        """The records of one kind, none if the name has only others. Raises `_LookupFailed`."""
        import dns.exception
        import dns.resolver

        try:
            resolver = self._resolver()
            # An answer may take what is left; a tenth of a second at least, so the error is the server's.
            left = max(deadline - time.monotonic(), 0.1)
            return list(resolver.resolve(name, kind, search=True, lifetime=left))
        except dns.resolver.NoAnswer:
            return []
        except dns.resolver.NXDOMAIN as exc:
            raise _LookupFailed("there is no such name") from exc
        except dns.exception.Timeout as exc:
            raise _LookupFailed(f"no server answered within {self._timeout:g}s") from exc
        except dns.resolver.NoResolverConfiguration as exc:
            raise _LookupFailed("/etc/resolv.conf names no server") from exc
        except (dns.exception.DNSException, OSError, ValueError) as exc:
            raise _LookupFailed(f"the lookup failed ({type(exc).__name__})") from exc

    def _resolver(self) -> Any:
        import dns.nameserver
        import dns.resolver

        if not self._nameservers:
            return dns.resolver.Resolver()
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = [
            dns.nameserver.Do53Nameserver(address, port) for address, port in self._nameservers
        ]
        return resolver

    def _in_hosts_file(self, name: str) -> list[str]:
        """The valid addresses that the hosts file gives to `name`; none if it cannot be read."""
        import ipaddress

        wanted = name.rstrip(".").lower()
        found = []
        for line in self._host_lines():
            address, *names = line.partition("#")[0].split() or [""]
            if wanted not in (each.lower() for each in names):
                continue
            try:
                found.append(str(ipaddress.ip_address(address)))
            except ValueError:
                continue
        return found

    def _host_lines(self) -> list[str]:
        try:
            with open(self._hosts, encoding="utf-8", errors="replace") as file:
                return file.read(_LARGEST_HOSTS_FILE).splitlines()
        except OSError:
            return []


def _service(record: Any) -> dict[str, Any]:
    target = record.target.to_text(omit_final_dot=True)
    return {"priority": record.priority, "weight": record.weight, "target": target, "port": record.port}


class _LookupFailed(Exception):
    """Why there is no answer; the text does not hold the name."""


_SYSTEM = Lookups()
lookup_ip = _SYSTEM.lookup_ip
lookup_ipv4 = _SYSTEM.lookup_ipv4
lookup_ipv6 = _SYSTEM.lookup_ipv6
lookup_srv = _SYSTEM.lookup_srv
lookup_txt = _SYSTEM.lookup_txt
