"""Names are looked up in a real DNS server and a real hosts file, and never for long."""

from __future__ import annotations

import time

import pytest

from confsync.errors import RenderError
from confsync.render.filters.lookups import Lookups


def test_addresses_are_sorted_by_number_with_ipv4_first(lookups):
    assert lookups.lookup_ip("web.example") == ["192.0.2.9", "192.0.2.10", "2001:db8::9"]
    assert lookups.lookup_ip("four.example") == ["192.0.2.4"]


def test_the_hosts_file_comes_first_and_needs_no_server(lookups):
    assert lookups.lookup_ip("localhost") == ["127.0.0.1", "::1"]
    assert lookups.lookup_ipv4("db") == ["10.9.8.7"]
    assert lookups.lookup_ipv4("DB.Internal.") == ["10.9.8.7"]


def test_localhost_resolves_with_the_systems_own_configuration():
    assert "127.0.0.1" in Lookups().lookup_ipv4("localhost")


def test_an_address_is_its_own_answer(lookups):
    assert lookups.lookup_ip("::1") == ["::1"]
    assert lookups.lookup_ipv6("192.0.2.1", default=[]) == []


def test_services_come_best_first(lookups):
    found = lookups.lookup_srv("http", "tcp", "web.example")

    assert [each["target"] for each in found] == ["a.example", "b.example", "z.example"]
    assert found[0] == {"priority": 10, "weight": 9, "target": "a.example", "port": 8080}


def test_texts_are_joined_and_sorted(lookups):
    assert lookups.lookup_txt("web.example") == ["v=1", "v=2"]


@pytest.mark.parametrize(("function", "name", "problem"), [
    ("lookup_ip", "nowhere.example", "there is no such name"),
    ("lookup_ipv6", "four.example", "it has no such records"),
    ("lookup_txt", "four.example", "it has no such records"),
    ("lookup_ip", "a" * 70 + ".example", "the lookup failed"),
    ("lookup_ip", "", "the lookup failed|no such"),
])  # fmt: skip
def test_no_answer_is_an_error_unless_there_is_a_default(lookups, function, name, problem):
    with pytest.raises(RenderError, match=problem):
        getattr(lookups, function)(name)
    assert getattr(lookups, function)(name, default=[]) == []


def test_a_silent_server_is_given_up_in_time(dns_port, tmp_path):
    lookups = Lookups(str(tmp_path / "missing"), (("127.0.0.1", dns_port),), timeout=1.0)
    started = time.monotonic()

    with pytest.raises(RenderError, match=r"no server answered within 1s"):
        lookups.lookup_ip("silent.example")

    assert time.monotonic() - started < 30


def test_an_unreadable_hosts_file_is_as_good_as_an_empty_one(dns_port, tmp_path):
    lookups = Lookups(str(tmp_path / "missing"), (("127.0.0.1", dns_port),), timeout=60.0)

    assert lookups.lookup_ipv4("four.example") == ["192.0.2.4"]
