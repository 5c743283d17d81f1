"""A Vault and a workspace that reads it; a cluster and a workspace that writes to it."""

from __future__ import annotations

import pytest
from stand_ins.clustered import ClusterWorkspace, api_server, cluster
from stand_ins.clustered import clustered as _clustered
from stand_ins.vaulted import vault, vault_server, vaulted

__all__ = ["api_server", "cluster", "impatient", "vault", "vault_server", "vaulted"]

impatient = _clustered


@pytest.fixture
def clustered(impatient: ClusterWorkspace) -> ClusterWorkspace:
    """As `impatient`; a server that is slow since the machine is busy is none that hangs."""
    impatient.timeout = "30s"
    return impatient
