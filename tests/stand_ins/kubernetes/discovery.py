"""What the server says of what it serves: versions, groups, resources, and of OpenAPI what kubectl looks for.

Source: apiserver's endpoints/discovery and kube-openapi's handler3; kubectl's util/openapi and apply's patcher.
"""

from __future__ import annotations

from collections.abc import Iterable

from .kinds import Kind
from .registry import Registry
from .status import Json

_OPENAPI = "/openapi/v3"
_SHORT = {"namespaces": "ns", "configmaps": "cm", "serviceaccounts": "sa", "deployments": "deploy",
          "statefulsets": "sts", "daemonsets": "ds"}  # fmt: skip
_OPTIONS = ("dryRun", "fieldManager", "fieldValidation", "force")


def page(path: str, registry: Registry) -> Json | None:
    """A page about what is served; None when the path is none of these."""
    kinds = registry.all()
    if path.startswith(_OPENAPI):
        return _openapi(path.removeprefix(_OPENAPI).strip("/"), kinds)
    groups = sorted({(kind.group, kind.version) for kind in kinds if kind.group})
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    if path == "/apis":
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(*pair) for pair in groups]}
    steps = path.strip("/").split("/")
    if steps == ["api", "v1"]:
        group, version = "", "v1"
    elif steps[0] == "apis" and len(steps) == 3:
        group, version = steps[1], steps[2]
    else:
        return None
    resources = [
        {
            "name": kind.plural,
            "singularName": kind.kind.lower(),
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": list(kind.verbs),
        }
        | ({"shortNames": [_SHORT[kind.plural]]} if kind.plural in _SHORT else {})
        for kind in kinds
        if (kind.group, kind.version) == (group, version)
    ]
    if not resources:
        return None
    where = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": where, "resources": resources}


def _group(name: str, version: str) -> Json:
    served = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [served], "preferredVersion": served}


def _openapi(where: str, kinds: Iterable[Kind]) -> Json | None:
    """The index of OpenAPI documents, or one of them: which options a patch of each kind has, and no schemas.

    By the options kubectl knows that it may leave it to the server to find what is wrong with a manifest.
    """
    places = {_place(kind) for kind in kinds}
    if not where:
        return {"paths": {place: {"serverRelativeURL": f"{_OPENAPI}/{place}?hash=0"} for place in places}}
    if where not in places:
        return None
    paths = {f"/{where}/{_below(kind)}": {"patch": _patch(kind)} for kind in kinds if _place(kind) == where}
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1"}, "paths": paths}


def _place(kind: Kind) -> str:
    return f"apis/{kind.api_version}" if kind.group else f"api/{kind.version}"


def _below(kind: Kind) -> str:
    name = f"{kind.plural}/{{name}}"
    return f"namespaces/{{namespace}}/{name}" if kind.namespaced else name


def _patch(kind: Kind) -> Json:
    options = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in _OPTIONS]
    return {
        "parameters": options,
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-group-version-kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
    }
