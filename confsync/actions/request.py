"""Send the HTTP request that tells a program to reload."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import IO, Any
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from confsync.actions.process import SHOWN
from confsync.config.actions import HttpRequest
from confsync.errors import ActionError
from confsync.text import printable
from confsync.units import format_duration

_KEPT = 16 * SHOWN
_LOOK_AT_CANCELLED = 0.05


def send_request(
    request: HttpRequest,
    *,
    timeout: float,
    redact: Callable[[str], str],
    cancelled: threading.Event | None = None,
) -> None:
    """Send it and judge the answer's status.

    Redirects are followed on the same scheme, host and port only: headers may hold credentials. Proxies are
    those of the environment.

    Args:
        request: what to send.
        timeout: seconds for all of it, from looking the name up to the end of the answer.
        redact: takes sensitive values out of a text.
        cancelled: once set, it is given up.

    Raises:
        ActionError: no answer in time, or one with another status.
    """
    exchange = _Exchange(request, timeout)
    shown = printable(f"reload `{request.method} {without_secrets(request.url)}`")
    if not exchange.run(timeout, cancelled):
        if cancelled is not None and cancelled.is_set():
            raise ActionError(f"{shown} was stopped: confsync is shutting down")
        raise _too_slow(shown, timeout)
    if exchange.error is not None:
        raise _failure(shown, exchange.error, timeout, redact) from exchange.error
    if exchange.status in (request.status or range(200, 300)):
        return
    body = redact(exchange.body.decode("utf-8", "replace")).strip()
    output = printable(body if len(body) <= SHOWN else "…" + body[-SHOWN:])
    raise ActionError(
        f"{shown} was answered with status {exchange.status}", output=output, hint=_hint(exchange.status)
    )


def without_secrets(url: str) -> str:
    """The URL without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return "an URL that cannot be parsed"


class _Exchange:
    """One request and its answer, on its own thread: nothing else bounds a name look-up or a dripping server.

    Attributes:
        status: the answer's status code, or 0.
        body: the end of the answer.
        error: why there is none, or None.
    """

    def __init__(self, request: HttpRequest, timeout: float) -> None:
        self.status = 0
        self.body = b""
        self.error: Exception | None = None
        self._request = request
        self._timeout = timeout
        self._sockets: list[socket.socket] = []
        self._given_up = False
        self._done = threading.Event()

    def run(self, timeout: float, cancelled: threading.Event | None) -> bool:
        """Send and receive. Returns whether it was done in time; if not, the connection is broken off."""
        deadline = time.monotonic() + timeout
        threading.Thread(target=self._work, name="confsync-reload-http", daemon=True).start()
        tick = _LOOK_AT_CANCELLED if cancelled is not None else timeout
        while (left := deadline - time.monotonic()) > 0:
            if self._done.wait(min(left, tick)):
                return True
            if cancelled is not None and cancelled.is_set():
                break
        self._give_up()
        return False

    def connected(self, connection: socket.socket) -> None:
        """Called with every connection that is made, so that giving up can break it off."""
        self._sockets.append(connection)
        if self._given_up:
            self._give_up()

    def _work(self) -> None:
        try:
            self._send()
        except Exception as exc:  # noqa: BLE001 - handed over to the waiting thread, which judges it
            self.error = exc
        finally:
            self._done.set()

    def _send(self) -> None:
        handlers = [_Http(self), _Https(self, _context(self._request)), _SameOrigin()]
        opener = urllib.request.build_opener(*handlers)
        try:
            with opener.open(_build(self._request), timeout=max(self._timeout, 0.001)) as answer:
                self.status = answer.status
        except urllib.error.HTTPError as answer:
            with answer:
                self.status = answer.code
                self.body = _tail(answer)

    def _give_up(self) -> None:
        self._given_up = True
        for connection in tuple(self._sockets):
            try:
                # Not SSLSocket's own, which would take the TLS state away from under the other thread.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            except OSError:
                continue  # already closed


