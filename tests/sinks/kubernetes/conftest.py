"""Fixtures for tests of Kubernetes targets: a cluster to write to, and clients of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stand_ins.common.certificates import Authority
from stand_ins.kubernetes.fixtures import Cluster, api_server, cluster
from stand_ins.pauses import Pauses
from stand_ins.watched import SteeredClock, Told

from confsync.config import kubernetes as options
from confsync.sinks.kubernetes.client import Client
from confsync.sinks.kubernetes.credentials import Credentials
from confsync.testing.waiting import eventually

__all__ = ["api_server", "cluster"]


@pytest.fixture(autouse=True)
def _no_watch_of_another_test() -> Iterator[None]:
    """`stop` waits for a second only: what takes longer on a busy machine is waited for here."""
    watches_end()
    yield
    watches_end()


def watches_end() -> None:
    assert eventually(lambda: not [one for one in threading.enumerate() if one.name.startswith("watch ")])


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def clock() -> SteeredClock:
    """What a cache measures with."""
    return SteeredClock()


@pytest.fixture
def told() -> Told:
    """What a cache tells."""
    return Told()


@pytest.fixture
def space(cluster: Cluster) -> str:
    """The test's namespace."""
    return cluster.namespace


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Make a client by a kubeconfig, or with other options of a cluster; closed at the end.

    With `pauses` it waits on those; with `credentials` it logs in by them.
    """
    opened: list[Client] = []

    def connect(
        kubeconfig: Path | None = None,
        name: str = "prod",
        pauses: Pauses | None = None,
        credentials: Credentials | None = None,
        **wanted: object,
    ) -> Client:
        given = wanted if kubeconfig is None else {"kubeconfig": str(kubeconfig), **wanted}
        client = Client(
            name,
            options.Cluster.model_validate(given),
            tmp_path,
            clock=pauses,
            wait=pauses.wait if pauses else None,
            credentials=credentials,
        )
        opened.append(client)
        return client

    yield connect
    for client in opened:
        client.close()


@pytest.fixture
def client(connect: Callable[..., Client], cluster: Cluster) -> Client:
    """A client of the cluster's administrator."""
    return connect(cluster.kubeconfig)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A certificate authority of the test's own."""
    return Authority(tmp_path)
