"""The end of a daemon whose cluster hangs: in time, in order, and what it left is made good by the next."""

from __future__ import annotations

import signal
from datetime import datetime

from stand_ins.clustered import data

from confsync.testing.waiting import eventually


def test_sigterm_while_writes_hang_ends_after_the_deadline_and_the_next_run_makes_it_good(
    clustered, api_server
):
    names = [f"app{number}" for number in range(12)]
    prod = {"kubeconfig": str(clustered.kubeconfig), "timeout": "10m"}
    syncs = {"app": data({"PASSWORD": "values:db/password"}, [clustered.secret(name) for name in names])}
    clustered.configure(syncs, clusters={"prod": prod})
    clustered.ok("apply")
    hanging = api_server.faults.late(
        300, verb="patch", resource="secrets", times=None, when=lambda call: not call.dry_run
    )
    daemon = clustered.daemon("--shutdown-timeout", "300ms")
    clustered.values({"db": {"password": "pw2"}})
    eventually(lambda: hanging.hits >= 8)

    daemon.signal(signal.SIGTERM)

    assert daemon.wait_exit() == 1
    daemon.wait_log("stopped with work abandoned")
    told = daemon.wait_log("sync failed", sync="app", error="confsync is stopping")
    assert at(told) - at(daemon.wait_log("stopping; work under way")) < 20, (
        "not left until nobody waits for it"
    )
    assert "confsync is stopping" in clustered.syncs()["app"].detail
    for word in ("Traceback", "a bug", "trace"):
        assert word not in daemon.log()
    api_server.faults.clear()
    clustered.ok("apply")
    assert [clustered.held(name) for name in names] == [{"PASSWORD": "pw2"}] * len(names)


def at(line):
    """When it was logged, in seconds."""
    return datetime.fromisoformat(line.facts["time"]).timestamp()
