"""etcd down, restarted, wiped, hanging; keys gone in bulk: targets keep their last good content."""

from __future__ import annotations

import shutil
import signal
import subprocess

import pytest

from confsync.testing.etcd import EtcdCluster
from confsync.testing.waiting import eventually, pause


@pytest.fixture
def own_etcd():
    """A node that a test may stop and wipe."""
    with EtcdCluster() as cluster:
        yield cluster


KEYS = ("host", "port", "user", "name", "pool", "mode")


def fill(etcd, value="1"):
    etcd.transact({f"/shop/{key}": f"{key}{value}" for key in KEYS})


def expected(value="1"):
    return " ".join(f"{key}{value}" for key in KEYS)


def configure(workspace, etcd, **more):
    """One sync that reads six keys, and one that stands on another source."""
    workspace.values({"host": "db1"})
    text = " ".join(f"{{{{ etcd('{key}') }}}}" for key in KEYS)
    workspace.config(
        sources={
            "etcd": {"backend": "etcd", "endpoints": etcd.endpoints, "sensitive": False, "timeout": "1s"},
            "values": {"backend": "file", "path": "values.yaml", "sensitive": False},
        },
        environments={"prod": {"etcd": "/shop"}},
        defaults={"environment": "prod"},
        syncs={
            "app": {"template": {"inline": text}, "to": "out/app"},
            "other": {"template": {"inline": "{{ values('host') }}"}, "to": "out/other"},
            **more,
        },
    )


def test_down_at_the_start_others_work_and_it_recovers_by_itself(workspace, own_etcd):
    fill(own_etcd)
    configure(workspace, own_etcd)
    own_etcd.members[0].stop()
    with workspace.daemon() as daemon:
        workspace.wait_content("other", "db1")
        assert workspace.wait_state("app", "failed", detail="127.0.0.1").applied_at is None
        assert workspace.read("app") is None
        daemon.wait_log("source cannot be read", source="etcd")

        own_etcd.members[0].restart()

        workspace.wait_content("app", expected())
        workspace.wait_state("app", "ok")
        daemon.wait_log("source answers again", source="etcd")


def test_down_at_the_start_after_an_earlier_run_leaves_the_file_and_says_stale(workspace, own_etcd):
    fill(own_etcd)
    configure(workspace, own_etcd)
    with workspace.daemon():
        workspace.wait_content("app", expected())
        workspace.wait_state("app", "ok")
    own_etcd.members[0].stop()

    with workspace.daemon():
        workspace.wait_state("app", "stale")
        assert workspace.read("app") == expected()
        own_etcd.members[0].restart()
        workspace.wait_state("app", "ok")


def test_down_later_shows_stale_with_its_age_and_still_heals_drift(workspace, own_etcd):
    fill(own_etcd)
    configure(workspace, own_etcd)
    with workspace.daemon() as daemon:
        workspace.wait_content("app", expected())
        workspace.wait_state("app", "ok")

        own_etcd.members[0].stop()

        record = workspace.wait_state("app", "stale")
        assert record.since > 0
        status = workspace.confsync("status")
        assert status.returncode == 2
        assert "app  stale for " in status.stdout
        assert "other  ok" in status.stdout
        (workspace.out / "app").write_text("wrong")
        workspace.wait_content("app", expected())
        daemon.wait_log("target healed", sync="app")
        workspace.wait_state("app", "stale")
        workspace.values({"host": "db2"})
        workspace.wait_content("other", "db2")

        own_etcd.members[0].restart()

        workspace.wait_state("app", "ok")
        fill(own_etcd, "2")
        workspace.wait_content("app", expected("2"))


def test_restarted_with_its_data_it_resumes(workspace, own_etcd):
    fill(own_etcd)
    configure(workspace, own_etcd)
    with workspace.daemon() as daemon:
        workspace.wait_content("app", expected())
        inode = (workspace.out / "app").stat().st_ino

        own_etcd.members[0].restart()
        fill(own_etcd, "2")

        workspace.wait_content("app", expected("2"))
        assert (workspace.out / "app").stat().st_ino != inode
        daemon.wait_log("target updated", sync="app")
        assert len(daemon.lines("target updated", sync="app")) == 1


def test_restarted_empty_it_is_held_and_let_go_when_the_keys_return(workspace, own_etcd):
    fill(own_etcd)
    configure(workspace, own_etcd)
    with workspace.daemon() as daemon:
        workspace.wait_content("app", expected())
        workspace.wait_state("app", "ok")

        own_etcd.members[0].restart(wipe=True)

        line = daemon.wait_log("held a mass loss of keys", source="etcd")
        assert "6 of 6 keys" in line.facts["error"]
        workspace.wait_state("app", "held", detail="--allow-mass-delete")
        assert workspace.read("app") == expected()

        fill(own_etcd, "9")

        workspace.wait_content("app", expected("9"))
        workspace.wait_state("app", "ok")


