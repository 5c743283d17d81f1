"""A Vault and a workspace that reads it."""

from __future__ import annotations

from stand_ins.vaulted import vault, vault_server, vaulted

__all__ = ["vault", "vault_server", "vaulted"]
