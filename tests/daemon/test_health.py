"""The health endpoint, over real sockets: what it answers, what it refuses, and what it costs."""

from __future__ import annotations

import http.client
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from confsync.config.health import Health, split_listen
from confsync.daemon import health
from confsync.daemon.health import Busy, HealthServer
from confsync.errors import ConfigError
from confsync.testing.ports import free_port
from confsync.testing.waiting import eventually


class Endpoint:
    """A server whose checks say what a test wants."""

    def __init__(self) -> None:
        self.port = free_port()
        self.alive: str | None = None
        self.ready: str | None = None
        self.server = HealthServer(f"127.0.0.1:{self.port}", lambda: self.alive, lambda: self.ready)

    def ask(self, path: str, method: str = "GET") -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def send(self, raw: bytes) -> bytes:
        with self.connect() as connection:
            connection.sendall(raw)
            return all_of(connection)


def all_of(connection: socket.socket) -> bytes:
    """Everything until the other side closes; a reset is a close."""
    received = b""
    try:
        while more := connection.recv(65536):
            received += more
    except ConnectionResetError:
        pass
    return received


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check may take as long as a busy machine does; whose subject is that it hangs says for how long."""
    monkeypatch.setattr(health, "_PATIENCE", 60.0)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    endpoint.server.start()
    yield endpoint
    endpoint.server.stop()


def test_it_answers_ok_while_nothing_is_wrong(endpoint):
    assert endpoint.ask("/livez") == (200, "ok\n")
    assert endpoint.ask("/readyz") == (200, "ok\n")
    assert endpoint.ask("/readyz?verbose") == (200, "ok\n")


def test_it_answers_503_and_the_reason_each_for_itself(endpoint):
    endpoint.ready = "3 of 12 syncs have not been reconciled yet"
    assert endpoint.ask("/readyz") == (503, "3 of 12 syncs have not been reconciled yet\n")
    assert endpoint.ask("/livez") == (200, "ok\n")

    endpoint.alive = "1 worker has been at one thing for 11m"
    assert endpoint.ask("/livez") == (503, "1 worker has been at one thing for 11m\n")


def test_head_has_the_status_and_no_body(endpoint):
    endpoint.ready = "not yet"
    raw = endpoint.send(b"HEAD /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"Content-Length: 8" in head
    assert body == b""


@pytest.mark.parametrize(
    "path", ["/", "/livez/", "/healthz", "/metrics", "//livez", "/LIVEZ", "*", "http://x/livez"]
)
def test_there_is_nothing_else(endpoint, path):
    status, text = endpoint.ask(path)
    assert (status, text) == (404, "there is /livez and /readyz\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get", "NOSUCH"])
def test_other_methods_are_refused(endpoint, method):
    assert endpoint.ask("/livez", method) == (405, "only GET and HEAD\n")


def test_a_refusal_says_what_is_allowed(endpoint):
    raw = endpoint.send(b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: GET, HEAD\r\n" in raw


@pytest.mark.parametrize(
    "request_line",
    [b"hello", b"GET /livez", b"GET /<script> FTP/1.0", b"GET / x HTTP/1.1", b"\xff\xfe \x00 HTTP/2"],
)
def test_what_is_no_http_is_answered_400_and_not_repeated(endpoint, request_line):
    raw = endpoint.send(request_line + b"\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 400 ")
    assert raw.endswith(b"\r\n\r\nnot a request of HTTP/1\n")


def test_a_request_that_is_too_long_gets_nothing(endpoint):
    assert endpoint.send(b"GET /livez HTTP/1.1\r\nX: " + b"x" * 20_000) == b""
    assert endpoint.ask("/livez") == (200, "ok\n")


def test_a_request_that_trickles_in_is_cut_off(endpoint, monkeypatch):
    monkeypatch.setattr(health, "_IN_TIME", 0.1)
    with endpoint.connect() as slow:
        slow.sendall(b"GET /livez HT")
        assert all_of(slow) == b""


def test_who_holds_connections_open_does_not_shut_others_out(endpoint, monkeypatch):
    monkeypatch.setattr(health, "_IN_TIME", 60.0)
    with ExitStack() as stack:
        held = [stack.enter_context(endpoint.connect()) for _ in range(30)]
        for _ in range(3):
            assert endpoint.ask("/livez") == (200, "ok\n")
        assert all_of(held[0]) == b""  # the oldest gave way
        eventually(lambda: threads("health-request") <= health._CONNECTIONS)


def threads(name: str) -> int:
    return sum(1 for thread in threading.enumerate() if thread.name == name)


def test_a_check_that_hangs_is_a_problem_and_costs_one_thread(monkeypatch):
    monkeypatch.setattr(health, "_PATIENCE", 0.05)
    release = threading.Event()
    endpoint = Endpoint()
    endpoint.server = HealthServer(endpoint.server.listen, hanging(release), lambda: None)
    endpoint.server.start()
    try:
        for _ in range(5):
            assert endpoint.ask("/livez") == (503, "no answer from within after 50ms\n")
        monkeypatch.setattr(health, "_PATIENCE", 60.0)
        assert endpoint.ask("/readyz") == (200, "ok\n")
        eventually(lambda: threads("health-check") == 1)

        release.set()
        eventually(lambda: endpoint.ask("/livez") == (200, "ok\n"))
    finally:
        release.set()
        endpoint.server.stop()


def hanging(release: threading.Event) -> Callable[[], str | None]:
    def check() -> str | None:
        release.wait(60)
        return None

    return check


def test_a_check_that_fails_is_a_problem_and_its_error_stays_within(caplog):
    def check() -> str | None:
        raise ValueError("hunter2")

    endpoint = Endpoint()
    endpoint.server = HealthServer(endpoint.server.listen, check, lambda: None)
    endpoint.server.start()
    try:
        assert endpoint.ask("/livez") == (503, "the check itself failed: see the log\n")
    finally:
        endpoint.server.stop()
    assert "a bug: please report it" in caplog.text


def test_an_answer_is_one_short_line_whatever_the_check_says(endpoint):
    endpoint.alive = "a\r\nSet-Cookie: x\x1b[31m" + "y" * 1000
    status, text = endpoint.ask("/livez")
    assert status == 503
    assert text.startswith("a\\r\\nSet-Cookie: x\\x1b[31my")
    assert (len(text), text.count("\n")) == (201, 1)


def test_a_port_that_is_taken_is_an_error_of_one_line(endpoint):
    second = HealthServer(endpoint.server.listen, lambda: None, lambda: None)
    with pytest.raises(ConfigError) as raised:
        second.start()
    assert str(raised.value) == (
        f"health.listen: cannot listen on 127.0.0.1:{endpoint.port}: Address already in use "
        "(choose another port or address)"
    )
    second.stop()  # which does nothing
    assert endpoint.ask("/livez") == (200, "ok\n")


def test_a_port_that_is_taken_on_one_interface_is_taken_on_all(endpoint):
    with pytest.raises(ConfigError, match="Address already in use"):
        HealthServer(f":{endpoint.port}", lambda: None, lambda: None).start()


def test_a_port_that_is_taken_for_ipv6_alone_is_taken_on_all_too():
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    port = free_port()
    with (
        socket.create_server(("::1", port), family=socket.AF_INET6),
        pytest.raises(ConfigError, match="Address already in use"),
    ):
        HealthServer(f":{port}", lambda: None, lambda: None).start()


@pytest.mark.parametrize("host", ["203.0.113.7", "2001:db8::1", "a" * 64])
def test_an_address_that_is_not_this_machines_is_an_error_of_one_line(host):
    listen = f"[{host}]:8086" if ":" in host else f"{host}:8086"
    with pytest.raises(ConfigError) as raised:
        HealthServer(listen, lambda: None, lambda: None).start()
    assert str(raised.value).startswith(f"health.listen: cannot listen on {listen}: ")
    assert "\n" not in str(raised.value)


def test_without_a_host_it_listens_on_every_interface():
    port = free_port()
    server = HealthServer(f":{port}", lambda: None, lambda: None)
    server.start()
    try:
        for host in ("127.0.0.1", "127.0.0.2", *(["::1"] if has_ipv6() else [])):
            with socket.create_connection((host, port), timeout=30) as connection:
                connection.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
                assert all_of(connection).endswith(b"\r\n\r\nok\n")
    finally:
        server.stop()


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_stopping_ends_every_thread_and_frees_the_port(endpoint):
    with endpoint.connect() as held:
        eventually(lambda: threads("health-request") == 1)
        endpoint.server.stop()
        assert all_of(held) == b""
    eventually(lambda: threads("health-request") == threads("health") == 0)

    endpoint.server.start()
    assert endpoint.ask("/livez") == (200, "ok\n")


def test_idle_it_does_nothing_at_all(endpoint):
    endpoint.ask("/livez")
    eventually(lambda: threads("health-request") == 0)

    def idles() -> bool:
        switches = wakeups("health")
        threading.Event().wait(0.3)
        return wakeups("health") == switches

    eventually(idles)  # on a busy machine it may have been on its way to sleep


def wakeups(name: str) -> int:
    """How often the thread of this name has gone to sleep, by the kernel's count (proc(5), status)."""
    (thread,) = [thread for thread in threading.enumerate() if thread.name == name]
    with open(f"/proc/{os.getpid()}/task/{thread.native_id}/status", encoding="ascii") as status:
        return sum(int(line.split()[1]) for line in status if "ctxt_switches" in line)


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


