"""A Vault and a workspace that reads it; a cluster and a workspace that writes to it."""

from __future__ import annotations

import pytest
from stand_ins.clustered import api_server, cluster, clustered
from stand_ins.vaulted import vault, vault_server, vaulted

__all__ = ["api_server", "cluster", "clustered", "vault", "vault_server", "vaulted"]


@pytest.fixture(autouse=True)
def patient(request: pytest.FixtureRequest) -> None:
    """A cluster that answers has time to."""
    if "clustered" in request.fixturenames:
        request.getfixturevalue("clustered").timeout = "30s"
