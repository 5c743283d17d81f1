"""Decryption: an answer or an error for each ciphertext, in their order, by few calls."""

from __future__ import annotations

import base64
import json

import pytest

from confsync.errors import Denied, Invalid, Unavailable


@pytest.fixture
def backend(connect):
    return connect()


@pytest.fixture
def mount(vault):
    return vault.admin.transit("app")


def encrypted(vault, mount, *texts):
    return [vault.admin.encrypt(mount, "app", text) for text in texts]


def test_what_was_encrypted_is_told_in_order(vault, mount, backend):
    texts = ["one", "", "dreiß", "x" * 1000]

    assert backend.decrypt(f"{mount}/app", encrypted(vault, mount, *texts)) == [
        text.encode() for text in texts
    ]


def test_bytes_that_are_no_text_are_bytes(vault, mount, backend):
    assert backend.decrypt(f"{mount}/app", encrypted(vault, mount, b"\xff\x00")) == [b"\xff\x00"]


def test_the_same_twice_is_answered_twice(vault, mount, backend):
    (ciphertext,) = encrypted(vault, mount, "one")

    assert backend.decrypt(f"{mount}/app", [ciphertext, ciphertext]) == [b"one", b"one"]


def test_nothing_to_decrypt_needs_no_call(vault_server, backend):
    assert backend.decrypt("transit/app", []) == []
    assert vault_server.requests == []


def test_some_that_fail_do_not_fail_the_others(vault, mount, backend):
    """As a batch, of which Vault refuses one."""
    good = encrypted(vault, mount, "one", "two")
    broken = good[0][:-8] + "AAAAAAA="

    answers = backend.decrypt(f"{mount}/app", [good[0], broken, good[1]])

    assert (answers[0], answers[2]) == (b"one", b"two")
    assert isinstance(answers[1], Invalid)
    assert answers[1].key == f"{mount}/app"
    assert f"decrypting with {mount}/app: " in str(answers[1])


def test_all_that_fail_are_told_each(vault, mount, backend):
    broken = [text[:-8] + "AAAAAAA=" for text in encrypted(vault, mount, "one", "two")]

    answers = backend.decrypt(f"{mount}/app", broken)

    assert [type(answer) for answer in answers] == [Invalid, Invalid]


@pytest.mark.parametrize(
    "text", ["hunter2", "vault:hunter2", "vault:v1:", "vault:vX:hunter2", "", " vault:v1:aGk="]
)
def test_what_is_no_ciphertext_is_told_without_a_call_and_not_shown(vault_server, backend, text):
    """It may be a password in the clear."""
    (answer,) = backend.decrypt("transit/app", [text])

    assert isinstance(answer, Invalid)
    assert "begins with vault:v1:" in str(answer)
    assert "hunter2" not in str(answer)
    assert vault_server.requests == []


def test_what_is_no_ciphertext_stands_between_those_that_are(vault, mount, backend):
    good = encrypted(vault, mount, "one", "two")

    answers = backend.decrypt(f"{mount}/app", ["plain", good[0], "", good[1]])

    assert [answer if isinstance(answer, bytes) else type(answer) for answer in answers] == [
        Invalid, b"one", Invalid, b"two",
    ]  # fmt: skip


def test_many_go_in_few_calls(vault, vault_server, mount, backend):
    ciphertexts = encrypted(vault, mount, "one", "two") * 225
    backend.decrypt(f"{mount}/app", ciphertexts[:1])
    vault_server.forget_requests()

    assert backend.decrypt(f"{mount}/app", ciphertexts) == [b"one", b"two"] * 225
    assert vault_server.count("POST", f"{mount}/decrypt/app") == len(vault_server.requests) == 3


def test_a_key_that_does_not_exist(vault, mount, backend):
    with pytest.raises(Invalid) as failed:
        backend.decrypt(f"{mount}/nope", encrypted(vault, mount, "one"))
    assert failed.value.key == f"{mount}/nope"


def test_a_mount_that_does_not_exist(backend):
    with pytest.raises((Invalid, Denied)):
        backend.decrypt("no-such-transit/app", ["vault:v1:aGVsbG8="])


