from __future__ import annotations

import threading
import time
from contextlib import suppress
from itertools import pairwise
from typing import NamedTuple

import grpc
import pytest

from confsync.errors import Invalid, SourceError, Unavailable
from confsync.testing.etcd import EtcdCluster, free_port, wait_until
from confsync.testing.waiting import eventually
from confsync_backends.etcd.backend import _Read
from confsync_backends.etcd.connection import Link
from confsync_backends.etcd.ranges import covers


@pytest.fixture(scope="module")
def shared_trio():
    with EtcdCluster(3) as cluster:
        yield cluster


@pytest.fixture
def trio(shared_trio):
    """Three healthy members; whatever the test did to them is put right afterwards."""
    yield shared_trio
    for member in shared_trio.members:
        if member.running:
            member.resume()
        else:
            member.start()
    for member in shared_trio.members:
        member.wait_healthy(60)


def seconds(call, *arguments):
    began = time.monotonic()
    call(*arguments)
    return time.monotonic() - began


def test_a_dead_endpoint_is_skipped(etcd, connect):
    etcd.put("/prod/a", "1")
    backend = connect(endpoints=[f"http://127.0.0.1:{free_port()}", *etcd.endpoints], timeout="5m")

    assert seconds(backend.read, ["/prod"]) < 60


def test_a_host_that_does_not_exist_is_skipped(etcd, connect):
    backend = connect(endpoints=["http://no-such-host.invalid:2379", *etcd.endpoints])

    assert backend.read(["/prod"]).trees == {"/prod": {}}


def test_when_no_endpoint_answers_each_is_named_with_its_reason(connect):
    first, second = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"

    with pytest.raises(Unavailable) as caught:
        connect(endpoints=[first, second]).read(["/prod/shop"])

    message = str(caught.value)
    assert f"{first}: connection refused" in message
    assert f"{second}: connection refused" in message
    assert "/prod/shop/" in message


def test_a_port_where_something_else_listens_is_told_from_etcd(connect):
    import http.server

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.RequestHandlerClass.log_message = lambda *arguments: None
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with pytest.raises(SourceError):
            connect(endpoints=[f"127.0.0.1:{server.server_port}"], timeout="1s").read(["/prod"])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_endpoints_of_different_clusters_are_never_mixed(connect):
    with EtcdCluster() as one, EtcdCluster() as other:
        both = connect(endpoints=[*one.endpoints, *other.endpoints], page_size=1)
        for number in range(5):
            one.put(f"/prod/{number}", "")
            other.put(f"/prod/{number}", "")
        assert len(both.read(["/prod"]).trees["/prod"]) == 5

        read = _Read(both._connection, 1)
        pages = read._pages(covers(["/prod"])[0])
        next(pages)
        both._connection._good = both._connection._endpoints[1]  # as if the first had failed in between
        while other.put("/prod/x", "") <= read._revision:
            pass
        with pytest.raises(Invalid, match="different clusters"):
            next(pages)


def test_a_paused_endpoint_costs_no_more_than_its_share_of_the_timeout_and_once(trio, connect, monkeypatch):
    follower = trio.followers()[0]
    others = [endpoint for endpoint in trio.endpoints if endpoint != follower.endpoint]
    backend = connect(endpoints=[follower.endpoint, *others], timeout="30s")
    eventually(lambda: _can_be_read_at(backend, follower))
    asked = note_calls(monkeypatch, follower)
    follower.pause()

    for _ in range(2):
        eventually(lambda: _can_be_read(backend))

    assert asked[0] == (follower.endpoint, 10.0, False), "a third of the timeout"
    for before, after in pairwise(asked):
        assert before.endpoint == after.endpoint or not before.answered, "who has answered is asked again"


class Asked(NamedTuple):
    endpoint: str
    timeout: float
    answered: bool


def note_calls(monkeypatch, paused):
    """Which endpoint is asked from now on, how many seconds it is given, and whether it answers in them.

    The paused one, which will not, is waited for less long.
    """
    asked = []
    ask = Link.range

    def noted(link, request, timeout):
        silent = link.endpoint.url == paused.endpoint
        answered = False
        try:
            answer = ask(link, request, 0.2 if silent else timeout)
            answered = True
        finally:
            asked.append(Asked(link.endpoint.url, timeout, answered))
        return answer

    monkeypatch.setattr(Link, "range", noted)
    return asked


