"""One login for all threads, made when a call first needs it, kept alive, and made anew when it has ended."""

from __future__ import annotations

import json
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from confsync.errors import Denied, Invalid, Unavailable
from confsync.testing.waiting import eventually


def token_of(session):
    return json.loads(session.export())["token"]


def logins(server, auth):
    return server.count("POST", f"auth/{auth['mount']}/login")


def tend_to_another_login(session, times, most=4):
    """Does what is due until there has been a login. Renewals come first; Vault rounds by up to a second."""
    before = session.number
    for _ in range(most):
        times.advance(session.tend() + 0.05)
        session.tend()
        if session.number != before:
            return
    raise AssertionError(f"no new login in {most} turns")


def test_nobody_logs_in_before_a_call_needs_it(open_session, approle, vault_server):
    auth = approle()
    session = open_session(auth)

    session.tend()

    assert (session.number, session.export()) == (0, None)
    assert logins(vault_server, auth) == 0


def test_a_call_logs_in_and_says_in_which_session_it_was_made(open_session, approle, read):
    session = open_session(approle())

    assert read(session) == session.number == 1
    assert read(session) == 1


def test_a_call_takes_along_what_it_is_given(open_session, approle, shelf, vault):
    vault.admin.put(shelf.mount, "db", {"password": "battery staple"})
    session = open_session(approle())

    asked, _ = session.call("POST", "sys/capabilities-self", body={"paths": [shelf.path]}, doing="asking")
    old, _ = session.call("GET", shelf.path, query={"version": "1"}, doing="reading")

    assert asked.data[shelf.path] == ["read"]
    assert old.data["data"] == {"password": "correct horse"}


def test_a_call_made_again_takes_it_along_too(open_session, approle, read, vault, shelf):
    session = open_session(approle())
    read(session)
    vault.admin.must("POST", "auth/token/revoke", {"token": token_of(session)})

    asked, number = session.call(
        "POST", "sys/capabilities-self", body={"paths": [shelf.path]}, doing="asking"
    )

    assert (asked.data[shelf.path], number) == (["read"], 2)


def test_a_thousand_callers_make_one_login(open_session, approle, read, vault_server):
    auth = approle()
    session = open_session(auth)

    with ThreadPoolExecutor(32) as pool:
        numbers = set(pool.map(lambda _: read(session), range(1000)))

    assert numbers == {1}
    assert logins(vault_server, auth) == 1


def test_callers_that_find_the_token_revoked_make_one_new_login(
    open_session, approle, read, vault, vault_server
):
    auth = approle()
    session = open_session(auth)
    read(session)
    vault.admin.must("POST", "auth/token/revoke", {"token": token_of(session)})
    vault_server.forget_requests()

    with ThreadPoolExecutor(32) as pool:
        numbers = set(pool.map(lambda _: read(session), range(100)))

    assert numbers == {2}
    assert logins(vault_server, auth) == 1
    assert vault_server.count("GET", "auth/token/lookup-self") == 1


def test_a_token_revoked_in_mid_flight_is_replaced_and_the_call_repeated(open_session, approle, read, vault):
    session = open_session(approle())
    read(session)
    vault.admin.must("POST", "auth/token/revoke", {"token": token_of(session)})

    assert read(session) == 2


def test_a_login_is_verified_by_one_call_and_made_anew_where_it_has_ended(
    open_session, approle, read, vault, vault_server
):
    auth = approle()
    session = open_session(auth)
    session.verify()
    assert logins(vault_server, auth) == 0
    read(session)
    session.verify()
    assert session.number == 1
    vault.admin.must("POST", "auth/token/revoke", {"token": token_of(session)})

    session.verify()
    assert session.number == 2
    assert vault_server.count("GET", "auth/token/lookup-self") == 2


def test_a_token_that_has_run_out_is_replaced(open_session, approle, read, times):
    session = open_session(approle(token_ttl="2s"))
    read(session)

    times.advance(3)

    assert read(session) == 2


