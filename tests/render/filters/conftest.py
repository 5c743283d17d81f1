"""A sandbox with every filter, as templates have it, and a DNS server that knows `web.example`."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from confsync.render.filters import FILTERS, GLOBALS, TESTS
from confsync.render.filters.lookups import Lookups
from confsync.render.sandbox import Sandbox

ZONE = {
    ("web.example.", "A"): ["192.0.2.10", "192.0.2.9"],
    ("web.example.", "AAAA"): ["2001:db8::9"],
    ("four.example.", "A"): ["192.0.2.4"],
    ("web.example.", "TXT"): ['"v=2"', '"v=" "1"'],
    ("_http._tcp.web.example.", "SRV"): ["20 5 80 z.example.", "10 1 80 b.example.", "10 9 8080 a.example."],
}


class DnsServer:
    """Answers from `ZONE` over UDP, on a free port; says nothing at all about `silent.example`."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", ("127.0.0.1", self.port))
        self._thread.join(30)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            data, client = self._socket.recvfrom(4096)
            if data == b"end":
                return
            query = dns.message.from_wire(data)
            if not query.question[0].name.to_text().startswith("silent."):
                self._socket.sendto(self._answer(query).to_wire(), client)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        question = query.question[0]
        name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
        records = ZONE.get((name, kind))
        if records:
            answer.answer.append(dns.rrset.from_text_list(question.name, 60, "IN", kind, records))
        elif not any(known == name for known, _ in ZONE):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer


@pytest.fixture(scope="session")
def dns_port() -> Iterator[int]:
    server = DnsServer()
    yield server.port
    server.close()


@pytest.fixture
def lookups(dns_port: int, tmp_path) -> Lookups:
    hosts = tmp_path / "hosts"
    hosts.write_text(
        "# comment\n127.0.0.1 localhost\n::1 localhost\n10.9.8.7 db.internal DB # mine\nnonsense x\n"
    )
    return Lookups(str(hosts), (("127.0.0.1", dns_port),), timeout=60.0)


@pytest.fixture(scope="session")
def environment(dns_port: int) -> Sandbox:
    environment = Sandbox()
    environment.filters.update(FILTERS)
    environment.tests.update(TESTS)
    environment.globals.update(GLOBALS)
    lookups = Lookups(nameservers=(("127.0.0.1", dns_port),), timeout=60.0)
    environment.globals.update(
        {name: getattr(lookups, name) for name in GLOBALS if name.startswith("lookup_")}
    )
    return environment


@pytest.fixture
def render(environment: Sandbox) -> Callable[..., str]:
    return lambda template, **values: environment.from_string(template).render(values)
