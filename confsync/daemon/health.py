"""The health endpoint: `GET /livez` and `GET /readyz` over HTTP/1, answered by 200 or 503 and one line of text.

What probes ask and what may be done by who can reach the port is kept small: two paths, GET and HEAD, a request of
at most a few kilobytes that must have come within seconds, few connections at a time, of which the oldest gives way.
An answer says how many syncs or workers something concerns, never a name, a key or a value.

The standard library's `http.server` is not what listens: it has no limit for how long a request may trickle in, takes
megabytes of headers, repeats a bad request in its answer, and wakes up twice a second to see whether it should end.
Here one thread sleeps in `accept` until somebody comes.
"""

from __future__ import annotations

import errno
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import TypeAlias

from confsync.clock import Clock, SystemClock
from confsync.config.health import split_listen
from confsync.errors import ConfigError
from confsync.text import plural, printable
from confsync.units import format_duration

log = logging.getLogger(__name__)

Check: TypeAlias = Callable[[], str | None]
"""What is wrong, in one line without names, keys or values; None when nothing is. Called from any thread."""

_LONGEST_HEAD = 8192  # bytes
_IN_TIME = 5.0  # seconds for a whole request
_PATIENCE = 0.75  # seconds a check may take: a kubelet waits for one second, unless told otherwise
_CONNECTIONS = 8
_BREATH = 1.0  # seconds of rest where no connection can be accepted: too many open files
_SHOWN = 200  # characters of what is wrong


class Busy:
    """Since when each worker has been at what it does. Thread-safe.

    Args:
        longest: seconds after which a worker counts as stuck.
    """

    def __init__(self, longest: float, clock: Clock | None = None) -> None:
        self._longest = longest
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._since: dict[int, float] = {}

    @contextmanager
    def working(self) -> Iterator[None]:
        """Around one item of work, in the thread that does it."""
        worker = threading.get_ident()
        with self._lock:
            self._since[worker] = self._clock.monotonic()
        try:
            yield
        finally:
            with self._lock:
                del self._since[worker]

    def problem(self) -> str | None:
        """How many are stuck, and for how long; None when none is."""
        now = self._clock.monotonic()
        with self._lock:
            stuck = [now - since for since in self._since.values() if now - since > self._longest]
        if not stuck:
            return None
        verb = "has" if len(stuck) == 1 else "have"
        return f"{plural(len(stuck), 'worker')} {verb} been at one thing for {format_duration(max(stuck))}"


