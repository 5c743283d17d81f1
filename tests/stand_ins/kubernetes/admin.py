"""Sets a cluster up for a test, a stand-in or a real one alike: over HTTP, with names no other test has."""

from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml

from . import kubeconfig

_TIMEOUT = 30.0

_GROUPS = {
    "deployments": "apps/v1",
    "statefulsets": "apps/v1",
    "daemonsets": "apps/v1",
    "leases": "coordination.k8s.io/v1",
    "roles": "rbac.authorization.k8s.io/v1",
    "rolebindings": "rbac.authorization.k8s.io/v1",
    "clusterroles": "rbac.authorization.k8s.io/v1",
    "clusterrolebindings": "rbac.authorization.k8s.io/v1",
}
_KINDS = {
    "secrets": "Secret", "configmaps": "ConfigMap", "deployments": "Deployment", "statefulsets": "StatefulSet",
    "daemonsets": "DaemonSet", "leases": "Lease", "roles": "Role", "rolebindings": "RoleBinding",
    "serviceaccounts": "ServiceAccount", "namespaces": "Namespace", "clusterroles": "ClusterRole",
    "clusterrolebindings": "ClusterRoleBinding",
}  # fmt: skip

APPLY, MERGE, STRATEGIC, JSON_PATCH = (
    "application/apply-patch+yaml",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/json-patch+json",
)


def path_of(resource: str, namespace: str = "", name: str = "") -> str:
    """The URL path of a resource: "/api/v1/namespaces/a/secrets/b"."""
    version = _GROUPS.get(resource)
    steps = ["", "apis", version] if version else ["", "api", "v1"]
    if namespace:
        steps += ["namespaces", namespace]
    return "/".join([*steps, resource, *([name] if name else [])])


def encoded(data: dict[str, str | bytes]) -> dict[str, str]:
    """Values as a Secret has them."""
    raw = {key: value.encode() if isinstance(value, str) else value for key, value in data.items()}
    return {key: base64.b64encode(value).decode() for key, value in raw.items()}


