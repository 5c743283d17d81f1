"""The KV engine, version 1: a path holds one map of fields."""

from __future__ import annotations

from typing import Any

from .answers import Answer, Refused, no_content, not_found
from .call import Call
from .durations import seconds
from .mounts import Engine, children, listing
from .routing import route


class Kv1(Engine):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._secrets: dict[str, dict[str, Any]] = {}

    def exists(self, path: str) -> bool:
        return path in self._secrets

    @route("list", "<path...>")
    def list_keys(self, call: Call, path: str) -> Answer:
        return listing(children(self._secrets, f"{path}/" if path else ""))

    @route("read", "<path...>")
    def read(self, call: Call, path: str) -> Answer:
        found = self._secrets.get(path)
        if found is None:
            raise not_found()
        return Answer(data=found, lease_duration=self._ttl(found))

    @route("write", "<path...>")
    def write(self, call: Call, path: str) -> Answer:
        if not path:
            raise Refused(400, "missing path")
        if not call.body:
            raise Refused(400, "missing data fields")
        self._secrets[path] = call.body
        return no_content()

    @route("delete", "<path...>")
    def delete(self, call: Call, path: str) -> Answer:
        self._secrets.pop(path, None)
        return no_content()

    def _ttl(self, fields: dict[str, Any]) -> int:
        """The secret's own `ttl` or `lease` is a hint to its readers; one nobody can read is none."""
        try:
            own = seconds(fields.get("ttl") or fields.get("lease"))
        except Refused:
            own = 0
        return int(own or self.mount.default_ttl)