def test_a_forbidden_path_is_told_with_the_policy_line_that_is_missing(
    open_session, approle, read, shelf, vault_server
):
    auth = approle()
    session = open_session(auth)
    with pytest.raises(Denied) as caught:
        session.call("GET", f"{shelf.mount}/data/other", doing="reading the other one")

    path = f"{shelf.mount}/data/other"
    assert "reading the other one" in caught.value.message
    assert f"do not allow read on {path}" in caught.value.message
    assert shelf.policy in caught.value.message
    assert f'path "{path}" {{ capabilities = ["read"] }}' in caught.value.hint
    assert caught.value.key == path
    assert read(session) == 1, "others go on, in the same session"
    assert logins(vault_server, auth) == 1


@pytest.mark.parametrize(
    ("method", "options", "line"),
    [
        ("LIST", {}, 'data/other/" { capabilities = ["list"] }'),
        ("GET", {"query": {"list": "true"}}, 'data/other/" { capabilities = ["list"] }'),
        ("POST", {"body": {"data": {}}}, 'data/other" { capabilities = ["update"] }'),
        ("DELETE", {}, 'data/other" { capabilities = ["delete"] }'),
    ],
)
def test_each_kind_of_call_names_the_capability_it_needs(open_session, approle, shelf, method, options, line):
    session = open_session(approle())

    with pytest.raises(Denied) as caught:
        session.call(method, f"{shelf.mount}/data/other", doing="trying", **options)

    assert line in caught.value.hint


def test_the_policy_line_it_gives_is_enough(open_session, approle, vault, shelf):
    session = open_session(approle())
    with pytest.raises(Denied) as caught:
        session.call("LIST", f"{shelf.mount}/metadata", doing="listing")
    line = caught.value.hint.partition("with: ")[2]
    extended = vault.admin.must("GET", f"sys/policies/acl/{shelf.policy}")["data"]["policy"] + line
    vault.admin.must("PUT", f"sys/policies/acl/{shelf.policy}", {"policy": extended})

    reply, _ = session.call("LIST", f"{shelf.mount}/metadata", doing="listing")

    assert reply.data == {"keys": ["db"]}


def test_a_token_that_may_not_look_itself_up_is_still_known_to_be_alive(
    open_session, approle, read, shelf, vault
):
    session = open_session(approle(token_no_default_policy=True))
    read(session)

    with pytest.raises(Denied, match="do not allow read on"):
        session.call("GET", f"{shelf.mount}/data/other", doing="reading")
    assert read(session) == 1

    vault.admin.must("POST", "auth/token/revoke", {"token": token_of(session)})
    assert read(session) == 2


def test_where_nobody_can_tell_whether_it_is_alive_refusals_make_few_logins(
    open_session, approle, read, shelf, vault_server, times
):
    auth = approle(token_no_default_policy=True)
    session = open_session(auth)
    vault_server.faults.answer(403, "no business of yours", path="sys/internal/ui/mounts", times=None)

    for _ in range(600):
        with pytest.raises(Denied, match="or the login has ended"):
            session.call("GET", f"{shelf.mount}/data/other", doing="reading")
        times.advance_here(1)

    assert 10 <= logins(vault_server, auth) <= 40
    read(session)


def test_tokens_that_are_revoked_time_and_again_cost_a_login_each(
    open_session, approle, read, vault, vault_server, times
):
    auth = approle()
    session = open_session(auth)
    read(session)
    over = threading.Event()
    readings = []

    def keep_reading():
        while not over.is_set():
            with suppress(Denied):  # the new token was revoked before the call could be repeated
                readings.append(read(session))

    def is_replaced(number):
        times.advance_here(0.05)  # a login that has just ended may be followed by a pause
        return session.number > number and session.number in readings

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(keep_reading) for _ in range(4)]
        try:
            for _ in range(10):
                last = session.number
                vault.admin.must("POST", "auth/token/revoke", {"token": token_of(session)})
                eventually(lambda last=last: is_replaced(last))
        finally:
            over.set()
        for reader in readers:
            reader.result()

    assert logins(vault_server, auth) == session.number == 11


# Tending.


def test_the_login_is_renewed_when_two_thirds_of_its_life_are_over(open_session, approle, read, times):
    session = open_session(approle(token_ttl="6s"))
    began = times.monotonic()
    read(session)
    token = token_of(session)

    wait = session.tend()
    assert 0.9 * 4 - (times.monotonic() - began) <= wait <= 4

    times.advance(wait + 0.05)
    session.tend()
    times.advance(3)

    assert read(session) == 1
    assert token_of(session) == token


