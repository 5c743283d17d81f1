"""auth/approle: a machine proves itself by a role id and a secret id."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from . import roles
from .answers import Answer, Json, Refused, no_content, not_found
from .call import Call
from .clock import rfc3339
from .durations import seconds
from .mounts import Engine, listing
from .routing import route


@dataclass
class SecretId:
    """`uses` is None without a limit, `expires` an epoch time or None."""

    id: str
    created: float
    ttl: float
    uses: int | None
    expires: float | None
    metadata: dict[str, str]
    accessor: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass
class Role:
    name: str
    fields: dict[str, Any] = field(default_factory=dict)
    role_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    secret_ids: dict[str, SecretId] = field(default_factory=dict)

    @property
    def needs_secret_id(self) -> bool:
        return self.fields.get("bind_secret_id", True) not in (False, "false")


class AppRole(Engine):
    without_token = ("login",)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._roles: dict[str, Role] = {}

    def exists(self, path: str) -> bool:
        return not path.startswith("role/") or path.split("/")[1].lower() in self._roles

    def role_limits(self, token_role: str) -> dict[str, Any] | None:
        role = self._roles.get(token_role)
        return roles.role_limits(role.fields) if role else None

    @route("list", "role")
    def list_keys(self, call: Call) -> Answer:
        return listing(self._roles)

    @route("write", "role/<name>")
    def write(self, call: Call, name: str) -> Answer:
        role = self._roles.setdefault(name.lower(), Role(name.lower()))
        role.fields = {**role.fields, **call.body}
        role.role_id = str(call.body.get("role_id") or role.role_id)
        return no_content()

    @route("read", "role/<name>")
    def read(self, call: Call, name: str) -> Answer:
        role = self._role(name)
        own: Json = {
            "bind_secret_id": role.needs_secret_id,
            "local_secret_ids": False,
            "secret_id_bound_cidrs": None,
            "secret_id_num_uses": int(role.fields.get("secret_id_num_uses") or 0),
            "secret_id_ttl": int(seconds(role.fields.get("secret_id_ttl"))),
        }
        return Answer(data=own | roles.shown(role.fields))

    @route("delete", "role/<name>")
    def delete(self, call: Call, name: str) -> Answer:
        self._roles.pop(name.lower(), None)
        return no_content()

    @route("read", "role/<name>/role-id")
    def read_role_id(self, call: Call, name: str) -> Answer:
        return Answer(data={"role_id": self._role(name).role_id})

    @route("write", "role/<name>/role-id")
    def write_role_id(self, call: Call, name: str) -> Answer:
        self._role(name).role_id = str(call.required("role_id", "missing role_id"))
        return no_content()

    @route("write", "role/<name>/secret-id")
    def make_secret_id(self, call: Call, name: str) -> Answer:
        return self._secret_id(self._existing(name), call, str(uuid.uuid4()))

    @route("list", "role/<name>/secret-id")
    def list_secret_ids(self, call: Call, name: str) -> Answer:
        return listing(secret.accessor for secret in self._role(name).secret_ids.values())

    @route("write", "role/<name>/custom-secret-id")
    def custom_secret_id(self, call: Call, name: str) -> Answer:
        return self._secret_id(
            self._existing(name), call, str(call.required("secret_id", "missing secret_id"))
        )

    @route("write", "role/<name>/secret-id/lookup")
    def look_up_secret_id(self, call: Call, name: str) -> Answer:
        secret = self._alive(self._role(name), str(call.body.get("secret_id")))
        if secret is None:
            return no_content()
        data: Json = {
            "cidr_list": [],
            "creation_time": rfc3339(secret.created),
            "expiration_time": "0001-01-01T00:00:00Z" if secret.expires is None else rfc3339(secret.expires),
            "last_updated_time": rfc3339(secret.created),
            "metadata": secret.metadata,
            "secret_id_accessor": secret.accessor,
            "secret_id_num_uses": secret.uses or 0,
            "secret_id_ttl": int(secret.ttl),
            "token_bound_cidrs": [],
        }
        return Answer(data=data)

    @route("write", "role/<name>/secret-id/destroy")
    def destroy_secret_id(self, call: Call, name: str) -> Answer:
        self._role(name).secret_ids.pop(str(call.body.get("secret_id")), None)
        return no_content()

    @route("write", "login")
    def login(self, call: Call) -> Answer:
        role_id = call.required("role_id", "missing role_id")
        role = next((role for role in self._roles.values() if role.role_id == role_id), None)
        if role is None:
            raise Refused(400, "invalid role ID")
        meta = {"role_name": role.name}
        if role.needs_secret_id:
            secret = self._alive(role, str(call.required("secret_id", "missing secret_id")))
            if secret is None:
                raise Refused(400, "invalid secret id")
            self._use(role, secret)
            meta |= secret.metadata
        return self.core.login(call, self.mount, role.role_id, role.name, role.fields, meta, "approle")

    def _secret_id(self, role: Role, call: Call, secret_id: str) -> Answer:
        now = self.core.clock.now()
        ttl = seconds(call.body.get("ttl") or role.fields.get("secret_id_ttl"))
        uses = int(call.body.get("num_uses") or role.fields.get("secret_id_num_uses") or 0)
        metadata = call.body.get("metadata") or {}
        if isinstance(metadata, str):
            metadata = _metadata(metadata)
        secret = SecretId(secret_id, now, ttl, uses or None, now + ttl if ttl else None, metadata)
        role.secret_ids[secret_id] = secret
        data = {"secret_id": secret_id, "secret_id_accessor": secret.accessor, "secret_id_ttl": int(ttl)}
        return Answer(data=data)

    def _alive(self, role: Role, secret_id: str) -> SecretId | None:
        secret = role.secret_ids.get(secret_id)
        if secret is not None and secret.expires is not None and secret.expires <= self.core.clock.now():
            del role.secret_ids[secret_id]
            return None
        return secret

    def _use(self, role: Role, secret: SecretId) -> None:
        if secret.uses is None:
            return
        secret.uses -= 1
        if not secret.uses:
            del role.secret_ids[secret.id]

    def _role(self, name: str) -> Role:
        role = self._roles.get(name.lower())
        if role is None:
            raise not_found()
        return role

    def _existing(self, name: str) -> Role:
        role = self._roles.get(name.lower())
        if role is None:
            raise Refused(400, f'role "{name}" does not exist')
        return role


def _metadata(text: str) -> dict[str, str]:
    try:
        parsed = json.loads(text)
    except ValueError as exc:
        raise Refused(400, f"failed to parse JSON metadata: {text}") from exc
    return parsed if isinstance(parsed, dict) else {}
