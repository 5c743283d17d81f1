"""sys/: policies, and what they let a token do."""

from __future__ import annotations

from typing import Any

from . import policies
from .answers import Answer, Json, Refused, no_content, not_found
from .call import Call, as_list
from .mounts import Engine, listing
from .routing import route

_FIXED = {"root": "cannot update root policy", "response-wrapping": "cannot update response-wrapping policy"}


class PolicyRoutes(Engine):
    @route("list", "policies/acl")
    def list_keys(self, call: Call) -> Answer:
        return listing({*call.namespace.policies, "root"} - {"response-wrapping"})

    @route("read list", "policy")
    def list_legacy(self, call: Call) -> Answer:
        names = sorted({*call.namespace.policies, "root"} - {"response-wrapping"})
        return Answer(data={"keys": names, "policies": names}, top_level=True)

    @route("read", "policies/acl/<name>")
    def read(self, call: Call, name: str) -> Answer:
        return Answer(data={"name": name, "policy": self._text(call, name)})

    @route("read", "policy/<name>")
    def read_legacy(self, call: Call, name: str) -> Answer:
        return Answer(data={"name": name, "rules": self._text(call, name)}, top_level=True)

    @route("write", "policies/acl/<name>")
    def write(self, call: Call, name: str) -> Answer:
        if name in _FIXED:
            raise Refused(400, _FIXED[name])
        text = str(call.body.get("policy") or call.body.get("rules") or "")
        if not text:
            raise Refused(400, "'policy' parameter not supplied or empty")
        policies.parse(text)
        call.namespace.policies[name.lower()] = text
        return no_content()

    @route("write", "policy/<name>")
    def write_legacy(self, call: Call, name: str) -> Answer:
        return self.write(call, name)

    @route("delete", "policies/acl/<name>")
    def delete(self, call: Call, name: str) -> Answer:
        if name in ("default", *_FIXED):
            raise Refused(400, f"cannot delete {name} policy")
        call.namespace.policies.pop(name.lower(), None)
        return no_content()

    @route("delete", "policy/<name>")
    def delete_legacy(self, call: Call, name: str) -> Answer:
        return self.delete(call, name)

    @route("write", "capabilities-self")
    def capabilities_self(self, call: Call) -> Answer:
        return self._capabilities(call, call.caller)

    @route("write", "capabilities")
    def capabilities(self, call: Call) -> Answer:
        token = self.core.tokens.find(str(call.body.get("token") or call.token))
        if token is None:
            raise Refused(400, "invalid token")
        return self._capabilities(call, token)

    def _capabilities(self, call: Call, token: Any) -> Answer:
        paths = as_list(call.body.get("paths") or call.body.get("path"))
        if not paths:
            raise Refused(400, "paths must be supplied")
        acl = token.namespace.acl(token.policies)
        found: Json = {
            path: sorted(acl.capabilities(call.namespace.path + path, listing=path.endswith("/"))) or ["deny"]
            for path in paths
        }
        if len(paths) == 1:
            found["capabilities"] = found[paths[0]]
        return Answer(data=found, top_level=True)

    def _text(self, call: Call, name: str) -> str:
        if name == "root":
            return ""
        if name.lower() not in call.namespace.policies:
            raise not_found()
        return call.namespace.policies[name.lower()]