def test_a_fleet_does_not_renew_all_at_once(open_session, approle, read):
    auth = approle(token_ttl="1h")
    sessions = [open_session(auth) for _ in range(8)]
    for session in sessions:
        read(session)

    waits = [session.tend() for session in sessions]

    assert all(0.9 * 2400 - 60 <= wait <= 2400 for wait in waits)
    assert max(waits) - min(waits) > 10


def test_tending_too_often_makes_no_calls(open_session, approle, read, vault_server):
    session = open_session(approle())
    read(session)
    vault_server.forget_requests()

    for _ in range(10):
        session.tend()

    assert vault_server.requests == []


def test_a_renewal_asks_for_the_life_first_granted(open_session, approle, read, vault, times):
    session = open_session(approle(token_ttl="6s", token_max_ttl="1h"))
    read(session)

    times.advance(session.tend() + 0.05)
    session.tend()

    data = vault.admin.must("POST", "auth/token/lookup", {"token": token_of(session)})["data"]
    assert 3 <= data["ttl"] <= 6, "without a renewal less than two would be left"


def test_near_its_longest_life_a_new_login_takes_over_while_the_old_token_lives(
    open_session, approle, read, vault, times
):
    session = open_session(approle(token_ttl="6s", token_max_ttl="9s"))
    read(session)
    old = token_of(session)

    tend_to_another_login(session, times)  # a renewal comes back short, then a login is due

    assert read(session) == 2
    assert vault.admin.call("POST", "auth/token/lookup", {"token": old})[0] == 200, "leases are bound to it"


def test_a_batch_token_is_replaced_before_it_ends(open_session, approle, read, vault, times):
    session = open_session(approle(token_ttl="6s", token_type="batch"))
    read(session)
    found = vault.admin.must("POST", "auth/token/lookup", {"token": token_of(session)})
    assert found["data"]["type"] == "batch"

    times.advance(session.tend() + 0.05)
    wait = session.tend()

    assert session.number == 2
    assert wait > 3
    session.end()


def test_a_token_that_proves_not_renewable_is_replaced_before_it_ends(
    open_session, approle, read, vault_server, times
):
    session = open_session(approle(token_ttl="60s"))
    read(session)
    vault_server.faults.answer(400, "lease is not renewable", path="auth/token/renew-self", times=None)

    tend_to_another_login(session, times, most=2)

    assert session.number == 2


def test_a_periodic_token_is_renewed_for_ever(open_session, approle, read, times):
    session = open_session(approle(token_period="3s"))
    read(session)

    for _ in range(4):
        times.advance(session.tend() + 0.05)
        session.tend()

    assert read(session) == 1


def test_a_renewal_that_fails_is_tried_again_until_it_works(open_session, approle, read, vault_server, times):
    session = open_session(approle(token_ttl="1h"))
    read(session)
    times.advance(session.tend() + 1)
    vault_server.faults.unavailable(path="auth/token/renew-self", times=3)

    for failures in (1, 2, 3):
        for _ in range(5):
            with pytest.raises(Unavailable, match=r"renewing the login.*the login still lives for"):
                session.tend()
        assert vault_server.count("POST", "auth/token/renew-self") == failures, "not at once again"
        times.advance(2.0**failures)

    assert session.tend() > 2000
    assert read(session) == 1


def test_renewals_that_fail_to_the_end_are_followed_by_a_login(
    open_session, approle, read, vault_server, times
):
    session = open_session(approle(token_ttl="60s"))
    read(session)
    vault_server.faults.unavailable(path="auth/token/renew-self", times=None)

    def tend_until_somebody_else():
        times.advance(1)
        with suppress(Unavailable):
            session.tend()
        return session.number == 2

    eventually(tend_until_somebody_else)
    assert read(session) == 2


def test_when_renewing_is_forbidden_it_logs_in_instead(open_session, approle, read, vault, shelf, times):
    lookup = vault.admin.policy("lookup", 'path "auth/token/lookup-self" { capabilities = ["read"] }')
    session = open_session(
        approle(token_ttl="6s", token_no_default_policy=True, token_policies=[shelf.policy, lookup])
    )
    read(session)

    tend_to_another_login(session, times)

    assert read(session) == 2


