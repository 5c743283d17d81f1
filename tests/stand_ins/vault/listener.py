"""The listening socket of one server."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from stand_ins.common import listener
from stand_ins.common.listener import TlsFiles

from .http import Handler

if TYPE_CHECKING:
    from .server import VaultServer

__all__ = ["Listener", "TlsFiles"]


class Listener(listener.Listener):
    """Hands every connection to a Handler, which finds the server here."""

    def __init__(self, owner: VaultServer, port: int, tls: TlsFiles | None) -> None:
        self.owner = owner
        super().__init__(Handler, port, tls, owner.log.connected)

    def certificate_of(self, connection: socket.socket) -> str | None:
        """PEM of the certificate the client proved to own."""
        if not isinstance(connection, ssl.SSLSocket):
            return None
        der = connection.getpeercert(binary_form=True)
        return ssl.DER_cert_to_PEM_cert(der) if der else None
