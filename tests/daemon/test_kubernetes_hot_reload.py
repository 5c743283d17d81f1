"""What belongs to a configuration of before ends with it, though another one came before it was in force."""

from __future__ import annotations

from stand_ins.clustered import PASSWORD, data

from confsync.testing.waiting import eventually

EDITS = 5


def configure(clustered, edit):
    """The same Secret, through a login that is another one to confsync."""
    prod = {"kubeconfig": str(clustered.kubeconfig), "timeout": "5s", "requests_per_second": 100 + edit}
    syncs = {"app": data({"PASSWORD": "values:db/password"}, clustered.secret())}
    clustered.configure(syncs, clusters={"prod": prod}, interval="1h")


def test_quick_edits_of_a_cluster_leave_no_watch_of_an_old_one(clustered, api_server):
    """They come while the first look through the login of the first of them is still under way."""
    configure(clustered, 0)
    with clustered.daemon() as daemon:
        clustered.wait_held({"PASSWORD": PASSWORD})
        eventually(lambda: api_server.watches("secrets") == 1)
        slow = api_server.faults.late(1, resource="secrets", times=None)
        for edit in range(1, EDITS + 1):
            configure(clustered, edit)
            daemon.wait_log("configuration reloaded", times=edit)
            eventually(lambda: slow.hits)
        api_server.faults.clear()

        clustered.values({"db": {"password": "pw2"}})

        clustered.wait_held({"PASSWORD": "pw2"})
        eventually(lambda: api_server.watches("secrets") == 1)
