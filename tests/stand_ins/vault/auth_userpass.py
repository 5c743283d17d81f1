"""auth/userpass: a user and a password that Vault keeps."""

from __future__ import annotations

from typing import Any

from . import roles
from .answers import Answer, Refused, no_content, not_found
from .call import Call
from .mounts import Engine, listing
from .routing import route


class Userpass(Engine):
    without_token = ("login/.+",)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._users: dict[str, dict[str, Any]] = {}

    def exists(self, path: str) -> bool:
        return not path.startswith("users/") or path.split("/")[1].lower() in self._users

    def role_limits(self, token_role: str) -> dict[str, Any] | None:
        user = self._users.get(token_role)
        return roles.role_limits(user) if user else None

    @route("list", "users")
    def list_users(self, call: Call) -> Answer:
        return listing(self._users)

    @route("write", "users/<name>")
    def write(self, call: Call, name: str) -> Answer:
        user = {**self._users.get(name.lower(), {}), **call.body}
        if not user.get("password"):
            raise Refused(400, "missing password")
        self._users[name.lower()] = user
        return no_content()

    @route("read", "users/<name>")
    def read(self, call: Call, name: str) -> Answer:
        if name.lower() not in self._users:
            raise not_found()
        return Answer(data=roles.shown(self._users[name.lower()]))

    @route("delete", "users/<name>")
    def delete(self, call: Call, name: str) -> Answer:
        self._users.pop(name.lower(), None)
        return no_content()

    @route("write", "users/<name>/password")
    def change_password(self, call: Call, name: str) -> Answer:
        if name.lower() not in self._users:
            raise Refused(400, "username does not exist")
        self._users[name.lower()]["password"] = call.required("password", "missing password")
        return no_content()

    @route("write", "login/<name>")
    def login(self, call: Call, name: str) -> Answer:
        name = name.lower()
        password = call.required("password", "missing password")
        user = self._users.get(name)
        if user is None or user["password"] != password:
            raise Refused(400, "invalid username or password")
        meta = {"username": name}
        return self.core.login(call, self.mount, name, name, user, meta, f"{self.name}-{name}")

    @property
    def name(self) -> str:
        return self.mount.path.removeprefix("auth/").rstrip("/").replace("/", "-")
