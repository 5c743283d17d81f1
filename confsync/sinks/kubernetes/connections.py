"""The connections to one API server, and what it means when one is lost.

The library builds the pool: TLS, client certificates, proxies. Here each socket is known, so that those who wait for
an answer can be told to stop.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from confsync.sinks.kubernetes.failures import Asked, Unreachable

if TYPE_CHECKING:
    from kubernetes.client import Configuration
    from urllib3 import BaseHTTPResponse

_CONNECT = 10.0
"""Seconds to wait for a connection at most: a server that is there accepts in one."""

_CERTIFICATE = {
    9: "its certificate is not valid yet; compare the clocks",
    10: "its certificate has expired",
    18: "its certificate is signed by itself, and is not the one the kubeconfig trusts",
    19: "its certificate comes from an authority that is not trusted",
    20: "its certificate comes from an authority that is not trusted",
    21: "its certificate comes from an authority that is not trusted",
    62: "its certificate is for another host name",
    64: "its certificate is for another address",
}
"""OpenSSL's X509_V_ERR_* -> what is wrong with the server's certificate."""
_AUTHORITY = "give the cluster's certificate-authority in the kubeconfig"
_ADVICE = {
    18: _AUTHORITY,
    19: _AUTHORITY,
    20: _AUTHORITY,
    21: _AUTHORITY,
    62: "use a name the certificate has, or set tls-server-name in the kubeconfig",
    64: "use an address the certificate has, or set tls-server-name in the kubeconfig",
}
_OURS_REFUSED = (
    "ALERT_UNKNOWN_CA", "ALERT_BAD_CERTIFICATE", "CERTIFICATE_REQUIRED", "ALERT_CERTIFICATE_EXPIRED",
    "ALERT_CERTIFICATE_UNKNOWN", "HANDSHAKE_FAILURE",
)  # fmt: skip
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")


@dataclass(frozen=True, slots=True, repr=False)
class Exchange:
    """A request as it is sent.

    Attributes:
        path: with the query.
        timeout: seconds the server may be silent.
        whole: whether the answer is read to its end.
    """

    method: str
    path: str
    content: bytes | None
    headers: Mapping[str, str]
    timeout: float
    whole: bool = True


class Connections:
    """A pool of connections. Any thread may use it.

    Attributes:
        address: the server's URL, free of credentials.
    """

    def __init__(self, configuration: Configuration) -> None:
        from kubernetes.client.rest import RESTClientObject

        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._manager = RESTClientObject(configuration).pool_manager
        self._manager.pool_classes_by_scheme = {
            scheme: _remembering(pool, self._remember)
            for scheme, pool in self._manager.pool_classes_by_scheme.items()
        }
        self._server = configuration.host.rstrip("/")
        self.address = _without_credentials(self._server)

    def send(self, exchange: Exchange, authorization: str) -> BaseHTTPResponse:
        """Sends a request and gives the answer, whatever its status. Raises what urllib3 does."""
        from urllib3 import Timeout

        headers = dict(exchange.headers)
        if authorization:
            headers["Authorization"] = authorization
        return self._manager.urlopen(
            exchange.method,
            self._server + exchange.path,
            redirect=False,
            body=exchange.content,
            headers=headers,
            retries=False,
            timeout=Timeout(connect=min(exchange.timeout, _CONNECT), read=exchange.timeout),
            preload_content=exchange.whole,
        )

    def hang_up(self) -> None:
        """Ends every connection; who waits for an answer gets none."""
        with self._lock:
            sockets = list(self._sockets)
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Lets go of the connections nobody uses; those in use end with their request."""
        self._manager.clear()

    def _remember(self, opened: socket.socket) -> None:
        with self._lock:
            self._sockets.add(opened)


def _remembering(pool: Any, remember: Any) -> Any:
    """A pool whose connections tell of their socket."""

    class Connection(pool.ConnectionCls):  # type: ignore[misc]
        def connect(self) -> None:
            super().connect()
            remember(self.sock)

    class Pool(pool):  # type: ignore[misc]
        ConnectionCls = Connection

    return Pool


def lost(asked: Asked, address: str, error: Exception) -> Unreachable:
    """The failure it means where `error` came instead of an answer."""
    why, hint, sent, passing = _meaning(error)
    failure = Unreachable(asked, f"{address}: {why}", hint=hint)
    failure.sent, failure.passing = sent, passing
    return failure


def _meaning(error: Exception) -> tuple[str, str | None, bool, bool]:
    """Why, what to do, whether the request may have been sent, and whether it may be over in a moment."""
    from urllib3 import exceptions as urllib3

    below = list(_beneath(error))
    for one in below:
        if isinstance(one, ssl.SSLCertVerificationError):
            code = one.verify_code
            why = _CERTIFICATE.get(code, "its certificate cannot be verified")
            return why, _ADVICE.get(code), False, False
        if isinstance(one, ssl.SSLError):
            return _tls(one)
    if isinstance(error, urllib3.ProxyError):
        return f"the proxy does not let us through: {_system(below)}", None, False, True
    if isinstance(error, urllib3.NameResolutionError):
        return "there is no such host", None, False, True
    if isinstance(error, urllib3.NewConnectionError):
        return f"no connection: {_system(below)}", None, False, True
    if isinstance(error, urllib3.ConnectTimeoutError):
        return "no connection: it does not answer", None, False, True
    if isinstance(error, urllib3.ReadTimeoutError):
        return "no answer in time", None, True, True
    if isinstance(error, (urllib3.IncompleteRead, urllib3.ProtocolError)):
        return f"half an answer, or none: {_system(below)}", None, True, True
    return f"no answer: {type(error).__name__}", None, True, True


def _tls(error: ssl.SSLError) -> tuple[str, str | None, bool, bool]:
    reason = error.reason or ""
    if any(word in reason for word in _NOT_TLS):
        hint = "its address should begin with http://, or the port is another's"
        return "it does not speak TLS", hint, False, False
    if any(word in reason for word in _OURS_REFUSED):
        return "it refuses our client certificate, or the want of one", None, True, False
    if "EOF" in reason or isinstance(error, ssl.SSLEOFError):
        return "the connection was lost", None, True, True
    return f"TLS fails ({reason.lower().replace('_', ' ') or type(error).__name__})", None, True, False


def _system(errors: list[BaseException]) -> str:
    """What the operating system says of it."""
    for one in errors:
        if isinstance(one, OSError) and one.strerror:
            return one.strerror.lower()
    return "the connection was lost"


def _beneath(error: BaseException) -> Iterator[BaseException]:
    """The error, those it came from, and those it holds."""
    pending: list[BaseException] = [error]
    seen: set[int] = set()
    while pending:
        one = pending.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        within = [arg for arg in one.args if isinstance(arg, BaseException)]
        pending += within + [cause for cause in (one.__cause__, one.__context__) if cause is not None]


def _without_credentials(url: str) -> str:
    """An address that may be shown, whoever wrote a password into it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
