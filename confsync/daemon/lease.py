"""A coordination/v1 Lease: what it says, and what is written into it. Pure.

The fields are those of https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/, used as
client-go's tools/leaderelection uses them, so that kubectl and other tools show what they show of any controller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from confsync.sinks.kubernetes.resources import LEASE


@dataclass(frozen=True, slots=True)
class Record:
    """What a Lease says of who leads.

    The times are of the clock of who wrote them: they are compared for being different, never for being later.

    Attributes:
        holder: who leads; "" where nobody does.
        seconds: how long the others wait after it was last seen to change.
        acquired, renewed: when, by the holder's clock, as text.
        transitions: how often the lease went from one holder to the next.
    """

    holder: str
    seconds: int
    acquired: str
    renewed: str
    transitions: int = 0

    @classmethod
    def of(cls, lease: Mapping[str, Any], seconds: int) -> Record:
        """What `lease` says; `seconds` where it does not say for how long."""
        spec = _mapping(lease.get("spec"))
        return cls(
            str(spec.get("holderIdentity") or ""),
            int(spec.get("leaseDurationSeconds") or seconds),
            str(spec.get("acquireTime") or ""),
            str(spec.get("renewTime") or ""),
            int(spec.get("leaseTransitions") or 0),
        )

    def renewed_at(self, now: float) -> Record:
        """The same holder's next sign of life. Args: now: seconds since the epoch."""
        return replace(self, renewed=micro_time(now))

    def released_at(self, now: float) -> Record:
        """Nobody's any more; as client-go has it, with the shortest duration the API server takes."""
        moment = micro_time(now)
        return replace(self, holder="", seconds=1, acquired=moment, renewed=moment)

    def taken_at(self, now: float, holder: str, seconds: int) -> Record:
        """Somebody else's from now on."""
        moment = micro_time(now)
        return Record(holder, seconds, moment, moment, self.transitions + 1)

    def written_to(self, lease: Mapping[str, Any]) -> dict[str, Any]:
        """`lease` saying so; what else others have put into it stays."""
        said = asdict(self)
        spec = {field: said[name] for name, field in _FIELDS.items()}
        return {**lease, "spec": {**_mapping(lease.get("spec")), **spec}}


_FIELDS = {
    "holder": "holderIdentity", "seconds": "leaseDurationSeconds", "acquired": "acquireTime",
    "renewed": "renewTime", "transitions": "leaseTransitions",
}  # fmt: skip


def new_lease(namespace: str, name: str) -> dict[str, Any]:
    """A Lease that says nothing yet."""
    labels = {"app.kubernetes.io/managed-by": "confsync"}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata}


def revision_of(lease: Mapping[str, Any]) -> int:
    """Its resourceVersion as a number, or -1; since Kubernetes 1.35 they may be compared."""
    version = str(_mapping(lease.get("metadata")).get("resourceVersion"))
    return int(version) if version.isdecimal() else -1


def micro_time(now: float) -> str:
    """A moment as the API has it in a Lease. Args: now: seconds since the epoch."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
