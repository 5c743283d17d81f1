"""Requests to an API server."""

from __future__ import annotations

import threading

import pytest
from stand_ins.kubernetes import ApiServer
from stand_ins.kubernetes.fixtures import Cluster

from confsync.sinks.kubernetes.client import Client
from confsync.sinks.kubernetes.failures import NotFound
from confsync.sinks.kubernetes.resources import SECRET
from confsync.testing.waiting import eventually

APPLY = "application/apply-patch+yaml"


def secret(name: str, **data: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}


def apply(client: Client, namespace: str, name: str, **data: str):
    return client.request(
        "PATCH", SECRET, namespace, name,
        query={"fieldManager": "confsync"}, body=secret(name, **data), content_type=APPLY,
    )  # fmt: skip


def test_an_apply_creates_and_is_read_back(client: Client, cluster: Cluster) -> None:
    created = apply(client, cluster.namespace, "app", a="MQ==")

    assert created.status == 201
    assert client.request("GET", SECRET, cluster.namespace, "app").body["data"] == {"a": "MQ=="}


def test_what_is_not_there_is_not_found(client: Client, cluster: Cluster) -> None:
    with pytest.raises(NotFound) as failure:
        client.request("GET", SECRET, cluster.namespace, "none")

    assert failure.value.status == 404


def test_a_watch_gives_events_as_they_come(client: Client, cluster: Cluster) -> None:
    with client.stream(SECRET, cluster.namespace, query={"timeoutSeconds": "30"}, read_timeout=30) as stream:
        events = iter(stream)
        cluster.admin.secret(cluster.namespace, "app", {"a": "1"})

        assert (next(events)["type"]) == "ADDED"


def test_a_watch_is_closed_from_another_thread(api_server: ApiServer, client: Client) -> None:
    stream = client.stream(SECRET, "default", read_timeout=60)
    with stream:
        got: list[object] = []
        reader = threading.Thread(target=lambda: got.extend(stream))
        reader.start()
        assert eventually(lambda: api_server.watches() == 1)
        stream.close()
        reader.join(2)

        assert not reader.is_alive()
    assert got == []
