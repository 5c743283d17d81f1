"""AppRole: what is sent, and what each refusal says."""

from __future__ import annotations

import pytest

from confsync.errors import Denied


def test_the_role_id_may_be_in_a_file(open_session, approle, read, tmp_path):
    auth = approle()
    (tmp_path / "role-id").write_text(auth.pop("role_id") + "\n")

    assert read(open_session(auth | {"role_id_file": "role-id"})) == 1


def test_the_secret_id_may_be_in_a_variable(open_session, approle, read, tmp_path, monkeypatch):
    auth = approle()
    monkeypatch.setenv("SHOP_SECRET_ID", (tmp_path / auth.pop("secret_id_file")).read_text().strip())

    assert read(open_session(auth | {"secret_id_env": "SHOP_SECRET_ID"})) == 1


def test_a_role_may_want_no_secret_id(open_session, approle, read, vault):
    auth = approle()
    bound_otherwise = {"bind_secret_id": False, "token_bound_cidrs": ["0.0.0.0/0"]}
    vault.admin.must("POST", f"auth/{auth['mount']}/role/app", bound_otherwise)
    del auth["secret_id_file"]

    assert read(open_session(auth)) == 1


def refusal(session, read):
    with pytest.raises(Denied) as caught:
        read(session)
    return caught.value


def test_a_wrong_secret_id(open_session, approle, read, tmp_path):
    auth = approle()
    (tmp_path / "wrong").write_text("6a1c56c8-dead-4a2b-9c5d-000000000000")

    error = refusal(open_session(auth | {"secret_id_file": "wrong"}), read)

    assert f"logging in as an AppRole at auth/{auth['mount']}/login" in error.message
    assert "used up (secret_id_num_uses)" in error.hint
    assert f"vault write -f auth/{auth['mount']}/role/ROLE/secret-id" in error.hint
    assert "wrong" in error.hint, "where it is kept"
    assert "6a1c56c8" not in str(error)


def test_a_secret_id_that_is_used_up(open_session, approle, read, times):
    auth = approle(secret_id_num_uses=1, token_ttl="2s")
    session = open_session(auth)
    read(session)
    times.advance(3)

    assert "used up (secret_id_num_uses)" in refusal(session, read).hint


def test_a_secret_id_issued_anew_ends_it(open_session, approle, read, vault, times, tmp_path):
    auth = approle(secret_id_num_uses=1, token_ttl="2s")
    session = open_session(auth)
    read(session)
    times.advance(3)
    refusal(session, read)

    (tmp_path / auth["secret_id_file"]).write_text(vault.admin.secret_id(auth["mount"]))

    assert read(session) == 2


def test_a_wrong_role_id(open_session, approle, read):
    auth = approle() | {"role_id": "nobody-knows-it"}

    error = refusal(open_session(auth), read)

    assert "role-id" in error.hint


def test_a_missing_file(open_session, approle, read):
    auth = approle() | {"secret_id_file": "gone"}

    assert "no secret-id" in refusal(open_session(auth), read).message
