"""A reload owed is a reload done: once for many, again after a failure, and after a crash."""

from __future__ import annotations

from time import monotonic

from confsync.testing.waiting import eventually

PATIENCE = 2
"""Seconds for which a reload waits for more files to change with it, at the longest."""


def runs(workspace, name="reloads"):
    path = workspace.root / name
    return len(path.read_text().splitlines()) if path.exists() else 0


def etcd_source(etcd):
    return {"etcd": {"backend": "etcd", "endpoints": etcd.endpoints, "sensitive": False}}


def test_many_syncs_changed_by_one_transaction_are_reloaded_once(workspace, etcd):
    count = 20
    etcd.transact({f"/k{number}": "1" for number in range(count)})
    script = workspace.script("reload", "echo x >> reloads")
    workspace.config(
        sources=etcd_source(etcd),
        syncs={
            f"s{number}": {
                "template": {"inline": f"{{{{ etcd('k{number}') }}}}"},
                "to": f"out/s{number}",
                "reload": [script],
            }
            for number in range(count)
        },
    )  # fmt: skip
    with workspace.daemon() as daemon:
        daemon.wait_log("reloaded")
        eventually(lambda: [record.state for record in workspace.syncs().values()] == ["ok"] * count)
        eventually(lambda: not owed(workspace))
        before, began = runs(workspace), monotonic()

        etcd.transact({f"/k{number}": "2" for number in range(count)})

        for number in range(count):
            workspace.wait_content(f"s{number}", "2")
        eventually(lambda: runs(workspace) > before)
        eventually(lambda: not owed(workspace))
        assert runs(workspace) - before <= 3 + (monotonic() - began) / PATIENCE


def owed(workspace):
    ledger = workspace.ledger()
    try:
        return ledger.owed_reloads()
    finally:
        ledger.close()


def test_a_failed_reload_is_tried_again_until_it_works(workspace):
    workspace.values({"host": "db1"})
    script = workspace.script("reload", "echo x >> reloads; [ -e works ]")
    workspace.config(
        syncs={"a": {"template": {"inline": "{{ values('host') }}"}, "to": "out/a", "reload": [script]}}
    )
    with workspace.daemon() as daemon:
        workspace.wait_state("a", "owed", detail="exit status 1")
        assert workspace.read("a") == "db1"
        eventually(lambda: runs(workspace) >= 3)
        daemon.wait_log("reload failed; it stays owed")
        assert len(daemon.lines("reload failed; it stays owed")) == 1, "the same failure is told once"

        (workspace.root / "works").touch()

        workspace.wait_state("a", "ok")
        assert not owed(workspace)
        done = runs(workspace)
        workspace.values({"host": "db2"})
        eventually(lambda: runs(workspace) > done)


def test_a_reload_owed_survives_kill_9_and_is_done_by_the_next_daemon(workspace):
    workspace.values({"host": "db1"})
    # One that the first daemon has begun may outlive it, and find that it works by then.
    script = workspace.script("reload", "parent=$PPID; touch begun; [ -e works ] && echo $parent >> reloads")
    workspace.config(
        syncs={"a": {"template": {"inline": "{{ values('host') }}"}, "to": "out/a", "reload": [script]}}
    )
    first = workspace.daemon()
    eventually((workspace.root / "begun").exists)
    workspace.wait_state("a", "owed")
    first.kill()
    (workspace.root / "works").touch()

    with workspace.daemon() as daemon:
        daemon.wait_log("reloaded", syncs="a")
        assert (workspace.root / "reloads").read_text().split().count(str(daemon.pid)) == 1
        assert not daemon.lines("target ")


