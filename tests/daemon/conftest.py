"""A workspace for each test, and one etcd for all that leave it as healthy as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from confsync.testing.daemon import Workspace
from confsync.testing.etcd import EtcdCluster


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """A directory of its own, in which no daemon outlives the test."""
    workspace = Workspace(tmp_path)
    yield workspace
    workspace.close()


@pytest.fixture(scope="session")
def shared_etcd() -> Iterator[EtcdCluster]:
    with EtcdCluster() as cluster:
        yield cluster


@pytest.fixture
def etcd(shared_etcd: EtcdCluster) -> EtcdCluster:
    """An empty single node."""
    shared_etcd.clear()
    return shared_etcd