def test_a_key_without_a_mount(backend):
    with pytest.raises(Invalid, match="write for example transit/app"):
        backend.decrypt("app", ["vault:v1:aGVsbG8="])


def test_a_key_that_may_not_be_used(vault, mount, connect):
    backend = connect([vault.admin.policy("read", f'path "{mount}/keys/*" {{ capabilities = ["read"] }}')])

    with pytest.raises(Denied, match=f"decrypting with {mount}/app") as denied:
        backend.decrypt(f"{mount}/app", encrypted(vault, mount, "one"))
    assert denied.value.key == f"{mount}/app"


@pytest.mark.parametrize("path", ["transit/../sys/app", "transit//app", "transit/a\nb"])
def test_a_key_that_leads_elsewhere(vault_server, backend, path):
    with pytest.raises(Invalid, match="the path"):
        backend.decrypt(path, ["vault:v1:aGVsbG8="])
    assert vault_server.count("POST", "transit") == 0


# What servers of other versions answer.


def answer_to(vault_server, status, results, **more):
    body = (
        {"errors": ["batch failed"], **more}
        if results is None
        else {"data": {"batch_results": results}, **more}
    )
    vault_server.faults.no_json(json.dumps(body), status=status, path="transit/decrypt/app")


GOOD = {"plaintext": base64.b64encode(b"one").decode()}


@pytest.mark.parametrize("status", [200, 202, 400])
def test_some_failures_come_with_any_of_these_statuses(vault_server, backend, status):
    """Older servers answer 200, newer 400 unless asked otherwise, and all of them 400 where every item fails."""
    answer_to(
        vault_server, status, [GOOD, {"error": "cipher: message authentication failed", "plaintext": ""}]
    )

    first, second = backend.decrypt("transit/app", ["vault:v1:aGVsbG8=", "vault:v2:aGVsbG8="])

    assert first == b"one"
    assert "'cipher: message authentication failed'" in str(second) or "cipher: message" in str(second)


def test_a_plaintext_that_is_left_out_is_empty(vault_server, backend):
    answer_to(vault_server, 200, [{}])

    assert backend.decrypt("transit/app", ["vault:v1:aGVsbG8="]) == [b""]


def test_a_call_that_fails_as_a_whole_is_raised(vault_server, backend):
    answer_to(vault_server, 400, None)
    with pytest.raises(Invalid, match="batch failed"):
        backend.decrypt("transit/app", ["vault:v1:aGVsbG8="])

    vault_server.faults.broken(path="transit/decrypt/app")
    with pytest.raises(Unavailable):
        backend.decrypt("transit/app", ["vault:v1:aGVsbG8="])


@pytest.mark.parametrize("results", [[], [GOOD, GOOD], {"a": 1}, "hunter2"])
def test_an_answer_that_is_not_one_for_each(vault_server, backend, results):
    """A plaintext must never go to another ciphertext."""
    answer_to(vault_server, 200, results)

    with pytest.raises(Unavailable, match="not one for each ciphertext") as failed:
        backend.decrypt("transit/app", ["vault:v1:aGVsbG8="])
    assert "hunter2" not in str(failed.value)


@pytest.mark.parametrize(
    "result", ["hunter2", None, {"plaintext": "aHVudGVyMg==!"}, {"plaintext": 7}, {"plaintext": None}]
)
def test_an_answer_for_one_that_is_none(vault_server, backend, result):
    answer_to(vault_server, 200, [result])

    (answer,) = backend.decrypt("transit/app", ["vault:v1:aGVsbG8="])

    assert isinstance(answer, Unavailable)
    assert "hunter2" not in f"{answer}{answer.__cause__!r}"


def test_an_error_for_one_shows_no_ciphertext(vault_server, backend):
    answer_to(vault_server, 200, [{"error": "bad vault:v1:aGVsbG8= here"}])

    (answer,) = backend.decrypt("transit/app", ["vault:v1:aGVsbG8="])

    assert "aGVsbG8=" not in str(answer)
