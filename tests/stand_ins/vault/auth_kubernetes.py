"""auth/kubernetes: a service account's token. Nobody is asked whether Kubernetes signed it: the claims decide.

A real Vault has the cluster review it; the claims that matter and the errors are the same.
"""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import Any

from . import jwt, roles
from .answers import Answer, Json, Refused, denied, no_content, not_found
from .call import Call, as_list
from .mounts import Engine, listing
from .routing import route

_LEGACY = "kubernetes.io/serviceaccount/"


class Kubernetes(Engine):
    without_token = ("login",)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._config: dict[str, Any] | None = None
        self._roles: dict[str, dict[str, Any]] = {}

    def collections(self) -> dict[str, Collection[str]]:
        return {"role": self._roles}

    def role_limits(self, token_role: str) -> dict[str, Any] | None:
        role = self._roles.get(token_role)
        return roles.role_limits(role) if role else None

    @route("write", "config")
    def configure(self, call: Call) -> Answer:
        call.required("kubernetes_host", "no host provided")
        self._config = dict(call.body)
        return no_content()

    @route("list", "role")
    def list_roles(self, call: Call) -> Answer:
        return listing(self._roles)

    @route("write", "role/<name>")
    def write_role(self, call: Call, name: str) -> Answer:
        call.required("bound_service_account_names", '"bound_service_account_names" can not be empty')
        call.required(
            "bound_service_account_namespaces", '"bound_service_account_namespaces" can not be empty'
        )
        self._roles[name] = {**self._roles.get(name, {}), **call.body}
        return no_content()

    @route("read", "role/<name>")
    def read_role(self, call: Call, name: str) -> Answer:
        if name not in self._roles:
            raise not_found()
        role = self._roles[name]
        bound = {key: as_list(value) for key, value in role.items() if key.startswith("bound_")}
        return Answer(data=bound | roles.shown(role))

    @route("write", "login")
    def login(self, call: Call) -> Answer:
        name = str(call.required("role", "missing role"))
        token = str(call.required("jwt", "missing jwt"))
        role = self._roles.get(name)
        if role is None:
            raise Refused(400, f'invalid role name "{name}"')
        if self._config is None:
            raise Refused(500, "could not load backend configuration")
        account = _account(token)
        self._check(account, role)
        meta = {
            "role": name,
            "service_account_name": account["name"],
            "service_account_namespace": account["namespace"],
            "service_account_secret_name": account["secret"],
            "service_account_uid": account["uid"],
        }
        display = f"kubernetes-{account['namespace']}-{account['name']}"
        return self.core.login(call, self.mount, account["uid"], name, role, meta, display)

    def _check(self, account: dict[str, Any], role: Json) -> None:
        if not _fits(account["name"], role["bound_service_account_names"]):
            raise Refused(500, "service account name not authorized")
        if not _fits(account["namespace"], role["bound_service_account_namespaces"]):
            raise Refused(500, "namespace not authorized")
        if not account["uid"]:
            raise Refused(500, "could not parse UID from claims")
        if account["exp"] and account["exp"] < self.core.clock.now():
            raise denied()


def _account(token: str) -> dict[str, Any]:
    """Who it is, from a projected token or from one of the old kind."""
    try:
        claims = jwt.claims(token)
    except ValueError as exc:
        raise Refused(500, str(exc)) from exc
    projected = claims.get("kubernetes.io")
    if isinstance(projected, dict):
        account = projected.get("serviceaccount") or {}
        name, uid, namespace = account.get("name"), account.get("uid"), projected.get("namespace")
    else:
        name, uid = (claims.get(f"{_LEGACY}service-account.{what}") for what in ("name", "uid"))
        namespace = claims.get(f"{_LEGACY}namespace")
    secret = claims.get(f"{_LEGACY}secret.name")
    found = {"name": name, "uid": uid, "namespace": namespace, "secret": secret}
    return {key: str(value or "") for key, value in found.items()} | {"exp": claims.get("exp")}


def _fits(name: str, patterns: Any) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in as_list(patterns))