class HealthServer:
    """Answers probes from `start` to `stop`, in threads of its own.

    Args:
        listen: HOST:PORT as in the configuration.
        alive: asked by /livez.
        ready: asked by /readyz.
    """

    def __init__(self, listen: str, alive: Check, ready: Check) -> None:
        self.listen = listen
        self._checks = {"/livez": _Asked(alive), "/readyz": _Asked(ready)}
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._open: dict[socket.socket, None] = {}  # in the order they came

    def start(self) -> None:
        """Begin to listen.

        Raises:
            ConfigError: that is not possible: the port is taken, the address is not this machine's.
        """
        try:
            self._socket = _listening(*split_listen(self.listen))
        except (OSError, UnicodeError) as exc:
            raise ConfigError(
                f"health.listen: cannot listen on {self.listen}: {_reason(exc)}",
                hint="choose another port or address",
            ) from exc
        self._stopping.clear()
        self._thread = threading.Thread(target=self._accept, args=(self._socket,), name="health", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and break off what is under way. Does nothing when it does not run."""
        listening, self._socket = self._socket, None
        if listening is None or self._thread is None:
            return
        self._stopping.set()
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)  # wakes `accept`
        self._thread.join()
        listening.close()
        with self._lock:
            for connection in self._open:
                _break_off(connection)

    def _accept(self, listening: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = listening.accept()
            except OSError as exc:
                if not self._stopping.wait(_BREATH):
                    log.warning("the health endpoint cannot take a connection", extra={"error": exc.strerror})
                continue
            self._make_room(connection)
            threading.Thread(
                target=self._serve, args=(connection,), name="health-request", daemon=True
            ).start()

    def _make_room(self, newest: socket.socket) -> None:
        """The oldest gives way: who holds connections open must not make the daemon look dead."""
        with self._lock:
            self._open[newest] = None
            if len(self._open) > _CONNECTIONS:
                oldest = next(iter(self._open))
                del self._open[oldest]
                _break_off(oldest)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, suppress(OSError):  # a client that goes away is its own affair
                head = _head(connection, _now() + _IN_TIME)
                if head:
                    connection.sendall(self._answer(head))
        finally:
            with self._lock:
                self._open.pop(connection, None)

    def _answer(self, head: bytes) -> bytes:
        words = head.split(b"\n", 1)[0].strip().split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return _response(HTTPStatus.BAD_REQUEST, "not a request of HTTP/1")
        method, path = words[0], words[1].decode("latin-1").partition("?")[0]
        if method not in (b"GET", b"HEAD"):
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD", "Allow: GET, HEAD")
        check = self._checks.get(path)
        if check is None:
            return _response(HTTPStatus.NOT_FOUND, "there is /livez and /readyz", bare=method == b"HEAD")
        problem = check.problem()
        status = HTTPStatus.OK if problem is None else HTTPStatus.SERVICE_UNAVAILABLE
        return _response(status, problem or "ok", bare=method == b"HEAD")


class _Asked:
    """Asks a check in a thread of its own, one at a time: what hangs on a lock must not hang the endpoint."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._lock = threading.Lock()
        self._asking: _Asking | None = None

    def problem(self) -> str | None:
        """What the check says, or that it says nothing in time."""
        with self._lock:
            if self._asking is None or self._asking.done.is_set():
                self._asking = _Asking(self._check)
            asking = self._asking
        if not asking.done.wait(_PATIENCE):
            return f"no answer from within after {format_duration(_PATIENCE)}"
        return asking.problem


class _Asking:
    """A check that has been asked."""

    def __init__(self, check: Check) -> None:
        self.problem: str | None = None
        self.done = threading.Event()
        threading.Thread(target=self._ask, args=(check,), name="health-check", daemon=True).start()

    def _ask(self, check: Check) -> None:
        try:
            self.problem = check()
        except Exception:
            log.exception("a bug: please report it", extra={"item": "health"})
            self.problem = "the check itself failed: see the log"
        finally:
            self.done.set()


def _listening(host: str, port: int) -> socket.socket:
    if host:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    try:
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    except (OSError, ValueError) as exc:
        if isinstance(exc, OSError) and exc.errno == errno.EADDRINUSE:
            raise
        return socket.create_server(("", port))  # a machine without IPv6


def _reason(error: OSError | UnicodeError) -> str:
    if not isinstance(error, OSError):
        return "there can be no such host"
    return (error.strerror or str(error)).partition(" (while")[0]  # which address that was is said already


def _head(connection: socket.socket, deadline: float) -> bytes:
    """The request up to its empty line; nothing when that is too long or does not come in time."""
    head = b""
    while b"\r\n\r\n" not in head and b"\n\n" not in head:
        more = _receive(connection, deadline)
        head += more
        if not more or len(head) > _LONGEST_HEAD:
            return b""
    return head


def _receive(connection: socket.socket, deadline: float) -> bytes:
    """What has come, waiting for it until the deadline; nothing at the end."""
    left = deadline - _now()
    if left <= 0:
        return b""
    connection.settimeout(left)
    return connection.recv(_LONGEST_HEAD)


def _break_off(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _response(status: HTTPStatus, text: str, *headers: str, bare: bool = False) -> bytes:
    body = f"{printable(text)[:_SHOWN]}\n".encode()
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
        *headers,
    )
    return "\r\n".join((*lines, "", "")).encode("ascii") + (b"" if bare else body)


def _now() -> float:
    return SystemClock().monotonic()
