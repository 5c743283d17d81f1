"""What Vault says becomes one safe line; no status is left without an error of the contract."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confsync.errors import Denied, Invalid, SourceError, Unavailable
from confsync_backends.vault.faults import Failure, Forbidden, Refused, TokenRejected, as_source_error, spoken
from confsync_backends.vault.reply import Raw, read_reply


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        (["permission denied"], "permission denied"),
        (["1 error occurred:\n\t* permission denied\n\n"], "permission denied"),
        (["2 errors occurred:\n\t* one\n\t* two\n\n"], "one * two"),
        (["an error occurred: bad", "more"], "an error occurred: bad; more"),
        ([], ""),
        ([None, 7, "text"], "text"),
        ("no list", ""),
        (None, ""),
        ({"a": "b"}, ""),
    ],
)
def test_what_vault_says_is_tidied(errors, said):
    assert spoken(errors) == said


def test_the_longer_secret_is_masked_first():
    assert spoken(["password-and-more, password"], ["password", "password-and-more"]) == "***, ***"


def test_a_secret_is_masked_before_the_line_is_tidied():
    assert spoken(["wrong: two  words"], ["two  words"]) == "wrong: ***"


@given(
    secret=st.text(min_size=4, max_size=40),
    before=st.text(max_size=300),
    after=st.text(max_size=300),
)
def test_no_secret_that_was_sent_is_shown(secret, before, after):
    said = spoken([before.replace("*", "") + secret + after.replace("*", "")], [secret])

    assert secret not in said
    assert said.isprintable()


@given(
    status=st.integers(min_value=300, max_value=599).filter(lambda status: status != 404),
    body=st.binary(max_size=60),
    authenticated=st.booleans(),
)
def test_whatever_a_server_answers_is_an_error_of_the_contract(status, body, authenticated):
    with pytest.raises((Unavailable, Denied, Invalid)) as failed:
        read_reply(Raw(status, {}, body), "vault at x: reading", "secret/x", authenticated=authenticated)

    assert str(failed.value).startswith("vault at x: reading: ")


def test_a_lost_token_is_the_tokens_matter_only_where_one_was_sent():
    lost = {"status": 400, "said": "missing client token", "path": "secret/x"}

    assert isinstance(as_source_error("a", Failure(**lost, authenticated=True)), TokenRejected)
    assert isinstance(as_source_error("a", Failure(**lost, authenticated=False)), Refused)


def test_the_data_of_a_refusal_is_no_part_of_what_is_shown():
    failure = Failure(400, "no", "secret/x", authenticated=True, data={"password": "hunter2"})
    error = as_source_error("vault at x: reading", failure)

    assert error.data == {"password": "hunter2"}
    assert "hunter2" not in f"{error}{error!r}{failure!r}"


def test_who_catches_denied_catches_both_kinds():
    assert issubclass(TokenRejected, Denied)
    assert issubclass(Forbidden, Denied)
    assert not issubclass(Forbidden, TokenRejected)
    assert issubclass(Refused, SourceError)


def test_a_mount_that_is_being_upgraded_is_worth_asking_again():
    said = (
        "Upgrading from non-versioned to versioned data. This backend will be unavailable for a brief period"
    )
    error = as_source_error("vault at x: reading", Failure(400, said, "secret/x", authenticated=True))

    assert isinstance(error, Unavailable)
    assert error.retry_after == 0.0
