"""Objects that are looked for: how often the server is asked for one that is gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from stand_ins.kubernetes import ApiServer
from stand_ins.kubernetes.fixtures import Cluster
from stand_ins.watched import SteeredClock, ours

from confsync.config import kubernetes as options
from confsync.sinks.kubernetes import cluster as clusters
from confsync.sinks.kubernetes.access import Access
from confsync.sinks.kubernetes.resources import SECRET


@pytest.fixture
def clock() -> SteeredClock:
    return SteeredClock()


@pytest.fixture
def access(cluster: Cluster, clock: SteeredClock, tmp_path: Path) -> Iterator[Access]:
    """To the Secrets of the test's namespace."""
    given = options.Cluster.model_validate({"kubeconfig": str(cluster.kubeconfig)})
    opened = clusters.Cluster("prod", given, tmp_path, clock)
    yield Access(opened, SECRET, cluster.namespace)
    opened.close()


@pytest.fixture
def deleted(cluster: Cluster, access: Access) -> str:
    """The name of an object that was known, and was deleted by somebody else a moment ago."""
    cluster.admin.create("secrets", cluster.namespace, ours("app"))
    assert access.find("app") is not None
    assert access.find("another") is None  # all names are known now, this one among them
    cluster.admin.delete("secrets", cluster.namespace, "app")
    access.cache.expire()
    return "app"


def test_what_is_gone_is_asked_for_once(api_server: ApiServer, access: Access, deleted: str) -> None:
    api_server.forget_requests()

    assert [access.find(deleted) for _ in range(5)] == [None] * 5
    assert api_server.count("get", "secrets") == 1


def test_that_it_is_gone_is_believed_for_ten_seconds(
    cluster: Cluster, access: Access, deleted: str, clock: SteeredClock
) -> None:
    assert access.find(deleted) is None
    cluster.admin.secret(cluster.namespace, deleted, {})  # not ours
    clock.advance(9)
    assert access.find(deleted) is None
    clock.advance(1)

    assert access.find(deleted) is not None


def test_what_we_learn_of_it_ends_that_belief(cluster: Cluster, access: Access, deleted: str) -> None:
    """Its creation was refused, since somebody was first."""
    assert access.find(deleted) is None
    cluster.admin.secret(cluster.namespace, deleted, {})
    access.cache.forget(deleted)

    assert access.find(deleted) is not None


def test_a_later_list_knows_better(cluster: Cluster, access: Access, deleted: str) -> None:
    assert access.find(deleted) is None
    cluster.admin.secret(cluster.namespace, deleted, {})
    access.cache.forget("another")
    assert access.find("another") is None  # by a list of all names

    assert access.find(deleted) is not None
