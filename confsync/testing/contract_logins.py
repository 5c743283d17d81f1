"""The part of the suite for addressed backends that is about what is lent out, and to whom.

Inherit `confsync.testing.contract_addressed.AddressedContract`.
"""

from __future__ import annotations

import pytest

from confsync.driver import Address, AddressedBackend, Lease
from confsync.errors import Expired
from confsync.testing.harness_addressed import (
    AddressedHarness,
    at_once,
    counted,
    given,
    lease_of,
    skip_unless,
)


class LendingContract:
    """What is made when it is read."""

    def test_looking_makes_nothing(self, harness: AddressedHarness, backend: AddressedBackend) -> None:
        harness.put(f"{harness.prefix}/db", {"a": "1"})
        found = [one for one in (harness.lend(), harness.lend_once(), harness.certify()) if one is not None]
        skip_unless(bool(found), "this store makes nothing")
        before = harness.lent()

        assert [backend.is_dynamic(one) for one in found] == [True] * len(found)
        assert not backend.is_dynamic(Address(f"{harness.prefix}/db"))
        assert not backend.is_dynamic(Address(f"{harness.prefix}/nothing"))
        assert harness.lent() == before

    def test_whether_it_changed_is_not_found_out_by_making_another(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        address = given(harness.lend())
        known = backend.fetch(address)
        lent, calls = harness.lent(), harness.calls()

        assert backend.changed(address, known)
        assert (harness.lent(), harness.calls()) == (lent, calls)

    def test_each_fetch_makes_another_on_a_lease_of_its_own(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        address = given(harness.lend())
        one, two = backend.fetch(address), backend.fetch(address)

        assert one.lease is not None
        assert two.lease is not None
        assert one.data != two.data
        assert one.lease.id != two.lease.id
        assert one.lease.duration > 0
        assert one.lease.renewable
        assert one.session == backend.session != 0, "it ends with the login"
        assert harness.works(one) in (True, None)

    def test_a_lease_is_prolonged(self, harness: AddressedHarness, backend: AddressedBackend) -> None:
        lease = lease_of(backend.fetch(given(harness.lend())))
        renewed = backend.renew(lease)

        assert renewed.id == lease.id
        assert 0 < renewed.duration <= lease.duration + 1
        assert backend.renew(renewed).id == lease.id

    def test_a_revoked_lease_is_over(self, harness: AddressedHarness, backend: AddressedBackend) -> None:
        secret = backend.fetch(given(harness.lend()))
        backend.revoke(lease_of(secret))

        assert harness.works(secret) in (False, None)
        with pytest.raises(Expired):
            backend.renew(lease_of(secret))
        backend.revoke(lease_of(secret))  # what is over may be ended again

    def test_a_lease_that_cannot_be_renewed_says_so_both_ways(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        lease = lease_of(backend.fetch(given(harness.lend_once())))

        assert not lease.renewable
        with pytest.raises(Expired):
            backend.renew(lease)

    def test_a_lease_nobody_knows_is_over(self, harness: AddressedHarness, backend: AddressedBackend) -> None:
        address = given(harness.lend())
        backend.fetch(address)
        for unknown in (Lease("", 60.0), Lease(f"{address.path}/no-such-lease", 60.0, renewable=True)):
            with pytest.raises(Expired):
                backend.renew(unknown)

    def test_a_certificate_has_an_end_but_no_lease(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        secret = backend.fetch(given(harness.certify()))

        lease = lease_of(secret)
        assert (lease.id, lease.renewable) == ("", False)
        assert lease.duration > 0
        assert secret.session == 0, "it outlives the login"
        backend.revoke(lease)  # there is nothing to end, and that is fine


class LoginContract:
    """Who one is to the store."""

    def test_there_is_no_login_before_it_is_needed(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        assert backend.session == 0
        backend.fetch(Address(f"{harness.prefix}/db"))
        session = backend.session
        backend.fetch(Address(f"{harness.prefix}/db"))
        assert backend.session == session
        if harness.logins() is not None:
            assert session > 0

    def test_threads_that_call_at_once_log_in_once(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        before = counted(harness.logins())
        harness.put(f"{harness.prefix}/db", {"a": "1"})
        at_once(8, lambda number: backend.fetch(Address(f"{harness.prefix}/db{number % 2 or ''}")))

        assert counted(harness.logins()) == before + 1

    def test_a_login_that_has_ended_is_made_anew_once_and_the_call_repeated(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        harness.put(f"{harness.prefix}/db", {"a": "1"})
        backend.fetch(Address(f"{harness.prefix}/db"))
        before, session = harness.logins(), backend.session
        skip_unless(harness.end_sessions(), "logins of this store do not end")
        found = at_once(8, lambda _: backend.fetch(Address(f"{harness.prefix}/db")).data)

        assert found == [{"a": "1"}] * 8
        assert backend.session not in (0, session)
        assert before is None or harness.logins() == before + 1

    def test_what_is_lent_out_ends_with_the_login(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        secret = backend.fetch(given(harness.lend()))
        skip_unless(harness.end_sessions(), "logins of this store do not end")
        backend.fetch(Address(f"{harness.prefix}/db"))

        assert harness.works(secret) in (False, None)
        assert secret.session != backend.session
        with pytest.raises(Expired):
            backend.renew(lease_of(secret))

    def test_ending_the_login_ends_what_is_bound_to_it(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        secret = backend.fetch(given(harness.lend()))
        backend.end_session()
        backend.end_session()

        assert harness.works(secret) in (False, None)

    def test_ending_a_login_there_never_was_calls_nobody(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        before = harness.calls()
        backend.end_session()

        assert harness.calls() == before

    def test_another_process_goes_on_with_the_login(self, harness: AddressedHarness) -> None:
        first, second = harness.open(), harness.open()
        try:
            secret = first.fetch(given(harness.lend()))
            exported = given(first.export_session())
            logins = harness.logins()
            second.import_session(exported)
            second.fetch(Address(f"{harness.prefix}/db"))

            assert second.session != 0
            assert harness.logins() == logins
            assert second.renew(lease_of(secret)).id == lease_of(secret).id
            second.end_session()
            assert harness.works(secret) in (False, None)
        finally:
            first.close()
            second.close()

    def test_a_login_of_another_process_that_has_ended_is_made_anew(self, harness: AddressedHarness) -> None:
        first, second = harness.open(), harness.open()
        try:
            harness.put(f"{harness.prefix}/db", {"a": "1"})
            first.fetch(Address(f"{harness.prefix}/db"))
            exported = given(first.export_session())
            skip_unless(harness.end_sessions(), "logins of this store do not end")
            second.import_session(exported)
            imported = second.session

            assert second.fetch(Address(f"{harness.prefix}/db")).data == {"a": "1"}
            assert second.session not in (0, imported)
        finally:
            first.close()
            second.close()

    @pytest.mark.parametrize("exported", [b"", b"garbage", b"\xff\x00", b"{}", b'{"token": 7}'])
    def test_an_import_that_cannot_be_read_is_none(
        self, harness: AddressedHarness, backend: AddressedBackend, exported: bytes
    ) -> None:
        harness.put(f"{harness.prefix}/db", {"a": "1"})
        backend.import_session(exported)

        assert backend.fetch(Address(f"{harness.prefix}/db")).data == {"a": "1"}

    def test_before_the_login_there_is_nothing_to_export(self, backend: AddressedBackend) -> None:
        assert backend.export_session() is None

    def test_tending_may_happen_at_any_time_and_keeps_the_login(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        pauses = [backend.tend()]
        backend.fetch(Address(f"{harness.prefix}/db"))
        session = backend.session
        pauses += [backend.tend() for _ in range(3)]

        assert all(pause is None or pause >= 0 for pause in pauses)
        assert backend.session == session
