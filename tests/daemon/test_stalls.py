"""What fails or hangs holds up nobody else; what has nothing to do does nothing."""

from __future__ import annotations

import threading

from confsync.testing.waiting import eventually

LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% set c = b %}{% endfor %}{% endfor %}"


def test_a_template_without_end_and_a_check_that_hangs_hold_up_nobody(workspace):
    workspace.values({"host": "0"})
    follow = {
        f"s{number}": {"template": {"inline": "{{ values('host') }}"}, "to": f"out/s{number}"}
        for number in range(5)
    }
    hanging = workspace.script("hang", "exec sleep 3600")
    workspace.config(
        syncs={
            "loop": {"template": {"inline": LOOP}, "to": "out/loop", "limits": {"time": "1s"}},
            "hang": {
                "template": {"inline": "{{ values('host') }}"},
                "to": "out/hang",
                "check": {"command": [hanging], "timeout": "1s"},
            },
            **follow,
        }
    )
    with workspace.daemon() as daemon:
        for turn in range(5):
            workspace.values({"host": str(turn)})
            for name in follow:
                workspace.wait_content(name, str(turn))
        assert "longer than" in daemon.wait_log("sync failed", sync="loop").facts["error"]
        assert "did not end within 1s" in daemon.wait_log("sync failed", sync="hang").facts["error"]
        assert workspace.read("hang") is None
        assert workspace.read("loop") is None
        for name in follow:
            workspace.wait_state(name, "ok")


def test_a_sync_that_fails_is_tried_again_with_growing_pauses(workspace):
    workspace.values({"host": "db1"})
    check = workspace.script("check", "echo x >> checks; [ -e works ]")
    workspace.config(
        syncs={"a": {"template": {"inline": "{{ values('host') }}"}, "to": "out/a", "check": [check]}}
    )
    with workspace.daemon() as daemon:
        tries = workspace.root / "checks"
        eventually(lambda: tries.exists() and tries.read_text().count("x") >= 4)
        # The same failure is said once, not at every try.
        daemon.wait_log("sync failed", sync="a")
        assert len(daemon.lines("sync failed", sync="a")) == 1
        (workspace.root / "works").touch()
        workspace.wait_content("a", "db1")
        daemon.wait_log("sync works again", sync="a")


def test_an_idle_daemon_uses_no_processor_and_writes_nothing(workspace, etcd):
    etcd.transact({f"/k{number}": "v" for number in range(20)})
    workspace.config(
        sources={"etcd": {"backend": "etcd", "endpoints": etcd.endpoints, "sensitive": False}},
        defaults={"interval": "250ms"},
        syncs={
            f"s{number}": {"template": {"inline": f"{{{{ etcd('k{number}') }}}}"}, "to": f"out/s{number}"}
            for number in range(20)
        },
    )
    with workspace.daemon() as daemon:
        eventually(lambda: len(workspace.syncs()) == 20)
        eventually(lambda: all(record.state == "ok" for record in workspace.syncs().values()))

        def idles():
            before, calls, cpu = stamps(workspace), etcd.calls(), daemon.cpu_seconds()

            wait_for_quiet(1.5)

            assert stamps(workspace) == before
            assert etcd.calls().get("KV.Range") == calls.get("KV.Range")
            assert daemon.cpu_seconds() - cpu < 0.5, "20 syncs, 6 resyncs"
            return True

        eventually(idles)  # on a busy machine the first passes take their time


def stamps(workspace):
    """When each target and each file of the ledger was last written."""
    paths = [*workspace.out.iterdir(), *workspace.state.glob("ledger.db*")]
    assert len(paths) > 20
    return {path.name: path.stat().st_mtime_ns for path in paths}


def wait_for_quiet(seconds):
    """Nothing is expected to happen; that takes time to see."""
    threading.Event().wait(seconds)
