"""kill -9 between any two requests, and a ledger that is lost: all is as it should be after the next run, once."""

from __future__ import annotations

import random
import shutil
import subprocess
import threading

import pytest
from stand_ins.clustered import PASSWORD, data
from stand_ins.vaulted import text

from confsync.testing.waiting import eventually

READ = {"PASSWORD": "values:db/password"}
HELD = {"PASSWORD": PASSWORD}
MANY = 50


class Killer:
    """Kills `confsync apply` with one of its requests.

    Args:
        at: which: called with each request; what it says yes to is the last.
        processed: whether the server still does what was asked.
    """

    def __init__(self, workspace, server, at, *, processed):
        self._workspace = workspace
        self._server = server
        self._process = None
        self._started = threading.Event()
        self._at = at
        self._fault = server.faults.drop(times=None, processed=processed, when=self._kills)

    def run(self):
        """Start it, and wait for its end."""
        command = self._workspace.command("apply")
        self._process = subprocess.Popen(
            command, cwd=self._workspace.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._started.set()
        assert self._process.wait(60) == -9
        eventually(lambda: not self._server.open_connections)  # all it asked for is done
        self._fault.when = lambda call: False

    def _kills(self, call):
        self._started.wait(60)
        if self._process.returncode is not None or not self._at(call):
            return False
        self._process.kill()
        return True


def is_write(resource):
    return lambda call: call.target.resource == resource and call.verb == "patch" and not call.dry_run


@pytest.mark.parametrize(
    ("processed", "ledger"),
    [(False, "kept"), (True, "kept"), (False, "lost")],
    ids=["before", "after", "lost"],
)
def test_killed_at_the_roll_out_it_is_done_once_by_the_next_run(clustered, api_server, processed, ledger):
    clustered.admin.workload("deployments", clustered.namespace, "shop")
    clustered.configure({"app": data(READ, clustered.secret(restart=["deployment/shop"]))})

    Killer(clustered, api_server, is_write("deployments"), processed=processed).run()
    if ledger == "lost":
        shutil.rmtree(clustered.state)

    assert clustered.held() == HELD
    assert clustered.generation() == 1 + processed
    assert "reloaded roll-out of deployment/shop" in clustered.ok("apply").stdout
    assert clustered.generation() == 2
    assert clustered.noted() == {"secret.app": clustered.checksum()}
    assert "reloaded" not in clustered.ok("apply").stdout


@pytest.mark.parametrize("processed", [False, True], ids=["before", "after"])
def test_killed_at_the_first_write_the_object_is_made_once_and_is_ours(clustered, api_server, processed):
    clustered.admin.workload("deployments", clustered.namespace, "shop")
    clustered.configure({"app": data(READ, clustered.secret(restart=["deployment/shop"]))})

    Killer(clustered, api_server, is_write("secrets"), processed=processed).run()

    before = clustered.versions()
    assert len(before) == processed
    clustered.ok("apply")
    assert clustered.held() == HELD
    assert clustered.marks()["origin"] == "created"
    assert not processed or clustered.versions() == before, "not written twice"
    assert clustered.generation() == 2, "the roll-out is not forgotten"
    clustered.configure({"app": text("x", "app")})
    clustered.ok("apply")
    assert clustered.held() is None


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_random_moments_of_fifty_secrets_the_next_run_converges(clustered, api_server, seed):
    """Made in one run, changed in the next; each is killed, the first again."""
    seed = random.Random(seed)
    items = {f"item{n}": "x" for n in range(MANY)}
    each = {"for_each": "values.children('items')"}
    clustered.configure({"app": data(READ, clustered.secret("{{ each.key }}"), **each)})
    for password in ("pw1", "pw2"):
        clustered.values({"db": {"password": password}, "items": items})
        for _ in range(2 if password == "pw1" else 1):
            left = seed.randrange(2 * MANY)

            def reached(call):
                nonlocal left
                left -= call.verb == "patch"
                return left < 0

            Killer(clustered, api_server, reached, processed=bool(seed.randrange(2))).run()

        clustered.ok("apply")

        held = {name: clustered.held(name) for name in items}
        assert held == {name: {"PASSWORD": password} for name in items}
        assert len(clustered.versions()) == MANY
    before = clustered.versions()
    assert "0 changes" in clustered.ok("apply").stdout
    assert clustered.versions() == before
    clustered.configure({"app": text("x", "app")})
    clustered.ok("apply", "--allow-mass-delete")
    assert clustered.versions() == {}


def test_without_its_ledger_it_deletes_duplicates_and_writes_nothing(clustered):
    clustered.admin.workload("deployments", clustered.namespace, "shop")
    clustered.admin.secret(clustered.namespace, "theirs", {"a": "b"})
    syncs = {
        "app": data(READ, clustered.secret(restart=["deployment/shop"])),
        "theirs": data(READ, clustered.secret("theirs")),
        "fixed": data(READ, clustered.secret("fixed", immutable=True)),
        "map": data({"HOST": "values:db/host"}, clustered.config_map("map")),
    }
    clustered.configure(syncs)
    clustered.ok("apply")
    before, maps = clustered.versions(), clustered.version("map", "configmaps")
    generation = clustered.generation()

    shutil.rmtree(clustered.state)
    done = clustered.ok("apply")

    assert clustered.versions() == before, done.stdout
    assert clustered.version("map", "configmaps") == maps
    assert clustered.generation() == generation
    assert "nothing to do" in clustered.ok("plan").stdout
    clustered.configure({})
    clustered.ok("apply", "--allow-mass-delete")
    assert set(clustered.versions()) == {"theirs"}
    assert clustered.held("theirs") == {"a": "b"}
