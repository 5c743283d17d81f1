"""Two daemons that share targets: one writes, the other stands by, and takes over without doing anything twice."""

from __future__ import annotations

import http.client
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stand_ins.clustered import ClusterWorkspace, data, open_workspace

from confsync.testing.daemon import DaemonProcess
from confsync.testing.ports import free_port
from confsync.testing.waiting import eventually, pause

LONG = {"duration": "60m", "renew": "40m", "retry": "20m"}
"""Nothing expires, and no look is due, while a test runs: what happens is what was told."""
SHORT = {"duration": "6s", "renew": "5s", "retry": "100ms"}
LEADS, STANDS_BY = "this replica leads", "standing by"


@pytest.fixture
def other(
    clustered: ClusterWorkspace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClusterWorkspace]:
    """The other replica: the same cluster and namespace, a state directory of its own."""
    workspace = open_workspace(tmp_path_factory.mktemp("other"), clustered)
    yield workspace
    workspace.close()


Pair = Callable[..., tuple[DaemonProcess, DaemonProcess]]


@pytest.fixture
def pair(clustered: ClusterWorkspace, other: ClusterWorkspace) -> Pair:
    """Start `clustered` as the leader, which has written everything, and `other` as its standby."""

    def pair(times: dict[str, str] = LONG, **more: Any) -> tuple[DaemonProcess, DaemonProcess]:
        restart = {"restart": ["deployment/shop"]} if more.pop("restart", False) else {}
        for workspace, own in ((clustered, times), (other, LONG)):
            syncs = {"app": data({"HOST": "values:db/host"}, workspace.secret(**restart))}
            election = {"namespace": clustered.namespace, "identity": workspace.root.name, **own}
            workspace.configure(syncs, election=election, **more)
        leader = clustered.daemon()
        leader.wait_log(LEADS)
        clustered.wait_state("app", "ok")
        standby = other.daemon()
        standby.wait_log(STANDS_BY, holder=clustered.root.name)
        return leader, standby

    return pair


def give(workspace: ClusterWorkspace, host: str) -> None:
    workspace.values({"db": {"host": host}})


def give_and_wait(workspace: ClusterWorkspace, host: str) -> None:
    """Have it read the value, though nobody sees what it makes of it: the ledger tells how many keys there were."""
    workspace.values({"db": {"host": host}, "more": "x"})

    def keys() -> int:
        ledger = workspace.ledger()
        try:
            return sum(ledger.key_counts("values").values())
        finally:
            ledger.close()

    eventually(lambda: keys() == 2)


def kill(leader: DaemonProcess) -> None:
    """Kill it, and wait until nothing of it is left but its lease."""
    leader.signal(signal.SIGKILL)
    leader.wait_exit()


def expire(workspace: ClusterWorkspace) -> None:
    """Have the lease of who is dead expire: soon, not after an hour."""
    change = {"spec": {"leaseDurationSeconds": 1}}
    workspace.admin.edit("leases", workspace.namespace, "confsync", change)


def quiet(condition: Callable[[], bool], seconds: float = 0.7) -> None:
    """It stays so for more than two intervals."""
    ended = threading.Event()
    threading.Timer(seconds, ended.set).start()
    while not ended.wait(0.05):
        assert condition()


def test_one_writes_and_when_it_ends_the_other_leads_at_once_and_does_nothing_twice(pair, clustered, other):
    clustered.admin.workload("deployments", clustered.namespace, "shop")
    leader, standby = pair(restart=True)
    give(other, "of the standby")
    give(clustered, "db2")
    clustered.wait_held({"HOST": "db2"})
    eventually(lambda: list(clustered.noted().values()) == [clustered.checksum()])
    quiet(lambda: clustered.held() == {"HOST": "db2"})
    assert not standby.lines("target")
    assert not other.syncs()
    give_and_wait(other, "db2")
    before = clustered.version(), clustered.generation()

    leader.signal(signal.SIGTERM)
    standby.wait_log(LEADS)
    assert leader.wait_exit() == 0
    other.wait_state("app", "ok")

    quiet(lambda: (clustered.version(), clustered.generation()) == before)
    give(other, "db3")
    clustered.wait_held({"HOST": "db3"})
    eventually(lambda: clustered.generation() == before[1] + 1)
    standby.stop()


