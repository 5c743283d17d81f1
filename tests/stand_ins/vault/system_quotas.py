"""sys/: rate limit quotas."""

from __future__ import annotations

from .answers import Answer, Refused, no_content, not_found
from .call import Call
from .durations import seconds
from .mounts import Engine, listing
from .quotas import Quota
from .routing import route


class QuotaRoutes(Engine):
    @route("list", "quotas/rate-limit")
    def list_quotas(self, call: Call) -> Answer:
        return listing(self.core.quotas.by_name)

    @route("read", "quotas/rate-limit/<name>")
    def read_quota(self, call: Call, name: str) -> Answer:
        if name not in self.core.quotas.by_name:
            raise not_found()
        return Answer(data=self.core.quotas.by_name[name].shown())

    @route("write", "quotas/rate-limit/<name>")
    def write_quota(self, call: Call, name: str) -> Answer:
        rate = float(call.body.get("rate") or 0)
        if rate <= 0:
            raise Refused(400, "'rate' is invalid")
        path = str(call.body.get("path") or "")
        if path and call.namespace.find(path) is None:
            raise Refused(400, "invalid mount path")
        interval = seconds(call.body.get("interval")) or 1.0
        quota = Quota(name, path, rate, interval, seconds(call.body.get("block_interval")))
        self.core.quotas.by_name[name] = quota
        return no_content()

    @route("delete", "quotas/rate-limit/<name>")
    def delete_quota(self, call: Call, name: str) -> Answer:
        self.core.quotas.by_name.pop(name, None)
        return no_content()

    @route("write", "quotas/config")
    def configure_quotas(self, call: Call) -> Answer:
        self.core.quotas.headers = bool(call.body.get("enable_rate_limit_response_headers"))
        return no_content()
