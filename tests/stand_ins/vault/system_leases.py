"""sys/: leases."""

from __future__ import annotations

from .answers import Answer, Refused, no_content
from .call import Call
from .durations import seconds
from .mounts import Engine, children, listing
from .routing import route

_MISSING = "lease_id must be specified"


class LeaseRoutes(Engine):
    @route("write", "leases/renew")
    def renew(self, call: Call) -> Answer:
        return self.renew_named(call, str(call.required("lease_id", _MISSING)))

    @route("write", "renew")
    def renew_old(self, call: Call) -> Answer:
        return self.renew(call)

    @route("write", "leases/renew/<lease_id...>")
    def renew_named(self, call: Call, lease_id: str) -> Answer:
        return self.core.leases.renew(lease_id, seconds(call.body.get("increment")))

    @route("write", "leases/revoke")
    def revoke(self, call: Call) -> Answer:
        return self.revoke_named(call, str(call.required("lease_id", _MISSING)))

    @route("write", "revoke")
    def revoke_old(self, call: Call) -> Answer:
        return self.revoke(call)

    @route("write", "leases/revoke/<lease_id...>")
    def revoke_named(self, call: Call, lease_id: str) -> Answer:
        self.core.leases.revoke(lease_id)
        return no_content()

    @route("write", "leases/revoke-prefix/<prefix...>")
    def revoke_prefix(self, call: Call, prefix: str) -> Answer:
        for lease in self.core.leases.below(prefix):
            self.core.leases.revoke(lease.id)
        return no_content()

    @route("write", "revoke-prefix/<prefix...>")
    def revoke_prefix_old(self, call: Call, prefix: str) -> Answer:
        return self.revoke_prefix(call, prefix)

    @route("write", "leases/revoke-force/<prefix...>")
    def revoke_force(self, call: Call, prefix: str) -> Answer:
        return self.revoke_prefix(call, prefix)

    @route("write", "leases/lookup")
    def lookup(self, call: Call) -> Answer:
        lease = self.core.leases.find(str(call.required("lease_id", _MISSING)))
        if lease is None:
            raise Refused(400, "invalid lease")
        return Answer(data=lease.lookup(self.core.clock.now()))

    @route("list", "leases/lookup/<prefix...>")
    def list_leases(self, call: Call, prefix: str) -> Answer:
        below = f"{prefix}/" if prefix else ""
        return listing(children((lease.id for lease in self.core.leases.below(below)), below))
