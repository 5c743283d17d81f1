"""Leader election: one writes, the others stand by, whatever befalls the leader, the lease or the API server."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stand_ins.kubernetes import ApiServer
from stand_ins.kubernetes.fixtures import Cluster, api_server, cluster
from stand_ins.replicas import Replica, threads

from confsync.testing.waiting import eventually

__all__ = ["api_server", "cluster"]

Join = Callable[..., Replica]


@pytest.fixture
def join(cluster: Cluster) -> Iterator[Join]:
    """Start a replica; it is stopped at the end."""
    with ExitStack() as stack:

        def join(**options: Any) -> Replica:
            return stack.enter_context(Replica(cluster.kubeconfig, cluster.namespace, **options).running())

        yield join
    eventually(lambda: threads("election") == 0)
    eventually(lambda: threads("lease-watch") == 0)


@pytest.fixture
def spec(cluster: Cluster) -> Callable[[], dict[str, Any]]:
    """What the lease says now; empty when it is not there."""

    def spec() -> dict[str, Any]:
        found = cluster.admin.find("leases", cluster.namespace, "confsync")
        return found["spec"] if found else {}

    return spec


def quiet(condition: Callable[[], bool], seconds: float = 0.15) -> None:
    """It stays so for a while: many times as long as anybody waits between two looks."""
    ended = threading.Event()
    threading.Timer(seconds, ended.set).start()
    while not ended.wait(0.005):
        assert condition()


# Becoming the leader


def test_the_first_replica_creates_the_lease_and_leads(join, spec):
    replica = join(identity="shop-1")

    replica.wait("gained")

    assert replica.leading
    assert replica.identity.startswith("shop-1_")
    said = spec()
    assert said["holderIdentity"] == replica.identity == replica.election.holder
    assert (said["leaseDurationSeconds"], said["leaseTransitions"]) == (15, 0)
    assert said["acquireTime"]


def test_of_many_replicas_that_start_at_once_one_leads(join, caplog):
    replicas = [join() for _ in range(5)]

    eventually(lambda: any(replica.leading for replica in replicas))
    leader = next(replica for replica in replicas if replica.leading)
    eventually(lambda: all(replica.election.holder == leader.identity for replica in replicas))

    quiet(lambda: sum(replica.leading for replica in replicas) == 1)
    eventually(lambda: sorted(replica.told for replica in replicas) == [[], [], [], [], ["gained"]])
    assert not _errors(caplog)  # to lose a race is no failure


def test_the_leader_is_told_when_it_leads_already(join):
    replica = join()
    replica.wait("gained")
    assert replica.led == [True]


def test_the_lease_is_renewed_again_and_again_by_the_same_holder(join, spec):
    replica = join()
    replica.wait_leading()
    first = spec()
    for _ in range(10):  # 50 seconds, of which it may lead 10 without renewal
        replica.clock.time += 5
        eventually(lambda: replica.election._valid_until == replica.clock.time + 10)
    assert replica.told == ["gained"]
    eventually(lambda: spec()["renewTime"] > first["renewTime"])
    last = spec()
    assert (last["acquireTime"], last["leaseTransitions"]) == (first["acquireTime"], 0)


def test_two_replicas_that_were_given_one_identity_are_two(join):
    one = join(identity="twin")
    one.wait_leading()
    other = join(identity="twin")
    eventually(lambda: other.election.holder == one.identity)
    quiet(lambda: not other.leading)


def test_what_others_have_put_into_the_lease_stays(join, cluster):
    made = cluster.admin.create(
        "leases",
        cluster.namespace,
        {
            "metadata": {"name": "confsync", "labels": {"team": "shop"}},
            "spec": {"strategy": "example.com/any", "preferredHolder": "shop-2"},
        },
    )
    replica = join()
    replica.wait_leading()
    lease = cluster.admin.get("leases", cluster.namespace, "confsync")
    assert lease["metadata"]["labels"] == {"team": "shop"}
    assert lease["spec"].get("preferredHolder") == made["spec"].get("preferredHolder")


# Standing by


def test_a_standby_takes_over_when_the_lease_has_not_changed_for_its_duration_by_its_own_clock(
    join, api_server, spec
):
    leader, standby = _pair(join)
    _cut_off(api_server, leader)
    _catch_up(standby, spec)

    standby.clock.time += 14.9
    quiet(lambda: not standby.leading)
    standby.clock.time += 0.2

    standby.wait("gained")
    assert spec()["holderIdentity"] == standby.identity
    assert spec()["leaseTransitions"] == 1


def _pair(join: Join, **options: Any) -> tuple[Replica, Replica]:
    """A leader, and a standby that knows of it."""
    leader = join(**options)
    leader.wait_leading()
    standby = join(**options)
    eventually(lambda: standby.election.holder == leader.identity)
    return leader, standby


def _catch_up(standby: Replica, spec: Callable[[], dict[str, Any]]) -> None:
    """Wait until it has seen what the lease says, which nobody renews any more: its time runs from now."""

    def seen() -> bool:
        record = standby.election._record
        return record is not None and record.renewed == spec().get("renewTime", record.renewed)

    eventually(seen)


def _cut_off(server: ApiServer, replica: Replica) -> None:
    """Nothing this replica writes arrives any more; once that has been so for one renewal."""
    fault = server.faults.drop(
        verb="update", resource="leases", times=None, when=lambda call: replica.identity in str(call.body)
    )
    eventually(lambda: fault.hits)


def test_a_lease_that_changes_is_not_taken_over_however_old_it_says_it_is(join):
    leader, standby = _pair(join)
    leader.clock.wall = 0  # 1970: the holder's clock is worth nothing
    for _ in range(20):
        seen = standby.election._seen_at
        standby.clock.time += 5
        eventually(lambda seen=seen: standby.election._seen_at > seen)
        assert not standby.leading
    assert standby.told == []


def test_who_comes_upon_a_lease_that_looks_long_expired_waits_its_duration_nonetheless(join, cluster):
    held = {"holderIdentity": "gone", "leaseDurationSeconds": 7, "renewTime": "2001-01-01T00:00:00.000000Z"}
    cluster.admin.create("leases", cluster.namespace, {"metadata": {"name": "confsync"}, "spec": held})
    replica = join()
    eventually(lambda: replica.election.holder == "gone")

    replica.clock.time += 6.9  # what counts is what the lease says, not what this replica would have written
    quiet(lambda: not replica.leading)
    replica.clock.time += 0.2

    replica.wait("gained")


def test_a_lease_without_a_duration_is_given_our_own(join, cluster):
    held = {"holderIdentity": "gone"}
    cluster.admin.create("leases", cluster.namespace, {"metadata": {"name": "confsync"}, "spec": held})
    replica = join()
    eventually(lambda: replica.election.holder == "gone")
    replica.clock.time += 14.9
    quiet(lambda: not replica.leading)
    replica.clock.time += 0.2
    replica.wait_leading()


def test_a_standby_does_not_ask_while_it_hears_of_the_leader(join, cluster, api_server):
    join().wait_leading()
    standby = Replica(cluster.kubeconfig, cluster.namespace, retry="1s")  # whose turns are taken here
    election = standby.election
    due = election._turn(standby.clock.time, None)
    eventually(lambda: election._watch.alive)
    api_server.forget_requests()

    for _ in range(3):
        standby.clock.time = due - 0.001
        while due < standby.clock.time + 2:  # the first that a watch tells may be known already
            due = election._turn(due, election._events.get(timeout=30))

    assert api_server.count("get", "leases") == 0
    election.stop()


def test_without_a_watch_it_looks_and_begins_another(join, api_server):
    fault = api_server.faults.answer(403, "Forbidden", "", verb="watch", resource="leases", times=None)
    leader, standby = _pair(join)
    eventually(lambda: fault.hits)

    leader.election.stop()

    standby.wait("gained")


def test_a_watch_that_ends_or_breaks_is_begun_again(join, api_server):
    leader, standby = _pair(join)
    for end in (api_server.end_watches, lambda: api_server.compact(running=True)):
        _after_another_watch(api_server, standby, end)
    assert leader.leading


def test_a_watch_that_ends_as_watches_do_is_begun_again_without_delay_however_often(
    join, api_server, monkeypatch
):
    in_a_row: list[int] = []

    def delay(failures: int) -> float:
        in_a_row.append(failures)
        return 0.001

    monkeypatch.setattr("confsync.daemon.lease_watch.backoff", SimpleNamespace(delay=delay))
    _, standby = _pair(join)
    for _ in range(7):
        _after_another_watch(api_server, standby, api_server.end_watches)
    assert len(in_a_row) >= 7
    assert max(in_a_row) <= 3, "a back-off would have grown"


def _after_another_watch(server: ApiServer, standby: Replica, end: Callable[[], None]) -> None:
    """End the watch once it has told something, and wait for the next."""
    eventually(lambda: standby.election._watch.alive and server.watches("leases"))
    seen = standby.election._seen_at
    standby.clock.time += 0.001
    eventually(lambda: standby.election._seen_at > seen)
    begun = server.count("watch", "leases")
    end()
    eventually(lambda: server.count("watch", "leases") > begun)
    eventually(lambda: server.watches("leases") == 1)


def test_what_the_watch_tells_late_is_no_news(join, cluster):
    leader, standby = _pair(join)
    old = cluster.admin.get("leases", cluster.namespace, "confsync")
    leader.election.stop()
    standby.wait("gained")

    standby.election._tell_later(old, False)
    standby.election._tell_later(old, True)

    quiet(lambda: standby.leading)
    assert standby.told == ["gained"]


def test_what_the_watch_tells_late_is_no_sign_of_life(join, cluster, api_server, spec):
    leader, standby = _pair(join)
    old = cluster.admin.get("leases", cluster.namespace, "confsync")
    _cut_off(api_server, leader)
    _catch_up(standby, spec)

    standby.clock.time += 14
    standby.election._tell_later(old, False)
    standby.clock.time += 2

    standby.wait("gained")


# Handing over


def test_a_leader_that_stops_releases_the_lease_and_the_standby_leads_at_once(join, spec):
    leader, standby = _pair(join, retry="5s")  # no look is due for seconds: it is the watch that tells
    eventually(lambda: standby.election._watch.alive)

    leader.election.stop()

    assert not leader.leading
    standby.wait("gained")
    assert leader.told == ["gained"]
    said = spec()
    assert (said["holderIdentity"], said["leaseTransitions"], said["leaseDurationSeconds"]) == (
        standby.identity, 1, 15,
    )  # fmt: skip


def test_what_is_released_says_so_as_client_go_does(join, spec):
    replica = join()
    replica.wait_leading()
    acquired = spec()["acquireTime"]
    replica.clock.wall += 60

    replica.election.stop()

    said = spec()
    assert (said.get("holderIdentity", ""), said["leaseDurationSeconds"], said["leaseTransitions"]) == (
        "",
        1,
        0,
    )
    assert said["acquireTime"] == said["renewTime"] > acquired


def test_who_stops_with_something_under_way_releases_nothing(join, spec):
    leader, standby = _pair(join)

    leader.election.stop(release=False)

    assert not leader.leading
    assert spec()["holderIdentity"] == leader.identity
    _catch_up(standby, spec)
    quiet(lambda: not standby.leading)
    standby.clock.time += 15.1
    standby.wait("gained")


def test_a_standby_that_stops_leaves_the_lease_alone(join, spec):
    leader, standby = _pair(join)
    standby.election.stop()
    assert spec()["holderIdentity"] == leader.identity
    assert leader.leading


def test_a_release_on_top_of_somebodys_note_is_tried_again(join, cluster, spec):
    replica = join(retry="5s")
    replica.wait_leading()
    cluster.admin.edit("leases", cluster.namespace, "confsync", {"metadata": {"annotations": {"a": "b"}}})

    replica.election.stop()

    assert spec().get("holderIdentity", "") == ""


def test_a_release_that_fails_is_told_of_and_ends_all_the_same(join, api_server, caplog):
    replica = join(retry="5s")
    replica.wait_leading()
    api_server.faults.unavailable(resource="leases", times=None)

    replica.election.stop()

    assert "the lease is not released" in caplog.text
    api_server.faults.clear()


def test_stopping_twice_and_before_it_began_is_no_error(join, cluster):
    replica = join()
    replica.election.stop()
    replica.election.stop()
    Replica(cluster.kubeconfig, cluster.namespace).election.stop()


# Losing


def test_leadership_ends_by_itself_when_it_was_not_renewed_in_time(join, api_server):
    replica = join()
    replica.wait_leading()
    _cut_off(api_server, replica)
    quiet(lambda: replica.leading)  # still ours for ten seconds

    replica.clock.time = replica.election._valid_until - 0.001
    assert replica.leading
    replica.clock.time = replica.election._valid_until
    assert not replica.leading

    replica.wait("gained", "lost")
    assert replica.led == [True, False]


def test_leadership_counts_from_before_the_renewal_was_sent(join, api_server):
    replica = join()
    replica.wait_leading()
    sent = replica.clock.time
    until = _during_updates(api_server, replica, 4)

    eventually(lambda: len(until) > 1)

    assert until[1] == sent + 10  # though it is four seconds later when the answer comes


def _during_updates(server: ApiServer, replica: Replica, *passes: float) -> list[float]:
    """Let time pass while the next updates are under way; gives until when it leads as each of them arrives."""
    until: list[float] = []
    left = list(passes)

    def arrived(_: object) -> bool:
        until.append(replica.election._valid_until)
        replica.clock.time += left.pop(0) if left else 0
        return False  # it is carried out

    server.faults.drop(verb="update", resource="leases", when=arrived)
    return until


def test_the_leader_stops_leading_strictly_before_a_standby_may_take_over(join, api_server, spec):
    leader, standby = _pair(join)
    _cut_off(api_server, leader)
    _catch_up(standby, spec)
    for _ in range(40):
        leader.clock.time += 0.5
        standby.clock.time += 0.5
        quiet(lambda: not (leader.leading and standby.leading), 0.02)
        if standby.leading:
            break
    standby.wait("gained")
    leader.wait("gained", "lost")


def test_who_was_paused_and_wakes_up_does_not_lead_and_sees_who_does(join, api_server, spec):
    leader, standby = _pair(join)
    _cut_off(api_server, leader)  # as good as SIGSTOP for everybody else
    _catch_up(standby, spec)
    standby.clock.time += 15.1
    standby.wait("gained")

    leader.clock.time += 3600
    assert not leader.leading
    api_server.faults.clear()

    leader.wait("gained", "lost")
    eventually(lambda: leader.election.holder == standby.identity)
    quiet(lambda: standby.leading and not leader.leading)


def test_who_was_paused_while_nobody_took_over_is_told_of_the_gap(join):
    replica = join()
    replica.wait_leading()

    replica.clock.time += 11

    replica.wait("gained", "lost", "gained")
    assert replica.led == [True, False, True]


def test_a_lapse_during_a_renewal_is_a_gap_too(join, api_server):
    replica = join()
    replica.wait_leading()

    # The second is sent after five seconds and arrives after eleven: from the first it led for ten.
    _during_updates(api_server, replica, 5, 6)

    replica.wait("gained", "lost", "gained")


def test_a_lease_somebody_else_took_ends_leadership_at_the_next_renewal(join, cluster):
    replica = join()
    replica.wait_leading()
    cluster.admin.edit("leases", cluster.namespace, "confsync", {"spec": {"holderIdentity": "robber"}})
    replica.wait("gained", "lost")
    assert replica.election.holder == "robber"


def test_a_note_on_the_lease_changes_nothing(join, cluster):
    leader, standby = _pair(join)
    for _ in range(5):
        cluster.admin.edit("leases", cluster.namespace, "confsync", {"metadata": {"annotations": {"a": "b"}}})
        quiet(lambda: leader.leading and not standby.leading, 0.05)
    assert leader.told == ["gained"]


def test_a_lease_that_is_cleared_by_hand_is_taken_again_by_one(join, cluster):
    leader, standby = _pair(join)
    cluster.admin.edit("leases", cluster.namespace, "confsync", {"spec": {"holderIdentity": ""}})
    eventually(lambda: leader.told[1:] or standby.told)
    eventually(lambda: leader.leading != standby.leading)
    quiet(lambda: leader.leading != standby.leading)


def test_a_lease_deleted_by_hand_does_not_make_two_leaders(join, cluster, spec):
    leader, standby = _pair(join)
    eventually(lambda: standby.election._watch.alive)
    for _ in range(3):
        cluster.admin.delete("leases", cluster.namespace, "confsync")
        quiet(lambda: not standby.leading, 0.05)
        eventually(lambda: spec().get("holderIdentity") == leader.identity)
    assert leader.told == ["gained"]
    assert standby.told == []


def test_a_lease_that_is_deleted_and_made_by_another_before_ours_ends_leadership(join, cluster, api_server):
    replica = join()
    replica.wait_leading()
    rival = {
        "metadata": {"name": "confsync"},
        "spec": {"holderIdentity": "rival", "leaseDurationSeconds": 15},
    }
    url = f"/apis/coordination.k8s.io/v1/namespaces/{cluster.namespace}/leases"

    def first(_: object) -> bool:
        api_server.core.do("POST", url, rival)
        return False

    api_server.faults.drop(verb="create", resource="leases", when=first)
    api_server.delete("leases", cluster.namespace, "confsync")

    replica.wait("gained", "lost")
    assert replica.election.holder == "rival"


def test_a_lease_deleted_after_its_leader_died_is_taken_when_that_ones_time_is_over(join, cluster, spec):
    leader, standby = _pair(join)
    leader.election.stop(release=False)
    _catch_up(standby, spec)
    cluster.admin.delete("leases", cluster.namespace, "confsync")
    quiet(lambda: not standby.leading)
    standby.clock.time += 15.1
    standby.wait("gained")


# What fails


def test_an_api_server_that_is_down_at_the_start_is_waited_for_and_told_of_once(join, api_server, caplog):
    caplog.set_level(logging.INFO, "confsync")
    api_server.stop()
    replica = join()
    eventually(lambda: "the election fails" in caplog.text)
    quiet(lambda: not replica.leading)
    api_server.start()
    replica.wait("gained")
    assert _errors(caplog) == ["the election fails; it is tried again for ever"]
    assert "the election works again" in caplog.text


def _errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("fault", ["drop", "cut", "broken", "unavailable", "rate_limited", "no_json", "lost"])
def test_failures_within_the_time_leave_the_leader_in_office(join, api_server, fault):
    replica = join()
    replica.wait_leading()
    where = {"verb": "update", "resource": "leases", "times": 3}
    faults = api_server.faults
    {
        "drop": lambda: faults.drop(**where),
        "lost": lambda: faults.drop(processed=True, **where),
        "cut": lambda: faults.cut(20, **where),
        "broken": lambda: faults.broken(**where),
        "unavailable": lambda: faults.unavailable(**where),
        "rate_limited": lambda: faults.rate_limited(**where),
        "no_json": lambda: faults.no_json(**where),
    }[fault]()

    eventually(lambda: not faults._faults)
    until = replica.election._valid_until
    replica.clock.time += 1
    eventually(lambda: replica.election._valid_until > until)

    assert replica.told == ["gained"]


def test_an_update_whose_answer_was_lost_is_known_to_be_ours(join, api_server, cluster):
    held = {"holderIdentity": "", "leaseDurationSeconds": 1}
    cluster.admin.create("leases", cluster.namespace, {"metadata": {"name": "confsync"}, "spec": held})
    api_server.faults.drop(processed=True, verb="update", resource="leases")
    replica = join()
    replica.wait("gained")


def test_a_server_that_hangs_does_not_prolong_leadership(join, api_server):
    replica = join(timeout="100ms")
    replica.wait_leading()
    fault = api_server.faults.late(300, resource="leases", times=None)
    eventually(lambda: fault.hits)
    replica.clock.time += 10
    assert not replica.leading
    replica.wait("gained", "lost")
    api_server.faults.clear()
    eventually(lambda: replica.leading)


def test_what_is_not_allowed_is_told_once_with_the_rule_and_tried_for_ever(
    join, api_server, tmp_path: Path, caplog
):
    namespace = "default"
    token = api_server.user("confsync")
    kubeconfig = api_server.kubeconfig(tmp_path / "config", token=token)
    with Replica(kubeconfig, namespace).running() as replica:
        eventually(lambda: api_server.count("get", "leases") > 3)
        # Of what else may fail on a busy machine, each is told, too.
        (record,) = [one for one in caplog.records if hasattr(one, "needed")]
        assert record.needed == (
            'apiGroups: ["coordination.k8s.io"], resources: [leases], verbs: [get, create, update, watch] '
            "in namespace default"
        )
        api_server.grant("confsync", namespace, ["get", "create", "update", "watch"], ["leases"])
        replica.wait("gained")


def test_the_rule_it_names_is_enough(join, api_server, tmp_path: Path, caplog):
    token = api_server.user("confsync")
    kubeconfig = api_server.kubeconfig(tmp_path / "config", token=token)
    api_server.grant("confsync", "default", ["get", "create", "update", "watch"], ["leases"])
    with Replica(kubeconfig, "default").running() as leader:
        leader.wait_leading()
        with Replica(kubeconfig, "default").running() as standby:
            eventually(lambda: standby.election._watch.alive)
            leader.election.stop()
            standby.wait("gained")
    assert not [record for record in caplog.records if "403" in str(getattr(record, "error", ""))]


def test_a_namespace_that_is_not_there_is_told_of_and_waited_for(api_server, tmp_path: Path, caplog):
    kubeconfig = api_server.kubeconfig(tmp_path / "config")
    with Replica(kubeconfig, "later").running() as replica:
        eventually(lambda: "the election fails" in caplog.text)
        api_server.core.do("POST", "/api/v1/namespaces", {"metadata": {"name": "later"}})
        replica.wait("gained")


def test_a_callback_that_fails_does_not_end_the_election(join, caplog):
    replica = join(retry="10ms")
    replica.wait_leading()
    replica.election._on_lost = lambda: 1 / 0
    replica.clock.time += 11
    eventually(lambda: replica.leading)
    eventually(lambda: replica.told == ["gained", "gained"])
    assert "a bug: please report it" in caplog.text
