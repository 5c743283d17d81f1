"""What we made is deleted, as it was seen; from what others keep only what is ours goes."""

from collections.abc import Callable

import pytest
from stand_ins.kube_sinks import KubeSinks, marks, open_sinks, sinks
from stand_ins.kubernetes import ApiServer
from stand_ins.kubernetes.fixtures import Cluster

from confsync.config.kubernetes import KubernetesTarget
from confsync.errors import SinkError

__all__ = ["open_sinks", "sinks"]

each_kind = pytest.mark.parametrize(("kind", "plural"), [("secret", "secrets"), ("config_map", "configmaps")])

CONTENT = {"user": b"me"}


def remove(sinks: KubeSinks, spec: KubernetesTarget) -> None:
    """Look, and remove."""
    sinks.observe(spec)
    sinks.sink(spec).remove(spec)


@each_kind
def test_what_we_made_is_deleted(kind: str, plural: str, sinks: KubeSinks, cluster: Cluster) -> None:
    spec = getattr(sinks, kind)()
    sinks.write(spec, CONTENT)
    remove(sinks, spec)

    assert cluster.admin.find(plural, cluster.namespace, "app") is None
    assert sinks.sink(spec).observe(spec).content is None
    remove(sinks, spec)


def test_what_is_gone_already_is_fine(sinks: KubeSinks, cluster: Cluster) -> None:
    sinks.write(sinks.secret(), CONTENT)
    sinks.observe(sinks.secret())
    cluster.admin.delete("secrets", cluster.namespace, "app")

    sinks.secrets.remove(sinks.secret())
    sinks.secrets.remove(sinks.secret())


def test_a_namespace_that_is_gone_is_fine(sinks: KubeSinks, cluster: Cluster) -> None:
    namespace = cluster.admin.namespace()
    sinks.write(sinks.secret(namespace=namespace), CONTENT)
    cluster.admin.delete("namespaces", "", namespace)
    sinks.later()

    sinks.secrets.remove(sinks.secret(namespace="nowhere"))


@pytest.mark.parametrize("known", [False, True])
def test_what_changed_since_it_was_seen_is_not_deleted(
    known: bool, sinks: KubeSinks, cluster: Cluster
) -> None:
    sinks.write(sinks.secret(), CONTENT)
    sinks.observe(sinks.secret())
    cluster.admin.edit("secrets", cluster.namespace, "app", {"metadata": {"labels": {"keep": "me"}}})
    if known:  # the cache has heard of it, who decided has not
        sinks.later()

    with pytest.raises(SinkError, match="not removed: somebody changed it meanwhile"):
        sinks.secrets.remove(sinks.secret())
    assert cluster.admin.data(cluster.namespace, "app") == {"user": "me"}


def test_what_was_made_again_since_it_was_seen_is_not_deleted(sinks: KubeSinks, cluster: Cluster) -> None:
    sinks.write(sinks.secret(), CONTENT)
    sinks.observe(sinks.secret())
    cluster.admin.delete("secrets", cluster.namespace, "app")
    cluster.admin.secret(cluster.namespace, "app", {"user": "me"})

    with pytest.raises(SinkError, match="not removed: somebody changed it meanwhile"):
        sinks.secrets.remove(sinks.secret())
    assert cluster.admin.data(cluster.namespace, "app") == {"user": "me"}


@each_kind
def test_where_others_have_keys_only_ours_go(
    kind: str, plural: str, sinks: KubeSinks, cluster: Cluster
) -> None:
    spec = getattr(sinks, kind)(labels={"team": "shop"}, annotations={"note": "x"})
    sinks.write(spec, CONTENT)
    cluster.admin.edit(
        plural, cluster.namespace, "app", {"data": {"theirs": "eA=="}, "metadata": {"labels": {"l": "x"}}}
    )
    remove(sinks, spec)

    found = cluster.admin.get(plural, cluster.namespace, "app")
    assert found["data"] == {"theirs": "eA=="}
    assert found["metadata"]["labels"] == {"l": "x"}
    assert "annotations" not in found["metadata"]
    assert sinks.observe(spec).content == {}


