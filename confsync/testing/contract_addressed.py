"""The suite every addressed backend must pass. Inherit it, give it a harness, and pytest does the rest:

    class ShopHarness(AddressedHarness):
        def open(self): return ShopBackend.open(ShopOptions(address=...), Path("."))
        def put(self, path, data): ...
        def delete(self, path): ...

    class TestShop(AddressedContract):
        @pytest.fixture
        def harness(self): return ShopHarness()

That much proves reading. What else a store can do the harness says by overriding more methods: `lend`, `certify`,
`encrypt`, `deny`, `end_sessions`, `open_broken`… Each test skips where its method gives None, and says so; run pytest
with `-rs` to see what was not proved. A harness is made anew for each test, and its store must be empty below
`prefix`. Tests write few values and wait for nothing, so a real server behind the harness is fine.

What a driver does beyond the contract needs tests of its own.
"""

from __future__ import annotations

import json
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, TypeVar

import pytest

from confsync.driver import Address, AddressedBackend, Lease, Secret
from confsync.errors import Denied, Expired, Invalid, SourceError, Unavailable
from confsync.testing.harness import io_of_this_thread
from confsync.testing.waiting import eventually

__all__ = ["AddressedContract", "AddressedHarness"]

T = TypeVar("T")

_PLAIN = "hunter2-of-the-contract"  # stands in no path and no address, so wherever it shows it was leaked


class AddressedHarness(ABC):
    """What the suite needs to know of a store, and to do to it. Made anew, and empty, for each test.

    Class attributes:
        prefix: a path that the store has, below which the suite writes: `secret/contract`.
        versions: whether the store keeps versions that `?version=N` asks for.
        cheap: whether `changed` can tell without fetching; if not, it answers True, without a call.
        odd_names: names that are unusual but possible as one step of a path.
        odd_data: fields whose types must come back as they were.
    """

    prefix: ClassVar[str] = "secret/contract"
    versions: ClassVar[bool] = True
    cheap: ClassVar[bool] = True
    odd_names: ClassVar[Sequence[str]] = (
        "with space",
        "ünï☃",
        "per%20cent",
        "a.b-c_d:e@f",
        "UPPER",
        "0",
        "&=+",
    )
    odd_data: ClassVar[Mapping[str, Any]] = {
        "text": "two\nlines ☃ '\"\\$(x){{ y }}",
        "empty": "",
        "number": 5432,
        "large": 2**40,
        "fraction": 1.5,
        "true": True,
        "false": False,
        "null": None,
        "list": [1, "two", {"three": 3}],
        "mapping": {"b": [], "a": {}},
        "looks like a number": "0123",
        "": "a field without a name",
        "items": "a field with the name of a method",
    }

    # Every store.

    @abstractmethod
    def open(self) -> AddressedBackend:
        """A new backend of the store, not logged in yet; the suite closes it."""

    @abstractmethod
    def put(self, path: str, data: Mapping[str, Any]) -> None:
        """Write a secret (its next version); when it returns, `fetch` sees it."""

    @abstractmethod
    def delete(self, path: str) -> None:
        """Delete a secret (its latest version, which can still be told from one that never was, if `versions`)."""

    def destroy(self, path: str, version: int) -> bool:
        """Destroy one version for good; False where the store has no such thing."""
        return False

    def calls(self) -> int | None:
        """How many calls the store has seen, logins included, or None where they cannot be counted."""
        return None

    def credentials(self) -> Sequence[str]:
        """What `open` was configured with, and whatever it became (tokens), that nobody may see."""
        return ()

    # What is made when it is read.

    def lend(self) -> Address | None:
        """Something leased for a minute or more, whose lease can be renewed; None where nothing is."""
        return None

    def lend_once(self) -> Address | None:
        """Something whose lease cannot be renewed, or None."""
        return None

    def certify(self) -> Address | None:
        """A certificate, with parameters: nothing that has a lease; None where there are none."""
        return None

    def lent(self) -> int | None:
        """How many things were made so far, or None where they cannot be counted."""
        return None

    def works(self, secret: Secret) -> bool | None:
        """Whether what was lent out works where it is for, or None where it cannot be tried."""
        return None

    # Who may do what.

    def logins(self) -> int | None:
        """How often somebody logged in so far, or None where nobody logs in, or it cannot be counted."""
        return None

    def deny(self, path: str) -> bool:
        """Let the backend read everything below `prefix` but this; False where that cannot be arranged."""
        return False

    def open_refused(self) -> AddressedBackend | None:
        """A backend whose credentials are wrong, or None."""
        return None

    def end_sessions(self) -> bool:
        """End every login, as when it expires or is revoked; False where that cannot be."""
        return False

    # What goes wrong.

    def open_broken(self) -> AddressedBackend | None:
        """A backend whose store gives no answer, or None."""
        return None

    def nowhere(self) -> str | None:
        """A path that no secret can ever be at (no such mount), or None where every path may."""
        return None

    # Ciphertexts.

    def encrypt(self, plaintexts: Sequence[bytes]) -> tuple[str, list[str]] | None:
        """A key's path, and the ciphertexts it gives; None where the store has no such thing."""
        return None


