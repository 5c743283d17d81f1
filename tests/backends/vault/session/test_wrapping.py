"""A response-wrapped secret-id: unwrapped once, remembered in memory, and suspicious of everybody else."""

from __future__ import annotations

import pytest

from confsync.clock import SystemClock
from confsync.driver import Address
from confsync.errors import Denied, Unavailable
from confsync.source.addressed import AddressedSource
from confsync_backends.vault import VaultBackend, VaultOptions


@pytest.fixture
def wrapped(approle, vault, tmp_path):
    """What a user writes; `wrapped-id` holds a wrapping token. `fields` are the role's."""

    def make(**fields):
        auth = approle(**fields)
        del auth["secret_id_file"]
        (tmp_path / "wrapped-id").write_text(vault.admin.secret_id(auth["mount"], wrap_ttl="60s") + "\n")
        return auth | {"wrapped_secret_id_file": "wrapped-id"}

    return make


@pytest.fixture
def put_there(tmp_path):
    return (tmp_path / "wrapped-id").write_text


@pytest.fixture
def steal(vault, tmp_path):
    """Somebody else unwraps what is in the file."""

    def unwrap():
        token = (tmp_path / "wrapped-id").read_text().strip()
        vault.admin.must("POST", "sys/wrapping/unwrap", {}, {"X-Vault-Token": token})

    return unwrap


def refusal(session, read):
    with pytest.raises(Denied) as caught:
        read(session)
    return caught.value


def test_it_is_unwrapped_once_for_all_logins(open_session, wrapped, read, times, vault_server):
    session = open_session(wrapped(token_ttl="2s"))

    for number in (1, 2, 3):
        assert read(session) == number
        times.advance(3)

    assert vault_server.count("POST", "sys/wrapping/lookup") == 1
    assert vault_server.count(None, "sys/wrapping/unwrap") == 1


def test_the_file_may_be_gone_once_it_was_unwrapped(open_session, wrapped, read, times, tmp_path):
    session = open_session(wrapped(token_ttl="2s"))
    read(session)

    (tmp_path / "wrapped-id").unlink()
    times.advance(3)

    assert read(session) == 2


def test_another_wrapping_token_is_unwrapped_in_its_turn(
    open_session, wrapped, read, vault, put_there, times
):
    auth = wrapped(secret_id_num_uses=1, token_ttl="2s")
    session = open_session(auth)
    read(session)
    times.advance(3)
    assert "used up" in refusal(session, read).hint

    put_there(vault.admin.secret_id(auth["mount"], wrap_ttl="60s"))

    assert read(session) == 2


def test_one_that_somebody_else_has_unwrapped_is_told_as_a_possible_theft(open_session, wrapped, read, steal):
    auth = wrapped()
    steal()

    error = refusal(open_session(auth), read)

    assert "somebody else has unwrapped it" in error.message
    assert "revoke" in error.hint
    assert (
        f"issue another: vault write -wrap-ttl=10m -f auth/{auth['mount']}/role/ROLE/secret-id" in error.hint
    )


def test_a_theft_between_the_look_and_the_unwrapping_is_told_alike(
    open_session, wrapped, read, steal, vault_server
):
    session = open_session(wrapped())
    vault_server.faults.answer(
        400, "wrapping token is not valid or does not exist", path="sys/wrapping/unwrap"
    )

    assert "somebody else has unwrapped it" in refusal(session, read).message


def test_a_spent_one_is_never_tried_again(open_session, wrapped, read, steal, vault_server, times):
    session = open_session(wrapped())
    steal()
    vault_server.forget_requests()

    for _ in range(20):
        refusal(session, read)
        times.advance_here(120)

    assert vault_server.count("POST", "sys/wrapping/lookup") == 1
    assert vault_server.count(None, "sys/wrapping/unwrap") == 0


