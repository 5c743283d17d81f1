"""The kinds that are served."""

from __future__ import annotations

from .kinds import Kind
from .plain import (
    ClusterRoleBindings,
    ClusterRoles,
    Events,
    Leases,
    Namespaces,
    RoleBindings,
    Roles,
    ServiceAccounts,
)
from .request import Target
from .secret import ConfigMaps, Secrets
from .status import beyond_the_stand_in, method_not_allowed, page_not_found
from .workloads import DaemonSets, Deployments, StatefulSets

_BUILT_IN: tuple[Kind, ...] = (
    Namespaces(),
    Secrets(),
    ConfigMaps(),
    ServiceAccounts(),
    Events(),
    Leases(),
    Deployments(),
    StatefulSets(),
    DaemonSets(),
    Roles(),
    RoleBindings(),
    ClusterRoles(),
    ClusterRoleBindings(),
)


_REAL = {
    "": "bindings componentstatuses endpoints limitranges nodes persistentvolumeclaims persistentvolumes pods "
    "podtemplates replicationcontrollers resourcequotas services",
    "apps": "controllerrevisions replicasets",
    "authentication.k8s.io": "selfsubjectreviews tokenreviews",
    "authorization.k8s.io": "localsubjectaccessreviews selfsubjectrulesreviews subjectaccessreviews",
    "batch": "cronjobs jobs",
    "events.k8s.io": "events",
}
"""What a real server serves and this one does not."""


class Registry:
    """Finds the kind of a URL; custom kinds come and go with their definitions."""

    def __init__(self) -> None:
        self._kinds = {(kind.group, kind.version, kind.plural): kind for kind in _BUILT_IN}

    def all(self) -> list[Kind]:
        return list(self._kinds.values())

    def add(self, kind: Kind) -> None:
        self._kinds[kind.group, kind.version, kind.plural] = kind

    def remove(self, group: str, plural: str) -> None:
        for key in [key for key in self._kinds if key[0] == group and key[2] == plural]:
            del self._kinds[key]

    def at(self, path: str) -> Kind | None:
        """The kind that is kept there, whatever its version."""
        return next((kind for kind in self._kinds.values() if kind.path == path), None)

    def find(self, target: Target, verb: str) -> Kind:
        """The kind a URL names.

        Raises:
            Refused: 404 when there is none, 405 when it has no such verb here.
        """
        kind = self._kinds.get((target.group, target.version, target.plural))
        if target.plural in _REAL.get(target.group, "").split() or target.subresource in (
            "scale",
            "rollback",
        ):
            raise beyond_the_stand_in(f"{target.group or 'core'} {target.resource}")
        if kind is None or (target.subresource and target.subresource not in kind.subresources):
            raise page_not_found()
        if target.name and kind.namespaced and not target.namespace:
            raise page_not_found()
        if target.namespace and not kind.namespaced and kind.plural != "namespaces":
            raise page_not_found()
        anywhere = kind.namespaced and not target.namespace
        if verb not in kind.verbs or (
            verb == "create" and (anywhere or (target.name and not target.subresource))
        ):
            raise method_not_allowed()
        return kind
