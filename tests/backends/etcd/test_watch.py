from __future__ import annotations

import threading
from contextlib import suppress

import grpc
import pytest

from confsync.errors import Gap, Invalid, Unavailable
from confsync.testing.etcd import EtcdCluster, wait_until
from confsync.testing.waiting import eventually


def test_a_change_made_before_the_watch_was_opened_is_delivered(etcd, connect, within):
    backend = connect(etcd)
    reading = backend.read(["/prod"])
    revision = etcd.put("/prod/a", "1")

    with backend.watch(["/prod"], reading) as watch:
        delta = within(30, next, watch)

    assert delta.revision == revision
    assert delta.puts == {"/prod": {"a": (b"1", revision, None)}}
    assert delta.deletes == {}


def test_changes_while_subscribing_are_never_missed(etcd, connect, follow):
    stop = threading.Event()

    def write():
        number = 0
        while not stop.is_set():
            number += 1
            etcd.put("/prod/counter", str(number))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        backend = connect(etcd)
        followers = [follow(backend, ["/prod"]) for _ in range(10)]
    finally:
        stop.set()
        writer.join()
    last = etcd.put("/prod/end", "")

    for follower in followers:
        wait_until(lambda follower=follower: follower.revision == last or follower.error, "all is delivered")
        assert follower.error is None
        assert follower.trees == connect(etcd).read(["/prod"]).trees


def test_deletes_range_deletes_and_expired_leases_arrive(etcd, connect, follow):
    etcd.transact({"/prod/one": "", "/prod/dir/a": "", "/prod/dir/b": "", "/prod/stays": ""})
    etcd.put("/prod/leased", "")
    follower = follow(connect(etcd), ["/prod"])
    assert len(follower.trees["/prod"]) == 5

    def lease():
        with suppress(grpc.RpcError):  # it has expired already
            return etcd.put("/prod/leased", "", lease=etcd.lease(2))

    eventually(lease)
    etcd.delete("/prod/one")
    etcd.delete("/prod/dir/", prefix=True)
    wait_until(lambda: set(follower.trees["/prod"]) <= {"leased", "stays"}, "the deletes arrive")
    wait_until(lambda: set(follower.trees["/prod"]) == {"stays"}, "the lease expires")


def test_the_last_of_several_changes_counts(etcd, connect, within):
    etcd.put("/prod/gone", "")
    backend = connect(etcd)
    reading = backend.read(["/prod"])
    etcd.put("/prod/a", "1")
    etcd.delete("/prod/a")
    etcd.put("/prod/a", "2")
    etcd.put("/prod/gone", "again")
    etcd.delete("/prod/gone")
    follower_sees = {"a": b"2"}

    with backend.watch(["/prod"], reading) as watch:
        trees = {"gone": b""}
        while trees != follower_sees:
            delta = within(30, next, watch)
            trees.update({path: entry.value for path, entry in delta.puts.get("/prod", {}).items()})
            trees = {
                path: value for path, value in trees.items() if path not in delta.deletes.get("/prod", ())
            }


def test_overlapping_prefixes_each_get_their_part(etcd, connect, within):
    backend = connect(etcd)
    reading = backend.read(["/prod", "/prod/shop", "/prod/"])
    etcd.transact({"/prod/a": "1", "/prod/shop/b": "2", "/elsewhere": "3"})

    with backend.watch(["/prod", "/prod/shop", "/prod/"], reading) as watch:
        delta = within(30, next, watch)

    assert {asked: set(tree) for asked, tree in delta.puts.items()} == {
        "/prod": {"a", "shop/b"},
        "/prod/": {"a", "shop/b"},
        "/prod/shop": {"b"},
    }


