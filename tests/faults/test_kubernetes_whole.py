"""Whole or not at all: several targets of one sync, mass deletions, many objects and a server that is busy."""

from __future__ import annotations

import re
import threading

import pytest
from stand_ins.clustered import PASSWORD, data

READ = {"PASSWORD": "values:db/password"}
HELD = {"PASSWORD": PASSWORD}


@pytest.mark.parametrize("dry", [True, False], ids=["found in time", "found late"])
def test_a_second_secret_that_is_refused_leaves_the_first_and_the_file_as_they_were(
    clustered, api_server, dry
):
    """One that was there, and is put back; one that was not, and goes again."""
    targets = [{"file": {"path": "out/app.env"}}, *(clustered.secret(name) for name in ("first", "second"))]
    clustered.configure({"app": data(READ, targets)})
    clustered.ok("apply")
    held, file = clustered.held("first"), clustered.read("app.env")
    uid = clustered.version("first")[0]
    clustered.configure({"app": data(READ, [clustered.secret("new"), *targets])})
    clustered.values({"db": {"password": "pw2"}})
    api_server.faults.answer(
        422, "Invalid", "Secret is invalid", {"name": "second", "kind": "Secret"},
        name="second", verb="patch", times=None, when=lambda call: call.dry_run == dry,
    )  # fmt: skip

    done = clustered.confsync("apply")

    assert done.returncode == 1
    assert "second: cannot be written: 422: " in done.stderr
    assert (clustered.held("first"), clustered.read("app.env")) == (held, file)
    assert clustered.version("first")[0] == uid
    assert clustered.held("new") is None
    api_server.faults.clear()
    clustered.ok("apply")
    assert [clustered.held(name) for name in ("new", "first", "second")] == [{"PASSWORD": "pw2"}] * 3
    assert "pw2" in clustered.read("app.env")


def test_objects_that_many_keys_stood_for_are_held_until_somebody_confirms(clustered):
    """The source has lost little; the sync most of what it stands for."""
    items = {f"item{n}": "x" for n in range(8)}
    rest = {"db": {"password": PASSWORD}, "rest": {f"key{n}": "x" for n in range(8)}}
    each = {"for_each": "values.children('items')"}
    clustered.configure({"app": data(READ, clustered.secret("{{ each.key }}"), **each)})
    clustered.values({**rest, "items": items})
    clustered.ok("apply")
    before = clustered.versions()

    clustered.values({**rest, "items": {"item0": "x"}})
    held = clustered.confsync("apply")

    assert held.returncode == 1
    assert "7 of the 8 targets of sync 'app' would be deleted at once" in held.stderr
    assert clustered.versions() == before
    clustered.ok("apply", "--allow-mass-delete")
    assert set(clustered.versions()) == {"item0"}


def test_a_thousand_secrets_arrive_though_the_server_answers_429_to_half(clustered, api_server):
    """Ten syncs of a hundred objects, in one run; whoever is told to come back in a second does."""
    items = {f"item{n}": f"pw{n}" for n in range(100)}
    clustered.values({"items": items})
    syncs = {
        f"sync{n}": {
            "templates": {"PASSWORD": {"inline": "{{ each.value }}"}},
            "for_each": "values.children('items')",
            "to": clustered.secret(f"{{{{ each.key }}}}-{n}"),
        }
        for n in range(10)
    }
    prod = {"kubeconfig": str(clustered.kubeconfig), "requests_per_second": 2000, "burst": 2000}
    clustered.configure(syncs, clusters={"prod": prod})
    refused = {}  # by which request

    def is_too_much(call):
        """Half of all objects, once each."""
        wanted = not call.dry_run and int(call.target.name.rpartition("-")[2]) % 2
        return bool(wanted) and refused.setdefault(call.target.name, call) is call

    storm = api_server.faults.rate_limited(1, verb="patch", times=None, when=is_too_much)

    done = clustered.confsync("apply", within=180)

    assert (done.returncode, done.stderr) == (0, "")
    assert storm.hits == 500
    wanted = {f"{name}-{n}" for name in items for n in range(10)}
    assert set(clustered.versions()) == wanted
    assert clustered.held("item7-3") == {"PASSWORD": "pw7"}


