"""sys/: what runs the server itself, put together of its parts."""

from __future__ import annotations

from .system_leases import LeaseRoutes
from .system_mounts import MountRoutes
from .system_namespaces import NamespaceRoutes
from .system_policies import PolicyRoutes
from .system_quotas import QuotaRoutes
from .system_seal import SealRoutes
from .system_wrapping import WrappingRoutes


class SystemEngine(
    SealRoutes, MountRoutes, PolicyRoutes, LeaseRoutes, WrappingRoutes, QuotaRoutes, NamespaceRoutes
):
    without_token = (
        "health",
        "seal-status",
        "unseal",
        "init",
        "leader",
        "internal/ui/mounts(/.*)?",
        "wrapping/(lookup|unwrap)",
    )
    sudo = ("seal", "auth(/.*)", "(leases/)?revoke-(prefix|force)(/.*)?", "leases/lookup/.*", "audit(/.*)?")
