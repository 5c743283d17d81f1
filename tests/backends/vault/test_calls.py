"""One call: what is sent, what comes back, and what each way of failing is told as."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from confsync.errors import Denied, Invalid, Unavailable
from confsync.testing.waiting import eventually
from confsync_backends.vault.faults import Refused, TokenRejected

SECRET = "correct-horse-battery"


def http(status, body, *headers):
    """An HTTP/1.1 response as bytes; a body that is no bytes is made JSON of."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


@pytest.fixture
def secret(vault):
    """The path of a secret that holds SECRET, in the form it is read by."""
    mount = vault.admin.mount_kv()
    vault.admin.put(mount, "prod/db", {"password": SECRET})
    return f"{mount}/data/prod/db"


def read(calls, vault, path, **more):
    return calls.request("GET", path, token=vault.token, doing=f"reading {path}", **more)


def test_a_reply_has_what_vault_answered_and_shows_none_of_it(calls, vault, secret):
    reply = read(calls, vault, secret)

    assert reply.status == 200
    assert reply.data["data"] == {"password": SECRET}
    assert (reply.lease_id, reply.lease_duration, reply.renewable) == ("", 0.0, False)
    assert SECRET not in repr(reply)


def test_a_404_is_a_reply(calls, vault, secret):
    reply = read(calls, vault, secret.replace("/db", "/nothing"))

    assert (reply.status, reply.data, reply.errors) == (404, None, ())


def test_a_query_and_a_body_are_sent(calls, vault, secret):
    calls.request("POST", secret, token=vault.token, body={"data": {"password": "two"}}, doing="writing")

    assert read(calls, vault, secret, query={"version": "1"}).data["data"] == {"password": SECRET}
    assert read(calls, vault, secret).data["data"] == {"password": "two"}


@pytest.mark.parametrize(
    "path",
    [
        "secret/../sys/raw", "../sys", "secret/./db", "secret//db", "", "secret/a\nb", "secret/a\x00", "secret/\x7f",
        "secret/\ud800",
    ],
)  # fmt: skip
def test_a_path_that_leads_elsewhere_is_never_sent(calls, vault_server, path):
    with pytest.raises(Invalid, match="the path"):
        calls.request("GET", path, token="t", doing="reading it")

    assert vault_server.requests == []


@pytest.mark.parametrize(
    "name", ["a b", "ü", "100%41", "hash#tag", "semi;colon", "a+b", "a&b=c", "%2e%2e", "%2F"]
)
def test_odd_names_are_names(calls, vault, name):
    mount = vault.admin.mount_kv()
    vault.admin.put(mount, f"odd/{name}", {"is": name})

    assert read(calls, vault, f"{mount}/data/odd/{name}").data["data"] == {"is": name}


def test_a_question_mark_begins_no_query(calls, vault, secret):
    assert read(calls, vault, f"{secret}?version=1").status == 404


@pytest.mark.parametrize("token", ["hvs.a\nX-Evil: 1", "hvs.with space", "hvs.ümlaut", ""])
def test_a_token_that_is_no_header_is_denied_and_not_shown(calls, vault_server, token):
    with pytest.raises(Denied) as refused:
        calls.request("GET", "secret/data/x", token=token, doing="reading")

    assert "hvs." not in str(refused.value)
    assert vault_server.requests == []


def test_a_refusal_of_a_call_with_a_token_may_be_the_tokens(calls, secret):
    with pytest.raises(TokenRejected, match="permission denied"):
        calls.request("GET", secret, token="hvs.dead", doing="reading")


def test_a_policys_refusal_looks_the_same(calls, vault, secret):
    token = vault.admin.token([vault.admin.policy("none", 'path "nothing/here" { capabilities = ["read"] }')])

    with pytest.raises(TokenRejected, match="permission denied"):
        calls.request("GET", secret, token=token, doing="reading")


def test_a_call_without_a_token_is_not_about_a_token(calls, secret):
    with pytest.raises((Denied, Invalid)) as refused:
        calls.request("GET", secret, token=None, doing="reading")

    assert not isinstance(refused.value, TokenRejected)


def test_a_wrong_request_says_what_vault_said(calls, vault, secret):
    with pytest.raises(
        Refused, match=r"reading: the request is refused \('check-and-set parameter"
    ) as refused:
        calls.request(
            "POST", secret, token=vault.token, body={"data": {}, "options": {"cas": 0}}, doing="reading"
        )

    assert refused.value.key == secret


