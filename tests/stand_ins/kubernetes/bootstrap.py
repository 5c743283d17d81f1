"""What a new cluster holds before anybody writes to it."""

from __future__ import annotations

from .status import Json

NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")

_PUBLIC = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
_DISCOVERY = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", *_PUBLIC]
_REVIEWS = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]

_ROLES: dict[str, tuple[list[Json], list[str]]] = {
    "cluster-admin": (
        [
            {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
            {"nonResourceURLs": ["*"], "verbs": ["*"]},
        ],
        ["system:masters"],
    ),
    "system:basic-user": (
        [{"apiGroups": ["authorization.k8s.io"], "resources": _REVIEWS, "verbs": ["create"]}],
        ["system:authenticated"],
    ),
    "system:discovery": ([{"nonResourceURLs": _DISCOVERY, "verbs": ["get"]}], ["system:authenticated"]),
    "system:public-info-viewer": (
        [{"nonResourceURLs": _PUBLIC, "verbs": ["get"]}],
        ["system:authenticated", "system:unauthenticated"],
    ),
}
"""Roles by name: their rules, and the groups that are bound to them. A real cluster has some sixty more."""


def objects() -> list[tuple[str, Json]]:
    """What to create, each with its resource."""
    made: list[tuple[str, Json]] = [("namespaces", {"metadata": {"name": name}}) for name in NAMESPACES]
    for name, (rules, groups) in _ROLES.items():
        made.append(("clusterroles", {"metadata": {"name": name}, "rules": rules}))
        made.append(("clusterrolebindings", binding("ClusterRole", name, name, "Group", groups)))
    return made


def binding(kind: str, role: str, name: str, who: str, names: list[str]) -> Json:
    """A binding of a role to users or groups.

    Args:
        kind: Role or ClusterRole.
        who: User or Group.
    """
    group = "rbac.authorization.k8s.io"
    return {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": kind, "name": role},
        "subjects": [{"apiGroup": group, "kind": who, "name": one} for one in names],
    }
