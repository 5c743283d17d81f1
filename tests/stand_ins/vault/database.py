"""The database engine: a user and a password of one's own, alive until the lease ends."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import Any

from . import ids
from .answers import Answer, Json, Refused, Secret, no_content, not_found, wrapped_error
from .call import Call, as_list
from .durations import seconds
from .mounts import Engine, listing
from .routing import route


class Database(Engine):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._connections: dict[str, dict[str, Any]] = {}
        self._roles: dict[str, dict[str, Any]] = {}

    def collections(self) -> dict[str, Collection[str]]:
        return {"config": self._connections, "roles": self._roles}

    @route("list", "config")
    def list_connections(self, call: Call) -> Answer:
        return listing(self._connections)

    @route("write", "config/<name>")
    def configure(self, call: Call, name: str) -> Answer:
        known = self._connections.get(name, {})
        if not (known or call.body.get("plugin_name")):
            raise Refused(400, "empty plugin name")
        self._connections[name] = {**known, **call.body}
        return Answer()

    @route("read", "config/<name>")
    def read_connection(self, call: Call, name: str) -> Answer:
        if name not in self._connections:
            raise not_found()
        config = self._connections[name]
        details = {key: config[key] for key in ("connection_url", "username") if key in config}
        data: Json = {
            "allowed_roles": as_list(config.get("allowed_roles")),
            "connection_details": details,
            "password_policy": "",
            "plugin_name": config.get("plugin_name"),
            "root_credentials_rotate_statements": [],
        }
        return Answer(data=data)

    @route("delete", "config/<name>")
    def forget_connection(self, call: Call, name: str) -> Answer:
        self._connections.pop(name, None)
        return no_content()

    @route("list", "roles")
    def list_roles(self, call: Call) -> Answer:
        return listing(self._roles)

    @route("write", "roles/<name>")
    def write_role(self, call: Call, name: str) -> Answer:
        role = {**self._roles.get(name, {}), **call.body}
        if not role.get("db_name"):
            raise Refused(400, "empty database name attribute")
        seconds(role.get("default_ttl"))
        seconds(role.get("max_ttl"))
        self._roles[name] = role
        return no_content()

    @route("read", "roles/<name>")
    def read_role(self, call: Call, name: str) -> Answer:
        if name not in self._roles:
            raise not_found()
        role = self._roles[name]
        data: Json = {
            "creation_statements": as_list(role.get("creation_statements")),
            "db_name": role["db_name"],
            "default_ttl": int(seconds(role.get("default_ttl"))),
            "max_ttl": int(seconds(role.get("max_ttl"))),
            "renew_statements": [],
            "revocation_statements": as_list(role.get("revocation_statements")),
            "rollback_statements": [],
        }
        return Answer(data=data)

    @route("delete", "roles/<name>")
    def delete_role(self, call: Call, name: str) -> Answer:
        self._roles.pop(name, None)
        return no_content()

    @route("read", "creds/<name>")
    def credentials(self, call: Call, name: str) -> Answer:
        role = self._roles.get(name)
        if role is None:
            raise Refused(400, f"unknown role: {name}")
        self._check_connection(name, role["db_name"])
        stamp = int(self.core.clock.now())
        username = f"v-{call.caller.display_name[:8]}-{name[:8]}-{ids.letters(20)}-{stamp}"[:63]
        password = secrets.token_urlsafe(15)
        self.core.credentials[username] = password
        ttl, max_ttl = self._limits(name)
        secret = Secret(
            ttl,
            max_ttl,
            renewable=True,
            revoke=lambda: self.core.drop_credential(username),
            renew=lambda: self._limits(name),
        )
        return Answer(data={"password": password, "username": username}, secret=secret)

    def _limits(self, name: str) -> tuple[float, float]:
        if name not in self._roles:
            raise Refused(500, wrapped_error(f"error during renew: could not find role with name: {name}"))
        return seconds(self._roles[name].get("default_ttl")), seconds(self._roles[name].get("max_ttl"))

    def _check_connection(self, role: str, name: str) -> None:
        config = self._connections.get(name)
        if config is None:
            raise Refused(500, wrapped_error(f"failed to find entry for connection with name: {name!r}"))
        allowed = as_list(config.get("allowed_roles"))
        if "*" not in allowed and role not in allowed:
            raise Refused(500, wrapped_error(f'"{role}" is not an allowed role'))