def test_what_happens_elsewhere_is_not_delivered(etcd, connect, follow):
    follower = follow(connect(etcd), ["/prod"])
    etcd.put("/production/a", "")
    etcd.put("/prod", "")
    etcd.put("/prod/", "a directory marker")
    etcd.put("/prod/a", "")

    wait_until(lambda: follower.trees["/prod"], "the change arrives")
    assert (set(follower.trees["/prod"]), follower.deltas) == ({"a"}, 1)


def test_a_large_value_and_a_large_burst_arrive(etcd, connect, follow):
    follower = follow(connect(etcd), ["/prod"])
    etcd.put("/prod/large", "x" * 2_000_000)
    for first in range(0, 5000, 100):
        etcd.transact({f"/prod/{number}": str(number) for number in range(first, first + 100)})

    wait_until(lambda: len(follower.trees["/prod"]) == 5001, "all keys arrive")
    assert len(follower.values("/prod")["large"]) == 2_000_000


def test_at_the_root_a_key_that_takes_anothers_path_is_refused(etcd, connect, within):
    etcd.put("a", "1")
    backend = connect(etcd)
    reading = backend.read([""])
    with backend.watch([""], reading) as watch:
        etcd.put("b", "fine")
        assert set(within(30, next, watch).puts[""]) == {"b"}
        etcd.put("/a", "2")
        with pytest.raises(Invalid, match=r"both 'a' and '/a'"):
            within(30, next, watch)


def test_at_the_root_a_key_may_be_renamed_to_its_twin(etcd, connect, follow):
    etcd.put("a", "1")
    follower = follow(connect(etcd), [""])
    etcd.transact({"/a": "2"}, deletes=["a"])

    wait_until(lambda: follower.values("") == {"a": b"2"}, "the new key has the path")


def test_at_the_root_a_twin_that_came_and_went_changes_nothing(etcd, connect, within):
    etcd.put("a", "1")
    backend = connect(etcd)
    reading = backend.read([""])
    etcd.put("/a", "2")
    etcd.delete("/a")
    etcd.put("b", "")

    with backend.watch([""], reading) as watch:
        delta = within(30, next, watch)

    assert set(delta.puts[""]) == {"b"}
    assert delta.deletes == {}


def test_close_unblocks_a_waiting_watch_and_leaves_no_thread(etcd, connect, within):
    backend = connect(etcd)
    reading = backend.read(["/prod"])
    before = set(threading.enumerate())
    watch = backend.watch(["/prod"], reading)
    waiting = threading.Thread(target=lambda: next(watch, None))
    waiting.start()

    watch.close()
    waiting.join(30)

    assert not waiting.is_alive()
    wait_until(lambda: set(threading.enumerate()) <= before, "no thread is left")
    watch.close()
    with pytest.raises(StopIteration):
        watch.__next__()


def test_closing_the_backend_ends_its_watches(etcd, connect, within):
    backend = connect(etcd)
    watches = [backend.watch(["/prod"], backend.read(["/prod"])) for _ in range(3)]

    backend.close()

    for watch in watches:
        assert within(30, next, watch, "ended") == "ended"


def test_a_watch_that_nobody_reads_can_be_closed(etcd, connect):
    backend = connect(etcd)
    watch = backend.watch(["/prod"], backend.read(["/prod"]))
    for number in range(2500):
        etcd.put("/prod/a", str(number))

    watch.close()

    assert not watch._receiver.is_alive(), "it is not waited for in vain"


def test_an_idle_watch_makes_no_calls_but_its_sign_of_life(etcd, connect, follow):
    follower = follow(connect(etcd, keepalive="10m"), ["/prod", "/common"])
    for key in ("/prod/a", "/common/a"):
        etcd.put(key, "")
        wait_until(lambda key=key: follower.trees[key[:-2]], "the watch is at work")

    before = etcd.calls()
    threading.Event().wait(1)

    assert etcd.calls() == before