class _Reading:
    """Opening, fetching, listing, closing."""

    @pytest.fixture
    def backend(self, harness: AddressedHarness) -> Iterator[AddressedBackend]:
        """A backend of the harness's store, closed at the end."""
        backend = harness.open()
        yield backend
        backend.close()

    def test_a_secret_is_fetched_with_its_fields_and_their_types(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        harness.put(f"{harness.prefix}/db", harness.odd_data)

        found = backend.fetch(Address(f"{harness.prefix}/db"))
        assert found.data is not None
        assert json.dumps(found.data, sort_keys=True) == json.dumps(harness.odd_data, sort_keys=True)
        assert found.missing == ""
        assert found.lease is None

    def test_nothing_there_is_an_answer(self, harness: AddressedHarness, backend: AddressedBackend) -> None:
        harness.put(f"{harness.prefix}/db", {"a": "1"})

        found = backend.fetch(Address(f"{harness.prefix}/nothing"))
        assert (found.data, found.lease) == (None, None)

    def test_a_directory_is_no_secret(self, harness: AddressedHarness, backend: AddressedBackend) -> None:
        harness.put(f"{harness.prefix}/below/db", {"a": "1"})

        assert backend.fetch(Address(f"{harness.prefix}/below")).data is None

    def test_a_fetch_changes_nothing(self, harness: AddressedHarness, backend: AddressedBackend) -> None:
        harness.put(f"{harness.prefix}/db", {"a": "1"})
        address = Address(f"{harness.prefix}/db")

        assert backend.fetch(address) == backend.fetch(address)

    def test_names_of_a_path_are_only_text(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        for number, name in enumerate(harness.odd_names):
            harness.put(f"{harness.prefix}/{name}", {"number": number})

        found = [backend.fetch(Address(f"{harness.prefix}/{name}")).data for name in harness.odd_names]
        assert found == [{"number": number} for number in range(len(harness.odd_names))]
        assert backend.names(harness.prefix) == tuple(sorted(harness.odd_names))

    def test_a_path_cannot_lead_elsewhere(self, harness: AddressedHarness, backend: AddressedBackend) -> None:
        harness.put(f"{harness.prefix}/db", {"password": _PLAIN})
        harness.put(f"{harness.prefix}/other/x", {"a": "1"})
        for path in (f"{harness.prefix}/other/../db", f"{harness.prefix}/other/./../db"):
            try:
                found = backend.fetch(Address(path))
            except SourceError:
                continue
            assert found.data is None, f"{path} is not to be taken for another path"

    def test_names_are_sorted_and_directories_end_in_a_slash(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        for path in ("web", "db", "db/replica", "a/b/c", "dbz"):
            harness.put(f"{harness.prefix}/{path}", {"a": "1"})

        assert backend.names(harness.prefix) == ("a/", "db", "db/", "dbz", "web")
        assert backend.names(f"{harness.prefix}/a") == ("b/",)
        assert backend.names(f"{harness.prefix}/db") == ("replica",)

    def test_there_may_be_no_names(self, harness: AddressedHarness, backend: AddressedBackend) -> None:
        harness.put(f"{harness.prefix}/db", {"a": "1"})

        assert backend.names(f"{harness.prefix}/nothing") == ()
        assert backend.names(f"{harness.prefix}/db") == ()

    def test_a_path_that_can_hold_nothing_is_invalid(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        with pytest.raises(Invalid):
            backend.fetch(Address(f"{_given(harness.nowhere())}/db"))

    def test_open_does_no_io(self, harness: AddressedHarness) -> None:
        harness.open().close()  # whatever is imported late has been imported after this
        before = harness.calls()
        with io_of_this_thread() as seen:
            backend = harness.open()
        backend.close()

        assert seen == []
        assert harness.calls() == before

    def test_close_is_idempotent(self, harness: AddressedHarness) -> None:
        backend = harness.open()
        backend.fetch(Address(f"{harness.prefix}/db"))
        backend.close()
        backend.close()

    def test_no_thread_is_left_after_close(self, harness: AddressedHarness) -> None:
        before = set(threading.enumerate())
        backend = harness.open()
        backend.fetch(Address(f"{harness.prefix}/db"))
        backend.close()

        eventually(lambda: not set(threading.enumerate()) - before)


class _Changes:
    """Versions, and telling a change."""

    def test_the_version_grows_and_the_latest_is_fetched(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        _skip_unless(harness.versions, "this store keeps no versions")
        address = Address(f"{harness.prefix}/db")
        harness.put(address.path, {"a": "1"})
        first = backend.fetch(address)
        harness.put(address.path, {"a": "2"})
        second = backend.fetch(address)

        assert (first.data, second.data) == ({"a": "1"}, {"a": "2"})
        assert 0 < first.version < second.version

    def test_an_older_version_can_be_asked_for(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        _skip_unless(harness.versions, "this store keeps no versions")
        address = Address(f"{harness.prefix}/db", (("version", "1"),))
        for value in "12":
            harness.put(address.path, {"a": value})

        found = backend.fetch(address)
        assert (found.data, found.version) == ({"a": "1"}, 1)
        harness.put(address.path, {"a": "3"})
        assert not backend.changed(address, found), "version 1 is what it was"

    def test_a_version_that_never_was_is_missing_and_says_why(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        _skip_unless(harness.versions, "this store keeps no versions")
        harness.put(f"{harness.prefix}/db", {"a": "1"})

        found = backend.fetch(Address(f"{harness.prefix}/db", (("version", "7"),)))
        assert found.data is None
        assert "7" in found.missing

    def test_a_deleted_secret_is_missing_and_says_so(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        address = Address(f"{harness.prefix}/db")
        harness.put(address.path, {"a": "1"})
        harness.put(address.path, {"a": "2"})
        harness.delete(address.path)

        found = backend.fetch(address)
        assert found.data is None
        if harness.versions:
            assert "deleted" in found.missing
            assert backend.fetch(Address(address.path, (("version", "1"),))).data == {"a": "1"}

    def test_a_destroyed_version_is_missing_and_says_so(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        path = f"{harness.prefix}/db"
        harness.put(path, {"a": "1"})
        harness.put(path, {"a": "2"})
        _skip_unless(harness.destroy(path, 1), "this store destroys nothing")

        found = backend.fetch(Address(path, (("version", "1"),)))
        assert found.data is None
        assert "destroyed" in found.missing
        assert backend.fetch(Address(path)).data == {"a": "2"}

    def test_what_has_not_changed_is_told_to_be_so_by_one_call(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        present, absent = Address(f"{harness.prefix}/db"), Address(f"{harness.prefix}/nothing")
        harness.put(present.path, {"a": "1"})
        for address in (present, absent):
            known = backend.fetch(address)
            before = harness.calls()
            if not harness.cheap:
                assert backend.changed(address, known), "where only fetching can tell, the answer is True"
                assert harness.calls() == before
                continue
            assert not backend.changed(address, known)
            after = harness.calls()
            assert before is None or after == before + 1

    def test_every_change_is_told(self, harness: AddressedHarness, backend: AddressedBackend) -> None:
        address = Address(f"{harness.prefix}/db")
        harness.put(f"{harness.prefix}/beside", {"a": "1"})
        steps: list[Callable[[], None]] = [
            lambda: harness.put(address.path, {"a": "1"}),
            lambda: harness.put(address.path, {"a": "2"}),
            lambda: harness.delete(address.path),
            lambda: harness.put(address.path, {"a": "3"}),
        ]
        for step in steps:
            known = backend.fetch(address)
            step()
            assert backend.changed(address, known)

    def test_a_change_beside_it_is_none(self, harness: AddressedHarness, backend: AddressedBackend) -> None:
        _skip_unless(harness.cheap, "only fetching tells")
        address = Address(f"{harness.prefix}/db")
        harness.put(address.path, {"a": "1"})
        known = backend.fetch(address)
        harness.put(f"{harness.prefix}/db/below", {"a": "1"})
        harness.put(f"{harness.prefix}/dbz", {"a": "1"})

        assert not backend.changed(address, known)


class _Lending:
    """What is made when it is read."""

    def test_looking_makes_nothing(self, harness: AddressedHarness, backend: AddressedBackend) -> None:
        harness.put(f"{harness.prefix}/db", {"a": "1"})
        found = [one for one in (harness.lend(), harness.lend_once(), harness.certify()) if one is not None]
        _skip_unless(bool(found), "this store makes nothing")
        before = harness.lent()

        assert [backend.is_dynamic(one) for one in found] == [True] * len(found)
        assert not backend.is_dynamic(Address(f"{harness.prefix}/db"))
        assert not backend.is_dynamic(Address(f"{harness.prefix}/nothing"))
        assert harness.lent() == before

    def test_whether_it_changed_is_not_found_out_by_making_another(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        address = _given(harness.lend())
        known = backend.fetch(address)
        lent, calls = harness.lent(), harness.calls()

        assert backend.changed(address, known)
        assert (harness.lent(), harness.calls()) == (lent, calls)

    def test_each_fetch_makes_another_on_a_lease_of_its_own(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        address = _given(harness.lend())
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
        lease = _lease(backend.fetch(_given(harness.lend())))
        renewed = backend.renew(lease)

        assert renewed.id == lease.id
        assert 0 < renewed.duration <= lease.duration + 1
        assert backend.renew(renewed).id == lease.id

    def test_a_revoked_lease_is_over(self, harness: AddressedHarness, backend: AddressedBackend) -> None:
        secret = backend.fetch(_given(harness.lend()))
        backend.revoke(_lease(secret))

        assert harness.works(secret) in (False, None)
        with pytest.raises(Expired):
            backend.renew(_lease(secret))
        backend.revoke(_lease(secret))  # what is over may be ended again

    def test_a_lease_that_cannot_be_renewed_says_so_both_ways(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        lease = _lease(backend.fetch(_given(harness.lend_once())))

        assert not lease.renewable
        with pytest.raises(Expired):
            backend.renew(lease)

    def test_a_lease_nobody_knows_is_over(self, harness: AddressedHarness, backend: AddressedBackend) -> None:
        address = _given(harness.lend())
        backend.fetch(address)
        for unknown in (Lease("", 60.0), Lease(f"{address.path}/no-such-lease", 60.0, renewable=True)):
            with pytest.raises(Expired):
                backend.renew(unknown)

    def test_a_certificate_has_an_end_but_no_lease(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        secret = backend.fetch(_given(harness.certify()))

        lease = _lease(secret)
        assert (lease.id, lease.renewable) == ("", False)
        assert lease.duration > 0
        assert secret.session == 0, "it outlives the login"
        backend.revoke(lease)  # there is nothing to end, and that is fine


class _LoggingIn:
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
        before = _counted(harness.logins())
        harness.put(f"{harness.prefix}/db", {"a": "1"})
        _at_once(8, lambda number: backend.fetch(Address(f"{harness.prefix}/db{number % 2 or ''}")))

        assert _counted(harness.logins()) == before + 1

    def test_a_login_that_has_ended_is_made_anew_once_and_the_call_repeated(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        harness.put(f"{harness.prefix}/db", {"a": "1"})
        backend.fetch(Address(f"{harness.prefix}/db"))
        before, session = harness.logins(), backend.session
        _skip_unless(harness.end_sessions(), "logins of this store do not end")
        found = _at_once(8, lambda _: backend.fetch(Address(f"{harness.prefix}/db")).data)

        assert found == [{"a": "1"}] * 8
        assert backend.session not in (0, session)
        assert before is None or harness.logins() == before + 1

    def test_what_is_lent_out_ends_with_the_login(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        secret = backend.fetch(_given(harness.lend()))
        _skip_unless(harness.end_sessions(), "logins of this store do not end")
        backend.fetch(Address(f"{harness.prefix}/db"))

        assert harness.works(secret) in (False, None)
        assert secret.session != backend.session
        with pytest.raises(Expired):
            backend.renew(_lease(secret))

    def test_ending_the_login_ends_what_is_bound_to_it(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        secret = backend.fetch(_given(harness.lend()))
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
            secret = first.fetch(_given(harness.lend()))
            exported = _given(first.export_session())
            logins = harness.logins()
            second.import_session(exported)
            second.fetch(Address(f"{harness.prefix}/db"))

            assert second.session != 0
            assert harness.logins() == logins
            assert second.renew(_lease(secret)).id == _lease(secret).id
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
            exported = _given(first.export_session())
            _skip_unless(harness.end_sessions(), "logins of this store do not end")
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


class _Failing:
    """What goes wrong, and what of it is told."""

    def test_a_denied_path_is_denied_by_name_and_others_are_not(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        denied, allowed = Address(f"{harness.prefix}/denied"), Address(f"{harness.prefix}/db")
        for address in (denied, allowed):
            harness.put(address.path, {"password": _PLAIN})
        known = backend.fetch(allowed)
        _skip_unless(harness.deny(denied.path), "this store denies nothing")
        before = harness.logins()

        for _ in range(2):
            with pytest.raises(Denied) as caught:
                backend.fetch(denied)
            assert denied.path in str(caught.value)
            assert _PLAIN not in str(caught.value)
            assert backend.fetch(allowed) == known
        # One more login is allowed: that it was denied, and not logged out, may only show after it.
        assert before is None or _counted(harness.logins()) <= before + 1

    def test_a_refused_login_is_denied(self, harness: AddressedHarness) -> None:
        backend = _given(harness.open_refused())
        try:
            with pytest.raises(Denied) as caught:
                backend.fetch(Address(f"{harness.prefix}/db"))
        finally:
            backend.close()
        assert [secret for secret in harness.credentials() if secret in _everything(caught.value)] == []

    def test_a_store_without_an_answer_is_unavailable_with_its_cause(self, harness: AddressedHarness) -> None:
        backend = _given(harness.open_broken())
        asked = Address(f"{harness.prefix}/db")
        calls: list[Callable[[], object]] = [
            lambda: backend.fetch(asked),
            lambda: backend.changed(asked, Secret({"a": "1"}, version=1)),
            lambda: backend.names(harness.prefix),
        ]
        try:
            for call in calls if harness.cheap else (calls[0], calls[2]):
                with pytest.raises(Unavailable) as caught:
                    call()
                assert caught.value.__cause__ is not None, "the library's error must be the cause"
                assert _leaked(harness, _everything(caught.value)) == []
            backend.end_session()  # there is none, or it cannot be ended: either way nothing is raised but an error
        finally:
            backend.close()

    def test_the_address_tells_where_but_no_credential(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        assert backend.address
        assert _leaked(harness, backend.address) == []

    def test_nothing_shows_a_secret(
        self, harness: AddressedHarness, backend: AddressedBackend, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        address = Address(f"{harness.prefix}/db")
        harness.put(address.path, {"password": _PLAIN})
        shown = [repr(backend), str(backend), repr(backend.fetch(address)), str(backend.fetch(address))]
        backend.changed(address, backend.fetch(address))
        lent = harness.lend()
        values = [_PLAIN]
        if lent is not None:
            secret = backend.fetch(lent)
            values += [value for value in (secret.data or {}).values() if isinstance(value, str) and value]
            shown += [repr(secret), repr(_with_lease(backend, secret))]
        shown += [record.getMessage() for record in caplog.records] + [caplog.text]
        values += harness.credentials()

        told = "\n".join(shown)
        assert [value for value in values if value in told] == []


class _Decrypting:
    """Ciphertexts."""

    def test_ciphertexts_are_decrypted_in_their_order_by_one_call(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        plaintexts = [b"one", b"", b"\xff\x00two", "drei ☃".encode(), b"one"]
        key, ciphertexts = _given(harness.encrypt(plaintexts))
        backend.decrypt(key, ciphertexts[:1])
        before = harness.calls()

        assert backend.decrypt(key, ciphertexts) == plaintexts
        assert before is None or harness.calls() == before + 1
        assert backend.decrypt(key, ciphertexts[::-1]) == plaintexts[::-1]

    def test_one_that_cannot_be_decrypted_does_not_hide_the_others(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        key, (first, last) = _given(harness.encrypt([_PLAIN.encode(), b"two"]))
        for broken in ("", "garbage", first[: len(first) // 2], first + "x"):
            one, error, two = backend.decrypt(key, [first, broken, last])
            assert (one, two) == (_PLAIN.encode(), b"two")
            assert isinstance(error, SourceError)
            assert _PLAIN not in str(error)

    def test_nothing_to_decrypt_is_nothing(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        key, _ = _given(harness.encrypt([b"x"]))

        assert backend.decrypt(key, []) == []

    def test_a_store_that_does_not_decrypt_says_so(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        _skip_unless(harness.encrypt([b"x"]) is None, "this store decrypts")
        with pytest.raises(Invalid):
            backend.decrypt("key", ["x"])


class AddressedContract(_Reading, _Changes, _Lending, _LoggingIn, _Failing, _Decrypting):
    """Inherit it in a class that pytest collects, with a fixture `harness` that gives an `AddressedHarness`."""


def _skip_unless(possible: bool, why: str) -> None:
    if not possible:
        pytest.skip(why)


def _given(value: T | None) -> T:
    """What the harness gave, or a skipped test."""
    if value is None:
        pytest.skip("the harness has nothing for this test")
    return value


_counted = _given


def _lease(secret: Secret) -> Lease:
    assert secret.lease is not None, "it must be on a lease"
    return secret.lease


def _with_lease(backend: AddressedBackend, secret: Secret) -> Lease | None:
    return backend.renew(secret.lease) if secret.lease is not None and secret.lease.renewable else None


def _at_once(count: int, call: Callable[[int], T]) -> list[T]:
    """Make calls from several threads that begin together."""
    together = threading.Barrier(count)

    def one(number: int) -> T:
        together.wait(5)
        return call(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def _everything(error: BaseException) -> str:
    """An error with all that it was made from, as a traceback would show it."""
    told = []
    one: BaseException | None = error
    while one is not None:
        told.append(f"{one!r} {one}")
        one = one.__cause__ or one.__context__
    return "\n".join(told)


def _leaked(harness: AddressedHarness, text: str) -> list[str]:
    return [secret for secret in (*harness.credentials(), _PLAIN) if secret in text]
