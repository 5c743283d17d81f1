"""The API server down, hanging, failing, half-answering: nothing is lost, nobody else waits, and all comes back."""

from __future__ import annotations

import pytest
from stand_ins.clustered import PASSWORD, data
from stand_ins.kubernetes import ApiServer, KubeAdmin
from stand_ins.vaulted import text

from confsync.testing.waiting import eventually

READ = {"PASSWORD": "values:db/password"}
HELD = {"PASSWORD": PASSWORD}


def configure(clustered, **more):
    """One sync that writes a Secret, and one that writes a file."""
    syncs = {
        "app": data(READ, clustered.secret()),
        "other": text("{{ values('db/host') }}", "other"),
    }
    clustered.configure(syncs, **more)


def change(clustered, password, host="db1"):
    clustered.values({"db": {"host": host, "password": password}})


def test_an_api_server_that_is_down_at_the_start_stops_nobody_else_and_is_waited_for(clustered, api_server):
    configure(clustered)
    api_server.stop()
    with clustered.daemon() as daemon:
        clustered.wait_content("other", "db1")
        failed = clustered.wait_state("app", "failed", detail="connection refused")
        assert failed.applied_at is None
        daemon.wait_log("sync failed", sync="app")

        api_server.start()

        clustered.wait_held(HELD)
        clustered.wait_state("app", "ok")
        daemon.wait_log("sync works again", sync="app")


def test_an_api_server_that_is_down_at_a_later_start_is_waited_for_and_nothing_is_written(
    clustered, api_server
):
    configure(clustered)
    clustered.ok("apply")
    before = clustered.version()
    api_server.stop()
    with clustered.daemon():
        clustered.wait_state("app", "failed", detail="connection refused")

        api_server.start()

        clustered.wait_state("app", "ok")
        assert clustered.version() == before


def test_an_api_server_that_is_restarted_misses_nothing(clustered, api_server):
    """Changes made while it was away arrive, from both sides."""
    configure(clustered)
    with clustered.daemon():
        clustered.wait_held(HELD)
        eventually(lambda: api_server.watches("secrets"))

        api_server.stop()
        change(clustered, "pw2", host="db2")
        clustered.wait_content("other", "db2")
        clustered.wait_state("app", "failed")
        api_server.edit("secrets", clustered.namespace, "app", {"data": {"PASSWORD": None}})
        api_server.start()

        clustered.wait_held({"PASSWORD": "pw2"})
        clustered.wait_state("app", "ok")


def fail_inside(server):
    server.faults.broken(times=None)


def be_unavailable(server):
    server.faults.unavailable(times=None)


def answer_pages(server):
    server.faults.no_json(times=None)


def cut_answers(server):
    server.faults.cut(20, times=None)


def hang(server):
    server.faults.late(30, times=None)


LASTING = {
    fail_inside: "500: the server failed",
    be_unavailable: "503: the server failed",
    answer_pages: "half an answer, or not one of an API server",
    cut_answers: "half an answer, or none: the connection was lost",
    hang: "no answer in time",
}


def test_whatever_the_api_server_answers_instead_is_waited_out(clustered, api_server):
    """One daemon, one trouble after the other; the watch ends with each."""
    clustered.timeout = "1s"
    configure(clustered)
    with clustered.daemon():
        clustered.wait_held(HELD)
        for inflict, said in LASTING.items():
            clustered.wait_state("app", "ok")
            eventually(lambda: api_server.watches("secrets"))

            inflict(api_server)
            api_server.end_watches()
            change(clustered, said)

            clustered.wait_state("app", "failed", detail=said)
            api_server.faults.clear()
            clustered.wait_held({"PASSWORD": said})


@pytest.fixture
def good(clustered):
    """Another cluster, which is well: how to reach it, a namespace of it, and who looks into it."""
    with ApiServer() as server:
        kubeconfig = clustered.root / "other-kubeconfig"
        admin = KubeAdmin(server.kubeconfig(kubeconfig))
        yield {"kubeconfig": str(kubeconfig)}, admin.namespace(), admin


def configure_many(clustered, good, timeout):
    """More syncs than workers want the cluster from the start; one has another, and one has none."""
    cluster, namespace, _ = good
    names = [f"app{number}" for number in range(12)]
    syncs = {
        **{name: data(READ, clustered.secret(name, cluster="prod")) for name in names},
        "file": text("{{ values('db/host') }}", "file"),
        "good": data(READ, clustered.secret(cluster="good", namespace=namespace)),
    }
    prod = {"kubeconfig": str(clustered.kubeconfig), "timeout": timeout}
    clustered.configure(syncs, clusters={"prod": prod, "good": cluster})
    return names


def test_an_api_server_that_hangs_holds_up_nobody_else(clustered, api_server, good):
    """Nobody who waits for it gets as far as to give up."""
    _, namespace, admin = good
    api_server.faults.late(3600, times=None)
    configure_many(clustered, good, timeout="1h")
    clustered.daemon()
    for turn in range(3):
        change(clustered, f"pw{turn}", host=f"turn {turn}")
        clustered.wait_content("file", f"turn {turn}")
        eventually(lambda turn=turn: admin.data(namespace, "app") == {"PASSWORD": f"pw{turn}"})


