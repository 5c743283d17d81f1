"""Mass losses in a daemon: limits that are reloaded, confirmations that nobody needed."""

from __future__ import annotations

import signal
import time

import pytest

from confsync.clock import SystemClock
from confsync.ledger.ledger import open_ledger

ALL = " ".join(f"k{n}" for n in range(10))


def config(workspace, **more):
    listing = "{% for key, _ in values.children('keys') %}{{ key }}{{ '' if loop.last else ' ' }}{% endfor %}"
    workspace.config(syncs={"a": {"template": {"inline": listing}, "to": "out/a"}}, **more)


def keys(workspace, count):
    workspace.values({"keys": {f"k{n}": "1" for n in range(count)}})


@pytest.fixture
def full(workspace):
    keys(workspace, 10)
    config(workspace)
    return workspace


def test_a_reloaded_limit_holds_for_a_source_that_runs_on(full):
    with full.daemon() as daemon:
        full.wait_content("a", ALL)
        config(full, mass_delete={"percent": 100})
        daemon.wait_log("configuration reloaded")
        keys(full, 2)
        full.wait_content("a", "k0 k1")


def test_a_reloaded_limit_that_allows_it_ends_a_hold(full):
    with full.daemon() as daemon:
        full.wait_content("a", ALL)
        keys(full, 2)
        daemon.wait_log("held a mass loss")
        assert full.read("a") == ALL
        config(full, mass_delete={"percent": 100})
        full.wait_content("a", "k0 k1")


@pytest.mark.parametrize("noted", [lambda: str(time.time() - 120), lambda: "yes"])
def test_a_confirmation_that_lay_around_is_not_believed(full, noted):
    with full.daemon():
        full.wait_state("a", "ok")
    ledger = open_ledger(full.state, SystemClock())
    ledger.put_flag("allow-mass-delete", noted())
    ledger.close()

    keys(full, 2)
    with full.daemon() as daemon:
        daemon.wait_log("held a mass loss")
        assert not daemon.lines("mass deletions are allowed")
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("configuration reloaded")
        assert full.read("a") == ALL


def test_a_confirmation_reaches_a_running_daemon(full):
    with full.daemon() as daemon:
        full.wait_content("a", ALL)
        keys(full, 2)
        daemon.wait_log("held a mass loss")

        told = full.confsync("apply", "--allow-mass-delete")

        assert told.returncode == 0, told.stderr
        full.wait_content("a", "k0 k1")
