"""A listening socket and its connections."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_PLAIN_ON_TLS = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"


@dataclass(frozen=True)
class TlsFiles:
    """PEM files: the server's certificate and key; with `client_ca` clients may show a certificate of it."""

    cert: Path
    key: Path
    client_ca: Path | None = None

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        if self.client_ca is not None:
            context.load_verify_locations(self.client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
        return context


class Listener(ThreadingHTTPServer):
    """A thread for each connection, all of which end with `close`.

    Args:
        handler: answers the requests of a connection.
        port: of the loopback; 0 is a free one.
        connected: called for every connection accepted.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        handler: type[BaseHTTPRequestHandler],
        port: int,
        tls: TlsFiles | None,
        connected: Callable[[], None],
    ) -> None:
        self.tls = tls.context() if tls else None
        self._connected = connected
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="stand-in", daemon=True)
        self._thread.start()

    def server_bind(self) -> None:
        """As the base's, without its look-up of the host's name."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def close(self) -> None:
        """No new connections, and the end of those there are."""
        self.shutdown()
        self._thread.join()
        self.server_close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            self.hang_up(connection)

    @property
    def open_connections(self) -> int:
        """How many there are whose requests, those of clients that are gone too, may not all be answered yet."""
        with self._lock:
            return len(self._open)

    def hang_up(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._connected()
        with self._lock:
            self._open.add(connection)
        return connection, address

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Runs in the connection's own thread, so a slow handshake holds nobody up."""
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        if request.recv(1, socket.MSG_PEEK) not in (b"\x16", b""):
            request.sendall(_PLAIN_ON_TLS)
            return
        with contextlib.suppress(OSError), self.tls.wrap_socket(request.dup(), server_side=True) as secured:
            super().finish_request(secured, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error; bugs are noted where the answer is made."""