@pytest.mark.parametrize(
    ("status", "errors", "kind", "says", "retry_after"),
    [
        (412, [], Unavailable, "has not caught up", 0.0),
        (429, [], Unavailable, "no more requests for now", 0.0),
        (472, [], Unavailable, "disaster recovery secondary", 0.0),
        (473, [], Unavailable, "performance standby", 0.0),
        (500, ["internal error"], Unavailable, "failed inside .*internal error", None),
        (501, [], Unavailable, "not initialised.*vault operator init", None),
        (502, [], Unavailable, "a proxy in between", None),
        (503, ["Vault is sealed"], Unavailable, "is sealed.*vault operator unseal", None),
        (503, [], Unavailable, "out of service", None),
        (599, [], Unavailable, "status 599", None),
        (401, [], Denied, "something in between", None),
        (405, ["unsupported operation"], Invalid, "does not take that kind of request", None),
        (407, [], Denied, "proxy wants a login", None),
        (418, [], Invalid, "unexpected status 418", None),
    ],
)  # fmt: skip
def test_statuses_are_told_apart(calls, vault_server, status, errors, kind, says, retry_after):
    vault_server.faults.answer(status, *errors)

    with pytest.raises(kind, match=says) as failed:
        calls.request("GET", "secret/data/x", token="t", doing="reading x")

    assert str(failed.value).startswith(f"vault at {vault_server.address}: reading x: ")
    assert getattr(failed.value, "retry_after", None) == retry_after


@pytest.mark.parametrize(("status", "says"), [(429, "is a standby"), (472, "disaster"), (473, "performance")])
def test_a_standby_that_is_asked_for_its_health_says_so(calls, vault_server, status, says):
    vault_server.faults.answer(status)

    with pytest.raises(Unavailable, match=says):
        calls.request("GET", "sys/health", token=None, doing="asking for its health")


@pytest.mark.parametrize("status", [429, 503, 500])
def test_retry_after_is_obeyed(calls, vault_server, status):
    vault_server.faults.answer(status, headers={"Retry-After": "17"})

    with pytest.raises(Unavailable) as failed:
        calls.request("GET", "secret/data/x", token="t", doing="reading")

    assert failed.value.retry_after == 17.0


def test_a_retry_after_that_is_no_number_is_none(calls, vault_server):
    vault_server.faults.answer(503, headers={"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"})

    with pytest.raises(Unavailable) as failed:
        calls.request("GET", "secret/data/x", token="t", doing="reading")

    assert failed.value.retry_after is None


def test_sealed_is_said_and_over_when_it_is(calls, vault, vault_server, secret):
    vault_server.seal()
    with pytest.raises(Unavailable, match="it is sealed"):
        read(calls, vault, secret)
    vault_server.unseal()

    assert read(calls, vault, secret).status == 200


def test_no_error_shows_what_was_sent(calls, vault_server):
    token, password = "hvs.CAESIJ-secret", "hunter2-hunter2"
    vault_server.faults.answer(400, f"wrong password {password} for token {token} and role web")

    with pytest.raises(Refused) as refused:
        calls.request(
            "POST",
            "auth/x/login",
            token=token,
            body={"role": "web", "nested": [{"password": password}]},
            doing="logging in",
        )

    assert "'wrong password *** for token *** and role web'" in str(refused.value)


def test_what_vault_says_is_one_short_printable_line(calls, vault_server):
    vault_server.faults.answer(400, "1 error occurred:\n\t* first\x1b[31m\n\n", "y" * 1000)

    with pytest.raises(Refused) as refused:
        calls.request("GET", "secret/data/x", token="t", doing="reading")

    text = str(refused.value)
    assert "'first\\\\x1b[31m; yyy" in text
    assert text.isprintable()
    assert len(text) < 500


# Answers that are half, late, or none of Vault's.


def test_an_answer_cut_off_in_the_middle_is_worth_asking_again(calls, vault, vault_server, secret):
    vault_server.faults.cut(40)

    with pytest.raises(Unavailable, match="broke before the whole answer") as failed:
        read(calls, vault, secret)

    assert failed.value.retry_after == 0.0
    assert read(calls, vault, secret).status == 200


