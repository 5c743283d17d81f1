"""The suite for addressed backends is worth something only if it fails drivers that break the contract."""

from __future__ import annotations

import inspect
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace

import pytest
from _pytest.outcomes import Failed

from confsync.driver import Address, Lease
from confsync.errors import Denied, Expired, Invalid, Unavailable
from confsync.testing.contract_addressed import AddressedContract, AddressedHarness
from confsync.testing.memory_secrets import MemorySecretsBackend, SecretStore


class BrokenHarness(AddressedHarness):
    def __init__(self, kind):
        self.kind = kind
        self.store = SecretStore()

    def open(self):
        return self.kind(self.store)

    def put(self, path, data):
        self.store.put(path, data)

    def delete(self, path):
        self.store.delete(path)

    def calls(self):
        return len(self.store.calls)

    def credentials(self):
        return ["-b64d0e"]

    def lend(self):
        self.store.lends("db/creds/app", duration=60)
        return Address("db/creds/app")

    def lend_once(self):
        self.store.lends("db/creds/once", duration=60, renewable=False)
        return Address("db/creds/once")

    def certify(self):
        self.store.certifies("pki/issue/web", duration=60)
        return Address("pki/issue/web", (("common_name", "a.test"),))

    def lent(self):
        return len(self.store.lent)

    def works(self, secret):
        return self.store.is_alive(secret.data["username"])

    def logins(self):
        return self.store.logins

    def deny(self, path):
        self.store.deny(path)
        return True

    def end_sessions(self):
        self.store.end_sessions()
        return True

    def open_broken(self):
        backend = self.kind(SecretStore())
        error = Unavailable("the store is down")
        error.__cause__ = OSError("refused")
        backend.store.fail_with(error)
        return backend

    def encrypt(self, plaintexts):
        return "k", [self.store.encrypt("k", one) for one in plaintexts]


class GivesTexts(MemorySecretsBackend):
    def fetch(self, address):
        secret = super().fetch(address)
        return (
            secret
            if secret.data is None
            else replace(secret, data={k: str(v) for k, v in secret.data.items()})
        )


class RaisesWhereNothingIs(MemorySecretsBackend):
    def fetch(self, address):
        secret = super().fetch(address)
        if secret.data is None:
            raise Invalid("there is nothing", key=address.path)
        return secret


class LosesTheReason(MemorySecretsBackend):
    def fetch(self, address):
        return replace(super().fetch(address), missing="")


class IgnoresTheVersion(MemorySecretsBackend):
    def fetch(self, address):
        return super().fetch(Address(address.path))


class AlwaysChanged(MemorySecretsBackend):
    def changed(self, address, known):
        return True


class NeverChanged(MemorySecretsBackend):
    def changed(self, address, known):
        return False


class FetchesToCompare(MemorySecretsBackend):
    def changed(self, address, known):
        return self.fetch(address).data != known.data


class ListsAsItComes(MemorySecretsBackend):
    def names(self, path):
        return super().names(path)[::-1]


class ListsDirectoriesAsSecrets(MemorySecretsBackend):
    def names(self, path):
        return tuple(name.rstrip("/") for name in super().names(path))


class FollowsDots(MemorySecretsBackend):
    def fetch(self, address):
        import posixpath

        return super().fetch(address._replace(path=posixpath.normpath(address.path)))


class LogsInWhenOpened(MemorySecretsBackend):
    def __init__(self, store):
        super().__init__(store)
        self._logged_in(instead_of=None)


class LogsInAlone(MemorySecretsBackend):
    def _logged_in(self, instead_of):
        if self._token is None or self._token == instead_of:
            threading.Event().wait(0.2)  # so that others see that nobody is
            self._token = self.store.log_in()
            self._session += 1
        return self._token, self._session


class StaysLoggedOut(MemorySecretsBackend):
    def _logged_in(self, instead_of):
        if instead_of is not None:
            raise Denied("the login has ended")
        return super()._logged_in(instead_of)


class CountsOneSession(MemorySecretsBackend):
    @property
    def session(self):
        return min(self._session, 1)


class BindsNothing(MemorySecretsBackend):
    def fetch(self, address):
        return replace(super().fetch(address), session=0)


class BindsCertificates(MemorySecretsBackend):
    def fetch(self, address):
        return replace(super().fetch(address), session=self.session)


class MakesToLook(MemorySecretsBackend):
    def is_dynamic(self, address):
        with suppress(Invalid):
            self.fetch(address)
        return super().is_dynamic(address)


class ThinksNothingIsMade(MemorySecretsBackend):
    def is_dynamic(self, address):
        return False


class RenewsNothing(MemorySecretsBackend):
    def renew(self, lease):
        raise Invalid("it cannot be renewed")


class RenewsAnything(MemorySecretsBackend):
    def renew(self, lease):
        with suppress(Expired):
            return super().renew(lease)
        return Lease(lease.id, lease.duration, renewable=True)


class RevokesNothing(MemorySecretsBackend):
    def revoke(self, lease):
        pass


class EndsNoSession(MemorySecretsBackend):
    def end_session(self):
        self._token = None


class ChokesOnImports(MemorySecretsBackend):
    def import_session(self, exported):
        super().import_session(exported.decode("ascii").encode())


class ForgetsImports(MemorySecretsBackend):
    def import_session(self, exported):
        pass


class BlamesThePath(MemorySecretsBackend):
    def fetch(self, address):
        try:
            return super().fetch(address)
        except Unavailable as exc:
            raise Unavailable(str(exc), key=address.path) from exc