def test_one_made_elsewhere_is_not_unwrapped(open_session, wrapped, read, vault, put_there, shelf):
    auth = wrapped()
    status, answer = vault.admin.call("GET", shelf.path, None, {"X-Vault-Wrap-TTL": "60s"})
    assert status == 200
    planted = answer["wrap_info"]["token"]
    put_there(planted)
    session = open_session(auth)

    error = refusal(session, read)

    assert f"was made at '{shelf.path}'" in error.message
    assert f"'auth/{auth['mount']}/role/ROLE/secret-id'" in error.message
    assert "somebody may have put it there in place of yours" in error.message
    assert vault.admin.call("POST", "sys/wrapping/lookup", {"token": planted})[0] == 200, "not unwrapped"
    assert refusal(session, read).message == error.message


def test_one_of_another_mount_is_not_unwrapped(open_session, wrapped, read, vault, put_there, approle):
    auth, other = wrapped(), approle()
    put_there(vault.admin.secret_id(other["mount"], wrap_ttl="60s"))

    assert (
        f"was made at 'auth/{other['mount']}/role/app/secret-id'" in refusal(open_session(auth), read).message
    )


def test_one_that_has_ended_is_told_with_the_other_possibility(
    open_session, wrapped, read, vault, put_there, times
):
    auth = wrapped()
    put_there(vault.admin.secret_id(auth["mount"], wrap_ttl="2s"))
    times.advance(3)

    assert "is spent, or has ended" in refusal(open_session(auth), read).message


def test_a_lost_answer_is_not_told_as_a_theft(open_session, wrapped, read, vault_server, times):
    session = open_session(wrapped())
    vault_server.faults.drop(processed=True, path="sys/wrapping/unwrap")
    with pytest.raises(Unavailable):
        read(session)

    times.advance_here(1)
    error = refusal(session, read)

    assert "Vault's answer got lost" in error.message
    assert "issue another" in error.hint


def test_a_vault_that_is_down_does_not_spend_it(open_session, wrapped, read, vault_server, times):
    session = open_session(wrapped())
    vault_server.faults.unavailable(path="sys/wrapping")
    with pytest.raises(Unavailable):
        read(session)

    times.advance_here(1)

    assert read(session) == 1


# A process that only looks.


def test_a_process_that_only_looks_does_not_open_it(open_session, wrapped, read, vault_server):
    auth = wrapped()
    session = open_session(auth)
    session.only_look()
    vault_server.forget_requests()

    error = refusal(session, read)

    assert "is wrapped and opens once; only apply and run open it" in error.message
    assert error.hint == "to look, log in with a token of your own: set VAULT_TOKEN"
    assert vault_server.requests == []
    assert read(open_session(auth)) == 1, "who applies finds it as it was"


def test_a_source_tells_its_driver_that_it_only_looks(wrapped, vault, vault_server, shelf, tmp_path):
    address = Address(f"{shelf.mount}/db")
    options = VaultOptions.model_validate({"address": vault.address, "auth": wrapped()})

    def read_in_a_process(*, looking):
        source = AddressedSource(
            "vault", VaultBackend.open(options, tmp_path), clock=SystemClock(), looking=looking
        )
        try:
            return source.read(address, "db", looking=looking)
        finally:
            source.close()

    for _ in range(2):
        with pytest.raises(Denied, match="opens once"):
            read_in_a_process(looking=True)
    assert read_in_a_process(looking=False).data == {"password": "correct horse"}


def test_who_only_looks_may_do_so_with_a_token_of_their_own(
    open_session, wrapped, read, vault, vault_server, shelf, monkeypatch
):
    monkeypatch.setenv("VAULT_TOKEN", vault.admin.token([shelf.policy]))
    session = open_session(wrapped())
    session.only_look()

    assert read(session) == 1
    session.end()
    assert vault_server.count(None, "sys/wrapping/") == 0


def test_who_applies_uses_the_secret_id_whatever_token_there_is(
    open_session, wrapped, read, vault_server, monkeypatch
):
    monkeypatch.setenv("VAULT_TOKEN", "hvs.of-somebody")

    assert read(open_session(wrapped())) == 1
    assert vault_server.count(None, "sys/wrapping/unwrap") == 1


def test_any_other_login_is_the_same_for_who_only_looks(open_session, approle, read):
    session = open_session(approle())
    session.only_look()

    assert read(session) == 1
