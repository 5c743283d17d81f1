from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from confsync.actions import run_reload
from confsync.config.actions import Reload
from confsync.errors import ActionError
from confsync.testing.ports import free_port


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.server.seen.append((self.command, self.path, dict(self.headers), self.rfile.read(length)))
        status, headers, body = self.server.answers.get(self.path.partition("?")[0], (200, {}, b"fine"))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do  # noqa: N815 - the names http.server looks for

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen, self.answers = [], {}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """A client that does not trust us is part of a test."""


@pytest.fixture
def serve():
    started = []

    def serve(context=None):
        server = Server()
        if context is not None:
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        started.append((server, thread))
        return server

    yield serve
    for server, thread in started:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server(serve):
    return serve()


@pytest.fixture
def raw():
    """A server of one connection at a time that does as it is told."""
    listeners, threads = [], []

    def raw(behave):
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def work():
            with listener:
                connection, _ = listener.accept()
                with connection:
                    try:
                        behave(connection)
                    except OSError:
                        return

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"

    yield raw
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "the client never let go"


def request(url, timeout="60s", redact=lambda text: text, cancelled=None, **fields):
    reload = Reload(http={"url": url, **fields}, timeout=timeout)
    run_reload(reload, redact=redact, cancelled=cancelled)


def test_a_request_arrives_as_configured(server):
    request(f"{server.url}/reload?now=1", method="PUT", headers={"X-Token": "t"}, body="héllo")

    ((method, path, headers, body),) = server.seen
    assert (method, path, headers["X-Token"], body) == ("PUT", "/reload?now=1", "t", "héllo".encode())
    assert headers["User-Agent"] == "confsync"


def test_a_post_without_a_body_has_a_length(server):
    request(server.url)

    ((method, path, headers, _),) = server.seen
    assert (method, path, headers["Content-Length"]) == ("POST", "/", "0")


def test_a_user_in_the_url_becomes_a_header_and_is_never_shown(server):
    server.answers["/"] = (500, {}, b"")

    with pytest.raises(ActionError) as caught:
        request(f"http://us%20er:pa55@127.0.0.1:{server.server_port}/?token=t0ken")

    assert server.seen[0][2]["Authorization"] == "Basic dXMgZXI6cGE1NQ=="
    assert "pa55" not in str(caught.value)
    assert "t0ken" not in str(caught.value)


def test_another_status_fails_with_the_end_of_the_answer(server):
    server.answers["/"] = (500, {}, b"x" * 100_000 + b"\nno \x1b[31mpassword hunter2")

    with pytest.raises(ActionError, match="was answered with status 500") as caught:
        request(server.url, redact=lambda text: text.replace("hunter2", "***"))

    assert caught.value.output.endswith("\\nno \\x1b[31mpassword ***")
    assert len(caught.value.output) < 5000


def test_the_status_that_means_success_can_be_chosen(server):
    server.answers["/"] = (409, {}, b"")
    request(server.url, status=[409])

    server.answers["/"] = (200, {}, b"")
    with pytest.raises(ActionError, match="status 200"):
        request(server.url, status=[202])


def test_a_redirect_is_followed_on_the_same_server_only(server, serve):
    other = serve()
    server.answers["/here"] = (303, {"Location": "/there"}, b"")
    server.answers["/away"] = (303, {"Location": f"{other.url}/"}, b"")
    server.answers["/file"] = (303, {"Location": "file:///etc/passwd"}, b"")

    request(f"{server.url}/here", headers={"Authorization": "Bearer t"})
    assert [seen[1] for seen in server.seen] == ["/here", "/there"]

    for path in ("/away", "/file"):
        with pytest.raises(ActionError, match=r"status 303.*another scheme, host or port"):
            request(f"{server.url}{path}", headers={"Authorization": "Bearer t"})
    assert other.seen == []


def test_a_server_that_never_answers_is_given_up(raw):
    with pytest.raises(ActionError, match="was not answered within 200ms"):
        request(raw(lambda connection: connection.recv(10_000) and connection.recv(10_000)), timeout="200ms")


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 500 no\r\n\r\n"])
def test_a_server_that_drips_for_ever_is_given_up_too(raw, head):
    stop = threading.Event()

    def drip(connection):
        connection.sendall(head)
        while not stop.wait(0.02):
            connection.sendall(b"H")

    try:
        with pytest.raises(ActionError, match="was not answered within 300ms"):
            request(raw(drip), timeout="300ms")
    finally:
        stop.set()


def test_cancelling_gives_up_a_request(raw):
    cancelled = threading.Event()

    def behave(connection):
        connection.recv(10_000)
        cancelled.set()
        connection.recv(10_000)

    with pytest.raises(ActionError, match="was stopped: confsync is shutting down"):
        request(raw(behave), timeout="60s", cancelled=cancelled)


def test_nobody_listening_teaches():
    with pytest.raises(ActionError, match="nothing listens there"):
        request(f"http://127.0.0.1:{free_port()}/")


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n"])
def test_what_is_not_http_is_told(raw, answer):
    def behave(connection):
        connection.recv(10_000)
        connection.sendall(answer)

    with pytest.raises(ActionError, match=r"closed the connection|not HTTP"):
        request(raw(behave))


def test_a_header_that_cannot_be_sent_is_told_without_its_value(server):
    with pytest.raises(ActionError, match=r"ValueError.*`headers`") as caught:
        request(server.url, headers={"X-Token": "hunter2\nX-Other: 1"})

    assert "hunter2" not in str(caught.value)


def test_an_unusual_url_does_not_crash():
    for url in (
        "http://127.0.0.1:99999/",
        "http://[::1/",
        "http://",
        "http://a b/",
        "http://user:pa55@host:port/",
    ):
        with pytest.raises(ActionError) as caught:
            request(url)
        assert "pa55" not in str(caught.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder


def test_tls_is_verified_unless_told_otherwise(serve, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    server = serve(context)
    url = server.url.replace("http:", "https:")

    with pytest.raises(ActionError, match=r"certificate is not trusted.*verify: false"):
        request(url)
    assert server.seen == []

    request(url, verify=False)
    request(url, ca=str(certificate / "cert.pem"))
    assert len(server.seen) == 2


def test_certificates_that_cannot_be_read_are_told(tmp_path):
    with pytest.raises(ActionError, match=r"the certificates in /no/such.pem cannot be read"):
        request("https://127.0.0.1/", ca="/no/such.pem")
    (tmp_path / "bad.pem").write_text("nonsense")
    with pytest.raises(ActionError, match="cannot be read"):
        request("https://127.0.0.1/", ca=str(tmp_path / "bad.pem"))
