"""How many requests a second."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from stand_ins.kubernetes import ApiServer
from stand_ins.kubernetes.fixtures import Cluster
from stand_ins.pauses import Pauses

from confsync.sinks.kubernetes.client import Client
from confsync.sinks.kubernetes.failures import Unreachable
from confsync.sinks.kubernetes.rate import TokenBucket
from confsync.sinks.kubernetes.resources import SECRET
from confsync.testing.memory_secrets import ManualClock


def bucket(pauses: Pauses, rate: float, burst: int) -> TokenBucket:
    return TokenBucket(rate, burst, pauses, pauses.wait)


def test_a_burst_waits_for_nothing(pauses: Pauses) -> None:
    tokens = bucket(pauses, rate=10, burst=3)

    assert [tokens.take() for _ in range(3)] == [True] * 3
    assert pauses.taken == []


def test_after_it_each_waits_for_its_token(pauses: Pauses) -> None:
    tokens = bucket(pauses, rate=10, burst=3)
    for _ in range(7):
        tokens.take()

    assert pauses.taken == pytest.approx([0.1] * 4)


def test_a_pause_fills_it_again_up_to_the_burst(pauses: Pauses) -> None:
    tokens = bucket(pauses, rate=10, burst=3)
    for _ in range(3):
        tokens.take()
    pauses.time += 3600
    for _ in range(4):
        tokens.take()

    assert pauses.taken == pytest.approx([0.1])


def test_one_at_a_time_at_less_than_one_a_second(pauses: Pauses) -> None:
    tokens = bucket(pauses, rate=0.5, burst=1)
    for _ in range(3):
        tokens.take()

    assert pauses.taken == pytest.approx([2.0, 2.0])


def test_who_is_told_to_stop_gets_none(pauses: Pauses) -> None:
    tokens = bucket(pauses, rate=10, burst=1)
    tokens.take()
    pauses.over = True

    assert tokens.take() is False


def test_threads_wait_one_after_another() -> None:
    waits: list[float] = []
    lock = threading.Lock()

    def note(seconds: float) -> bool:
        with lock:
            waits.append(seconds)
        return False

    tokens = TokenBucket(1.0, 1, ManualClock(), note)
    threads = [threading.Thread(target=tokens.take) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(waits) == pytest.approx([1.0, 2.0, 3.0, 4.0])


def test_each_try_of_a_client_counts_and_a_watch_does_not(
    api_server: ApiServer, cluster: Cluster, connect: Callable[..., Client], pauses: Pauses
) -> None:
    client = connect(cluster.kubeconfig, pauses=pauses, requests_per_second=1, burst=2)
    client.stream(SECRET, "default", query={"timeoutSeconds": "1"}, read_timeout=60).close()
    client.request("GET", SECRET, "default")
    api_server.faults.broken(verb="list")

    client.request("GET", SECRET, "default")

    assert sum(pauses.taken) == pytest.approx(1.0)  # before the third try there was a token again


def test_a_client_that_ends_while_it_waits_asks_nothing(
    cluster: Cluster, connect: Callable[..., Client], pauses: Pauses
) -> None:
    client = connect(cluster.kubeconfig, pauses=pauses, requests_per_second=1, burst=1)
    client.request("GET", SECRET, cluster.namespace)
    pauses.over = True

    with pytest.raises(Unreachable, match="stopping"):
        client.request("GET", SECRET, cluster.namespace)