def test_a_worker_is_stuck_after_the_time_given_and_not_before():
    clock = Hand()
    busy = Busy(600, clock)
    assert busy.problem() is None

    with busy.working():
        clock.time += 600
        assert busy.problem() is None
        clock.time += 60
        assert busy.problem() == "1 worker has been at one thing for 11m"

    assert busy.problem() is None


def test_each_worker_has_its_own_time_and_each_item_begins_anew():
    clock = Hand()
    busy = Busy(10, clock)
    entered, leave = threading.Barrier(3), threading.Event()

    def work() -> None:
        with busy.working():
            entered.wait(30)
            leave.wait(30)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    entered.wait(30)
    clock.time += 8
    with busy.working():
        clock.time += 8
        assert busy.problem() == "2 workers have been at one thing for 16s"
        leave.set()
        for worker in workers:
            worker.join(30)
        assert busy.problem() is None


def test_an_item_that_fails_does_not_count_for_ever():
    clock = Hand()
    busy = Busy(10, clock)
    with pytest.raises(ValueError, match="x"), busy.working():
        raise ValueError("x")
    clock.time += 100
    assert busy.problem() is None


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("127.0.0.1:8086", ("127.0.0.1", 8086)),
        ("localhost:1", ("localhost", 1)),
        (":65535", ("", 65535)),
        ("[::1]:8086", ("::1", 8086)),
        ("[::]:8086", ("::", 8086)),
    ],
)
def test_listen_is_host_and_port(text, split):
    assert split_listen(text) == split
    assert Health(listen=text).listen == text


@pytest.mark.parametrize(
    "text",
    ["", "8086", "127.0.0.1", ":0", ":65536", ":http", "::1:8086", "[::1]", "[localhost]:8086", "http://x:8086",
     " :8086", "x :80", ":\N{FULLWIDTH DIGIT EIGHT}0", "[::1:80", "a@b:80"],
)  # fmt: skip
def test_another_listen_is_refused_and_told_what_to_write(text):
    with pytest.raises(ValueError, match=r"127\.0\.0\.1:8086"):
        Health(listen=text)