class KubeAdmin:
    """Makes namespaces and what is in them for one test, and removes them again. One thread at a time.

    Args:
        path: of a kubeconfig whose current context may do everything; tokens and client
            certificates are understood.

    Attributes:
        unique: part of every name it makes, so that tests may share a cluster.
        address: the server's URL.
        token: what it authenticates with; "" when that is a certificate.
    """

    def __init__(self, path: Path) -> None:
        self.unique = uuid.uuid4().hex[:8]
        content = yaml.safe_load(path.read_text())
        context = _named(content["contexts"], content["current-context"])["context"]
        self._cluster: dict[str, Any] = _named(content["clusters"], context["cluster"])["cluster"]
        self._user: dict[str, Any] = _named(content["users"], context["user"])["user"]
        self.address: str = self._cluster["server"].rstrip("/")
        self.token: str = self._user.get("token") or ""
        self._tls = _tls(self._cluster, self._user) if self.address.startswith("https") else None
        self._made: list[str] = []
        self._numbers = 0

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        token: str | None = None,
        agent: str = "confsync-tests",
    ) -> tuple[int, Any]:
        """One request, as administrator unless there is another token ("" is none at all).

        Args:
            path: with its query, encoded.
            body: sent as JSON; bytes as they are.

        Returns:
            The status, and the body as parsed, or as text when it is no JSON.
        """
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = self._headers(token, agent) | ({"Content-Type": content_type} if raw is not None else {})
        connection = self._connect()
        try:
            connection.request(method, path, raw, sent)
            response = connection.getresponse()
            return response.status, _parsed(response.read())
        finally:
            connection.close()

    def must(self, method: str, path: str, body: Any = None, **how: Any) -> Any:
        """As `call`, for what has to work: gives the body.

        Raises:
            AssertionError: the status is not 2xx; says which and why.
        """
        status, answer = self.call(method, path, body, **how)
        if not 200 <= status < 300:
            told = answer.get("message") if isinstance(answer, dict) else answer
            raise AssertionError(f"{method} {path} was answered {status}: {told}")
        return answer

    def name(self, stem: str) -> str:
        """A name nobody else has."""
        self._numbers += 1
        return f"{stem}-{self.unique}-{self._numbers}"

    def namespace(self, labels: dict[str, str] | None = None, stem: str = "confsync") -> str:
        """A namespace of its own; gives its name."""
        name = self.name(stem)
        self.create("namespaces", "", {"metadata": {"name": name, "labels": labels or {}}})
        return name

    def create(self, resource: str, namespace: str, thing: dict[str, Any]) -> Any:
        """Makes an object; what is in no namespace is removed in the end."""
        full = {"apiVersion": _GROUPS.get(resource, "v1"), "kind": _KINDS[resource], **thing}
        made = self.must("POST", path_of(resource, namespace), full)
        if not namespace:
            self._made.append(path_of(resource, "", made["metadata"]["name"]))
        return made

    def find(self, resource: str, namespace: str, name: str) -> Any:
        """The object; None when there is none."""
        status, body = self.call("GET", path_of(resource, namespace, name))
        if status == 404:
            return None
        assert status == 200, body
        return body

    def get(self, resource: str, namespace: str, name: str) -> Any:
        """The object.

        Raises:
            AssertionError: there is none.
        """
        return self.must("GET", path_of(resource, namespace, name))

    def items(self, resource: str, namespace: str = "", selector: str = "") -> list[Any]:
        """The objects a label selector selects."""
        query = "?" + urlencode({"labelSelector": selector}) if selector else ""
        found: list[Any] = self.must("GET", path_of(resource, namespace) + query)["items"]
        return found

    def data(self, namespace: str, name: str) -> dict[str, str] | None:
        """What a Secret holds, decoded; None when there is none."""
        found = self.find("secrets", namespace, name)
        if found is None:
            return None
        return {key: base64.b64decode(value).decode() for key, value in (found.get("data") or {}).items()}

    def secret(self, namespace: str, name: str, data: dict[str, str | bytes], **fields: Any) -> Any:
        """Makes a Secret, as `kubectl create` would; `metadata` may be among the fields."""
        metadata = {"name": name, **fields.pop("metadata", {})}
        return self.create("secrets", namespace, {"metadata": metadata, "data": encoded(data), **fields})

    def config_map(self, namespace: str, name: str, data: dict[str, str], **fields: Any) -> Any:
        metadata = {"name": name, **fields.pop("metadata", {})}
        return self.create("configmaps", namespace, {"metadata": metadata, "data": data, **fields})

    def apply(
        self, resource: str, namespace: str, thing: dict[str, Any], manager: str, *, force: bool = False
    ) -> tuple[int, Any]:
        """A server-side apply; gives the status and the body."""
        query = urlencode({"fieldManager": manager, "force": str(force).lower()})
        full = {"apiVersion": _GROUPS.get(resource, "v1"), "kind": _KINDS[resource], **thing}
        path = f"{path_of(resource, namespace, thing['metadata']['name'])}?{query}"
        return self.call("PATCH", path, full, content_type=APPLY)

    def edit(
        self, resource: str, namespace: str, name: str, change: dict[str, Any], manager: str = "kubectl-edit"
    ) -> Any:
        """A merge patch, as `kubectl edit` sends it; takes the fields it changes."""
        path = f"{path_of(resource, namespace, name)}?{urlencode({'fieldManager': manager})}"
        return self.must("PATCH", path, change, content_type=MERGE)

    def delete(self, resource: str, namespace: str, name: str, **options: Any) -> Any:
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **options} if options else None
        return self.must("DELETE", path_of(resource, namespace, name), body)

    def workload(self, resource: str, namespace: str, name: str) -> Any:
        """A Deployment, StatefulSet or DaemonSet that wants no pod."""
        labels = {"app": name}
        template: dict[str, Any] = {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "c", "image": "pause:1"}]},
        }
        spec: dict[str, Any] = {"selector": {"matchLabels": labels}, "template": template}
        if resource == "daemonsets":
            template["spec"]["nodeSelector"] = {"confsync.dev/nowhere": "true"}
        else:
            spec["replicas"] = 0
        if resource == "statefulsets":
            spec["serviceName"] = name
        return self.create(resource, namespace, {"metadata": {"name": name}, "spec": spec})

    def service_account(
        self, namespace: str, name: str, *rules: dict[str, Any], cluster: bool = False
    ) -> str:
        """A service account that may do what the rules say, in its namespace or everywhere; gives a token."""
        self.create("serviceaccounts", namespace, {"metadata": {"name": name}})
        self.allow(namespace, name, *rules, cluster=cluster)
        return self.account_token(namespace, name)

    def allow(self, namespace: str, account: str, *rules: dict[str, Any], cluster: bool = False) -> str:
        """Binds rules to a service account; gives the name of the role and of its binding."""
        if not rules:
            return ""
        role = self.name(account)
        where = "" if cluster else namespace
        kind = "ClusterRole" if cluster else "Role"
        stem = "cluster" if cluster else ""
        self.create(f"{stem}roles", where, {"metadata": {"name": role}, "rules": list(rules)})
        binding = {
            "metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
        }
        self.create(f"{stem}rolebindings", where, binding)
        return role

    def account_token(self, namespace: str, name: str, seconds: int = 3600) -> str:
        """One more token of a service account."""
        spec = {"expirationSeconds": seconds}
        path = f"{path_of('serviceaccounts', namespace, name)}/token"
        return str(self.must("POST", path, {"spec": spec})["status"]["token"])

    def kubeconfig(self, path: Path, *, token: str | None = None, namespace: str = "default") -> Path:
        """Writes a kubeconfig for this cluster; gives its path.

        Args:
            token: whose it is; None is the administrator's own credentials.
        """
        user = self._user if token is None else {"token": token}
        return kubeconfig.write(path, self._cluster, user, namespace)

    @contextmanager
    def watching(
        self, path: str, token: str | None = None, **options: Any
    ) -> Iterator[Iterator[dict[str, Any]]]:
        """A watch; iterating gives its events and blocks between them.

        Raises:
            AssertionError: the watch was refused.
        """
        query = urlencode({"watch": "true", "timeoutSeconds": 30, **options})
        connection = self._connect()
        try:
            connection.request("GET", f"{path}?{query}", None, self._headers(token, "confsync-tests"))
            response = connection.getresponse()
            assert response.status == 200, response.read()
            yield (json.loads(line) for line in iter(response.readline, b""))
        finally:
            connection.close()

    def clean_up(self) -> None:
        """Removes what it made, the newest first; what is gone already, or a server that is, is no error."""
        while self._made:
            try:
                self.call("DELETE", self._made.pop())
            except (OSError, http.client.HTTPException):
                return

    def _headers(self, token: str | None, agent: str) -> dict[str, str]:
        bearer = self.token if token is None else token
        sent = {"Accept": "application/json", "User-Agent": f"{agent}/1"}
        return sent | ({"Authorization": f"Bearer {bearer}"} if bearer else {})

    def _connect(self) -> http.client.HTTPConnection:
        where = urlsplit(self.address).netloc
        if self._tls is None:
            return http.client.HTTPConnection(where, timeout=_TIMEOUT)
        return http.client.HTTPSConnection(where, timeout=_TIMEOUT, context=self._tls)


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content) if content.strip() else None
    except ValueError:
        return content.decode()


def _tls(cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    authority = _material(cluster, "certificate-authority")
    if authority:
        context.load_verify_locations(cadata=authority.decode())
    certificate, key = _material(user, "client-certificate"), _material(user, "client-key")
    if certificate and key:
        with tempfile.NamedTemporaryFile() as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(certificate + b"\n" + key)
            file.flush()
            context.load_cert_chain(file.name)
    return context


def _material(entry: dict[str, Any], name: str) -> bytes:
    """What a kubeconfig holds, inline or in a file."""
    inline = entry.get(f"{name}-data")
    if inline:
        return base64.b64decode(inline)
    return Path(entry[name]).read_bytes() if entry.get(name) else b""