def test_a_login_that_was_revoked_is_replaced_when_it_is_tended(open_session, approle, read, vault, times):
    session = open_session(approle(token_ttl="6s"))
    read(session)
    vault.admin.must("POST", "auth/token/revoke", {"token": token_of(session)})

    times.advance(session.tend() + 0.05)
    session.tend()

    assert session.number == 2


# Failing.


def test_a_failed_login_is_not_tried_again_by_every_caller(open_session, approle, read, vault_server, times):
    auth = approle() | {"role_id": "00000000-0000-4000-8000-000000000000"}
    session = open_session(auth)

    with ThreadPoolExecutor(16) as pool:
        errors = list(pool.map(lambda _: _refusal(session, read), range(200)))

    assert logins(vault_server, auth) == 1
    assert len({str(error) for error in errors}) == 1
    assert max(len(list(traceback.walk_tb(error.__traceback__))) for error in errors) < 30, (
        "no growing traceback"
    )
    times.advance_here(5.1)
    _refusal(session, read)
    assert logins(vault_server, auth) == 2


def _refusal(session, read):
    with pytest.raises(Denied) as caught:
        read(session)
    return caught.value


def test_after_a_login_that_worked_the_delays_are_short_again(
    open_session, approle, read, vault_server, times
):
    session = open_session(approle(token_ttl="600s"))
    vault_server.seal()
    for _ in range(9):
        with pytest.raises(Unavailable):
            read(session)
        times.advance_here(40)
    vault_server.unseal()
    read(session)

    times.advance(601)
    vault_server.seal()
    with pytest.raises(Unavailable):
        read(session)
    vault_server.unseal()
    times.advance_here(0.2)

    assert read(session) == 2


def test_attempts_come_ever_more_rarely_but_never_end(open_session, approle, read, vault_server, times):
    auth = approle() | {"role_id": "00000000-0000-4000-8000-000000000000"}
    session = open_session(auth)

    for _ in range(600):
        _refusal(session, read)
        times.advance_here(1)

    assert 10 <= logins(vault_server, auth) <= 25


def test_new_credentials_are_tried_at_once(open_session, approle, read, vault, tmp_path):
    auth = approle()
    good = (tmp_path / auth["secret_id_file"]).read_text()
    kept = tmp_path / "secret-id"
    kept.write_text("wrong")
    session = open_session(auth | {"secret_id_file": str(kept)})
    _refusal(session, read)

    kept.write_text(good)

    assert read(session) == 1


def test_a_vault_that_is_back_finds_the_callers_still_there(open_session, approle, read, vault_server, times):
    session = open_session(approle())
    vault_server.seal()
    with pytest.raises(Unavailable, match="sealed"):
        read(session)

    vault_server.unseal()
    times.advance_here(1)

    assert read(session) == 1


def test_tending_logs_in_where_a_login_has_failed(open_session, approle, read, vault_server, times):
    session = open_session(approle())
    vault_server.seal()
    with pytest.raises(Unavailable):
        read(session)
    vault_server.unseal()

    with pytest.raises(Unavailable):
        session.tend()
    times.advance_here(1)
    session.tend()

    assert session.number == 1


def test_a_retry_after_is_obeyed_before_the_next_login(open_session, approle, read, vault_server, times):
    auth = approle()
    session = open_session(auth)
    vault_server.faults.rate_limited(7, path=f"auth/{auth['mount']}/login")
    with pytest.raises(Unavailable) as caught:
        read(session)
    assert caught.value.retry_after == 7

    times.advance_here(5)
    with pytest.raises(Unavailable):
        read(session)
    assert logins(vault_server, auth) == 1
    times.advance_here(2.5)
    assert read(session) == 1


def test_a_vault_that_cannot_tell_why_it_refused_ends_no_session(
    open_session, approle, read, vault_server, shelf
):
    session = open_session(approle())
    read(session)
    vault_server.faults.unavailable(path="auth/token/lookup-self")

    with pytest.raises(Unavailable):
        session.call("GET", f"{shelf.mount}/data/other", doing="reading")

    assert read(session) == 1