def test_an_api_server_that_hung_gets_everything_when_it_answers_again_and_holds_up_no_end(
    clustered, api_server, good
):
    _, namespace, admin = good
    api_server.faults.late(3600, times=None)
    names = configure_many(clustered, good, timeout="1500ms")
    with clustered.daemon():
        assert clustered.wait_state("app0", "failed", detail="no answer in time")
        change(clustered, "pw2")

        api_server.faults.clear()

        for name in names:
            clustered.wait_held({"PASSWORD": "pw2"}, name)
        api_server.faults.late(3600, times=None)
        change(clustered, "pw3")
        eventually(lambda: admin.data(namespace, "app") == {"PASSWORD": "pw3"})


def test_a_command_waits_once_for_a_cluster_that_hangs_however_many_targets_it_has(clustered, api_server):
    namespaces = [clustered.admin.namespace() for _ in range(4)]
    syncs = {f"app{n}": data(READ, clustered.secret(namespace=one)) for n, one in enumerate(namespaces)}
    clustered.configure(syncs)
    clustered.ok("apply")
    prod = {"kubeconfig": str(clustered.kubeconfig), "timeout": "300ms"}
    clustered.configure(syncs, clusters={"prod": prod})
    hanging = api_server.faults.late(60, times=None)
    commands = ("status", "plan", "apply")

    for command in commands:
        done = clustered.confsync(command)
        assert done.returncode in (1, 2)
        assert (done.stdout + done.stderr).count("no answer in time") >= 4

    # One more where a second passes between two targets; not one more for each.
    assert hanging.hits < (3 + len(namespaces) - 1) * len(commands), "three tries of the first"


def test_what_was_done_before_the_connection_was_lost_is_done_once_and_is_ours(clustered, api_server):
    """Created, changed and deleted: each time the server does it, and the answer is lost."""
    clustered.configure({"app": data(READ, clustered.secret())})
    lose = {"processed": True, "resource": "secrets", "when": writes}
    created = api_server.faults.drop(verb="patch", **lose)
    clustered.ok("apply")
    uid, version = clustered.version()
    assert clustered.marks()["origin"] == "created"

    change(clustered, "pw2")
    changed = api_server.faults.drop(verb="patch", **lose)
    clustered.ok("apply")
    assert clustered.held() == {"PASSWORD": "pw2"}
    assert int(clustered.version()[1]) == int(version) + 1, "changed once"
    assert clustered.version()[0] == uid

    clustered.configure({"app": text("x", "file")})
    deleted = api_server.faults.drop(verb="delete", **lose)
    clustered.ok("apply")
    assert clustered.held() is None
    assert [fault.hits for fault in (created, changed, deleted)] == [1, 1, 1]


def writes(call):
    """Whether a request changes anything."""
    return "dryRun" not in call.query


def test_a_past_that_was_compacted_under_the_watch_is_read_anew(clustered, api_server):
    """What was changed and deleted meanwhile is healed without any resync."""
    names = ("changed", "deleted", "same")
    syncs = {name: data(READ, clustered.secret(name)) for name in names}
    clustered.configure(syncs, interval="1h")
    with clustered.daemon() as daemon:
        for name in names:
            clustered.wait_held(HELD, name)
        eventually(lambda: api_server.watches("secrets"))
        before, lists = clustered.version("same"), api_server.count("list", "secrets")

        api_server.faults.unavailable(verb="watch", times=None)
        api_server.end_watches()
        eventually(lambda: not api_server.watches("secrets"))
        api_server.edit("secrets", clustered.namespace, "changed", {"data": {"PASSWORD": "eA=="}})
        api_server.delete("secrets", clustered.namespace, "deleted")
        api_server.compact()
        api_server.faults.clear()

        clustered.wait_held(HELD, "changed")
        clustered.wait_held(HELD, "deleted")
        assert clustered.version("same") == before
        assert api_server.count("list", "secrets") > lists
        daemon.wait_log("target healed", sync="changed")
        daemon.wait_log("target healed", sync="deleted")


def test_what_was_removed_is_cleaned_up_elsewhere_though_its_cluster_is_down(clustered, api_server):
    """Of three syncs that are removed, one in the cluster; the two others go, and so does the third when it can."""
    syncs = {
        "app": data(READ, clustered.secret()),
        "before": text("x", "before"),
        "other": text("{{ values('db/host') }}", "other"),
        "stays": text("x", "stays"),
    }
    clustered.configure(syncs)
    clustered.ok("apply")
    api_server.stop()
    clustered.configure({"stays": syncs["stays"]})

    planned = clustered.confsync("plan")
    assert planned.returncode == 1
    assert "connection refused" in planned.stderr
    assert all(f"out/{name}  [{name}]" in planned.stdout for name in ("before", "other"))
    with clustered.daemon() as daemon:
        eventually(lambda: clustered.read("before") is None and clustered.read("other") is None)
        daemon.wait_log("removed syncs are not cleaned up", error="connection refused")
        daemon.wait_log("target deleted", sync="other")
        eventually(lambda: clustered.syncs().keys() == {"app", "stays"})
        clustered.wait_state("app", "failed", detail="connection refused")
        assert clustered.read("stays") == "x"

        api_server.start()

        clustered.wait_held(None)
        eventually(lambda: clustered.syncs().keys() == {"stays"})
