"""The stand-in for a kube-apiserver, and what a test may do to it."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from stand_ins.common import listener
from stand_ins.common.clock import Clock
from stand_ins.common.listener import TlsFiles

from . import access
from .access import User
from .core import Core
from .faults import Faults
from .http import Handler
from .request_log import Request, RequestLog


class Listener(listener.Listener):
    """The socket of one server."""

    def __init__(self, owner: ApiServer, port: int, tls: TlsFiles | None) -> None:
        self.owner = owner
        super().__init__(Handler, port, tls, owner.log.connected)

    def certificate_of(self, connection: socket.socket) -> User | None:
        """The user a client certificate names: common name, and organisations as groups."""
        if not isinstance(connection, ssl.SSLSocket):
            return None
        subject: Any = (connection.getpeercert() or {}).get("subject", ())
        fields = [pair for part in subject for pair in part]
        names = [str(value) for name, value in fields if name == "commonName"]
        groups = [str(value) for name, value in fields if name == "organizationName"]
        return access.person(names[0], *groups) if names else None


class ApiServer:
    """A server on a free port of the loopback, alive while the context is. Any thread may use it.

    It starts as a new cluster does: with the namespaces default, kube-node-lease, kube-public and kube-system, and
    an administrator.

    Args:
        tls: serve HTTPS with these.
        now: the epoch time its clock starts at, in seconds; None is now.

    Attributes:
        address: its URL; the same after a restart.
        token: the administrator's, who may do everything.
        faults: what goes wrong, see Faults.
        log: the requests, connections and concurrency it saw.
        bugs: exceptions the stand-in should not have had; a test with any proves nothing.
    """

    def __init__(self, *, tls: TlsFiles | None = None, now: float | None = None) -> None:
        self.clock = Clock(now)
        self.core = Core(self.clock)
        self.token = self.core.tokens.issue(access.person(access.ADMIN, access.MASTERS))
        self.faults = Faults()
        self.log = RequestLog()
        self.bugs: list[Exception] = []
        self._tls = tls
        self._port = 0
        self._listener: Listener | None = None
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def address(self) -> str:
        assert self._port, "the server has no address before it was started"
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listens, on the port it had before if there was one; nothing when it runs."""
        if self._listener is not None:
            return
        self._stopping.clear()
        self._listener = Listener(self, self._port, self._tls)
        self._port = self._listener.server_port

    def stop(self) -> None:
        """Ends every connection and refuses new ones; state is kept. Nothing when it does not run."""
        if self._listener is None:
            return
        self._stopping.set()
        self._listener.close()
        self._listener = None
        self._wake()

    def kubeconfig(
        self, path: Path, *, token: str | None = None, namespace: str = "default", ca: Path | None = None
    ) -> Path:
        """Writes a kubeconfig; gives its path.

        Args:
            token: whose it is; None is the administrator's.
            ca: the certificate of the authority, with TLS; without it the certificate is not checked.
        """
        cluster: dict[str, Any] = {"server": self.address}
        if self._tls and ca:
            cluster["certificate-authority-data"] = base64.b64encode(ca.read_bytes()).decode()
        elif self._tls:
            cluster["insecure-skip-tls-verify"] = True
        user = {"token": self.token if token is None else token}
        context = {"cluster": "stand-in", "user": "somebody", "namespace": namespace}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "stand-in", "cluster": cluster}],
            "users": [{"name": "somebody", "user": user}],
            "contexts": [{"name": "stand-in", "context": context}],
            "current-context": "stand-in",
        }
        path.touch(0o600)
        path.write_text(yaml.safe_dump(content))
        return path

    def advance(self, seconds: float) -> None:
        """Moves the clock: watches time out, bookmarks are due, tokens expire."""
        self.clock.advance(seconds)
        self._wake()

    def compact(self, *, running: bool = False) -> None:
        """Forgets the past: older resourceVersions and pages are answered 410.

        Args:
            running: watches that run are told so too, and end.
        """
        store, watchers = self.core.store, self.core.watchers
        with store.changed:
            watchers.expiries += running
            told = min((watch.revision for watch in watchers.running), default=None)
            store.compact(None if running else told)

    @property
    def requests(self) -> list[Request]:
        """What it was asked since `forget_requests`, the oldest first; a copy."""
        return self.log.all()

    def count(self, verb: str | None = None, resource: str | None = None) -> int:
        """How many requests had this verb and this resource; None is any."""
        return self.log.count(verb, resource)

    def forget_requests(self) -> None:
        self.log.forget()

    def pause(self, seconds: float) -> None:
        """Waits, but not beyond the server's end."""
        self._stopping.wait(seconds)

    def _wake(self) -> None:
        """Lets the watches look around."""
        with self.core.store.changed:
            self.core.store.changed.notify_all()
