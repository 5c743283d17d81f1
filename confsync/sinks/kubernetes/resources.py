"""The kinds of object confsync deals with, and where the API server has them.

Paths as in https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object.

    Attributes:
        kind: as in a manifest: "Secret".
        plural: as in a path and in RBAC: "secrets".
        api_version: as in a manifest: "v1", "apps/v1".
    """

    kind: str
    plural: str
    api_version: str

    @property
    def group(self) -> str:
        """The API group as RBAC has it; "" is the core."""
        group, slash, _ = self.api_version.partition("/")
        return group if slash else ""

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """The path of one object, or without a name of all of them; without a namespace everywhere.

        Raises:
            ValueError: a name no object can have, which would lead elsewhere: "", ".", "..", one with / or %.
        """
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        steps = [root]
        if namespace is not None:
            steps += ["namespaces", _segment(namespace)]
        steps.append(self.plural)
        if name is not None:
            steps.append(_segment(name))
        return "/".join(steps)


def _segment(name: str) -> str:
    """One step of a path; the rule is apimachinery's IsValidPathSegmentName."""
    if name in ("", ".", "..") or "/" in name or "%" in name:
        raise ValueError(f"{name!r} is no name of an object")
    return quote(name, safe="")


SECRET = Resource("Secret", "secrets", "v1")
CONFIG_MAP = Resource("ConfigMap", "configmaps", "v1")
NAMESPACE = Resource("Namespace", "namespaces", "v1")
DEPLOYMENT = Resource("Deployment", "deployments", "apps/v1")
STATEFUL_SET = Resource("StatefulSet", "statefulsets", "apps/v1")
DAEMON_SET = Resource("DaemonSet", "daemonsets", "apps/v1")
LEASE = Resource("Lease", "leases", "coordination.k8s.io/v1")