def test_what_changed_while_nobody_led_is_written_by_who_leads_next(pair, clustered, other):
    leader, standby = pair(interval="1h")  # only becoming the leader is a reason to look
    kill(leader)
    for workspace in (clustered, other):
        give(workspace, "db2")
    assert clustered.held() == {"HOST": "db1"}
    expire(clustered)

    standby.wait_log(LEADS)

    clustered.wait_held({"HOST": "db2"})
    standby.stop()


def test_a_roll_out_the_dead_leader_owed_is_done_by_who_leads_next(pair, clustered, other, api_server):
    clustered.admin.workload("deployments", clustered.namespace, "shop")
    leader, standby = pair(restart=True)
    eventually(clustered.noted)
    generation = clustered.generation()
    api_server.faults.unavailable(verb="patch", resource="deployments", times=None)
    for workspace in (clustered, other):
        give(workspace, "db2")
    clustered.wait_held({"HOST": "db2"})
    kill(leader)
    assert clustered.generation() == generation
    api_server.faults.clear()
    expire(clustered)

    standby.wait_log(LEADS)

    eventually(lambda: clustered.generation() == generation + 1)
    quiet(lambda: clustered.generation() == generation + 1)
    standby.stop()


def test_a_leader_that_was_stopped_and_wakes_up_does_not_undo_what_the_next_one_wrote(pair, clustered, other):
    leader, standby = pair(SHORT)
    give(other, "db2")
    pause(leader.pid)
    standby.wait_log(LEADS)
    clustered.wait_held({"HOST": "db2"})
    version = clustered.version()

    give(clustered, "db3")  # the first thing it sees when it wakes up
    leader.signal(signal.SIGCONT)
    leader.wait_log("no longer the leader")

    quiet(lambda: clustered.version() == version)
    leader.stop()
    standby.stop()


def test_a_reload_that_had_failed_when_leadership_was_lost_is_done_when_it_is_regained(clustered):
    tried, works = clustered.root / "tried", clustered.root / "works"
    script = clustered.script("reload", f"echo x >> {tried}; test -e {works} && touch {works}-done")
    clustered.configure(
        {"app": data({"HOST": "values:db/host"}, str(clustered.out / "app.env"), reload=[script])},
        election={"namespace": clustered.namespace, "cluster": "prod", **SHORT},
        interval="1h",
    )
    with clustered.daemon() as daemon:
        daemon.wait_log("reload failed; it stays owed")
        robbed = {"spec": {"holderIdentity": "robber", "leaseDurationSeconds": 2}}
        clustered.admin.edit("leases", clustered.namespace, "confsync", robbed)
        daemon.wait_log("no longer the leader")
        tries = tried.stat().st_size
        works.touch()

        daemon.wait_log(LEADS, times=2)

        eventually((clustered.root / "works-done").exists)
        assert tries > 0


def test_a_standby_is_alive_and_ready_and_a_leader_when_it_has_written_everything(pair, clustered, other):
    ports = {clustered: free_port(), other: free_port()}
    clustered.admin.secret(clustered.namespace, "app", {"x": "y"})  # not ours: nothing is written over it
    for workspace, port in ports.items():
        workspace.configure(
            {"app": data({"HOST": "values:nothing/there"}, workspace.secret())},
            election={"namespace": clustered.namespace, "identity": workspace.root.name, **LONG},
            health={"listen": f"127.0.0.1:{port}"},
        )
    with clustered.daemon() as leader:
        leader.wait_log(LEADS)
        clustered.wait_state("app", "failed")
        with other.daemon() as standby:
            standby.wait_log(STANDS_BY)
            for port in ports.values():  # failing is no reason to be restarted, nor not to be asked
                for path in ("/livez", "/readyz"):
                    eventually(lambda port=port, path=path: ask(port, path) == (200, "ok\n"))
            assert "stands by: another replica leads" in other.confsync("status").stderr
            assert "stands by" not in clustered.confsync("status").stderr


def ask(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_a_port_that_is_taken_ends_the_start_with_one_line(clustered, tmp_path: Path):
    port = free_port()
    clustered.configure({}, health={"listen": f"127.0.0.1:{port}"})
    with clustered.daemon():
        done = open_workspace(tmp_path / "second", clustered)
        done.configure({}, health={"listen": f"127.0.0.1:{port}"})
        second = done.confsync("run")
    assert second.returncode == 3
    assert (
        second.stderr.strip()
        .splitlines()[-1]
        .startswith(f"confsync: health.listen: cannot listen on 127.0.0.1:{port}: Address already in use")
    )
    assert "Traceback" not in second.stderr
