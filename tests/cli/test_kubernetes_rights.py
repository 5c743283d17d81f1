"""What a plan foresees of rights and of what others do; what an apply does of it, and says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from stand_ins.clustered import api_server, cluster, clustered, data
from stand_ins.kubernetes import ApiServer, KubeAdmin

__all__ = ["api_server", "cluster", "clustered"]

READ = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]}
WRITE = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "patch"]}


@pytest.fixture(autouse=True)
def patience(clustered):
    """No server is silent here, however long it takes."""
    clustered.timeout = "30s"


@pytest.fixture
def limited(clustered):
    """Somebody who may make and change Secrets, and neither delete them nor roll anything out."""
    token = clustered.admin.service_account(clustered.namespace, "limited", READ, WRITE)
    login = clustered.login(token)

    def configure(*targets):
        clustered.configure({"app": data({"HOST": "values:db/host"}, list(targets))}, kubeconfig=login)

    clustered.give = configure
    return clustered


def test_what_cannot_be_removed_keeps_nothing_else_from_being_done_and_told(limited):
    limited.give(limited.secret("old"))
    limited.ok("apply")
    limited.give(limited.secret("new"))

    plan = limited.confsync("plan")
    assert plan.returncode == 1
    assert "verbs: [delete]" in plan.stderr
    assert "create kubernetes_secret" in plan.stdout
    assert "verbs: [delete]" in limited.confsync("check", "--online").stderr

    done = limited.confsync("apply", "--output", "json")
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert [(change["action"], change["target"].rpartition("/")[2]) for change in told["changes"]] == [
        ("create", "new")
    ]
    assert "old: cannot be removed" in told["failed"]["app"]["detail"]
    assert limited.held("new") == {"HOST": "db1"}
    assert limited.held("old") == {"HOST": "db1"}

    delete = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["delete"]}
    limited.admin.allow(limited.namespace, "limited", delete)
    limited.ok("apply")
    assert limited.held("old") is None
    limited.ok("status")


def test_a_cluster_that_is_away_keeps_only_its_removal_waiting(clustered, tmp_path: Path):
    with ApiServer() as server:
        path = server.kubeconfig(tmp_path / "other")
        namespace = KubeAdmin(path).namespace()
        clusters = {"prod": {"kubeconfig": str(clustered.kubeconfig)}, "other": {"kubeconfig": str(path)}}
        here, there = clustered.secret(cluster="prod"), clustered.secret(cluster="other", namespace=namespace)
        clustered.configure({"app": data({"HOST": "values:db/host"}, [here, there])}, clusters=clusters)
        clustered.ok("apply")
        server.stop()
        clustered.values({"db": {"host": "db2"}})
        clustered.configure({"app": data({"HOST": "values:db/host"}, [here])}, clusters=clusters)

        done = clustered.confsync("apply")
        assert done.returncode == 1
        assert "updated kubernetes_secret:prod/" in done.stdout
        assert "connection refused" in done.stderr
        assert clustered.held() == {"HOST": "db2"}

        server.start()
        clustered.ok("apply")
        assert KubeAdmin(path).data(namespace, "app") is None


def test_a_check_that_refuses_is_told_though_a_cluster_is_gone(clustered, tmp_path: Path):
    with ApiServer() as server:
        path = server.kubeconfig(tmp_path / "other")
        clusters = {"prod": {"kubeconfig": str(clustered.kubeconfig)}, "other": {"kubeconfig": str(path)}}
        there = clustered.secret(cluster="other", namespace=KubeAdmin(path).namespace())
        here = clustered.secret(cluster="prod")
        sync = data({"HOST": "values:db/host"}, [here, there])
        clustered.configure({"app": sync}, clusters=clusters)
        clustered.ok("apply")
    clustered.values({"db": {"host": "db2"}})
    del clusters["other"]
    clustered.configure({"app": {**sync, "to": [here], "check": ["false"]}}, clusters=clusters)

    done = clustered.confsync("apply")
    assert done.returncode == 1
    assert "check failed" in done.stderr or "false" in done.stderr
    assert "cluster" not in done.stderr
    assert clustered.held() == {"HOST": "db1"}


def test_what_cannot_be_looked_at_counts_as_lost(clustered, tmp_path: Path):
    with ApiServer() as server:
        path = server.kubeconfig(tmp_path / "other")
        clusters = {"prod": {"kubeconfig": str(clustered.kubeconfig)}, "other": {"kubeconfig": str(path)}}
        namespace = KubeAdmin(path).namespace()
        here = [clustered.secret(f"s{n}", cluster="prod") for n in range(3)]
        there = [clustered.secret(f"s{n}", cluster="other", namespace=namespace) for n in range(3)]
        clustered.configure({"app": data({"HOST": "values:db/host"}, here + there)}, clusters=clusters)
        clustered.ok("apply")
        server.stop()
        clustered.configure({"app": data({"HOST": "values:db/host"}, here[:1])}, clusters=clusters)

        done = clustered.confsync("apply")
    assert "5 of the 6 targets of sync 'app' would be deleted at once" in done.stderr
    assert [clustered.held(f"s{n}") for n in range(3)] == [{"HOST": "db1"}] * 3


def test_a_right_to_roll_out_that_is_missing_hides_no_change(limited):
    limited.admin.workload("deployments", limited.namespace, "shop")
    limited.give(limited.secret(restart=["deployment/shop"]))

    plan = limited.confsync("plan")
    assert plan.returncode == 1
    assert "create kubernetes_secret" in plan.stdout
    assert "resources: [deployments], verbs: [patch]" in plan.stderr
    assert limited.confsync("check", "--online").returncode == 1

    assert limited.confsync("apply").returncode == 1
    assert limited.held() == {"HOST": "db1"}
    assert "a reload is owed" in limited.confsync("plan").stderr


def test_a_workload_that_is_not_there_yet_is_to_be_known_and_no_failure(clustered):
    clustered.configure(
        {"app": data({"HOST": "values:db/host"}, clustered.secret(restart=["deployment/shop"]))}
    )
    check = clustered.confsync("check", "--online")
    assert check.returncode == 0
    assert "its roll-out is owed until it is" in check.stderr
    assert clustered.confsync("plan").returncode == 2


def test_what_is_taken_by_intent_is_to_be_known_and_no_failure(clustered):
    clustered.admin.secret(clustered.namespace, "app", {"HOST": "theirs"})
    clustered.configure({"app": data({"HOST": "values:db/host"}, clustered.secret(conflicts="take"))})
    check = clustered.confsync("check", "--online")
    assert check.returncode == 0
    assert ": HOST" in check.stderr
    assert "takes over from " in check.stderr
    clustered.ok("apply")


def test_what_goes_into_a_secret_is_masked_whatever_its_source_says(clustered):
    clustered.configure({"app": data({"HOST": "values:db/host"}, clustered.secret())})
    plan = clustered.confsync("plan")
    assert "db1" not in plan.stdout + plan.stderr
    clustered.ok("apply")
    clustered.values({"db": {"host": "db2"}})
    plan = clustered.confsync("plan")
    assert plan.returncode == 2
    assert "db1" not in plan.stdout + plan.stderr
    assert "db2" not in plan.stdout + plan.stderr


def test_what_a_lost_ledger_forgot_is_told_of_and_left(clustered):
    targets = [clustered.secret("one"), clustered.secret("two")]
    clustered.configure({"app": data({"HOST": "values:db/host"}, targets)})
    clustered.ok("apply")
    clustered.forget()
    clustered.configure({"app": data({"HOST": "values:db/host"}, targets[:1])})

    clustered.ok("apply")
    assert clustered.held("two") == {"HOST": "db1"}
    status = clustered.confsync("status")
    assert "two says that it was made for this sync" in status.stdout
    clustered.admin.delete("secrets", clustered.namespace, "two")
    clustered.ok("apply")
    assert "says that it was made" not in clustered.confsync("status").stdout


def test_who_takes_an_object_over_is_not_told_of_his_own_claim(clustered, tmp_path: Path):
    clustered.configure({"first": data({"HOST": "values:db/host"}, clustered.secret())})
    clustered.ok("apply")
    clustered.forget()
    clustered.configure({"second": data({"HOST": "values:db/host"}, clustered.secret())})
    assert "belongs to sync 'first'" in clustered.confsync("apply").stderr

    clustered.configure({"second": data({"HOST": "values:db/host"}, clustered.secret(conflicts="take"))})
    plan = clustered.confsync("plan")
    assert plan.returncode == 2
    assert "claimed" not in plan.stdout + plan.stderr
    clustered.ok("apply")


def test_what_others_keep_keys_in_is_not_said_to_be_deleted(clustered):
    clustered.configure({"app": data({"HOST": "values:db/host"}, clustered.secret())})
    clustered.ok("apply")
    clustered.admin.edit("secrets", clustered.namespace, "app", {"stringData": {"THEIRS": "x"}})
    clustered.configure({})

    assert "withdraw kubernetes_secret" in clustered.confsync("plan").stdout
    assert "withdrawn kubernetes_secret" in clustered.ok("apply").stdout
    assert clustered.held() == {"THEIRS": "x"}
