"""Signals, an orderly end, and one daemon for one state directory."""

from __future__ import annotations

import signal

from confsync.testing.waiting import eventually


def one_sync(workspace, **more):
    workspace.values({"host": "db1"})
    workspace.config(
        syncs={"a": {"template": {"inline": "host={{ values('host') }}"}, "to": "out/a", **more}}
    )


def test_sigterm_ends_an_idle_daemon_at_once(workspace):
    one_sync(workspace)
    daemon = workspace.daemon()
    workspace.wait_content("a", "host=db1")

    daemon.signal(signal.SIGTERM)

    assert daemon.wait_exit() == 0
    assert daemon.lines("stopped")


def test_sigint_ends_it_as_sigterm_does(workspace):
    one_sync(workspace)
    daemon = workspace.daemon()
    daemon.signal(signal.SIGINT)
    assert daemon.wait_exit() == 0


def test_sigterm_lets_a_running_reload_end(workspace):
    script = workspace.script("reload", "touch begun; while [ ! -e go ]; do sleep 0.02; done; touch ended")
    one_sync(workspace, reload=[script])
    daemon = workspace.daemon()
    eventually((workspace.root / "begun").exists)

    daemon.signal(signal.SIGTERM)
    daemon.wait_log("stopping; work under way is finished first")
    assert daemon.process.poll() is None
    (workspace.root / "go").touch()

    assert daemon.wait_exit() == 0
    assert (workspace.root / "ended").exists()
    assert workspace.syncs()["a"].state == "ok"


def test_sigterm_during_the_start_ends_it_too(workspace):
    one_sync(workspace)
    daemon = workspace.daemon(start=False)
    eventually((workspace.state / "lock").exists)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait_exit() == 0


def test_a_second_sigterm_abandons_a_reload_that_hangs_and_the_reload_stays_owed(workspace):
    script = workspace.script("reload", "touch begun; exec sleep 3600")
    one_sync(workspace, reload=[script])
    daemon = workspace.daemon("--shutdown-timeout", "1h")
    eventually((workspace.root / "begun").exists)
    daemon.signal(signal.SIGTERM)
    daemon.wait_log("stopping")

    daemon.signal(signal.SIGTERM)

    assert daemon.wait_exit() == 1
    daemon.wait_log("told to stop again")
    ledger = workspace.ledger()
    assert [debt.sync for debt in ledger.owed_reloads()] == ["a"]
    ledger.close()


def test_a_reload_that_hangs_is_abandoned_after_the_deadline(workspace):
    script = workspace.script("reload", "touch begun; exec sleep 3600")
    one_sync(workspace, reload=[script])
    daemon = workspace.daemon("--shutdown-timeout", "300ms")
    eventually((workspace.root / "begun").exists)

    daemon.signal(signal.SIGTERM)

    assert daemon.wait_exit() == 1
    ledger = workspace.ledger()
    assert [debt.sync for debt in ledger.owed_reloads()] == ["a"]
    ledger.close()


def test_a_second_sigterm_does_not_wait_for_a_template_without_end(workspace):
    loop = "{% for a in range(99999) %}{% for b in range(99999) %}{% set c = b %}{% endfor %}{% endfor %}"
    workspace.config(
        syncs={"loop": {"template": {"inline": loop}, "to": "out/loop", "limits": {"time": "1h"}}}
    )
    daemon = workspace.daemon("--shutdown-timeout", "1h")
    for _ in range(2):
        daemon.signal(signal.SIGTERM)
        daemon.wait_log("stopping")
    assert daemon.wait_exit() == 1


def test_sigusr1_writes_how_everything_stands_to_the_log(workspace):
    one_sync(workspace)
    with workspace.daemon() as daemon:
        workspace.wait_state("a", "ok")
        daemon.signal(signal.SIGUSR1)
        daemon.wait_log("status ends")
        lines = [line.facts["line"] for line in daemon.lines("status") if "line" in line.facts]
        assert any(line.startswith("a ok") for line in lines)
        assert any(line.startswith("source values ok") for line in lines)


def test_a_second_daemon_on_the_same_state_directory_refuses_and_names_the_first(workspace):
    one_sync(workspace)
    with workspace.daemon() as first:
        workspace.wait_state("a", "ok")
        second = workspace.daemon(start=False)
        assert second.wait_exit() == 1
        assert str(first.pid) in second.log()
        assert "--state-dir" in second.log()


def test_apply_while_the_daemon_runs_refuses_and_names_it(workspace):
    one_sync(workspace)
    with workspace.daemon() as daemon:
        workspace.wait_state("a", "ok")
        done = workspace.confsync("apply")
        assert done.returncode == 1
        assert f"process {daemon.pid}" in done.stderr
        assert "Traceback" not in done.stderr


def test_looking_commands_work_while_the_daemon_runs(workspace):
    one_sync(workspace)
    with workspace.daemon() as daemon:
        workspace.wait_state("a", "ok")

        status = workspace.confsync("status")
        assert (status.returncode, status.stdout.split()[:2]) == (0, ["a", "ok"])
        assert str(daemon.pid) in status.stderr
        plan = workspace.confsync("plan")
        assert plan.returncode == 0, plan.stderr
        explained = workspace.confsync("explain", "out/a")
        assert explained.returncode == 0
        assert "host" in explained.stdout
        where = workspace.confsync("explain", "values:host")
        assert where.returncode == 0
        assert "out/a" in where.stdout


def test_after_a_daemon_was_killed_the_next_one_starts(workspace):
    one_sync(workspace)
    first = workspace.daemon()
    workspace.wait_state("a", "ok")
    first.kill()
    (workspace.out / "a").unlink()

    with workspace.daemon():
        workspace.wait_content("a", "host=db1")
