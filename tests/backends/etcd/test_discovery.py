from __future__ import annotations

import socket
import threading

import dns.message
import dns.rdatatype
import dns.resolver
import dns.rrset
import pytest

from confsync.errors import Invalid, Unavailable
from confsync.testing.etcd import EtcdCluster, free_port


class NameServer:
    """Answers SRV questions over UDP: `records` has (service, priority, port, host)."""

    def __init__(self):
        self.records = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _serve(self):
        while True:
            packet, sender = self._socket.recvfrom(4096)
            if not packet:
                return
            self._socket.sendto(self._answer(dns.message.from_wire(packet)).to_wire(), sender)

    def _answer(self, question):
        answer = dns.message.make_response(question)
        name = question.question[0].name
        service = name.to_text().removesuffix(".example.test.")
        lines = [
            f"{priority} 0 {port} {host}." for srv, priority, port, host in self.records if srv == service
        ]
        if lines:
            answer.answer.append(dns.rrset.from_text(name, 5, "IN", "SRV", *lines))
        else:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer


@pytest.fixture
def name_server(monkeypatch):
    server = NameServer()
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = server.port
    monkeypatch.setattr(dns.resolver, "default_resolver", resolver)
    yield server
    server.close()


def test_members_are_found_by_srv_records(name_server, etcd, connect):
    etcd.put("/prod/a", "1")
    name_server.records = [
        ("_etcd-client._tcp", 20, etcd.members[0].port, "localhost"),
        ("_etcd-client._tcp", 10, free_port(), "localhost"),
    ]

    backend = connect(discovery_srv="example.test")

    assert backend.address == "SRV example.test"
    assert set(backend.read(["/prod"]).trees["/prod"]) == {"a"}


def test_tls_members_are_preferred(name_server, tls_files, connect):
    with EtcdCluster(tls=tls_files) as cluster:
        name_server.records = [
            ("_etcd-client._tcp", 10, free_port(), "localhost"),
            ("_etcd-client-ssl._tcp", 10, cluster.members[0].port, "localhost"),
        ]
        files = {
            "ca": str(tls_files.ca),
            "cert": str(tls_files.client_cert),
            "key": str(tls_files.client_key),
        }

        assert connect(discovery_srv="example.test", tls=files).read(["/prod"]).trees == {"/prod": {}}


def test_records_are_looked_up_again_when_no_member_answers(name_server, etcd, connect):
    name_server.records = [("_etcd-client._tcp", 10, free_port(), "localhost")]
    backend = connect(discovery_srv="example.test")
    with pytest.raises(Unavailable):
        backend.read(["/prod"])

    name_server.records = [("_etcd-client._tcp", 10, etcd.members[0].port, "localhost")]

    assert backend.read(["/prod"]).trees == {"/prod": {}}


def test_a_domain_without_records_is_invalid(name_server, connect):
    with pytest.raises(
        Invalid, match=r"_etcd-client\._tcp\.example\.test has SRV records .*check discovery_srv"
    ):
        connect(discovery_srv="example.test").read(["/prod"])


def test_a_name_server_that_does_not_answer_is_unavailable(connect, monkeypatch):
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = free_port()
    monkeypatch.setattr(dns.resolver, "default_resolver", resolver)

    with pytest.raises(Unavailable, match=r"SRV records of example\.test"):
        connect(discovery_srv="example.test", timeout="500ms").read(["/prod"])
