"""A token that somebody else made: found, followed when it changes, renewed, never revoked."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from confsync.errors import Denied, Unavailable


@pytest.fixture
def token(vault, shelf):
    """Makes a token that may read the shelf."""
    return lambda **fields: vault.admin.token([shelf.policy], **fields)


@pytest.fixture
def sink(tmp_path):
    """The file that Vault Agent, say, writes its token to."""
    return tmp_path / "sink"


def write(sink, token):
    """Replaces the file as agents do: no reader sees half of it."""
    fresh = sink.with_suffix(".new")
    fresh.write_text(token + "\n")
    os.replace(fresh, sink)


def test_it_is_found_where_vaults_own_clients_keep_it(open_session, read, token, monkeypatch):
    Path.home().joinpath(".vault-token").write_text(token())
    assert read(open_session({"method": "token"})) == 1

    monkeypatch.setenv("VAULT_TOKEN", token())
    Path.home().joinpath(".vault-token").write_text("hvs.wrong")
    assert read(open_session({"method": "token"})) == 1


def test_it_is_found_where_the_configuration_says(open_session, read, token, sink, monkeypatch):
    monkeypatch.setenv("VAULT_TOKEN", "hvs.wrong")
    monkeypatch.setenv("SHOP_TOKEN", token())
    write(sink, token())

    assert read(open_session({"method": "token", "env": "SHOP_TOKEN"})) == 1
    assert read(open_session({"method": "token", "file": "sink"})) == 1, "relative to the configuration"
    assert read(open_session({"method": "token", "file": "~/sink"})) == 1


@pytest.mark.parametrize(
    ("auth", "content", "says"),
    [
        ({"env": "NO_SUCH"}, None, "the environment variable NO_SUCH is not set"),
        ({"file": "sink"}, None, "sink cannot be read: No such file or directory"),
        ({"file": "~nobody-of-that-name/t"}, None, "cannot be read: No such file or directory"),
        ({"file": "sink"}, b"\n", "sink is empty"),
        ({"file": "sink"}, b"\xff\xfe", "is not UTF-8 text"),
        ({"file": "sink"}, b"hvs.hunter2 and more", "it has spaces, line breaks or other characters"),
        ({"file": "sink"}, b"hvs.hunter2\nhvs.hunter2\n", "it has spaces, line breaks"),
        ({"file": "sink"}, "hvs.hunter2\u20ac".encode(), "it has spaces, line breaks"),
    ],
)
def test_no_token_is_told_with_where_it_was_looked_for(open_session, read, sink, auth, content, says):
    if content is not None:
        sink.write_bytes(content)

    with pytest.raises(Denied) as caught:
        read(open_session({"method": "token", **auth}))

    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_wrong_token_is_told_as_not_accepted(open_session, read, sink):
    write(sink, "hvs.wrong")

    with pytest.raises(
        Denied, match=r"the token from .*sink: it is not accepted: it is wrong, has ended"
    ) as caught:
        read(open_session({"method": "token", "file": "sink"}))

    assert "a file is read again when it changes" in caught.value.hint


def test_a_wrong_token_is_not_shown_to_vault_by_every_caller(open_session, read, sink, vault_server):
    write(sink, "hvs.wrong")
    session = open_session({"method": "token", "file": "sink"})

    for _ in range(50):
        with pytest.raises(Denied):
            read(session)

    assert len([one for one in vault_server.requests if one.token == "hvs.wrong"]) <= 4


def test_one_that_was_revoked_is_not_shown_to_vault_by_every_caller(
    open_session, read, sink, token, vault, vault_server
):
    mine = token()
    write(sink, mine)
    session = open_session({"method": "token", "file": "sink"})
    read(session)
    vault.admin.must("POST", "auth/token/revoke", {"token": mine})
    vault_server.forget_requests()

    for _ in range(50):
        with pytest.raises(Denied, match="it is not accepted"):
            read(session)

    assert len(vault_server.requests) <= 5


def test_a_token_put_in_its_place_is_used_at_once(open_session, read, sink, token):
    write(sink, "hvs.wrong")
    session = open_session({"method": "token", "file": "sink"})
    with pytest.raises(Denied):
        read(session)

    write(sink, token())
    first = read(session)
    write(sink, token())

    assert read(session) == first + 1, "another token is another session"


def test_the_same_token_written_again_is_the_same_session(open_session, read, sink, token):
    same = token()
    write(sink, same)
    session = open_session({"method": "token", "file": "sink"})
    read(session)

    write(sink, same)

    assert read(session) == 1


def test_a_changed_file_is_seen_by_tending(open_session, read, sink, token):
    write(sink, token())
    session = open_session({"method": "token", "file": "sink"})
    read(session)
    write(sink, token())

    assert session.tend() <= 60

    assert session.number == 2


def test_a_file_in_the_midst_of_being_written_is_tried_again(open_session, read, sink, token):
    write(sink, token())
    session = open_session({"method": "token", "file": "sink"})
    read(session)
    sink.write_text("")
    with pytest.raises(Denied, match="is empty"):
        read(session)

    write(sink, token())

    assert read(session) == 2


def test_it_is_renewed_while_it_is_renewable(open_session, read, sink, token, times):
    write(sink, token(ttl="6s"))
    session = open_session({"method": "token", "file": "sink"})
    read(session)

    for _ in range(3):
        times.advance(session.tend() + 0.05)
        session.tend()

    assert read(session) == 1


def test_one_half_used_up_is_renewed_in_time(open_session, read, sink, token, times):
    write(sink, token(ttl="6s"))
    times.advance(3)
    session = open_session({"method": "token", "file": "sink"})
    read(session)

    assert session.tend() <= 2
    times.advance(session.tend() + 0.05)
    session.tend()
    times.advance(3)

    assert read(session) == 1


def test_one_that_ends_is_told_once_it_has_ended(open_session, read, sink, token, times):
    write(sink, token(ttl="6s", renewable=False))
    session = open_session({"method": "token", "file": "sink"})
    read(session)

    times.advance(session.tend() + 0.05)
    assert 0 < session.tend() <= 2
    times.advance(3)

    with pytest.raises(Denied, match=r"the token from .*: it is not accepted"):
        read(session)


def test_one_near_its_longest_life_is_not_renewed_in_a_frenzy(
    open_session, read, sink, token, vault_server, times
):
    write(sink, token(ttl="60s", explicit_max_ttl="100s"))
    session = open_session({"method": "token", "file": "sink"})
    read(session)

    turns, elapsed = 0, 0.0
    while elapsed < 97:
        wait = session.tend() + 0.001
        times.advance(wait)
        turns, elapsed = turns + 1, elapsed + wait
        assert turns < 20

    assert read(session) == 1


def test_a_root_token_is_never_renewed(open_session, sink, vault, vault_server, times):
    write(sink, vault.token)
    session = open_session({"method": "token", "file": "sink"})
    session.call("GET", "sys/policies/acl/default", doing="reading a policy")
    vault_server.forget_requests()

    for _ in range(5):
        times.advance(session.tend() + 86400)

    assert vault_server.requests == []


def test_it_is_never_revoked(open_session, read, sink, token, vault):
    mine = token()
    write(sink, mine)
    session = open_session({"method": "token", "file": "sink"})
    read(session)

    session.end()

    assert vault.admin.call("POST", "auth/token/lookup", {"token": mine})[0] == 200


def test_one_that_may_not_look_itself_up_works_all_the_same(open_session, read, sink, token, shelf):
    write(sink, token(no_default_policy=True))
    session = open_session({"method": "token", "file": "sink"})

    assert read(session) == 1
    for _ in range(3):
        with pytest.raises(Denied, match="do not allow read on"):
            session.call("GET", f"{shelf.mount}/data/other", doing="reading")
    assert read(session) == 1, "one forbidden path takes nothing away from the others"


def test_the_session_goes_on_in_another_process_with_the_same_token(open_session, read, sink, token):
    write(sink, token())
    auth = {"method": "token", "file": "sink"}
    earlier = open_session(auth)
    write(sink, token())
    read(earlier)
    write(sink, token())
    read(earlier)
    exported = earlier.export()

    same = open_session(auth)
    same.import_(exported)
    assert read(same) == read(earlier) == 2

    write(sink, token())
    other = open_session(auth)
    other.import_(exported)
    assert read(other) == 3


def test_what_is_exported_does_not_make_the_token_ours(open_session, read, sink, token):
    write(sink, token())
    session = open_session({"method": "token", "file": "sink"})
    read(session)

    assert json.loads(session.export())["ours"] is False


def test_a_vault_that_is_down_when_the_token_is_looked_up(
    open_session, read, sink, token, vault_server, times
):
    write(sink, token())
    session = open_session({"method": "token", "file": "sink"})
    vault_server.seal()
    with pytest.raises(Unavailable, match="looking up the token from"):
        read(session)

    vault_server.unseal()
    times.advance_here(1)

    assert read(session) == 1


def test_an_answer_that_tells_of_no_token_is_no_login(open_session, read, sink, token, vault_server, times):
    write(sink, token())
    session = open_session({"method": "token", "file": "sink"})
    vault_server.faults.answer(404, path="auth/token/lookup-self")

    with pytest.raises(Unavailable, match="its answer tells of no token"):
        read(session)
    times.advance_here(1)

    assert read(session) == 1


def test_an_answer_that_tells_of_no_token_is_no_renewal(open_session, read, sink, token, vault_server, times):
    write(sink, token(ttl="60s"))
    session = open_session({"method": "token", "file": "sink"})
    read(session)
    vault_server.faults.answer(404, path="auth/token/renew-self")
    times.advance(41)

    with pytest.raises(Unavailable, match="its answer tells of no token"):
        session.tend()
    times.advance_here(1)
    session.tend()

    assert read(session) == 1
