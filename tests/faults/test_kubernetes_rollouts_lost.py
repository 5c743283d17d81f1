"""Whoever lost track of a write (an answer that never came, another replica, a new name) still has it rolled out."""

from __future__ import annotations

import pytest
from stand_ins.clustered import PASSWORD, data, open_workspace

READ = {"PASSWORD": "values:db/password"}


@pytest.fixture
def shop(clustered):
    clustered.admin.workload("deployments", clustered.namespace, "shop")
    return clustered


def configure(workspace, name="app"):
    workspace.configure({name: data(READ, workspace.secret(restart=["deployment/shop"]))})


def give(password, *workspaces):
    for workspace in workspaces:
        workspace.values({"db": {"host": "db1", "password": password}})


def is_rolled_out(shop):
    return shop.noted() == {"secret.app": shop.checksum()}


@pytest.fixture
def replicas(shop, tmp_path):
    """Two confsyncs of one configuration, each with a state of its own."""
    other = open_workspace(tmp_path / "other", shop)
    for replica in (shop, other):
        configure(replica)
    yield shop, other
    other.close()


def test_a_write_whose_answer_never_came_is_rolled_out_and_reloaded_by_the_next_run(shop, api_server):
    """A command may run once more, since nobody knows whether what it is to read was there by then."""
    script = shop.script("reload", "echo x >> reloads")
    reloads = shop.root / "reloads"
    to = shop.secret(restart=["deployment/shop"])
    shop.configure({"app": data(READ, to, reload=[script])})
    shop.ok("apply")
    assert (shop.generation(), reloads.read_text()) == (2, "x\n")
    give("pw2", shop)
    lost = api_server.faults.drop(
        processed=True, verb="patch", resource="secrets", times=None, when=lambda call: not call.dry_run
    )
    failed = shop.confsync("apply")
    assert failed.returncode == 1
    assert lost.hits > 1, "every try"
    assert shop.held() == {"PASSWORD": "pw2"}
    assert not is_rolled_out(shop)
    reloads.unlink()
    api_server.faults.clear()

    shop.ok("apply")

    assert is_rolled_out(shop)
    assert (shop.generation(), reloads.read_text()) == (3, "x\n")
    assert "reloaded" not in shop.ok("apply").stdout


def test_a_replica_that_led_before_does_the_roll_out_that_the_last_leader_left(replicas):
    first, second = replicas
    for replica in replicas:
        replica.ok("apply")
    give("pw2", *replicas)
    first.ok("apply", "--no-reload")
    assert not is_rolled_out(first)

    second.ok("apply")

    assert is_rolled_out(first)
    assert first.generation() == 3
    assert "reloaded" not in second.ok("apply").stdout


def test_a_new_replica_does_the_roll_out_of_an_object_that_was_adopted(replicas):
    first, second = replicas
    first.admin.secret(first.namespace, "app", {"OTHER": "x"})
    first.ok("apply")
    give("pw2", *replicas)
    first.ok("apply", "--no-reload")
    assert not is_rolled_out(first)

    second.ok("apply")

    assert first.held() == {"OTHER": "x", "PASSWORD": "pw2"}
    assert is_rolled_out(first)
    assert first.generation() == 3
    assert "reloaded" not in second.ok("apply").stdout


def test_a_roll_out_stays_owed_though_its_sync_gets_another_name(shop):
    configure(shop)
    shop.ok("apply")
    assert shop.held() == {"PASSWORD": PASSWORD}
    give("pw2", shop)
    shop.ok("apply", "--no-reload")
    assert not is_rolled_out(shop)

    configure(shop, "renamed")
    shop.ok("apply")

    assert is_rolled_out(shop)
    assert shop.generation() == 3
    assert shop.marks()["sync"] == "renamed"
    assert "reloaded" not in shop.ok("apply").stdout
