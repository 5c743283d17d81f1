"""Members killed, paused, cut off; access denied and tokens that expire."""

from __future__ import annotations

import grpc
import pytest

from confsync.testing.etcd import EtcdCluster
from confsync.testing.waiting import eventually


@pytest.fixture
def three():
    with EtcdCluster(3) as cluster:
        yield cluster


@pytest.fixture
def guarded():
    """A node that can have auth."""
    with EtcdCluster() as cluster:
        yield cluster


@pytest.fixture
def forgetful():
    """As `guarded`; its tokens live two seconds."""
    with EtcdCluster(arguments=["--auth-token-ttl=2"]) as cluster:
        yield cluster


def configure(workspace, etcd, **more):
    workspace.config(
        sources={
            "etcd": {
                "backend": "etcd", "endpoints": etcd.endpoints, "sensitive": False,
                "timeout": "1s", "keepalive": "1s", **more,
            }
        },
        syncs={"app": {"template": {"inline": "{{ etcd('v') }}"}, "to": "out/app"}},
    )  # fmt: skip


PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def write(etcd, value):
    """Write the key, be there an election meanwhile or not."""
    eventually(lambda: tried(lambda: etcd.put("/v", value), *PASSING), within=60)


def tried(do, *passing):
    """Whether it could be done; not where the answer was one of these."""
    try:
        do()
    except grpc.RpcError as error:
        if error.code() in passing:
            return False
        raise
    return True


def follows(workspace, etcd, value):
    write(etcd, value)
    workspace.wait_content("app", value, within=60)


def test_any_one_of_three_members_may_be_killed(workspace, three):
    write(three, "0")
    configure(workspace, three)
    with workspace.daemon():
        workspace.wait_content("app", "0")
        for number, member in enumerate(three.members, 1):
            member.kill()
            three.leader()
            follows(workspace, three, str(number))
            member.restart()
        workspace.wait_state("app", "ok")


def test_the_leader_may_be_killed(workspace, three):
    write(three, "0")
    configure(workspace, three)
    with workspace.daemon():
        workspace.wait_content("app", "0")
        leader = three.leader()
        leader.kill()
        three.leader()
        follows(workspace, three, "1")
        leader.restart()
        follows(workspace, three, "2")


def test_a_paused_member_is_left_for_another(workspace, three):
    """Whichever one the daemon talks to: each is paused in turn."""
    write(three, "0")
    configure(workspace, three)
    with workspace.daemon():
        workspace.wait_content("app", "0")
        # The test itself writes through the first member, so that one is not paused here.
        for number, member in enumerate(three.members[1:], 1):
            member.pause()
            three.leader()
            follows(workspace, three, str(number))
            member.resume()


def test_a_daemon_that_knows_only_the_paused_member_gets_stale_and_recovers(workspace, three):
    write(three, "0")
    member = three.followers()[0]
    workspace.config(
        sources={
            "etcd": {
                "backend": "etcd", "endpoints": [member.endpoint], "sensitive": False,
                "timeout": "1s", "keepalive": "1s",
            }
        },
        syncs={"app": {"template": {"inline": "{{ etcd('v') }}"}, "to": "out/app"}},
    )  # fmt: skip
    with workspace.daemon():
        workspace.wait_content("app", "0")
        member.pause()
        workspace.wait_state("app", "stale")
        assert workspace.read("app") == "0"
        member.resume()
        workspace.wait_state("app", "ok")


def test_without_a_majority_it_is_stale_until_there_is_one(workspace, three):
    write(three, "0")
    configure(workspace, three)
    with workspace.daemon():
        workspace.wait_content("app", "0")
        for member in three.members[:2]:
            member.kill()
        workspace.wait_state("app", "stale", within=60)
        assert workspace.read("app") == "0"
        for member in three.members[:2]:
            member.start()
        for member in three.members:
            member.wait_healthy(60)
        workspace.wait_state("app", "ok", within=60)
        follows(workspace, three, "1")


def two_sources(workspace, etcd, *, password="pw"):
    login = {"user": "app", "password": password, "timeout": "30s", "sensitive": False}
    workspace.config(
        sources={
            "ours": {"backend": "etcd", "endpoints": etcd.endpoints, **login},
            "theirs": {"backend": "etcd", "endpoints": etcd.endpoints, **login},
        },
        environments={"prod": {"ours": "/ours", "theirs": "/theirs"}},
        defaults={"environment": "prod"},
        syncs={
            "ours": {"template": {"inline": "{{ ours('v') }}"}, "to": "out/ours"},
            "theirs": {"template": {"inline": "{{ theirs('v') }}"}, "to": "out/theirs"},
        },
    )


def test_access_denied_to_one_prefix_fails_that_sync_by_name_and_no_other(workspace, guarded):
    guarded.transact({"/ours/v": "1", "/theirs/v": "1"})
    guarded.enable_auth()
    guarded.add_user("app", "pw", "/ours/")
    two_sources(workspace, guarded)
    with workspace.daemon() as daemon:
        workspace.wait_content("ours", "1")
        assert "/theirs" in workspace.wait_state("theirs", "failed").detail
        daemon.wait_log("source cannot be read", source="theirs")
        guarded.put("/ours/v", "2")
        workspace.wait_content("ours", "2")

        # What is granted later is taken up without a restart.
        guarded.grant("app", "/theirs/")
        workspace.wait_content("theirs", "1", within=60)


def test_a_wrong_password_is_a_failure_that_does_not_show_it(workspace, guarded):
    guarded.transact({"/ours/v": "1", "/theirs/v": "1"})
    guarded.enable_auth()
    guarded.add_user("app", "pw", "/ours/", "/theirs/")
    two_sources(workspace, guarded, password="not-the-password")
    with workspace.daemon() as daemon:
        assert "password" in workspace.wait_state("ours", "failed").detail
        assert "not-the-password" not in daemon.log()
        workspace.replace(workspace.file, workspace.file.read_text().replace("not-the-password", "pw"))
        workspace.wait_content("ours", "1")
        workspace.wait_content("theirs", "1")


def as_root(etcd, do):
    """Do something; our own token too dies after two seconds."""

    def again():
        etcd.login()
        do()

    eventually(lambda: tried(again, grpc.StatusCode.UNAUTHENTICATED))


def test_an_expired_token_is_renewed_and_nothing_is_missed(workspace, forgetful):
    forgetful.transact({"/ours/v": "0", "/theirs/v": "0"})
    forgetful.add_user("app", "pw", "/ours/", "/theirs/")
    forgetful.enable_auth()
    two_sources(workspace, forgetful)
    with workspace.daemon() as daemon:
        for name in ("ours", "theirs"):
            workspace.wait_content(name, "0")
            daemon.wait_log("target created", sync=name)
        failed = len(daemon.lines("sync failed"))
        # A token dies after two seconds without use, and with the server in any case.
        forgetful.members[0].restart()
        as_root(forgetful, lambda: forgetful.put("/ours/v", "1"))
        workspace.wait_content("ours", "1")
        workspace.wait_state("ours", "ok")
        assert len(daemon.lines("sync failed")) == failed
