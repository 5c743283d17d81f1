"""Our objects in one namespace, as others and we ourselves change them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from stand_ins.kubernetes import ApiServer, KubeAdmin
from stand_ins.kubernetes.fixtures import Cluster
from stand_ins.watched import OURS, SteeredClock, Told, ours, seen

from confsync.sinks.kubernetes.cache import ObjectCache
from confsync.sinks.kubernetes.client import Client
from confsync.sinks.kubernetes.objects import KubeObject
from confsync.sinks.kubernetes.resources import SECRET
from confsync.testing.waiting import eventually


@pytest.fixture
def clock() -> SteeredClock:
    return SteeredClock()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def cache(client: Client, cluster: Cluster, clock: SteeredClock) -> Iterator[ObjectCache]:
    """Of the test's namespace; not followed."""
    cache = ObjectCache(client, SECRET, cluster.namespace, clock)
    yield cache
    cache.stop()


def test_what_is_ours_is_found(cluster: Cluster, cache: ObjectCache) -> None:
    cluster.admin.create("secrets", cluster.namespace, ours("app", user="u"))
    cluster.admin.secret(cluster.namespace, "theirs", {"a": "1"})

    assert seen(cache.get("app")) == {"user": b"u"}
    assert cache.get("theirs") is None
    assert list(cache.all()) == ["app"]


def test_changes_are_told_as_they_happen(cluster: Cluster, cache: ObjectCache, told: Told, api_server) -> None:
    cache.get("app")
    cache.follow(told)
    assert eventually(lambda: api_server.watches("secrets") == 1)
    cluster.admin.create("secrets", cluster.namespace, ours("app", user="u"))
    assert eventually(lambda: told.names == ["app"])
    assert seen(cache.get("app")) == {"user": b"u"}