def test_emptied_while_the_daemon_was_away_it_is_held_at_the_start(workspace, own_etcd):
    fill(own_etcd)
    configure(workspace, own_etcd)
    with workspace.daemon():
        workspace.wait_content("app", expected())
        workspace.wait_state("app", "ok")
    own_etcd.members[0].restart(wipe=True)

    with workspace.daemon():
        workspace.wait_state("app", "held")
        assert workspace.read("app") == expected()


def etcdctl(etcd, *arguments):
    program = shutil.which("etcdctl")
    if program is None:
        pytest.skip("needs etcdctl")
    done = subprocess.run(
        [
            program,
            f"--endpoints={etcd.endpoints[0]}",
            "--dial-timeout=30s",
            "--command-timeout=30s",
            *arguments,
        ],
        env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def listing(etcd):
    return {
        "tenants": {
            "for_each": "etcd.dirs('tenants')",
            "template": {"inline": "{{ etcd('tenants/' ~ each.key ~ '/port') }}"},
            "to": "out/{{ each.key }}.conf",
        }
    }


def test_keys_deleted_by_prefix_are_held_until_somebody_confirms(workspace, own_etcd):
    fill(own_etcd)
    names = [f"t{number}" for number in range(8)]
    own_etcd.transact({f"/shop/tenants/{name}/port": name for name in names})
    configure(workspace, own_etcd, **listing(own_etcd))
    with workspace.daemon() as daemon:
        for name in names:
            workspace.wait_content(f"{name}.conf", name)
        workspace.wait_state("tenants", "ok")

        etcdctl(own_etcd, "del", "--prefix", "/shop/tenants/")

        daemon.wait_log("held a mass loss of keys")
        workspace.wait_state("tenants", "held")
        assert all(workspace.read(f"{name}.conf") == name for name in names)

        done = workspace.confsync("apply", "--allow-mass-delete")

        assert done.returncode == 0, done.stderr
        assert f"process {daemon.pid}" in done.stdout
        eventually(lambda: not any(workspace.read(f"{name}.conf") for name in names))
        workspace.wait_state("tenants", "ok")
        assert workspace.read("app") == expected()


def test_a_confirmation_is_for_once(workspace, own_etcd):
    fill(own_etcd)
    configure(workspace, own_etcd, **listing(own_etcd))
    with workspace.daemon():
        for turn in range(2):
            names = [f"t{number}" for number in range(8)]
            own_etcd.transact({f"/shop/tenants/{name}/port": name for name in names})
            for name in names:
                workspace.wait_content(f"{name}.conf", name)
            workspace.wait_state("tenants", "ok")
            etcdctl(own_etcd, "del", "--prefix", "/shop/tenants/")
            workspace.wait_state("tenants", "held")
            assert all(workspace.read(f"{name}.conf") for name in names), f"turn {turn}"
            assert workspace.confsync("apply", "--allow-mass-delete").returncode == 0
            eventually(lambda names=names: not any(workspace.read(f"{name}.conf") for name in names))
            workspace.wait_state("tenants", "ok")


def test_compacted_while_nobody_watched_it_reads_everything_again(workspace, own_etcd):
    fill(own_etcd)
    configure(workspace, own_etcd)
    with workspace.daemon() as daemon:
        workspace.wait_content("app", expected())
        # The daemon sleeps, its connection is cut by the restart, and what it would resume from is gone.
        pause(daemon.pid)
        own_etcd.members[0].restart()
        fill(own_etcd, "2")
        own_etcd.compact(own_etcd.put("/shop/mode", "mode2"))
        daemon.signal(signal.SIGCONT)

        workspace.wait_content("app", expected("2"))
        fill(own_etcd, "3")
        workspace.wait_content("app", expected("3"))


def test_an_etcd_that_hangs_is_noticed_by_its_silence(workspace, own_etcd):
    """A stopped process keeps its connections: only silence tells."""
    fill(own_etcd)
    configure(workspace, own_etcd)
    text = workspace.file.read_text().replace("timeout: 1s", "timeout: 1s\n    keepalive: 1s")
    workspace.replace(workspace.file, text)
    with workspace.daemon():
        workspace.wait_content("app", expected())
        own_etcd.members[0].pause()
        workspace.wait_state("app", "stale")
        assert workspace.read("app") == expected()

        own_etcd.members[0].resume()

        workspace.wait_state("app", "ok")
        fill(own_etcd, "2")
        workspace.wait_content("app", expected("2"))
