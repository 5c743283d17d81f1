"""sys/: wrapped answers."""

from __future__ import annotations

from dataclasses import replace

from .answers import Answer, Refused
from .call import Call
from .clock import rfc3339
from .mounts import Engine
from .routing import route


class WrappingRoutes(Engine):
    @route("write", "wrapping/unwrap")
    def unwrap(self, call: Call) -> Answer:
        wanted = self._wanted(call)
        self.core.wrapping.find(wanted)
        if wanted != call.token:
            self.core.check(replace(call, who=self.core.identified(call)))
        return self.core.wrapping.unwrap(wanted)

    @route("write", "wrapping/lookup")
    def lookup(self, call: Call) -> Answer:
        wrapped = self.core.wrapping.find(self._wanted(call))
        data = {
            "creation_path": wrapped.path,
            "creation_time": rfc3339(wrapped.created),
            "creation_ttl": int(wrapped.ttl),
        }
        return Answer(data=data)

    @route("write", "wrapping/wrap")
    def wrap(self, call: Call) -> Answer:
        if not call.wrap_ttl:
            raise Refused(400, "endpoint requires response wrapping to be used")
        return Answer(data=dict(call.body))

    def _wanted(self, call: Call) -> str:
        return str(call.body.get("token") or call.token)
