"""What tests of environments share."""

from __future__ import annotations

from stand_ins.installed import memory_secrets
from stand_ins.laptop import laptop, opened, stocked
from stand_ins.vaulted import vault, vault_server, vaulted

__all__ = ["laptop", "memory_secrets", "opened", "stocked", "vault", "vault_server", "vaulted"]
