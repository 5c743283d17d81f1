"""auth/ldap: a user and a password that an LDAP server knows; here VaultServer.directory_user says which."""

from __future__ import annotations

from typing import Any

from . import roles
from .answers import Answer, Refused, no_content, not_found
from .call import Call, as_list
from .mounts import Engine
from .routing import route


class Ldap(Engine):
    without_token = ("login/.+",)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._config: dict[str, Any] | None = None
        self._users: dict[str, list[str]] = {}

    def role_limits(self, token_role: str) -> dict[str, Any] | None:
        return roles.role_limits(self._config or {})

    @route("write", "config")
    def configure(self, call: Call) -> Answer:
        self._config = {**(self._config or {}), **call.body}
        return no_content()

    @route("read", "config")
    def read_config(self, call: Call) -> Answer:
        if self._config is None:
            raise not_found()
        hidden = {name: value for name, value in self._config.items() if name != "bindpass"}
        return Answer(data=hidden | roles.shown(self._config))

    @route("write", "users/<name>")
    def write_user(self, call: Call, name: str) -> Answer:
        self._users[name] = as_list(call.body.get("policies"))
        return no_content()

    @route("write", "login/<name>")
    def login(self, call: Call, name: str) -> Answer:
        if self._config is None:
            raise Refused(400, "ldap backend not configured")
        password = call.required(
            "password", "password cannot be of zero length when passwordless binds are being denied"
        )
        known, policies = self.core.directory.get(name, (None, []))
        if known is None or known != password:
            raise Refused(400, "ldap operation failed: failed to bind as user")
        granted = [*as_list(self._config.get("token_policies")), *policies, *self._users.get(name, [])]
        role = {**self._config, "token_policies": granted}
        return self.core.login(call, self.mount, name, name, role, {"username": name}, f"ldap-{name}")