class _Http(urllib.request.HTTPHandler):
    def __init__(self, exchange: _Exchange) -> None:
        super().__init__()
        self._exchange = exchange

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        exchange = self._exchange

        class Connection(http.client.HTTPConnection):
            def connect(self) -> None:
                super().connect()
                exchange.connected(self.sock)

        return self.do_open(Connection, req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, exchange: _Exchange, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._exchange = exchange
        self._tls = context

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        exchange = self._exchange

        class Connection(http.client.HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                exchange.connected(self.sock)

        return self.do_open(Connection, req, context=self._tls)


class _SameOrigin(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if _origin(urlsplit(req.full_url)) != _origin(urlsplit(newurl)):
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or {"http": 80, "https": 443}.get(url.scheme)


def _build(request: HttpRequest) -> urllib.request.Request:
    """The request; a user and password in the URL become the header they stand for."""
    parts = urlsplit(request.url)
    userinfo, _, host = parts.netloc.rpartition("@")
    body = request.body.encode()
    data = body if body or request.method not in ("GET", "HEAD", "DELETE", "OPTIONS") else None
    url = urlunsplit((parts.scheme, host, parts.path or "/", parts.query, ""))
    built = urllib.request.Request(url, data=data, method=request.method)  # noqa: S310 - the model allows http(s) only
    built.add_header("User-Agent", "confsync")
    if data:
        built.add_header("Content-Type", "text/plain; charset=utf-8")
    if userinfo:
        token = base64.b64encode(unquote(userinfo).encode()).decode()
        built.add_header("Authorization", f"Basic {token}")
    for name, value in request.headers.items():
        built.add_header(name, value)
    return built


def _context(request: HttpRequest) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=request.ca)
    except OSError as exc:
        why = f"the certificates in {printable(request.ca or '')} cannot be read"
        raise ActionError(why, hint="`ca` names a file of PEM certificates") from exc
    if not request.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _tail(answer: urllib.error.HTTPError) -> bytes:
    """The end of the answer; what was received before a connection broke is better than nothing."""
    kept = b""
    try:
        while piece := answer.read1(_KEPT):
            kept = (kept + piece)[-_KEPT:]
    except (OSError, http.client.HTTPException):
        return kept
    return kept


def _too_slow(shown: str, timeout: float) -> ActionError:
    hint = "find out what the server waits for, or raise `timeout`"
    return ActionError(f"{shown} was not answered within {format_duration(timeout)}", hint=hint)


def _failure(shown: str, error: Exception, timeout: float, redact: Callable[[str], str]) -> ActionError:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return _too_slow(shown, timeout)
    if isinstance(reason, ActionError):
        return ActionError(f"{shown} failed: {reason.message}", hint=reason.hint)
    for kinds, why, hint in _MEANING:
        if isinstance(reason, kinds):
            return ActionError(f"{shown} failed: {why}", hint=hint)
    if isinstance(reason, OSError):
        why = redact(reason.strerror or str(reason) or type(reason).__name__)
        return ActionError(f"{shown} failed: {printable(why).lower()}")
    # Such errors quote URLs and headers, which may hold credentials: only their kind is told.
    hint = "look at `url` and `headers`: a character may not be allowed"
    return ActionError(f"{shown} failed: {type(reason).__name__}", hint=hint)


_MEANING: tuple[tuple[type[Exception], str, str], ...] = (
    (
        ssl.SSLCertVerificationError,
        "the server's certificate is not trusted",
        "name the host as the certificate does, trust its issuer with `ca`, or (unsafe) set `verify: false`",
    ),
    (ConnectionRefusedError, "nothing listens there", "start the program, or correct `url`"),
    (socket.gaierror, "its host name cannot be resolved", "correct `url`, or look at DNS"),
    (http.client.RemoteDisconnected, "the server closed the connection", "look at the server's log"),
    (http.client.BadStatusLine, "the answer is not HTTP", "look at scheme and port of `url`"),
)


def _hint(status: int) -> str | None:
    if status in (401, 403):
        return "look at the credentials in `headers`"
    if 300 <= status < 400:
        return "it leads to another scheme, host or port, where headers are not sent; write that `url`"
    return None
