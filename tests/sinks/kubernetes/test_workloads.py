"""Roll-outs: a pod template that says what its objects hold, and changes only when they do."""

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stand_ins.kube_sinks import KubeSinks, open_sinks, sinks
from stand_ins.kubernetes import ApiServer
from stand_ins.kubernetes.fixtures import Cluster

from confsync.config.kubernetes import Workload
from confsync.errors import SinkError
from confsync.sinks.kubernetes.workloads import annotation, roll_out

__all__ = ["open_sinks", "sinks"]

NAMES = st.text(string.ascii_lowercase + string.digits + "-.", min_size=1, max_size=253)
SHOP = Workload(kind="Deployment", name="shop")


def template(cluster: Cluster, resource: str = "deployments") -> dict[str, str]:
    found: dict[str, Any] = cluster.admin.get(resource, cluster.namespace, "shop")
    notes: dict[str, str] = found["spec"]["template"]["metadata"].get("annotations", {})
    return notes


def generation(cluster: Cluster) -> int:
    found: int = cluster.admin.get("deployments", cluster.namespace, "shop")["metadata"]["generation"]
    return found


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_a_workload_is_told_what_its_secret_holds(kind: str, sinks: KubeSinks, cluster: Cluster) -> None:
    resource = f"{kind.lower()}s"
    cluster.admin.workload(resource, cluster.namespace, "shop")
    sinks.write(sinks.secret(), {"a": b"hidden"})
    roll_out(sinks.cluster, cluster.namespace, Workload(kind=kind, name="shop"), [sinks.secret()])

    (name, told) = next(iter(template(cluster, resource).items()))
    assert name == "checksum.confsync.dev/secret.app"
    marked = cluster.admin.get("secrets", cluster.namespace, "app")["metadata"]["annotations"]
    assert marked["confsync.dev/checksum"].endswith(f".{told}")
    # The salt stays where only who may read the Secret sees it.
    assert marked["confsync.dev/checksum"].partition(".")[0] not in told


def test_asked_again_nothing_moves(sinks: KubeSinks, cluster: Cluster) -> None:
    cluster.admin.workload("deployments", cluster.namespace, "shop")
    sinks.write(sinks.secret(), {"a": b"1"})
    roll_out(sinks.cluster, cluster.namespace, SHOP, [sinks.secret()])
    before = generation(cluster)

    roll_out(sinks.cluster, cluster.namespace, SHOP, [sinks.secret()])
    assert generation(cluster) == before
    sinks.write(sinks.secret(), {"a": b"2"}, created=True)
    roll_out(sinks.cluster, cluster.namespace, SHOP, [sinks.secret()])
    assert generation(cluster) == before + 1


def test_what_comes_back_to_what_it_was_moves_nothing(sinks: KubeSinks, cluster: Cluster) -> None:
    cluster.admin.workload("deployments", cluster.namespace, "shop")
    sinks.write(sinks.secret(), {"a": b"1"})
    roll_out(sinks.cluster, cluster.namespace, SHOP, [sinks.secret()])
    before = generation(cluster)

    cluster.admin.edit("secrets", cluster.namespace, "app", {"stringData": {"a": "by hand"}})
    sinks.write(sinks.secret(), {"a": b"1"}, created=True)
    roll_out(sinks.cluster, cluster.namespace, SHOP, [sinks.secret()])
    assert generation(cluster) == before


def test_several_objects_are_one_roll_out_and_others_notes_stay(sinks: KubeSinks, cluster: Cluster) -> None:
    cluster.admin.workload("deployments", cluster.namespace, "shop")
    sinks.write(sinks.secret("a"), {"a": b"1"})
    sinks.write(sinks.config_map("a"), {"a": b"1"})
    sinks.write(sinks.secret("b"), {"a": b"1"})
    roll_out(sinks.cluster, cluster.namespace, SHOP, [sinks.secret("b")])
    before = generation(cluster)

    roll_out(sinks.cluster, cluster.namespace, SHOP, [sinks.secret("a"), sinks.config_map("a")])
    assert generation(cluster) == before + 1
    prefix = "checksum.confsync.dev"
    assert template(cluster).keys() == {
        f"{prefix}/secret.a", f"{prefix}/secret.b", f"{prefix}/configmap.a",
    }  # fmt: skip


def test_an_object_that_is_gone_rolls_nothing_out(sinks: KubeSinks, cluster: Cluster) -> None:
    roll_out(sinks.cluster, cluster.namespace, SHOP, [sinks.secret()])  # nor is the workload asked for


def test_a_workload_that_is_not_there_is_told(sinks: KubeSinks, cluster: Cluster) -> None:
    sinks.write(sinks.secret(), {"a": b"1"})
    with pytest.raises(SinkError, match=r"deployment/shop in namespace \S+ of cluster prod: it is not there"):
        roll_out(sinks.cluster, cluster.namespace, SHOP, [sinks.secret()])


def test_a_cluster_that_is_down_is_told(sinks: KubeSinks, cluster: Cluster, api_server: ApiServer) -> None:
    sinks.write(sinks.secret(), {"a": b"1"})
    api_server.faults.answer(403, "Forbidden", "no", resource="deployments")
    with pytest.raises(SinkError, match="cannot be rolled out"):
        roll_out(sinks.cluster, cluster.namespace, SHOP, [sinks.secret()])


def test_rehearsing_asks_for_the_roll_out_too(sinks: KubeSinks, cluster: Cluster) -> None:
    spec = sinks.secret(restart=["deployment/shop"])
    (remark,) = sinks.rehearse(spec, {"a": b"1"})
    assert remark.text.startswith(f"deployment/shop in namespace {cluster.namespace} is not there")
    assert not remark.wrong
    cluster.admin.workload("deployments", cluster.namespace, "shop")
    before = generation(cluster)
    assert sinks.rehearse(spec, {"a": b"1"}) == ()
    assert generation(cluster) == before


def test_rehearsing_tells_of_a_right_that_is_missing(sinks: KubeSinks, api_server: ApiServer) -> None:
    api_server.faults.answer(403, "Forbidden", "no", resource="deployments")
    (remark,) = sinks.rehearse(sinks.secret(restart=["deployment/shop"]), {"a": b"1"})
    assert remark.wrong
    assert "resources: [deployments], verbs: [patch]" in remark.text


@given(NAMES, NAMES)
def test_each_object_has_an_annotation_of_its_own_that_the_server_takes(one: str, other: str) -> None:
    name = annotation("Secret", one).partition("/")[2]
    assert len(name) <= 63
    assert name[0].isalnum()
    assert one == other or annotation("Secret", one) != annotation("Secret", other)
    assert annotation("Secret", one) != annotation("ConfigMap", one)