def test_a_quiet_watch_stays_alive_by_asking_for_progress(etcd, connect, follow):
    def asked():
        return etcd.calls().get("Watch.Watch", 0)

    follower = follow(connect(etcd, keepalive="50ms"), ["/prod"])
    before = asked()

    wait_until(lambda: follower.error or asked() >= before + 4, "it asks for signs of life")
    assert follower.error is None
    etcd.put("/prod/a", "")
    wait_until(lambda: follower.deltas == 1, "it still delivers")
    assert follower.error is None


def test_compaction_before_the_watch_is_opened_is_a_gap(etcd, connect, within):
    backend = connect(etcd)
    reading = backend.read(["/prod"])
    for number in range(3):
        last = etcd.put("/prod/a", str(number))
    etcd.compact(last)

    with backend.watch(["/prod"], reading) as watch, pytest.raises(Gap, match="compacted"):
        within(30, next, watch)


def test_compaction_under_an_open_watch_does_no_harm(etcd, connect, follow):
    follower = follow(connect(etcd), ["/prod"])
    etcd.compact(etcd.put("/prod/a", "1"))
    etcd.put("/prod/a", "2")

    wait_until(lambda: follower.values("/prod") == {"a": b"2"}, "it goes on")


def test_a_server_that_was_emptied_is_a_gap(connect, within):
    with EtcdCluster() as cluster:
        backend = connect(cluster)
        for number in range(5):
            cluster.put("/prod/a", str(number))
        reading = backend.read(["/prod"])
        watch = backend.watch(["/prod"], reading)
        cluster.members[0].restart(wipe=True)

        with pytest.raises(Unavailable):
            within(30, next, watch)
        with pytest.raises(Gap, match="restored or emptied"):
            backend.watch(["/prod"], reading)
        assert backend.read(["/prod"]).trees["/prod"] == {}


def test_a_server_that_was_emptied_and_overtook_the_reading_is_a_gap(connect):
    with EtcdCluster() as cluster:
        # A restart begins a new raft term: the first life must have seen more terms than the second.
        cluster.members[0].restart()
        backend = connect(cluster)
        reading = backend.read(["/prod"])
        cluster.members[0].restart(wipe=True)
        for number in range(20):
            cluster.put("/prod/a", str(number))

        with pytest.raises(Gap, match="raft term has gone back"):
            backend.watch(["/prod"], reading)


def test_another_cluster_is_a_gap(connect):
    with EtcdCluster() as one, EtcdCluster() as other:
        reading = connect(one).read(["/prod"])
        other.put("/prod/a", "")
        with pytest.raises(Gap, match="another cluster"):
            connect(other).watch(["/prod"], reading)


def test_a_restarted_server_ends_the_watch_and_the_next_goes_on_without_a_gap(connect, within):
    with EtcdCluster() as cluster:
        backend = connect(cluster)
        reading = backend.read(["/prod"])
        watch = backend.watch(["/prod"], reading)
        cluster.put("/prod/a", "1")
        assert within(30, next, watch).puts["/prod"]["a"].value == b"1"

        cluster.members[0].kill()
        with pytest.raises(Unavailable):
            within(30, next, watch)
        with pytest.raises(Unavailable, match="connection refused"):
            backend.watch(["/prod"], reading)

        cluster.members[0].start()
        cluster.members[0].wait_healthy()
        cluster.put("/prod/b", "2")
        with backend.watch(["/prod"], reading) as again:
            assert within(30, next, again).puts["/prod"].keys() == {"a", "b"}


def test_a_server_that_falls_silent_is_taken_for_dead(connect, within):
    with EtcdCluster() as cluster:
        backend = connect(cluster, keepalive="200ms", timeout="2s")
        reading = connect(cluster).read(["/prod"])

        def opened():
            with suppress(Unavailable):  # two seconds may be too few for a busy machine
                return backend.watch(["/prod"], reading)

        with eventually(opened) as watch:
            cluster.members[0].pause()
            with pytest.raises(Unavailable, match="no sign of life"):
                within(30, next, watch)