def test_a_killed_member_is_replaced_by_another_without_losing_a_change(trio, connect):
    backend = connect(trio)
    reading = eventually(lambda: _can_be_read(backend))
    trio_put_when_led(trio, "/prod/before")
    watch = eventually(lambda: _can_be_watched(backend, reading))
    serving = next(member for member in trio.members if member.endpoint == watch._link.endpoint.url)
    serving.kill()
    trio_put_when_led(trio, "/prod/after")

    with pytest.raises(Unavailable):
        list(watch)
    assert {"before", "after"} <= set(eventually(lambda: _can_be_read(backend)).trees["/prod"])
    with eventually(lambda: _can_be_watched(backend, reading)) as again:
        seen = set()
        while not {"before", "after"} <= seen:
            seen |= set(next(again).puts["/prod"])


def test_a_killed_leader_is_survived(trio, connect):
    backend = connect(trio)
    eventually(lambda: _can_be_read(backend))
    trio.leader().kill()

    assert eventually(lambda: _can_be_read(backend), within=60)


def test_a_member_cut_off_from_its_leader_ends_the_watch(trio, connect, within):
    follower = trio.followers()[0]
    backend = connect(endpoints=[follower.endpoint])
    reading = eventually(lambda: _can_be_read(backend))
    watch = eventually(lambda: _can_be_watched(backend, reading))
    for other in trio.members:
        if other is not follower:
            other.pause()

    with pytest.raises(Unavailable):
        within(60, next, watch)
    with pytest.raises(Unavailable):
        backend.read(["/prod"])


def test_a_lagging_member_gives_the_same_revision_or_another_does(trio, connect):
    stop = threading.Event()

    def write():
        number = 0
        while not stop.is_set():
            number += 1
            with suppress(grpc.RpcError):  # the cluster may lose its leader where the machine is slow
                trio.transact({f"/lag/{key}": str(number) for key in range(40)})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        backend = connect(trio, page_size=5)
        endpoints = backend._connection
        for round_ in range(30):
            endpoints._good = endpoints._endpoints[round_ % 3] if endpoints._endpoints else None
            tree = eventually(lambda: _can_be_read(backend, "/lag")).trees["/lag"]
            assert len({entry.value for entry in tree.values()}) <= 1
    finally:
        stop.set()
        writer.join()


def test_a_restarted_server_is_read_within_a_second_of_being_up(connect):
    with EtcdCluster() as cluster:
        backend = connect(cluster)
        backend.read(["/prod"])

        def after_a_restart():
            cluster.members[0].kill()
            for _ in range(5):
                with pytest.raises(Unavailable):
                    backend.read(["/prod"])
            cluster.members[0].start()
            cluster.members[0].wait_healthy()
            return seconds(backend.read, ["/prod"])

        assert any(after_a_restart() < 1 for _ in range(9)), "the machine may be slow, but not each time"


def test_a_server_that_goes_on_after_a_pause_is_read_again(connect):
    with EtcdCluster() as cluster:
        backend = connect(cluster, timeout="500ms")
        eventually(lambda: _can_be_read(backend))
        cluster.members[0].pause()
        with pytest.raises(Unavailable, match=r"no answer within 0\.5s"):
            backend.read(["/prod"])
        cluster.members[0].resume()

        assert eventually(lambda: _can_be_read(backend))


def _can_be_read(backend, prefix="/prod"):
    try:
        return backend.read([prefix])
    except Unavailable:
        return None


def _can_be_read_at(backend, member):
    """Read with this member as the one that has answered last."""
    backend._connection._good = None
    return _can_be_read(backend) and backend._connection._good.url == member.endpoint


def _can_be_watched(backend, reading):
    try:
        return backend.watch(["/prod"], reading)
    except Unavailable:
        return None


def trio_put_when_led(cluster, key):
    """Write as soon as there is a leader."""

    def put():
        try:
            return bool(cluster.put(key, ""))
        except grpc.RpcError:
            return False

    wait_until(put, "a leader takes writes")
