"""sys/: health, seal and unseal."""

from __future__ import annotations

import base64
import binascii

from .answers import Answer, Json, Refused, no_content
from .call import Call
from .mounts import Engine
from .routing import route


class SealRoutes(Engine):
    @route("read", "health")
    def health(self, call: Call) -> Answer:
        core = self.core
        replication = "unknown" if core.sealed else "disabled"
        body: Json = {
            "initialized": True,
            "performance_standby": False,
            "replication_dr_mode": replication,
            "replication_performance_mode": replication,
            "sealed": core.sealed,
            "server_time_utc": int(core.clock.now()),
            "standby": core.sealed,
            "version": core.version,
        }
        if not core.sealed:
            body |= {"cluster_id": core.cluster_id, "cluster_name": core.cluster_name}
        code = call.query.get("sealedcode", "503") if core.sealed else call.query.get("activecode", "200")
        return Answer(raw=body, status=int(code))

    @route("read", "seal-status")
    def seal_status(self, call: Call) -> Answer:
        return Answer(raw=self._status())

    @route("write", "seal")
    def seal(self, call: Call) -> Answer:
        self.core.sealed = True
        return no_content()

    @route("write", "unseal")
    def unseal(self, call: Call) -> Answer:
        key = call.body.get("key")
        if call.body.get("reset"):
            return Answer(raw=self._status())
        if not key:
            raise Refused(400, "'key' must be specified in request body as JSON, or 'reset' set to true")
        if not self.core.sealed:
            return Answer(raw=self._status())
        if not _is_key(str(key)):
            raise Refused(400, "'key' must be a valid hex or base64 string")
        if key != self.core.unseal_key:
            raise Refused(400, "Unseal failed, invalid key")
        self.core.sealed = False
        self.core.expire()
        return Answer(raw=self._status())

    def _status(self) -> Json:
        core = self.core
        body: Json = {
            "initialized": True,
            "migration": False,
            "n": 1,
            "nonce": "",
            "progress": 0,
            "recovery_seal": False,
            "sealed": core.sealed,
            "storage_type": "inmem",
            "t": 1,
            "type": "shamir",
            "version": core.version,
        }
        return (
            body if core.sealed else body | {"cluster_id": core.cluster_id, "cluster_name": core.cluster_name}
        )


def _is_key(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error:
        return False
    return True
