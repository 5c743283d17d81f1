"""The connections to one API server.

The library builds the pool: TLS, client certificates, proxies. Here each socket is known, so that those who wait for
an answer can be told to stop.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from kubernetes.client import Configuration
    from urllib3 import BaseHTTPResponse

_CONNECT = 10.0
"""Seconds to wait for a connection at most: a server that is there accepts in one."""


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


def _without_credentials(url: str) -> str:
    """An address that may be shown, whoever wrote a password into it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
