"""Others at the same objects: people, field managers, other confsyncs. Nobody's work is lost, and nothing flaps."""

from __future__ import annotations

import signal

import pytest
from stand_ins.clustered import PASSWORD, data, open_workspace
from stand_ins.kubernetes.admin import encoded

from confsync.testing.waiting import eventually

READ = {"PASSWORD": "values:db/password"}
HELD = {"PASSWORD": PASSWORD}


@pytest.fixture
def other(clustered, tmp_path_factory):
    """Another confsync, with a ledger and values of its own, and the same namespace."""
    other = open_workspace(tmp_path_factory.mktemp("other"), clustered)
    other.values({"db": {"password": "other-pw"}})
    yield other
    other.close()


def swap(server, namespace):
    """Somebody deletes the object and makes another of the same name."""
    server.delete("secrets", namespace, "app")
    thing = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "app"},
        "data": encoded({"theirs": "x"}),
    }
    server.core.do("POST", f"/api/v1/namespaces/{namespace}/secrets", thing)


def writes(server):
    return [
        one
        for one in server.requests
        if one.name == "app" and one.verb == "patch" and "dryRun" not in one.url
    ]


def look_again(*daemons):
    """Have each look at everything."""
    for daemon in daemons:
        before = len(daemon.lines("configuration reloaded"))
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("configuration reloaded", times=before + 1)


def test_what_another_manager_takes_from_an_object_of_ours_is_taken_back(clustered):
    clustered.configure({"app": data(READ, clustered.secret())}, interval="1h")
    with clustered.daemon() as daemon:
        clustered.wait_held(HELD)
        theirs = {"metadata": {"name": "app"}, "data": encoded({"PASSWORD": "x", "extra": "theirs"})}

        clustered.admin.apply("secrets", clustered.namespace, theirs, "flux", force=True)

        clustered.wait_held({**HELD, "extra": "theirs"})
        daemon.wait_log("target healed", sync="app")


@pytest.mark.parametrize("changed", [False, True], ids=["healing", "changing"])
def test_an_object_that_is_made_anew_between_look_and_apply_is_not_written_over(
    clustered, api_server, changed
):
    """It is somebody else's now: its keys live on beside ours, and it is not ours to delete."""
    clustered.configure({"app": data(READ, clustered.secret())}, interval="1h")
    clustered.ok("apply")
    namespace = clustered.namespace
    if changed:
        clustered.values({"db": {"password": "pw2"}})
    else:
        api_server.edit("secrets", namespace, "app", {"data": {"PASSWORD": "eA=="}})
    done = []

    def once(call):
        if not done and call.target.name == "app":
            done.append(swap(api_server, namespace))
        return False

    api_server.faults.late(0, verb="patch", times=None, when=once)

    first = clustered.confsync("apply")

    assert first.returncode == 1
    assert "made it anew, meanwhile" in first.stderr
    assert clustered.held() == {"theirs": "x"}
    clustered.ok("apply")
    held = {"theirs": "x", "PASSWORD": "pw2" if changed else PASSWORD}
    assert clustered.held() == held
    assert clustered.marks()["origin"] == "adopted"
    clustered.configure({})
    clustered.ok("apply")
    assert clustered.held() == {"theirs": "x"}


def test_an_object_that_is_made_anew_between_look_and_deletion_lives_on(clustered, api_server):
    clustered.configure({"app": data(READ, clustered.secret())})
    clustered.ok("apply")
    clustered.configure({})
    api_server.faults.late(0, verb="delete", when=lambda call: swap(api_server, clustered.namespace))

    first = clustered.confsync("apply")

    assert first.returncode == 1
    assert "not removed: somebody changed it meanwhile" in first.stderr
    clustered.ok("apply")
    assert clustered.held() == {"theirs": "x"}


def test_two_confsyncs_that_want_one_object_both_say_so_and_it_does_not_flap(clustered, other, api_server):
    clustered.configure({"ours": data(READ, clustered.secret())})
    other.configure({"theirs": data(READ, clustered.secret())})
    with clustered.daemon() as first:
        clustered.wait_held(HELD)
        with other.daemon() as second:
            other.wait_state("theirs", "failed", detail="it belongs to sync 'ours' of another confsync")
            clustered.wait_state("ours", "ok", detail="also claimed by sync 'theirs' of another confsync")

            second.wait_log(
                "sync failed", error="choose another name, or take it over with `conflicts: take`"
            )
            first.wait_log("sync is in order, but", note="also claimed by sync 'theirs'")
            assert "also claimed by sync 'theirs'" in clustered.confsync("status").stdout
            clustered.values({"db": {"password": "pw2"}})
            clustered.wait_held({"PASSWORD": "pw2"})
            look_again(first, second)
        assert len(writes(api_server)) == 3, "made, claimed, changed"

        other.configure({"theirs": data(READ, clustered.secret(conflicts="take"))})
        with other.daemon():
            clustered.wait_held({"PASSWORD": "other-pw"})
            clustered.wait_state("ours", "failed", detail="it belongs to sync 'theirs' of another confsync")
            other.wait_state("theirs", "ok")
            clustered.values({"db": {"password": "pw3"}})
            other.values({"db": {"password": "other-pw2"}})
            clustered.wait_held({"PASSWORD": "other-pw2"})


def test_two_confsyncs_with_one_sync_name_stop_fighting_and_say_so(clustered, other, api_server):
    for workspace in (clustered, other):
        workspace.configure({"app": data(READ, clustered.secret())})
    with clustered.daemon(), other.daemon():
        loser = eventually(lambda: refused(clustered, other))
        winner = clustered if loser is other else other
        winner.wait_state("app", "ok", detail="also claimed by sync 'app' of another confsync")
        fought = len(writes(api_server))
        assert fought <= 12

        loser.values({"db": {"password": "never"}})
        for turn in range(3):
            winner.values({"db": {"password": f"turn {turn}"}})
            clustered.wait_held({"PASSWORD": f"turn {turn}"})
    assert len(writes(api_server)) <= fought + 3 * 3, (
        "each change, and a note that is taken away and left again"
    )
    assert clustered.held() == {"PASSWORD": "turn 2"}


def refused(*workspaces):
    """The one that leaves the object to the other."""
    said = "another confsync writes it too: it was overwritten 3 times in 10 minutes"
    return next(
        (one for one in workspaces if "app" in one.syncs() and said in one.syncs()["app"].detail), None
    )
