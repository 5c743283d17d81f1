"""What changes in etcd reaches its Secrets and ConfigMaps at once, and a resync of an unchanged world asks nothing."""

from __future__ import annotations

import pytest
from stand_ins.clustered import data

from confsync.testing.waiting import eventually


@pytest.fixture
def shop(clustered, etcd):
    """A Secret with a roll-out, a ConfigMap, and a file, all from etcd; nothing but watches brings changes."""
    clustered.timeout = "10m"  # a roll-out that is held back is waited for
    clustered.admin.workload("deployments", clustered.namespace, "shop")
    etcd.put("/shop/db/host", "db1")
    etcd.put("/shop/db/password", "s3cr3t-pw1")
    sources = {
        "etcd": {"backend": "etcd", "endpoints": etcd.endpoints, "sensitive": ["db/password"]},
        "values": {"backend": "file", "path": "values.yaml"},
    }
    syncs = {
        "app": data({"PASSWORD": "etcd:db/password"}, clustered.secret(restart=["deployment/shop"])),
        "map": data({"HOST": "etcd:db/host"}, clustered.config_map("map")),
        "file": {"template": {"inline": "{{ etcd('db/host') }}"}, "to": "out/file"},
    }
    environments = {"prod": {"etcd": "/shop", "values": ""}}
    defaults = {"environment": "prod", "interval": "1h"}
    clustered.configure(syncs, sources=sources, environments=environments, defaults=defaults)
    with clustered.daemon() as daemon:
        clustered.wait_held({"PASSWORD": "s3cr3t-pw1"})
        eventually(lambda: clustered.noted() == {"secret.app": clustered.checksum()})
        clustered.wait_content("file", "db1")
        yield clustered, daemon


def host(clustered):
    found = clustered.admin.find("configmaps", clustered.namespace, "map")
    return found and found["data"]["HOST"]


def test_a_change_in_etcd_reaches_the_object_that_has_it_and_no_other(shop, etcd):
    clustered, daemon = shop
    eventually(lambda: host(clustered) == "db1")
    before, generation = clustered.version("map", "configmaps"), clustered.generation()

    etcd.put("/shop/db/password", "s3cr3t-pw2")

    clustered.wait_held({"PASSWORD": "s3cr3t-pw2"})
    eventually(lambda: clustered.noted() == {"secret.app": clustered.checksum()})
    assert clustered.generation() == generation + 1
    assert clustered.version("map", "configmaps") == before
    etcd.put("/shop/db/host", "db2")
    eventually(lambda: host(clustered) == "db2")
    clustered.wait_content("file", "db2")
    assert clustered.generation() == generation + 1
    assert "s3cr3t" not in daemon.log()


def test_a_burst_of_changes_ends_with_the_last_in_few_roll_outs(shop, etcd, api_server):
    clustered, _ = shop
    api_server.faults.late(3600, verb="patch", resource="deployments", times=None)
    before = clustered.generation()

    for number in range(200):
        etcd.put("/shop/db/password", f"pw{number}")
    clustered.wait_held({"PASSWORD": "pw199"})
    api_server.faults.clear()

    eventually(lambda: clustered.noted() == {"secret.app": clustered.checksum()})
    # The one under way, one for all that came meanwhile, and maybe one for what was just being written then.
    assert clustered.generation() - before <= 3


def test_to_look_again_at_an_unchanged_world_asks_the_server_nothing(clustered, api_server):
    names = [f"app{number}" for number in range(20)]
    syncs = {name: data({"HOST": "values:db/host"}, clustered.secret(name)) for name in names}
    syncs["ticking"] = {"template": {"inline": "{{ now() }}"}, "to": "out/tick"}
    clustered.configure(syncs, interval="50ms")
    with clustered.daemon():
        for name in names:
            clustered.wait_held({"HOST": "db1"}, name)
        eventually(lambda: api_server.watches("secrets"))

        def asks_nothing():
            api_server.forget_requests()
            ticks = {clustered.read("tick")}
            eventually(lambda: ticks.add(clustered.read("tick")) or len(ticks) > 5)
            assert api_server.requests == []
            return True

        eventually(asks_nothing)  # what the watch has not told yet is asked for
