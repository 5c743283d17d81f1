from __future__ import annotations

import threading
import time

import pytest

from confsync.errors import Invalid, SourceError, Unavailable
from confsync.testing.etcd import EtcdCluster, free_port, wait_until
from confsync.testing.waiting import eventually
from confsync_backends.etcd.backend import _Read
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
        member.wait_healthy()


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


def test_a_paused_endpoint_costs_no_more_than_its_share_of_the_timeout_and_once(trio, connect):
    follower = trio.followers()[0]
    others = [endpoint for endpoint in trio.endpoints if endpoint != follower.endpoint]
    backend = connect(endpoints=[follower.endpoint, *others], timeout="6s")
    backend.read(["/prod"])
    follower.pause()

    assert seconds(backend.read, ["/prod"]) < 5.5
    assert backend._connection._good.url in others
    assert seconds(backend.read, ["/prod"]) < 1.9


def test_a_killed_member_is_replaced_by_another_without_losing_a_change(trio, connect, follow):
    backend = connect(trio)
    reading = backend.read(["/prod"])
    trio.put("/prod/before", "")
    serving = next(member for member in trio.members if member.endpoint == backend._connection._good.url)
    watch = backend.watch(["/prod"], reading)
    serving.kill()
    trio_put_when_led(trio, "/prod/after")

    with pytest.raises(Unavailable):
        list(watch)
    follower = follow(backend, ["/prod"])
    assert {"before", "after"} <= set(follower.trees["/prod"])
    with backend.watch(["/prod"], reading) as again:
        seen = set()
        while not {"before", "after"} <= seen:
            seen |= set(next(again).puts["/prod"])


def test_a_killed_leader_is_survived(trio, connect):
    backend = connect(trio)
    backend.read(["/prod"])
    trio.leader().kill()

    def answers():
        try:
            return bool(backend.read(["/prod"]))
        except Unavailable:
            return False

    wait_until(answers, "the cluster has a new leader", 10)


def test_a_member_cut_off_from_its_leader_ends_the_watch(trio, connect, within):
    follower, other = trio.followers()
    backend = connect(endpoints=[follower.endpoint])
    reading = backend.read(["/prod"])
    watch = backend.watch(["/prod"], reading)
    trio.leader().pause()
    other.pause()

    with pytest.raises(Unavailable):
        within(30, next, watch)
    with pytest.raises(Unavailable):
        backend.read(["/prod"])


def test_a_lagging_member_gives_the_same_revision_or_another_does(trio, connect):
    stop = threading.Event()

    def write():
        number = 0
        while not stop.is_set():
            number += 1
            trio.transact({f"/lag/{key}": str(number) for key in range(40)})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        backend = connect(trio, page_size=5)
        endpoints = backend._connection
        for round_ in range(30):
            endpoints._good = endpoints._endpoints[round_ % 3] if endpoints._endpoints else None
            tree = backend.read(["/lag"]).trees["/lag"]
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

        assert any(after_a_restart() < 1 for _ in range(3)), "the machine may be slow, but not each time"


def test_a_server_that_goes_on_after_a_pause_is_read_again(connect):
    with EtcdCluster() as cluster:
        backend = connect(cluster, timeout="500ms")
        eventually(lambda: _can_be_read(backend))
        cluster.members[0].pause()
        with pytest.raises(Unavailable, match=r"no answer within 0\.5s"):
            backend.read(["/prod"])
        cluster.members[0].resume()

        assert eventually(lambda: _can_be_read(backend))


def _can_be_read(backend):
    try:
        return backend.read(["/prod"])
    except Unavailable:
        return None


def trio_put_when_led(cluster, key):
    """Write as soon as there is a leader."""
    import grpc

    def put():
        try:
            return bool(cluster.put(key, ""))
        except grpc.RpcError:
            return False

    wait_until(put, "a leader takes writes")