def test_a_connection_dropped_without_a_word_is_worth_asking_again(calls, vault, vault_server, secret):
    vault_server.faults.drop()

    with pytest.raises(Unavailable, match="broke before") as failed:
        read(calls, vault, secret)

    assert failed.value.retry_after == 0.0


def test_a_chunked_answer_that_ends_early_is_half_an_answer(open_calls, scripted):
    server = scripted(
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{"data": {"password": "corre'
    )

    with pytest.raises(Unavailable) as failed:
        open_calls(server.address).request("GET", "x", token="t", doing="reading")

    assert "corre" not in str(failed.value)
    assert failed.value.retry_after == 0.0


def test_an_answer_of_unknown_length_that_ends_early_is_half_an_answer(open_calls, scripted):
    server = scripted(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"data": {"password": "corre')

    with pytest.raises(Unavailable, match="not a whole JSON object") as failed:
        open_calls(server.address).request("GET", "x", token="t", doing="reading")

    assert "corre" not in str(failed.value)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>" + SECRET.encode(), json.dumps([SECRET]).encode(), json.dumps(SECRET).encode(), b"[" * 100_000,
        b'{"data": {"password": "\\ud800"}}', b'{"data": ' + b"9" * 5000 + b"}", b"\xff\xfe{}",
        json.dumps({"data": [SECRET]}).encode(), json.dumps({"data": SECRET}).encode(),
        json.dumps({"data": {}, "lease_duration": SECRET}).encode(), json.dumps({"lease_id": [SECRET]}).encode(),
        json.dumps({"auth": [SECRET]}).encode(), json.dumps({"lease_duration": -1}).encode(),
        json.dumps({"lease_duration": True}).encode(), json.dumps({"renewable": "yes"}).encode(),
        json.dumps({"warnings": SECRET}).encode(),
    ],
)  # fmt: skip
def test_an_answer_of_another_shape_is_none(open_calls, scripted, body):
    server = scripted(http(200, body))

    with pytest.raises(Unavailable) as failed:
        open_calls(server.address).request("GET", "x", token="t", doing="reading")

    shown = f"{failed.value}{failed.value.__cause__!r}"
    assert SECRET not in shown
    assert "answer" in shown


def test_a_404_of_something_else_is_not_taken_for_vaults(open_calls, scripted):
    """A mistyped address must not look as if all secrets were gone."""
    for answer in (http(404, b"<html>not found</html>"), http(404, {"message": "no Route matched"})):
        server = scripted(answer)

        with pytest.raises(Invalid, match=r"not as Vault.*check address"):
            open_calls(server.address).request("GET", "x", token="t", doing="reading")


def test_a_reply_longer_than_the_limit_is_not_read(open_calls, scripted):
    server = scripted(http(200, {"data": {"a": "x" * 200_000}}))

    with pytest.raises(Invalid, match=r"longer than 100000 bytes.*raise max_reply"):
        open_calls(server.address, max_reply=100_000).request("GET", "x", token="t", doing="reading")


def test_a_reply_within_the_limit_is_read_whole(open_calls, scripted):
    server = scripted(http(200, {"data": {"a": "x" * 200_000}}))

    reply = open_calls(server.address, max_reply="1MiB").request("GET", "x", token="t", doing="reading")

    assert len(reply.data["a"]) == 200_000


def test_an_answer_that_does_not_come_is_given_up(open_calls, vault_server):
    vault_server.faults.late(30)

    with pytest.raises(Unavailable, match=r"no whole answer within 0\.3s") as failed:
        open_calls(vault_server.address, timeout="300ms").request("GET", "x", token="t", doing="reading")

    assert failed.value.retry_after is None


def test_an_answer_that_trickles_is_given_up_in_time(open_calls):
    """Each byte comes within the timeout, all of them do not."""
    import socket

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def trickle():
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while not over.wait(0.05):
                    try:
                        connection.sendall(b" ")
                    except OSError:
                        return

        thread = threading.Thread(target=trickle)
        thread.start()
        calls = open_calls(f"http://127.0.0.1:{listening.getsockname()[1]}", timeout="400ms")
        try:
            with pytest.raises(Unavailable, match="no whole answer within"):
                calls.request("GET", "x", token="t", doing="reading")
        finally:
            over.set()
            thread.join(30)


def test_nobody_there(open_calls, vault_server):
    vault_server.stop()

    with pytest.raises(Unavailable, match=r"connection refused.*is Vault running") as failed:
        open_calls(vault_server.address).request("GET", "x", token="t", doing="reading")

    assert failed.value.retry_after is None


def test_a_host_nobody_knows(open_calls):
    with pytest.raises(Unavailable, match=r"host name is not known.*check address"):
        open_calls("http://no-such-host.invalid:8200").request("GET", "x", token="t", doing="reading")


def test_a_proxy_that_is_not_there(open_calls, vault_server):
    password = "proxy-password"
    calls = open_calls(vault_server.address, proxy=f"http://user:{password}@127.0.0.1:9")

    with pytest.raises(Unavailable, match="the proxy cannot be used") as failed:
        calls.request("GET", "x", token="t", doing="reading")

    assert password not in f"{failed.value}"
    assert vault_server.requests == []


def test_a_proxy_is_used(open_calls, scripted):
    proxy = scripted(http(200, {"data": {"by": "proxy"}}))
    calls = open_calls("http://vault.invalid:8200", proxy=proxy.address)

    assert calls.request("GET", "secret/x", token="t", doing="reading").data == {"by": "proxy"}
    assert proxy.received[0].startswith(b"GET http://vault.invalid:8200/v1/secret/x HTTP/1.1\r\n")


def test_a_proxy_of_the_environment_is_used_and_nothing_else_of_it(
    open_calls, scripted, monkeypatch, tmp_path
):
    proxy = scripted(http(200, {"data": {}}))
    (tmp_path / "netrc").write_text("machine vault.invalid login me password netrc-password\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", proxy.address)
    monkeypatch.setenv("http_proxy", proxy.address)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    open_calls("http://vault.invalid:8200").request("GET", "secret/x", token="t", doing="reading")

    assert b"authorization" not in proxy.received[0].lower()


def test_a_namespace_goes_with_every_call(open_calls, scripted):
    server = scripted(http(200, {"data": {}}))

    open_calls(server.address, namespace="team/app/").request("GET", "x", token="t", doing="reading")

    assert b"X-Vault-Namespace: team/app\r\n" in server.received[0]
    assert b"X-Vault-Request: true\r\n" in server.received[0]


# Redirects: a standby sends its clients to the active node.


def test_a_standbys_redirect_is_followed_with_the_token(open_calls, scripted, vault, secret):
    standby = scripted(http(307, b"", f"Location: {vault.address}/v1/{secret}?version=1"))

    reply = read(open_calls(standby.address), vault, secret, query={"version": "1"})

    assert reply.data["data"] == {"password": SECRET}


def test_a_redirects_own_page_is_not_read(open_calls, scripted, vault, secret):
    """It may be of any length, and never end."""
    head = f"HTTP/1.1 307 X\r\nLocation: {vault.address}/v1/{secret}\r\nContent-Length: 1000000\r\n\r\n<html>"
    standby = scripted(head.encode(), linger=30)

    assert read(open_calls(standby.address, timeout="20s"), vault, secret).status == 200


def test_a_redirect_to_another_scheme_is_not_followed(open_calls, scripted):
    server = scripted(http(301, b"", "Location: https://vault.invalid/v1/secret/x"))

    with pytest.raises(Invalid, match=r"redirects to https://.*write address: https://vault\.invalid"):
        open_calls(server.address).request("GET", "secret/x", token="t", doing="reading")


@pytest.mark.parametrize("location", ["/login?next=%2Fv1%2Fsecret%2Fx", "http://sso.invalid/v1/secret/y", ""])
def test_a_redirect_to_another_page_is_not_followed(open_calls, scripted, location):
    server = scripted(http(302, b"<html>log in</html>", f"Location: {location}"))

    with pytest.raises(Invalid, match="redirects to another page"):
        open_calls(server.address).request("GET", "secret/x", token="t", doing="reading")

    assert len(server.received) == 1


def test_a_circle_of_redirects_ends(open_calls, scripted):
    second = scripted(http(307, b"", "Location: /v1/secret/x"))
    first = scripted(http(307, b"", f"Location: {second.address}/v1/secret/x"))

    with pytest.raises(Unavailable, match="redirected more than once"):
        open_calls(first.address).request("GET", "secret/x", token="t", doing="reading")

    assert len(second.received) == 1


# Connections.


def test_many_calls_share_a_connection(calls, vault, vault_server, secret):
    before = vault_server.log.connections
    for _ in range(10):
        read(calls, vault, secret)

    assert vault_server.log.connections == before + 1


def test_concurrency_is_capped(open_calls, vault, vault_server, secret):
    calls = open_calls(vault.address, concurrency=3, timeout="1h")
    vault_server.forget_requests()
    vault_server.faults.late(3600, times=None)

    with ThreadPoolExecutor(12) as pool:
        reads = [pool.submit(read, calls, vault, secret) for _ in range(36)]
        try:
            eventually(lambda: vault_server.log.most_at_once == 3)
        finally:
            vault_server.faults.clear()
        replies = [read.result().status for read in reads]

    assert replies == [200] * 36
    assert vault_server.log.most_at_once == 3
    assert vault_server.log.connections <= 3


def test_an_engine_that_hangs_leaves_room_for_the_others(open_calls, vault, vault_server, secret):
    calls = open_calls(vault.address, concurrency=4, timeout="1h")
    vault_server.forget_requests()
    vault_server.faults.late(3600, path=secret, times=None)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(read, calls, vault, secret)
        eventually(lambda: vault_server.log.most_at_once >= 3)
        read(calls, vault, "auth/token/lookup-self")
        assert vault_server.log.most_at_once == 4
        vault_server.faults.clear()


def test_waiting_for_a_connection_has_an_end_and_says_so(open_calls, vault, secret):
    calls = open_calls(vault.address, concurrency=1, timeout="300ms")
    began = time.monotonic()

    said = r"all 1 connections are busy, none became free within 0\.3s"
    with calls._slots.taken("hangs", began + 60), pytest.raises(Unavailable, match=said):
        read(calls, vault, secret)
    assert time.monotonic() - began >= 0.3

    def is_read():
        with suppress(Unavailable):  # 300 ms may be too few for a busy machine
            return read(calls, vault, secret).status == 200

    assert eventually(is_read)


def test_waiting_for_a_connection_counts_as_the_calls_time(open_calls, vault, vault_server, secret):
    calls = open_calls(vault.address, concurrency=1, timeout="2s")
    hanging = vault_server.faults.late(3600, path=secret, times=None)
    began = time.monotonic()

    with ThreadPoolExecutor(40) as pool:
        waiting = [pool.submit(read, calls, vault, secret) for _ in range(40)]
        errors = [one.exception() for one in waiting]
        took = time.monotonic() - began
        eventually(lambda: hanging.hits >= 1)
        vault_server.faults.clear()

    assert all(isinstance(error, Unavailable) for error in errors)
    assert took < 60, "one after the other would be 80 seconds"


def test_reads_that_hang_leave_room_for_logins_and_renewals(open_calls, vault, vault_server, secret):
    """Two engines that hang take all that is for reads; a login, a renewal and a lookup go through at once."""
    calls = open_calls(vault.address, concurrency=8, timeout="1h")
    other = vault.admin.mount_kv()
    vault.admin.put(other, "a", {"n": 1})
    hanging = [
        vault_server.faults.late(3600, path=path, times=None) for path in (secret.partition("/")[0], other)
    ]

    with ThreadPoolExecutor(32) as pool:
        for path in (secret, f"{other}/data/a") * 16:
            pool.submit(read, calls, vault, path)
        eventually(lambda: sum(fault.hits for fault in hanging) == 6)
        calls.request("GET", "auth/token/lookup-self", token=vault.token, doing="looking up")
        read(calls, vault, f"sys/internal/ui/mounts/{secret}")
        vault_server.faults.clear()


def test_a_restarted_vault_is_found_again(calls, vault, vault_server, secret):
    read(calls, vault, secret)
    vault_server.restart()

    assert read(calls, vault, secret).status == 200


def test_closing_twice_is_closing(open_calls, vault, vault_server, secret):
    calls = open_calls(vault.address)
    read(calls, vault, secret)
    calls.close()
    calls.close()

    assert eventually(lambda: read(calls, vault, secret).status == 200)


def test_nothing_heavy_is_imported_before_the_first_call(tmp_path):
    program = (
        "import sys; from pathlib import Path; from confsync_backends.vault import VaultBackend, VaultOptions\n"
        "VaultBackend.open(VaultOptions(), Path('.')).close()\n"
        "assert not {'hvac', 'requests', 'urllib3', 'cryptography'} & set(sys.modules), 'imported early'\n"
    )

    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path, timeout=120)