def test_labels_of_others_do_not_keep_an_object(sinks: KubeSinks, cluster: Cluster) -> None:
    sinks.write(sinks.secret(), CONTENT)
    cluster.admin.edit("secrets", cluster.namespace, "app", {"metadata": {"labels": {"theirs": "x"}}})
    remove(sinks, sinks.secret())

    assert cluster.admin.find("secrets", cluster.namespace, "app") is None


def test_a_key_that_nobody_keeps_is_not_deleted(sinks: KubeSinks, cluster: Cluster) -> None:
    sinks.write(sinks.secret(), CONTENT)
    cluster.admin.edit("secrets", cluster.namespace, "app", {"data": {"theirs": "eA=="}}, manager="someone")
    fields = cluster.admin.get("secrets", cluster.namespace, "app")["metadata"]["managedFields"]
    kept = [entry for entry in fields if entry["manager"] == "confsync"]
    cluster.admin.edit("secrets", cluster.namespace, "app", {"metadata": {"managedFields": kept}})

    with pytest.raises(SinkError, match="not removed: nobody keeps theirs"):
        remove(sinks, sinks.secret())
    assert cluster.admin.data(cluster.namespace, "app") == {"user": "me", "theirs": "x"}


def test_where_the_type_needs_our_keys_it_is_said(sinks: KubeSinks, cluster: Cluster) -> None:
    spec = sinks.secret(type="tls")
    sinks.write(spec, {"tls.crt": b"c", "tls.key": b"k"})
    cluster.admin.edit("secrets", cluster.namespace, "app", {"data": {"ca.crt": "eA=="}})

    with pytest.raises(
        SinkError, match=r"not removed: others keep ca\.crt, and the object needs our keys: .*tls\.crt"
    ) as caught:
        remove(sinks, spec)
    assert "deletion: retain" in (caught.value.hint or "")
    assert len(cluster.admin.data(cluster.namespace, "app")) == 3


def test_releasing_withdraws_what_is_ours(sinks: KubeSinks, cluster: Cluster) -> None:
    cluster.admin.secret(cluster.namespace, "app", {"user": "me", "extra": "x"})
    before = cluster.admin.get("secrets", cluster.namespace, "app")
    sinks.write(sinks.secret(labels={"team": "shop"}), {**CONTENT, "added": b"1"})
    sinks.secrets.release(sinks.secret())

    after = cluster.admin.get("secrets", cluster.namespace, "app")
    assert after["data"] == before["data"]
    assert "labels" not in after["metadata"]
    assert marks(after) == {}
    assert [entry["manager"] for entry in after["metadata"]["managedFields"]] == ["confsync-tests"]
    sinks.later()
    sinks.secrets.release(sinks.secret())


def test_what_is_retained_is_left_as_it_is(sinks: KubeSinks, cluster: Cluster) -> None:
    spec = sinks.secret(deletion="retain")
    sinks.write(spec, CONTENT)
    before = cluster.admin.get("secrets", cluster.namespace, "app")
    sinks.secrets.release(spec)

    assert cluster.admin.get("secrets", cluster.namespace, "app") == before


def test_releasing_what_is_not_ours_or_not_there_does_nothing(sinks: KubeSinks, cluster: Cluster) -> None:
    sinks.secrets.release(sinks.secret())
    cluster.admin.secret(cluster.namespace, "app", {"user": "me"})
    before = cluster.admin.get("secrets", cluster.namespace, "app")
    sinks.later()
    sinks.secrets.release(sinks.secret())

    assert cluster.admin.get("secrets", cluster.namespace, "app") == before


def test_a_refusal_is_told_with_the_verb(
    sinks: KubeSinks, api_server: ApiServer, open_sinks: Callable[..., KubeSinks]
) -> None:
    sinks.write(sinks.secret(), CONTENT)
    api_server.faults.answer(403, "Forbidden", "no", {"kind": "secrets", "name": "app"}, verb="delete")

    with pytest.raises(SinkError, match=r"cannot be removed: .*delete") as caught:
        remove(sinks, sinks.secret())
    assert "delete" in (caught.value.hint or "")