def test_a_refusal_of_the_new_login_too_is_the_end(open_session, approle, read, vault_server, shelf, vault):
    auth = approle()
    session = open_session(auth)
    read(session)
    vault.admin.must("POST", "auth/token/revoke", {"token": token_of(session)})
    vault.admin.must(
        "PUT", f"sys/policies/acl/{shelf.policy}", {"policy": 'path "nothing" { capabilities = ["read"] }'}
    )

    with pytest.raises(Denied, match="do not allow read on"):
        read(session)

    assert logins(vault_server, auth) == 2


def test_a_failed_early_login_leaves_the_old_token_in_use(open_session, approle, read, vault_server, times):
    auth = approle(token_ttl="60s", token_max_ttl="60s")
    session = open_session(auth)
    read(session)
    times.advance(session.tend() + 0.05)
    session.tend()  # a renewal, which comes back short
    times.advance(session.tend() + 0.05)
    vault_server.faults.unavailable(path=f"auth/{auth['mount']}/login", times=None)

    with pytest.raises(Unavailable):
        session.tend()

    assert read(session) == 1
    with pytest.raises(Unavailable):
        session.tend()
    assert logins(vault_server, auth) == 2, "not at once again"
    vault_server.faults.clear()
    times.advance(1)
    session.tend()
    assert session.number == 2


def test_a_slow_login_is_waited_for_by_all(open_session, approle, read, vault_server):
    auth = approle()
    session = open_session(auth)
    vault_server.faults.late(0.5, path=f"auth/{auth['mount']}/login")

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: read(session), range(8))) == {1}

    assert logins(vault_server, auth) == 1


def test_calls_do_not_wait_for_a_renewal(open_session, approle, read, vault_server, times):
    session = open_session(approle(token_ttl="1h"))
    read(session)
    times.advance(session.tend() + 1)
    slow = vault_server.faults.late(3600, path="auth/token/renew-self")
    tending = threading.Thread(target=session.tend)
    tending.start()
    eventually(lambda: slow.hits == 1)

    assert read(session) == 1
    assert tending.is_alive()

    vault_server.faults.clear()
    tending.join()


# A clock that jumps, there.


def test_a_server_clock_that_jumps_ahead_costs_one_login(open_session, approle, read, vault_server):
    session = open_session(approle(token_ttl="1h"))
    read(session)

    vault_server.advance(7200)

    assert read(session) == 2


# Over a restart, and the end.


def test_another_process_goes_on_with_the_login(open_session, approle, read, vault_server):
    auth = approle()
    earlier = open_session(auth)
    read(earlier)
    exported = earlier.export()
    vault_server.forget_requests()

    later = open_session(auth)
    later.import_(exported)

    assert later.number == 1
    assert read(later) == 1
    assert logins(vault_server, auth) == 0
    assert vault_server.count("GET", "auth/token/lookup-self") == 1


def test_a_login_gone_on_with_is_renewed_in_time(open_session, approle, read, times):
    auth = approle(token_ttl="6s")
    earlier = open_session(auth)
    read(earlier)
    later = open_session(auth)
    later.import_(earlier.export())

    assert later.tend() <= 4
    times.advance(later.tend() + 0.05)
    later.tend()
    times.advance(3)

    assert read(later) == 1


def test_a_login_that_ended_in_between_is_replaced(open_session, approle, read, times):
    auth = approle(token_ttl="2s")
    earlier = open_session(auth)
    read(earlier)
    exported = earlier.export()
    times.advance(3)

    later = open_session(auth)
    later.import_(exported)

    assert read(later) == 2


def test_a_login_whose_age_cannot_be_told_is_replaced(open_session, approle, read):
    auth = approle(token_no_default_policy=True)
    earlier = open_session(auth)
    read(earlier)
    later = open_session(auth)

    later.import_(earlier.export())

    assert read(later) == 2


def test_a_login_of_somebody_else_is_not_gone_on_with(open_session, approle, read, vault_server):
    earlier = open_session(approle())
    read(earlier)
    other = approle()
    later = open_session(other)

    later.import_(earlier.export())

    assert later.number == 0
    read(later)
    assert logins(vault_server, other) == 1


