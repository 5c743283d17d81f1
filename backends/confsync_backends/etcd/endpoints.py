"""Where an etcd cluster's members are: URLs, or SRV records."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from confsync.errors import Invalid, Unavailable

_SERVICES = (("_etcd-client-ssl._tcp", True), ("_etcd-client._tcp", False))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One member's client address.

    Attributes:
        host: name or address, IPv6 without brackets.
        port: TCP port.
        secure: whether it speaks TLS.
    """

    host: str
    port: int
    secure: bool

    @property
    def target(self) -> str:
        """As gRPC wants it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """As people write it."""
        return f"{'https' if self.secure else 'http'}://{self.target}"


def parse_endpoint(text: str) -> Endpoint:
    """The endpoint in `https://host:port`, `http://host:port` or `host:port` (which means http).

    Raises:
        ValueError: anything else; the text says what to write.
    """
    example = "write for example http://127.0.0.1:2379"
    if (
        "@" in text
    ):  # wherever a URL would end before it: a password may have any sign, and is not to be quoted
        raise ValueError("an endpoint must not hold credentials; use the options user and password")
    if not text.isprintable() or " " in text:
        raise ValueError(f"{text!r} is not an etcd endpoint: it has a character no address has; {example}")
    parts = urlsplit(text if "://" in text else f"http://{text}")
    if parts.scheme not in {"http", "https"}:
        raise ValueError(f"{text!r} is not an etcd endpoint: unknown scheme {parts.scheme!r}; {example}")
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{text!r} is not an etcd endpoint: {error}; {example}") from error
    if not parts.hostname or port is None:
        raise ValueError(f"{text!r} is not an etcd endpoint: it needs a host and a port; {example}")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"{text!r} is not an etcd endpoint: nothing may follow the port; {example}")
    return Endpoint(parts.hostname, port, parts.scheme == "https")


def discover(domain: str, timeout: float) -> list[Endpoint]:
    """The members that the domain's SRV records name, best first; TLS ones where there are any.

    Asks dnspython's default resolver.

    Raises:
        Unavailable: the name servers do not answer.
        Invalid: there are no such records.
    """
    import dns.exception
    import dns.resolver

    for service, secure in _SERVICES:
        try:
            answer = dns.resolver.resolve(f"{service}.{domain}", "SRV", lifetime=timeout)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            continue
        except dns.exception.DNSException as error:
            raise Unavailable(
                f"cannot look up etcd's SRV records of {domain}: {type(error).__name__}: {error}"
            ) from error
        records = sorted(answer, key=lambda record: (record.priority, -record.weight, str(record.target)))
        return [
            Endpoint(record.target.to_text(omit_final_dot=True), record.port, secure) for record in records
        ]
    names = " nor ".join(f"{service}.{domain}" for service, _ in _SERVICES)
    raise Invalid(
        f"no etcd is to be found by DNS: neither {names} has SRV records", hint="check discovery_srv"
    )