def test_a_reload_that_hangs_is_killed_with_its_children_and_tried_again(workspace):
    workspace.values({"host": "db1"})
    script = workspace.script("reload", "[ -e works ] && exit; sleep 3600 & echo $! >> children; wait")
    workspace.config(
        syncs={
            "a": {
                "template": {"inline": "{{ values('host') }}"}, "to": "out/a",
                "reload": {"command": [script], "timeout": "500ms"},
            }
        }
    )  # fmt: skip
    with workspace.daemon() as daemon:
        daemon.wait_log("reload failed", error="did not end within 500ms")
        children = workspace.root / "children"
        eventually(lambda: children.exists() and children.read_text())
        (workspace.root / "works").touch()
        workspace.wait_state("a", "ok")
        eventually(lambda: not any(alive(int(pid)) for pid in children.read_text().split()))


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_hanging_reload_does_not_delay_the_reloads_of_others(workspace):
    workspace.values({"host": "db1"})
    hanging = workspace.script("hanging", "touch begun; exec sleep 3600")
    fine = workspace.script("fine", "echo x >> reloads")
    text = {"inline": "{{ values('host') }}"}
    workspace.config(
        syncs={
            "a": {"template": text, "to": "out/a", "reload": {"command": [hanging], "timeout": "1h"}},
            "b": {"template": text, "to": "out/b", "reload": [fine]},
        }
    )
    daemon = workspace.daemon("--shutdown-timeout", "100ms")
    eventually((workspace.root / "begun").exists)
    eventually(lambda: runs(workspace) == 1)
    workspace.values({"host": "db2"})
    workspace.wait_content("b", "db2")
    eventually(lambda: runs(workspace) == 2)
    daemon.kill()


def test_a_reload_is_not_run_where_only_the_mode_changed(workspace):
    workspace.values({"host": "db1"})
    script = workspace.script("reload", "echo x >> reloads")
    workspace.config(
        syncs={
            "a": {
                "template": {"inline": "{{ values('host') }}"},
                "to": {"file": {"path": "out/a", "mode": "0644"}},
                "reload": [script],
            }
        }
    )
    with workspace.daemon() as daemon:
        eventually(lambda: runs(workspace) == 1)
        workspace.wait_state("a", "ok")
        (workspace.out / "a").chmod(0o666)
        daemon.wait_log("target ", sync="a", why="0666")
        workspace.values({"host": "db2"})
        eventually(lambda: runs(workspace) == 2)


def test_a_healed_target_is_reloaded(workspace):
    workspace.values({"host": "db1"})
    script = workspace.script("reload", "cat out/a >> reloads; echo >> reloads")
    workspace.config(
        syncs={"a": {"template": {"inline": "{{ values('host') }}"}, "to": "out/a", "reload": [script]}}
    )
    with workspace.daemon() as daemon:
        eventually(lambda: runs(workspace) == 1)
        (workspace.out / "a").write_text("wrong")
        daemon.wait_log("target healed", sync="a")
        eventually(lambda: (workspace.root / "reloads").read_text().splitlines() == ["db1", "db1"])


def test_a_change_during_a_reload_is_reloaded_again(workspace):
    """The running one may have read the old content: what became owed meanwhile is not settled by it."""
    workspace.values({"host": "db1"})
    script = workspace.script(
        "reload", "cat out/a >> reloads; echo >> reloads; while [ ! -e go ]; do sleep 0.01; done"
    )
    workspace.config(
        syncs={"a": {"template": {"inline": "{{ values('host') }}"}, "to": "out/a", "reload": [script]}}
    )
    with workspace.daemon():
        eventually(lambda: runs(workspace) == 1)
        workspace.values({"host": "db2"})
        workspace.wait_content("a", "db2")
        workspace.wait_state("a", "ok")
        (workspace.root / "go").touch()

        eventually(lambda: (workspace.root / "reloads").read_text().split() == ["db1", "db2"])
        eventually(lambda: not owed(workspace))


def test_a_change_just_before_sigterm_is_still_reloaded(workspace):
    workspace.values({"host": "db1"})
    script = workspace.script("reload", "cat out/a >> reloads; echo >> reloads")
    workspace.config(
        syncs={"a": {"template": {"inline": "{{ values('host') }}"}, "to": "out/a", "reload": [script]}}
    )
    daemon = workspace.daemon()
    eventually(lambda: runs(workspace) == 1)
    workspace.values({"host": "db2"})
    workspace.wait_content("a", "db2")

    daemon.stop()

    assert (workspace.root / "reloads").read_text().split() == ["db1", "db2"]
    assert not owed(workspace)