@pytest.mark.parametrize("garbage", [b"", b"\xff", b"[]", b"{}", b'{"format": 1, "identity": 3}', b"null"])
def test_what_is_no_login_is_none(open_session, approle, read, garbage):
    session = open_session(approle())

    session.import_(garbage)

    assert read(session) == 1


def test_an_unreachable_vault_does_not_lose_the_login_gone_on_with(
    open_session, approle, read, vault_server, times
):
    auth = approle()
    earlier = open_session(auth)
    read(earlier)
    later = open_session(auth)
    later.import_(earlier.export())
    vault_server.seal()
    with pytest.raises(Unavailable):
        read(later)

    vault_server.unseal()
    times.advance_here(1)

    assert read(later) == 1


def test_the_end_revokes_what_we_logged_in_ourselves(open_session, approle, read, vault):
    session = open_session(approle())
    read(session)
    token = token_of(session)

    session.end()

    assert vault.admin.call("POST", "auth/token/lookup", {"token": token})[0] == 403
    assert session.export() is None


@pytest.mark.parametrize("used", [False, True])
def test_the_end_revokes_what_an_earlier_process_logged_in(open_session, approle, read, vault, used):
    auth = approle()
    earlier = open_session(auth)
    read(earlier)
    token = token_of(earlier)
    later = open_session(auth)
    later.import_(earlier.export())
    if used:
        read(later)

    later.end()

    assert vault.admin.call("POST", "auth/token/lookup", {"token": token})[0] == 403


def test_the_end_revokes_tokens_left_for_newer_ones(open_session, approle, read, vault, times):
    session = open_session(approle(token_ttl="6s", token_max_ttl="6s"))
    read(session)
    old = token_of(session)
    tend_to_another_login(session, times)

    session.end()

    assert vault.admin.call("POST", "auth/token/lookup", {"token": old})[0] == 403


def test_the_end_before_any_login_makes_no_call(open_session, approle, vault_server):
    session = open_session(approle())
    vault_server.forget_requests()

    session.end()

    assert vault_server.requests == []


def test_the_end_never_fails(open_session, approle, read, vault_server):
    session = open_session(approle())
    read(session)
    vault_server.stop()

    session.end()

    assert session.export() is None


def test_the_end_is_for_good(open_session, approle, read, vault_server):
    session = open_session(approle())
    read(session)
    session.end()
    vault_server.forget_requests()

    with pytest.raises(Unavailable, match="closed"):
        read(session)
    assert session.tend() is None
    assert vault_server.requests == []


def test_a_call_that_the_end_overtakes_does_not_log_in_anew(open_session, approle, read, shelf, vault_server):
    """Its token is revoked before Vault looks at it: a new login would be nobody's to revoke."""
    auth = approle()
    session = open_session(auth)
    read(session)
    slow = vault_server.faults.late(3600, path=shelf.path)

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read, session)
        eventually(lambda: slow.hits == 1)
        session.end()
        vault_server.faults.clear()

        with pytest.raises(Unavailable, match="closed"):
            reading.result()
    assert logins(vault_server, auth) == 1


def test_an_unknown_mount_is_told_as_such(open_session, approle, read):
    auth = approle()
    session = open_session(auth | {"mount": auth["mount"] + "x"})

    with pytest.raises((Invalid, Denied)) as caught:  # newer servers say "permission denied", like to all
        read(session)

    assert "vault auth list" in caught.value.hint


@pytest.mark.parametrize(
    ("status", "says", "kind", "teaches"),
    [
        (400, "missing client token", Invalid, "set auth.mount, '{mount}' now"),
        (403, "permission denied", Denied, "and that vault auth list shows {mount}/"),
    ],
)
def test_however_a_server_answers_for_a_mount_it_does_not_have(
    open_session, approle, read, vault_server, status, says, kind, teaches
):
    auth = approle()
    vault_server.faults.answer(status, says, path=f"auth/{auth['mount']}/login")

    with pytest.raises(kind) as caught:
        read(open_session(auth))

    assert teaches.format(mount=auth["mount"]) in caught.value.hint
