"""What leaves is what nobody wants: not what has another name now, nor what is out of reach for good."""

from __future__ import annotations

import pytest
from stand_ins.clustered import PASSWORD, data
from stand_ins.vaulted import text

READ = {"PASSWORD": "values:db/password"}
HELD = {"PASSWORD": PASSWORD}
FILE = {"file": text("x", "file")}


def clusters(clustered, *names):
    return {name: {"kubeconfig": str(clustered.kubeconfig), "timeout": "30s"} for name in names}


def configure(clustered, names, **fields):
    """Secret `app` in a cluster, which has these names."""
    clustered.configure({"app": data(READ, clustered.secret(**fields))}, clusters=clusters(clustered, *names))


def test_a_target_that_moves_to_another_name_of_its_cluster_stays(clustered):
    configure(clustered, ("east", "west"), cluster="east")
    clustered.ok("apply")
    uid = clustered.version()[0]

    configure(clustered, ("east", "west"), cluster="west")
    moved = clustered.ok("apply")

    assert clustered.held() == HELD, moved.stdout
    assert clustered.version()[0] == uid
    assert "nothing to do" in clustered.ok("plan").stdout
    clustered.configure(FILE, clusters=clusters(clustered, "east", "west"))
    clustered.ok("apply")
    assert clustered.held() is None, "it is ours still"


@pytest.mark.parametrize("named", ["first", "renamed"])
def test_a_cluster_that_gets_another_name_keeps_its_objects(clustered, monkeypatch, named):
    """Also where it had none: the kubeconfig's own was meant, which needs no section."""
    monkeypatch.setenv("KUBECONFIG", str(clustered.kubeconfig))
    if named == "first":
        clustered.config(syncs={"app": data(READ, clustered.secret())})
    else:
        configure(clustered, ("old",))
    clustered.ok("apply")
    uid = clustered.version()[0]

    configure(clustered, ("new",))
    clustered.ok("plan")
    applied = clustered.ok("apply")

    assert clustered.held() == HELD, applied.stdout
    assert clustered.version()[0] == uid
    assert "nothing to do" in clustered.ok("plan").stdout
    assert [record.id for record in targets(clustered)] == [
        f"kubernetes_secret:new/{clustered.namespace}/app"
    ]


def test_what_is_in_a_cluster_that_is_gone_is_released_and_holds_up_no_other(clustered):
    gone = {name: data(READ, clustered.secret(name)) for name in ("app", "other")}
    clustered.configure(gone | {"bfile": text("x", "bfile")} | FILE, clusters=clusters(clustered, "old"))
    clustered.ok("apply")
    before = clustered.versions()

    clustered.configure(FILE, clusters=clusters(clustered, "new"))
    planned = clustered.confsync("plan")
    clustered.ok("apply", "--allow-mass-delete")

    assert planned.returncode == 2, planned.stderr
    assert f"delete {clustered.out / 'bfile'}" in planned.stdout
    assert clustered.read("bfile") is None
    assert clustered.versions() == before
    assert "nothing to do" in clustered.ok("plan").stdout
    assert [record.id for record in targets(clustered)] == [f"file:{clustered.out / 'file'}"]


def targets(clustered):
    """What the ledger knows."""
    ledger = clustered.ledger()
    try:
        return list(ledger.targets().values())
    finally:
        ledger.close()


@pytest.mark.parametrize("made_by", ["us", "others"])
@pytest.mark.parametrize("stripped", ["sync", "all"])
def test_what_lost_its_annotations_goes_with_its_sync_all_the_same(clustered, made_by, stripped):
    """Deleted where confsync made it, withdrawn from where it was there before."""
    if made_by == "others":
        clustered.admin.secret(clustered.namespace, "app", {"THEIRS": "x"})
    configure(clustered, ("prod",))
    clustered.ok("apply")
    marks = None if stripped == "all" else {"confsync.dev/sync": None}
    clustered.admin.edit("secrets", clustered.namespace, "app", {"metadata": {"annotations": marks}})

    clustered.configure(FILE, clusters=clusters(clustered, "prod"))
    clustered.ok("apply")

    assert clustered.held() == ({"THEIRS": "x"} if made_by == "others" else None)
    assert "nothing to do" in clustered.ok("plan").stdout
