"""The stand-in for a kube-apiserver, and what a test may do to it."""

from __future__ import annotations

import base64
import socket
import ssl
from pathlib import Path
from typing import Any

from stand_ins.common import listener
from stand_ins.common.certificates import Identity
from stand_ins.common.clock import Clock
from stand_ins.common.listener import TlsFiles
from stand_ins.common.listening import Listening

from . import bootstrap, kubeconfig, users
from .controllers import Controllers
from .core import Core
from .faults import Faults
from .http import Handler
from .kinds import Kind
from .request_log import Request, RequestLog
from .status import Json
from .store import Key
from .users import User

_RBAC = "/apis/rbac.authorization.k8s.io/v1"


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
        return users.person(names[0], *groups) if names else None


class ApiServer(Listening):
    """A server on a free port of the loopback, alive while the context is. Any thread may use it.

    It starts as a new cluster does: with the namespaces default, kube-node-lease, kube-public and kube-system, and
    an administrator.

    Args:
        tls: serve HTTPS with these.
        now: the epoch time its clock starts at, in seconds; None is now.
        controllers: whether namespaces are filled and emptied, garbage is collected and workloads are observed; a
            server alone does none of this.

    Attributes:
        address: its URL; the same after a restart.
        token: the administrator's, who may do everything.
        faults: what goes wrong, see Faults.
        log: the requests, connections and concurrency it saw.
        bugs: exceptions the stand-in should not have had; a test with any proves nothing.
    """

    def __init__(
        self, *, tls: TlsFiles | None = None, now: float | None = None, controllers: bool = True
    ) -> None:
        super().__init__(tls)
        self.clock = Clock(now)
        self.core = Core(self.clock)
        self.token = self.core.tokens.issue(users.person(users.ADMIN, users.MASTERS))
        self.faults = Faults()
        self.log = RequestLog()
        self.bugs: list[Exception] = []
        self._controllers = Controllers(self.core.store, self.core.registry, self.core.do)
        self._controlled = controllers
        self._grants: list[tuple[str, str | None, str]] = []
        if controllers:
            self._controllers.settle()

    def _listen(self, port: int) -> Listener:
        return Listener(self, port, self._tls)

    def _started(self) -> None:
        if self._controlled:
            self._controllers.start()

    def _stops(self) -> None:
        self.faults.let_go()

    def _stopped(self) -> None:
        if self._controlled:
            self._controllers.stop()
        self._wake()

    def restart(self) -> None:
        """Stops and starts; state is kept, connections and watches are not."""
        self.stop()
        self.start()

    def kubeconfig(
        self,
        path: Path,
        *,
        token: str | None = None,
        identity: Identity | None = None,
        namespace: str = "default",
        ca: Path | None = None,
    ) -> Path:
        """Writes a kubeconfig; gives its path.

        Args:
            token: whose it is; None is the administrator's.
            identity: a client certificate, instead of a token.
            ca: the certificate of the authority, with TLS; without it the certificate is not checked.
        """
        cluster: dict[str, Any] = {"server": self.address}
        if self._tls and ca:
            cluster["certificate-authority-data"] = base64.b64encode(ca.read_bytes()).decode()
        elif self._tls:
            cluster["insecure-skip-tls-verify"] = True
        user = {"token": self.token if token is None else token}
        if identity is not None:
            user = {"client-certificate": str(identity.cert), "client-key": str(identity.key)}
        return kubeconfig.write(path, cluster, user, namespace)

    def pod(self, directory: Path, token: str, namespace: str, ca: Path) -> dict[str, str]:
        """Writes what the kubelet mounts into a pod: token, namespace, ca.crt.

        Returns:
            The variables by which a pod finds the server, which has to serve HTTPS.
        """
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in (("token", token), ("namespace", namespace), ("ca.crt", ca.read_text())):
            (directory / name).write_text(content)
        return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self._port)}

    def user(self, name: str, *groups: str) -> str:
        """A token of somebody, who may do nothing yet."""
        return self.core.tokens.issue(users.person(name, *groups))

    def account(self, namespace: str, name: str, seconds: float = 3600) -> str:
        """A token of a service account, as one is projected into a pod; the account need not be there."""
        user = users.service_account(namespace, name, self.clock.now() + seconds)
        return self.core.tokens.issue(user)

    def revoke_token(self, token: str) -> None:
        """From now on it is answered 401."""
        self.core.tokens.revoke(token)

    def grant(self, user: str, namespace: str | None, verbs: list[str], resources: list[str]) -> None:
        """Allows something.

        Args:
            user: its name; that of a service account is "system:serviceaccount:NAMESPACE:NAME".
            namespace: where; None is everywhere.
            resources: "secrets", "deployments", "deployments/status".
        """
        groups = sorted({self._group_of(resource) for resource in resources})
        rule = {"apiGroups": groups, "resources": resources, "verbs": verbs}
        stem, kind = ("cluster", "ClusterRole") if namespace is None else ("", "Role")
        name = f"granted-{len(self._grants) + 1}"
        where = _RBAC if namespace is None else f"{_RBAC}/namespaces/{namespace}"
        self.core.do("POST", f"{where}/{stem}roles", {"metadata": {"name": name}, "rules": [rule]})
        bound = bootstrap.binding(kind, name, name, "User", [user])
        self.core.do("POST", f"{where}/{stem}rolebindings", bound)
        self._grants.append((user, namespace, f"{where}/{stem}rolebindings/{name}"))

    def revoke(self, user: str, namespace: str | None = None) -> None:
        """Takes back what was granted there; None is what was granted everywhere."""
        for grant in [grant for grant in self._grants if grant[:2] == (user, namespace)]:
            self._grants[self._grants.index(grant)] = ("", None, "")
            self.core.do("DELETE", grant[2])

    def get(self, resource: str, namespace: str, name: str) -> Json | None:
        """An object as it is, without a request; None when there is none."""
        with self.core.store.changed:
            return self.core.store.get(Key(self._kind_of(resource).path, namespace, name))

    def edit(
        self, resource: str, namespace: str, name: str, change: Json, manager: str = "kubectl-edit"
    ) -> Json:
        """Changes an object as somebody else would, by a merge patch that no log shows; gives the object.

        Raises:
            Refused: it cannot be changed so.
        """
        path = f"{self._url(resource, namespace)}/{name}"
        found: Json = self.core.do("PATCH", path, change, "application/merge-patch+json", manager)
        return found

    def delete(self, resource: str, namespace: str, name: str) -> None:
        """Deletes an object as somebody else would; no log shows it."""
        self.core.do("DELETE", f"{self._url(resource, namespace)}/{name}")

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

    def end_watches(self) -> None:
        """Ends every watch that runs, as its timeout would."""
        with self.core.store.changed:
            self.core.watchers.ends += 1
        self._wake()

    def bookmark(self) -> None:
        """Sends a bookmark now to every watch that wants them, as a real server does every minute."""
        with self.core.store.changed:
            self.core.watchers.bookmarks += 1
        self._wake()

    def watches(self, resource: str | None = None) -> int:
        """How many watches of a resource (None: any) run."""
        with self.core.store.changed:
            running = self.core.watchers.running
            return sum(1 for watch in running if resource in (None, watch.kind.plural))

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
        """Waits, but not beyond the server's end, and not beyond that of the faults."""
        self.faults.wait(seconds, self._stopping)

    def _kind_of(self, resource: str) -> Kind:
        plural = resource.partition("/")[0]
        return next(kind for kind in self.core.registry.all() if kind.plural == plural)

    def _group_of(self, resource: str) -> str:
        return self._kind_of(resource).group

    def _url(self, resource: str, namespace: str) -> str:
        kind = self._kind_of(resource)
        where = f"/apis/{kind.api_version}" if kind.group else "/api/v1"
        return f"{where}/namespaces/{namespace}/{kind.plural}" if namespace else f"{where}/{kind.plural}"

    def _wake(self) -> None:
        """Lets the watches look around."""
        with self.core.store.changed:
            self.core.store.changed.notify_all()
