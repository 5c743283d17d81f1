"""The commands with Secrets and ConfigMaps as targets."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from stand_ins.clustered import api_server, cluster, clustered, data, open_workspace
from stand_ins.kubernetes import ApiServer, KubeAdmin

from confsync.testing.leaks import Leaks

__all__ = ["api_server", "cluster", "clustered"]

PASSWORD = "correct horse battery staple"
CHANGED = "Tr0ub4dor&3 and so on"
SENSITIVE = {"values": {"backend": "file", "path": "values.yaml", "sensitive": ["db/password"]}}


@pytest.fixture(autouse=True)
def patience(clustered):
    """No server is silent here, however long it takes."""
    clustered.timeout = "30s"


def give(clustered, password=PASSWORD, host="db1", items=20):
    tree = {"db": {"host": host, "password": password}, "items": {f"item{n}": f"v{n}" for n in range(items)}}
    clustered.values(tree)


def configure(clustered, syncs, **more):
    give(clustered)
    clustered.configure(syncs, sources=SENSITIVE, **more)


@pytest.fixture
def shop(clustered):
    """One sync of data, a template and a .env file, with a roll-out, and a ConfigMap of what is not sensitive."""
    clustered.admin.workload("deployments", clustered.namespace, "shop")
    dotenv = {"file": {"path": "out/app.env", "format": "dotenv"}}
    syncs = {
        "app": data(
            {"PASSWORD": "values:db/password", "HOST": "values:db/host"},
            [clustered.secret(restart=["deployment/shop"]), dotenv],
        ),
        "both": {
            "data": {"HOST": "values:db/host"},
            "templates": {"app.ini": {"inline": "password={{ values('db/password') }}\n"}},
            "to": clustered.secret("both", type="example.com/both", labels={"team": "shop"}),
        },
        "map": data({"HOST": "values:db/host"}, clustered.config_map("map", annotations={"note": "x"})),
    }
    configure(clustered, syncs)
    return clustered


def test_no_command_shows_a_secret_and_what_only_looks_writes_nothing(shop):
    target = f"kubernetes_secret:prod/{shop.namespace}/app"
    debug = ("--log-level", "debug")
    said = [shop.confsync(*look, *debug) for look in (("check", "--online"), ("plan",))]
    assert [one.returncode for one in said] == [0, 2]
    assert shop.versions() == {}

    said.append(shop.ok("apply", *debug))
    before = shop.versions()
    assert shop.held() == {"PASSWORD": PASSWORD, "HOST": "db1"}
    assert shop.held("both") == {"HOST": "db1", "app.ini": f"password={PASSWORD}\n"}
    assert shop.admin.get("configmaps", shop.namespace, "map")["data"] == {"HOST": "db1"}
    assert shop.read("app.env") == f"HOST=db1\nPASSWORD='{PASSWORD}'\n"
    give(shop, CHANGED)
    looks = [
        ("plan", "--output", "json"), ("status", "--output", "json"), ("explain", target, "--output", "json"),
        ("explain", "values:db/password"),
    ]  # fmt: skip
    said += [shop.confsync(*look, *debug) for look in looks]
    assert shop.versions() == before
    said.append(shop.ok("apply", "--output", "json", *debug))

    leaks = Leaks([PASSWORD, CHANGED])
    assert [found for one in said for found in leaks.find(one.stdout + one.stderr)] == []
    assert leaks.find_in_files(shop.state) == {}


def test_plan_apply_status_and_explain_tell_of_objects_as_of_files(shop):
    target = f"kubernetes_secret:prod/{shop.namespace}/app"
    planned = json.loads(shop.confsync("plan", "--output", "json").stdout)
    assert {(change["target"], change["action"]) for change in planned["changes"]} == {
        (target, "create"), (target.replace("/app", "/both"), "create"),
        (f"kubernetes_config_map:prod/{shop.namespace}/map", "create"),
        (f"file:{shop.out / 'app.env'}", "create"),
    }  # fmt: skip
    applied = shop.ok("apply").stdout
    assert f"created {target}  [app]" in applied
    assert (
        f"reloaded roll-out of deployment/shop in namespace {shop.namespace} of cluster prod  [app]"
        in applied
    )
    shop.admin.edit("secrets", shop.namespace, "app", {"data": {"HOST": "eA=="}})
    shop.admin.delete("configmaps", shop.namespace, "map")

    status = shop.confsync("status")
    again = shop.confsync("plan")

    assert status.returncode == 2
    assert f"drift  {target} was changed by someone else" in status.stdout
    assert f"kubernetes_config_map:prod/{shop.namespace}/map was changed by someone else" in status.stdout
    assert again.returncode == 2
    assert f"~ update {target}  [app] (drift)" in again.stdout
    assert f"healed {target}" in shop.ok("apply").stdout
    assert shop.confsync("status").returncode == 0
    explained = shop.ok("explain", target).stdout
    assert "owner     created by confsync" in explained
    assert re.search("healed: changed by someone else", explained)


def test_a_saved_plan_is_applied_exactly_or_not_at_all(shop):
    shop.ok("apply", "map")
    assert shop.confsync("plan", "--out", "saved").returncode == 2
    assert Leaks([PASSWORD]).find((shop.root / "saved").read_text()) == []
    shop.ok("apply", "--plan", "saved")
    before = shop.versions()
    give(shop, host="db2")
    assert shop.confsync("plan", "--out", "saved").returncode == 2
    shop.admin.edit("secrets", shop.namespace, "app", {"data": {"HOST": "eA=="}})
    edited = shop.version()

    refused = shop.confsync("apply", "--plan", "saved")

    assert refused.returncode == 1
    assert "the world has moved since this plan was saved" in refused.stderr
    assert shop.version() == edited
    assert shop.version("both") == before["both"]


def test_twenty_items_go_to_several_namespaces_and_what_is_no_longer_wanted_goes(clustered, cluster):
    namespaces = [clustered.namespace, cluster.admin.namespace()]
    to = clustered.secret("app-{{ each.key }}", namespace=namespaces)
    each = {
        "for_each": "values.children('items')",
        "templates": {"value": {"inline": "{{ each.value }}"}},
        "to": to,
    }
    configure(clustered, {"each": each})

    assert "40 changes" in clustered.ok("apply").stdout
    assert "0 changes" in clustered.ok("apply").stdout

    for namespace in namespaces:
        assert clustered.held("app-item7", namespace) == {"value": "v7"}
        assert len(cluster.admin.items("secrets", namespace, "app.kubernetes.io/managed-by=confsync")) == 20
    give(clustered, items=19)
    clustered.ok("apply")
    assert [clustered.held("app-item19", namespace) for namespace in namespaces] == [None, None]
    to["kubernetes_secret"]["namespace"] = namespaces[0]
    clustered.configure({"each": each}, sources=SENSITIVE)
    clustered.ok("apply", "--allow-mass-delete")
    assert cluster.admin.items("secrets", namespaces[1], "app.kubernetes.io/managed-by=confsync") == []


def test_one_sync_writes_to_several_clusters(clustered, tmp_path: Path):
    with ApiServer() as server:
        path = server.kubeconfig(tmp_path / "other")
        other = KubeAdmin(path)
        namespace = other.namespace()
        targets = [
            clustered.secret(cluster="prod"),
            clustered.secret(cluster="other", namespace=namespace),
        ]
        clusters = {"prod": {"kubeconfig": str(clustered.kubeconfig)}, "other": {"kubeconfig": str(path)}}
        configure(clustered, {"app": data({"HOST": "values:db/host"}, targets)}, clusters=clusters)

        done = clustered.ok("apply")

        assert clustered.held() == other.data(namespace, "app") == {"HOST": "db1"}
        assert f"created kubernetes_secret:other/{namespace}/app" in done.stdout
        give(clustered, host="db2")
        server.stop()
        failed = clustered.confsync("apply")
        assert failed.returncode == 1
        assert clustered.held() == {"HOST": "db1"}, "all targets of a sync, or none"


def test_a_config_map_takes_no_sensitive_value(clustered):
    to = clustered.config_map()
    configure(clustered, {"app": data({"PASSWORD": "values:db/password"}, to)})
    read = clustered.confsync("check")
    assert read.returncode == 3
    assert "values:db/password is sensitive" in read.stderr
    assert "use kubernetes_secret" in read.stderr

    template = {"inline": "{{ values('db/pass' + 'word') }}"}
    configure(clustered, {"app": {"templates": {"a": template}, "to": to}})
    clustered.ok("check")
    for command in (("check", "--online"), ("plan",), ("apply",)):
        done = clustered.confsync(*command)
        assert done.returncode == 1
        assert (
            "depends on a sensitive value, and a ConfigMap is no place for one (use kubernetes_secret)"
            in done.stderr
        )
        assert Leaks([PASSWORD]).find(done.stdout + done.stderr) == []
    assert clustered.admin.find("configmaps", clustered.namespace, "app") is None


def test_what_was_adopted_keeps_what_others_put_there(clustered):
    clustered.admin.secret(clustered.namespace, "app", {"HOST": "db1", "theirs": "x"})
    configure(clustered, {"app": data({"HOST": "values:db/host"}, clustered.secret())})
    assert "theirs" not in clustered.confsync("plan").stdout
    clustered.confsync("apply")
    assert clustered.held() == {"HOST": "db1", "theirs": "x"}
    configure(clustered, {"app": data({"HOST": "values:db/host"}, clustered.secret(conflicts="take"))})
    clustered.ok("apply")
    give(clustered, host="db2")
    clustered.ok("apply")
    assert clustered.held() == {"HOST": "db2", "theirs": "x"}

    clustered.configure({}, sources=SENSITIVE)
    removed = clustered.ok("apply")

    assert clustered.held() == {"theirs": "x"}
    assert "withdrawn" in removed.stdout


def test_a_check_sees_the_keys_as_files_which_no_process_shows_and_nobody_finds_afterwards(clustered):
    seen = clustered.root / "seen"
    script = clustered.script(
        "check",
        # Some of those that are listed have ended when they are looked at.
        f'cat "$1"/PASSWORD && echo "$1" > {seen} && {{ cat /proc/[0-9]*/cmdline > {seen}.ps || true; }}',
    )
    check = {"command": [script, "{staged}"]}
    configure(clustered, {"app": data({"PASSWORD": "values:db/password"}, clustered.secret(), check=check)})
    clustered.ok("apply")
    assert clustered.held() == {"PASSWORD": PASSWORD}
    staged = Path(seen.read_text().strip())
    assert not staged.exists()
    listed = seen.with_name("seen.ps").read_bytes()
    assert str(staged).encode() in listed
    assert Leaks([PASSWORD]).find_in_bytes(listed) == []

    clustered.script("check", 'cat "$1"/PASSWORD; exit 1')
    give(clustered, CHANGED)
    refused = clustered.confsync("apply")

    assert refused.returncode == 1
    assert Leaks([PASSWORD, CHANGED]).find(refused.stdout + refused.stderr) == []
    assert clustered.held() == {"PASSWORD": PASSWORD}


def test_a_claim_of_another_confsync_is_told_and_is_no_failure(clustered, tmp_path: Path):
    configure(clustered, {"ours": data({"HOST": "values:db/host"}, clustered.secret())})
    clustered.ok("apply")
    other = open_workspace(tmp_path / "other", clustered)
    configure(other, {"theirs": data({"HOST": "values:db/host"}, clustered.secret())})
    assert "it belongs to sync 'ours' of another confsync" in other.confsync("apply").stderr

    for command in ("plan", "apply", "status"):
        done = clustered.ok(command)
        assert command == "apply" or "also claimed by sync 'theirs'" in done.stdout + done.stderr


def test_a_selector_that_selects_no_namespace_is_told_until_one_does(clustered):
    label = {"team": clustered.admin.unique}
    configure(
        clustered, {"app": data({"HOST": "values:db/host"}, clustered.secret(namespace={"labels": label}))}
    )
    said = f"no namespace of cluster prod matches team={clustered.admin.unique}"
    for command in ("plan", "apply", "plan", "status"):
        done = clustered.ok(command)
        assert command == "apply" or said in done.stdout + done.stderr

    namespace = clustered.admin.namespace(label)
    clustered.ok("apply")

    assert clustered.held(namespace=namespace) == {"HOST": "db1"}
    assert said not in clustered.ok("status").stdout


def test_all_that_is_wrong_with_targets_is_told_when_the_configuration_is_read(clustered):
    host = {"HOST": "values:db/host"}
    wrong = {
        "'bad key' cannot be a key of a Secret or ConfigMap": data(
            {"bad key": "values:db/host"}, clustered.secret("key")
        ),
        "'Bad_Name' cannot be an object's name": data(host, clustered.secret("Bad_Name")),
        "'Bad_Space' cannot be a namespace": data(host, clustered.secret("space", namespace="Bad_Space")),
        "there is no cluster 'pord'; did you mean 'prod'?": data(
            host, clustered.secret("pord", cluster="pord")
        ),
        "'job/shop' is not deployment/NAME": data(host, clustered.secret("job", restart=["job/shop"])),
        "needs templates or data, which name its keys": {
            "template": {"inline": "x"},
            "to": clustered.secret("one"),
        },
        "is already written by sync 'wrong'": data(host, [clustered.secret(), clustered.secret()]),
    }
    for said, sync in wrong.items():
        configure(clustered, {"wrong": sync})
        done = clustered.confsync("check")
        assert (done.returncode, said in done.stderr, len(done.stderr.splitlines())) == (3, True, 1), (
            done.stderr
        )