class HidesTheCause(MemorySecretsBackend):
    def fetch(self, address):
        try:
            return super().fetch(address)
        except Unavailable as exc:
            message = str(exc)
        raise Unavailable(message)


class QuotesTheToken(MemorySecretsBackend):
    def __repr__(self):
        return f"<memory as {self._token}>"


class DecryptsOneByOne(MemorySecretsBackend):
    def decrypt(self, key, ciphertexts):
        return [super(DecryptsOneByOne, self).decrypt(key, [one])[0] for one in ciphertexts]


class DecryptsAllOrNothing(MemorySecretsBackend):
    def decrypt(self, key, ciphertexts):
        found = super().decrypt(key, ciphertexts)
        for one in found:
            if not isinstance(one, bytes):
                raise one
        return found


class DecryptsInItsOwnOrder(MemorySecretsBackend):
    def decrypt(self, key, ciphertexts):
        return sorted(super().decrypt(key, ciphertexts), key=str)


def run(name, kind, arguments):
    """Run one test of the suite by hand."""
    harness = BrokenHarness(kind)
    backend = harness.open()
    given = {"harness": harness, "backend": backend, **arguments}
    test = getattr(AddressedContract(), name)
    try:
        test(**{one: given[one] for one in inspect.signature(test).parameters})
    finally:
        MemorySecretsBackend.close(backend)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (GivesTexts, "test_a_secret_is_fetched_with_its_fields_and_their_types"),
        (RaisesWhereNothingIs, "test_nothing_there_is_an_answer"),
        (LosesTheReason, "test_a_deleted_secret_is_missing_and_says_so"),
        (LosesTheReason, "test_a_version_that_never_was_is_missing_and_says_why"),
        (IgnoresTheVersion, "test_an_older_version_can_be_asked_for"),
        (AlwaysChanged, "test_what_has_not_changed_is_told_to_be_so_by_one_call"),
        (AlwaysChanged, "test_a_change_beside_it_is_none"),
        (NeverChanged, "test_every_change_is_told"),
        (FetchesToCompare, "test_whether_it_changed_is_not_found_out_by_making_another"),
        (ListsAsItComes, "test_names_are_sorted_and_directories_end_in_a_slash"),
        (ListsDirectoriesAsSecrets, "test_names_are_sorted_and_directories_end_in_a_slash"),
        (FollowsDots, "test_a_path_cannot_lead_elsewhere"),
        (LogsInWhenOpened, "test_open_does_no_io"),
        (LogsInWhenOpened, "test_there_is_no_login_before_it_is_needed"),
        (LogsInWhenOpened, "test_before_the_login_there_is_nothing_to_export"),
        (LogsInAlone, "test_threads_that_call_at_once_log_in_once"),
        (StaysLoggedOut, "test_a_login_that_has_ended_is_made_anew_once_and_the_call_repeated"),
        (CountsOneSession, "test_a_login_that_has_ended_is_made_anew_once_and_the_call_repeated"),
        (CountsOneSession, "test_what_is_lent_out_ends_with_the_login"),
        (BindsNothing, "test_each_fetch_makes_another_on_a_lease_of_its_own"),
        (BindsCertificates, "test_a_certificate_has_an_end_but_no_lease"),
        (MakesToLook, "test_looking_makes_nothing"),
        (ThinksNothingIsMade, "test_looking_makes_nothing"),
        (RenewsNothing, "test_a_lease_is_prolonged"),
        (RenewsNothing, "test_a_lease_nobody_knows_is_over"),
        (RenewsAnything, "test_a_revoked_lease_is_over"),
        (RenewsAnything, "test_a_lease_that_cannot_be_renewed_says_so_both_ways"),
        (RevokesNothing, "test_a_revoked_lease_is_over"),
        (EndsNoSession, "test_ending_the_login_ends_what_is_bound_to_it"),
        (ForgetsImports, "test_another_process_goes_on_with_the_login"),
        (BlamesThePath, "test_a_store_without_an_answer_is_unavailable_with_its_cause"),
        (HidesTheCause, "test_a_store_without_an_answer_is_unavailable_with_its_cause"),
        (DecryptsOneByOne, "test_ciphertexts_are_decrypted_in_their_order_by_one_call"),
        (DecryptsInItsOwnOrder, "test_ciphertexts_are_decrypted_in_their_order_by_one_call"),
        (DecryptsAllOrNothing, "test_one_that_cannot_be_decrypted_does_not_hide_the_others"),
    ],
)
def test_a_driver_that_breaks_the_contract_fails(kind, name):
    with pytest.raises((AssertionError, Failed, Denied, Invalid)):
        run(name, kind, {})


def test_a_driver_that_chokes_on_what_another_version_exported_fails():
    with pytest.raises(UnicodeDecodeError):
        run("test_an_import_that_cannot_be_read_is_none", ChokesOnImports, {"exported": b"\xff\x00"})


def test_a_driver_that_shows_its_token_fails(caplog):
    harness = BrokenHarness(QuotesTheToken)
    backend = harness.open()
    backend.names("")
    with pytest.raises(AssertionError):
        AddressedContract().test_nothing_shows_a_secret(harness, backend, caplog)


def test_the_memory_store_of_secrets_works_without_pytest():
    program = "import sys; sys.modules['pytest'] = None; import confsync.testing.memory_secrets"
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=30)