def test_new_versions_of_immutable_secrets_are_no_loss_and_the_end_of_all_of_them_is(clustered):
    """Each version replaces one in its own namespace; all namespaces together are most of what the sync stands for."""
    namespaces = [clustered.namespace, *(clustered.admin.namespace() for _ in range(4))]
    fixed = {"fixed": data(READ, clustered.secret(namespace=namespaces, immutable=True))}
    clustered.configure(fixed)
    clustered.ok("apply")
    clustered.values({"db": {"password": "pw2"}})

    clustered.ok("apply")

    assert versions_in(clustered, namespaces) == [["pw2"]] * 5
    clustered.configure({"fixed": data(READ, {"file": {"path": "out/env", "format": "dotenv"}})})
    held = clustered.confsync("apply")
    assert held.returncode == 1
    assert "5 of the 5 targets of sync 'fixed' would be deleted at once" in held.stderr
    assert versions_in(clustered, namespaces) == [["pw2"]] * 5


def versions_in(clustered, namespaces):
    """The passwords of all versions of the Secret, by namespace."""
    return [
        [clustered.held(thing["metadata"]["name"], namespace)["PASSWORD"]
         for thing in clustered.admin.items("secrets", namespace)]
        for namespace in namespaces
    ]  # fmt: skip


MANY = [f"app{number}" for number in range(24)]


@pytest.fixture
def many(clustered):
    """A sync of many Secrets that are there, and whose content has changed since."""
    configure_many(clustered, timeout="30s")
    clustered.ok("apply")
    clustered.values({"db": {"password": "pw2"}})
    return clustered


def configure_many(clustered, timeout):
    prod = {"kubeconfig": str(clustered.kubeconfig), "timeout": timeout, "burst": 1000}
    syncs = {"app": data(READ, [clustered.secret(name) for name in MANY])}
    clustered.configure(syncs, clusters={"prod": prod})


def after(writes):
    """From so many writes of Secrets on; a dry run is none."""
    left = [writes]

    def is_later(call):
        if call.dry_run:
            return False
        left[0] -= 1
        return left[0] < 0

    return is_later


def test_many_secrets_are_all_put_back_at_once_when_a_late_one_is_refused(many, api_server):
    uids = {name: version[0] for name, version in many.versions().items()}
    api_server.faults.answer(
        422, "Invalid", "Secret is invalid", {"name": MANY[20], "kind": "Secret"},
        name=MANY[20], verb="patch", times=None, when=lambda call: not call.dry_run,
    )  # fmt: skip
    waiting, later = [], after(len(MANY) - 1)

    def puts_back(call):
        """Nobody gets an answer before eight wait for one."""
        if len(waiting) == 8 or not later(call):
            return False
        waiting.append(call)
        if len(waiting) == 8:
            threading.Thread(target=api_server.faults.let_go).start()
        return True

    api_server.faults.late(300, verb="patch", resource="secrets", times=None, when=puts_back)

    done = many.confsync("apply")

    assert done.returncode == 1
    assert f"{MANY[20]}: cannot be written: 422: " in done.stderr
    assert "put back" not in done.stderr
    assert [many.held(name) for name in MANY] == [HELD] * len(MANY)
    assert {name: version[0] for name, version in many.versions().items()} == uids
    assert len(waiting) == 8, "not one after the other"


@pytest.mark.parametrize("how", ["hangs", "drops"])
def test_a_cluster_that_stops_answering_is_not_waited_for_by_each_secret_to_put_back(many, api_server, how):
    """Eight wait at once, for what is written and for what is put back; the others are left, and told of in short."""
    configure_many(many, timeout="1s")
    where = {"verb": "patch", "resource": "secrets", "times": None, "when": after(len(MANY) - 8)}
    faults = api_server.faults
    silent = faults.late(300, **where) if how == "hangs" else faults.drop(**where)

    done = many.confsync("apply")

    assert done.returncode == 1
    assert silent.hits < 60
    assert "was not put back" in done.stderr
    assert len(set(re.findall(r"/(app\d+) ", done.stderr))) <= 5
    api_server.faults.clear()
    configure_many(many, timeout="30s")
    many.ok("apply")
    assert [many.held(name) for name in MANY] == [{"PASSWORD": "pw2"}] * len(MANY)
