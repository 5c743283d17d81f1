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
from collections.abc import Callable, Iterator

import pytest

from confsync.driver import Address, AddressedBackend, Secret
from confsync.errors import Denied, Invalid, SourceError, Unavailable
from confsync.testing.contract_logins import LendingContract, LoginContract
from confsync.testing.harness import io_of_this_thread
from confsync.testing.harness_addressed import (
    PLAIN,
    AddressedHarness,
    counted,
    given,
    leaked,
    renewed_lease,
    skip_unless,
    whole_story,
)  # fmt: skip
from confsync.testing.waiting import eventually

__all__ = ["AddressedContract", "AddressedHarness"]


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
        harness.put(f"{harness.prefix}/db", {"password": PLAIN})
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
            backend.fetch(Address(f"{given(harness.nowhere())}/db"))

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
        skip_unless(harness.versions, "this store keeps no versions")
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
        skip_unless(harness.versions, "this store keeps no versions")
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
        skip_unless(harness.versions, "this store keeps no versions")
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
        skip_unless(harness.destroy(path, 1), "this store destroys nothing")

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
        skip_unless(harness.cheap, "only fetching tells")
        address = Address(f"{harness.prefix}/db")
        harness.put(address.path, {"a": "1"})
        known = backend.fetch(address)
        harness.put(f"{harness.prefix}/db/below", {"a": "1"})
        harness.put(f"{harness.prefix}/dbz", {"a": "1"})

        assert not backend.changed(address, known)


class _Failing:
    """What goes wrong, and what of it is told."""

    def test_a_denied_path_is_denied_by_name_and_others_are_not(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        denied, allowed = Address(f"{harness.prefix}/denied"), Address(f"{harness.prefix}/db")
        for address in (denied, allowed):
            harness.put(address.path, {"password": PLAIN})
        known = backend.fetch(allowed)
        skip_unless(harness.deny(denied.path), "this store denies nothing")
        before = harness.logins()

        for _ in range(2):
            with pytest.raises(Denied) as caught:
                backend.fetch(denied)
            assert denied.path in str(caught.value)
            assert PLAIN not in str(caught.value)
            assert backend.fetch(allowed) == known
        # One more login is allowed: that it was denied, and not logged out, may only show after it.
        assert before is None or counted(harness.logins()) <= before + 1

    def test_a_refused_login_is_denied(self, harness: AddressedHarness) -> None:
        backend = given(harness.open_refused())
        try:
            with pytest.raises(Denied) as caught:
                backend.fetch(Address(f"{harness.prefix}/db"))
        finally:
            backend.close()
        assert [secret for secret in harness.credentials() if secret in whole_story(caught.value)] == []

    def test_a_store_without_an_answer_is_unavailable_with_its_cause(self, harness: AddressedHarness) -> None:
        backend = given(harness.open_broken())
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
                assert leaked(harness, whole_story(caught.value)) == []
                assert caught.value.key is None, "a key says that the rest of the store is well"
            backend.end_session()  # there is none, or it cannot be ended: either way nothing is raised but an error
        finally:
            backend.close()

    def test_the_address_tells_where_but_no_credential(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        assert backend.address
        assert leaked(harness, backend.address) == []

    def test_nothing_shows_a_secret(
        self, harness: AddressedHarness, backend: AddressedBackend, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        address = Address(f"{harness.prefix}/db")
        harness.put(address.path, {"password": PLAIN})
        shown = [repr(backend), str(backend), repr(backend.fetch(address)), str(backend.fetch(address))]
        backend.changed(address, backend.fetch(address))
        lent = harness.lend()
        values = [PLAIN]
        if lent is not None:
            secret = backend.fetch(lent)
            values += [value for value in (secret.data or {}).values() if isinstance(value, str) and value]
            shown += [repr(secret), repr(renewed_lease(backend, secret))]
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
        key, ciphertexts = given(harness.encrypt(plaintexts))
        backend.decrypt(key, ciphertexts[:1])
        before = harness.calls()

        assert backend.decrypt(key, ciphertexts) == plaintexts
        assert before is None or harness.calls() == before + 1
        assert backend.decrypt(key, ciphertexts[::-1]) == plaintexts[::-1]

    def test_one_that_cannot_be_decrypted_does_not_hide_the_others(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        key, (first, last) = given(harness.encrypt([PLAIN.encode(), b"two"]))
        for broken in ("", "garbage", first[: len(first) // 2], first + "x"):
            one, error, two = backend.decrypt(key, [first, broken, last])
            assert (one, two) == (PLAIN.encode(), b"two")
            assert isinstance(error, SourceError)
            assert PLAIN not in str(error)

    def test_nothing_to_decrypt_is_nothing(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        key, _ = given(harness.encrypt([b"x"]))

        assert backend.decrypt(key, []) == []

    def test_a_store_that_does_not_decrypt_says_so(
        self, harness: AddressedHarness, backend: AddressedBackend
    ) -> None:
        skip_unless(harness.encrypt([b"x"]) is None, "this store decrypts")
        with pytest.raises(Invalid):
            backend.decrypt("key", ["x"])


class AddressedContract(_Reading, _Changes, LendingContract, LoginContract, _Failing, _Decrypting):
    """Inherit it in a class that pytest collects, with a fixture `harness` that gives an `AddressedHarness`."""
