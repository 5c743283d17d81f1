"""Roll-outs: when a content changed, once for all that changed, owed until done."""

from __future__ import annotations

from time import monotonic

from stand_ins.clustered import data

from confsync.testing.waiting import eventually

EACH = {"one": "values:one", "two": "values:two", "three": "values:three"}
PATIENCE = 2
"""Seconds for which a reload waits for more to change with it, at the longest."""
BEFORE = {"one": "1", "two": "2", "three": "3"}


def configure(clustered, *restart, **more):
    """Three Secrets of three syncs, all of which one Deployment uses."""
    syncs = {
        name: data({"VALUE": key}, clustered.secret(name, restart=list(restart)))
        for name, key in EACH.items()
    }
    clustered.values(BEFORE)
    clustered.configure(syncs, interval="1h", **more)


def test_several_secrets_that_change_together_are_one_roll_out_and_a_heal_is_none(clustered):
    clustered.admin.workload("deployments", clustered.namespace, "shop")
    configure(clustered, "deployment/shop")
    began = monotonic()
    with clustered.daemon() as daemon:
        eventually(lambda: clustered.noted().keys() == {"secret.one", "secret.two", "secret.three"})
        first = clustered.generation()
        assert first <= 3 + (monotonic() - began) // PATIENCE

        began = monotonic()
        clustered.values({"one": "a", "two": "b", "three": "c"})
        eventually(lambda: clustered.generation() > first)
        eventually(lambda: clustered.noted() == checksums(clustered))
        second = clustered.generation()
        assert 1 <= second - first <= 1 + (monotonic() - began) // PATIENCE

        edits = {"one": {"data": {"VALUE": "eA=="}}, "two": {"metadata": {"annotations": None}, "data": None}}
        for name, edit in edits.items():
            clustered.admin.edit("secrets", clustered.namespace, name, edit)
            daemon.wait_log("target healed", sync=name)
        clustered.admin.delete("secrets", clustered.namespace, "three")
        daemon.wait_log("target healed", sync="three")
    assert clustered.generation() == second
    assert clustered.noted() == checksums(clustered)


def checksums(clustered):
    return {f"secret.{name}": clustered.checksum(name) for name in EACH}


def test_every_kind_of_workload_is_rolled_out_in_every_namespace(clustered):
    kinds = ("deployments", "statefulsets", "daemonsets")
    namespaces = [clustered.namespace, clustered.admin.namespace()]
    for namespace in namespaces:
        for kind in kinds:
            clustered.admin.workload(kind, namespace, "shop")
    to = clustered.secret(
        namespace=namespaces, restart=["deployment/shop", "statefulset/shop", "daemonset/shop"]
    )
    clustered.values(BEFORE)
    clustered.configure({"app": data({"VALUE": "values:one"}, to)})

    clustered.ok("apply")

    found = [clustered.admin.get(kind, namespace, "shop") for namespace in namespaces for kind in kinds]
    assert [thing["metadata"]["generation"] for thing in found] == [2] * 6
    notes = [thing["spec"]["template"]["metadata"]["annotations"] for thing in found]
    assert len({note["checksum.confsync.dev/secret.app"] for note in notes}) == 2, "one salt for each object"


def test_a_workload_that_is_missing_is_owed_until_it_is_there_and_holds_up_no_other(clustered):
    clustered.admin.workload("deployments", clustered.namespace, "shop")
    clustered.values(BEFORE)
    to = clustered.secret(restart=["deployment/missing", "deployment/shop"])
    clustered.configure({"app": data({"VALUE": "values:one"}, to)})
    with clustered.daemon() as daemon:
        clustered.wait_state("app", "owed", detail="deployment/missing")
        eventually(lambda: clustered.generation() == 2)
        clustered.wait_state("app", "owed", detail="create it, or correct `restart`")

        clustered.admin.workload("deployments", clustered.namespace, "missing")

        eventually(lambda: clustered.noted("missing") == {"secret.app": clustered.checksum()})
        clustered.wait_state("app", "ok")
        daemon.wait_log("reloaded", reload="deployment/missing")
    assert clustered.generation() == 2
    assert clustered.generation("missing") == 2


def test_what_others_noted_in_a_pod_template_stays(clustered):
    clustered.admin.workload("deployments", clustered.namespace, "shop")
    note = {"spec": {"template": {"metadata": {"annotations": {"theirs": "x"}}}}}
    clustered.admin.edit("deployments", clustered.namespace, "shop", note)
    configure(clustered, "deployment/shop")

    clustered.ok("apply")
    clustered.configure({})
    clustered.ok("apply")

    annotations = clustered.admin.get("deployments", clustered.namespace, "shop")["spec"]["template"][
        "metadata"
    ]["annotations"]
    assert annotations["theirs"] == "x"
    assert clustered.versions() == {}
    assert clustered.generation() == 3, "what is deleted rolls nothing out"
