"""Fixtures for tests of Kubernetes targets: a cluster to write to, and clients of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stand_ins.kubernetes.fixtures import Cluster, api_server, cluster

from confsync.config import kubernetes as options
from confsync.sinks.kubernetes.client import Client

__all__ = ["api_server", "cluster"]


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Make a client by a kubeconfig, or with other options of a cluster; closed at the end."""
    opened: list[Client] = []

    def connect(kubeconfig: Path | None = None, name: str = "prod", **wanted: object) -> Client:
        given = wanted if kubeconfig is None else {"kubeconfig": str(kubeconfig), **wanted}
        client = Client(name, options.Cluster.model_validate(given), tmp_path)
        opened.append(client)
        return client

    yield connect
    for client in opened:
        client.close()


@pytest.fixture
def client(connect: Callable[..., Client], cluster: Cluster) -> Client:
    """A client of the cluster's administrator."""
    return connect(cluster.kubeconfig)
