"""What is taken for an address is nothing but one: its zone, too, is one plain word."""

from __future__ import annotations

import pytest

from confsync.errors import RenderError
from confsync.render.filters import FILTERS, TESTS

STRANGE = ["fe80::1%a evil", "fe80::1%a\nevil\n#", "fe80::1%;", "fe80::1%é", "fe80::1%a%b"]


@pytest.mark.parametrize("address", STRANGE)
@pytest.mark.parametrize("after", ["", "/64"])
def test_a_zone_that_is_no_plain_word_makes_it_no_address(address, after):
    asked = [TESTS[name](address + after) for name in ("ip", "ipv4", "ipv6", "cidr")]

    assert not any(asked)
    for name in ("ip_host", "ip_network", "ip_version", "ip_prefixlen"):
        with pytest.raises(RenderError, match="takes an address") as caught:
            FILTERS[name](address + after)
        assert "evil" not in str(caught.value)


@pytest.mark.parametrize("address", STRANGE)
def test_it_is_not_its_own_answer_either(address, lookups):
    with pytest.raises(RenderError, match="cannot be looked up"):
        lookups.lookup_ip(address)


def test_a_plain_zone_is_let_be():
    assert TESTS["ipv6"]("fe80::1%eth0.1")
    assert TESTS["cidr"]("fe80::1%eth0/64")
    assert FILTERS["ip_version"]("fe80::1%eth-0") == 6
