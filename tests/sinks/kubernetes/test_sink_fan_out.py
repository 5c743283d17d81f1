"""One target of the configuration is one object in each namespace, also in those that appear later."""

from collections.abc import Callable
from itertools import count

import pytest
from stand_ins.kube_sinks import KubeSinks, open_sinks, sinks
from stand_ins.kubernetes import ApiServer
from stand_ins.kubernetes.fixtures import Cluster

from confsync.errors import ConfigError, SinkError
from confsync.target import target_id
from confsync.testing.waiting import eventually

__all__ = ["open_sinks", "sinks"]

CONTENT = {"a": b"1"}


def places(sinks: KubeSinks, **fields: object) -> list[str]:
    sinks.later()
    return [target_id(desired.spec) for desired in sinks.place(sinks.secret(**fields), CONTENT)]


def test_a_list_is_kept_in_order_and_each_once(sinks: KubeSinks) -> None:
    assert places(sinks, namespace=["b", "a", "b"]) == [
        "kubernetes_secret:prod/b/app",
        "kubernetes_secret:prod/a/app",
    ]


def test_the_cluster_is_named_in_the_place(sinks: KubeSinks) -> None:
    assert places(sinks, cluster=None, namespace="a") == ["kubernetes_secret:prod/a/app"]
    with pytest.raises(ConfigError, match="no cluster 'other'"):
        places(sinks, cluster="other")


def test_all_namespaces_with_the_labels_also_later_ones(sinks: KubeSinks, cluster: Cluster) -> None:
    team = cluster.admin.unique
    one = cluster.admin.namespace({"team": team}, "b")
    cluster.admin.namespace({"team": "other"})
    selected = {"labels": {"team": team}}
    assert places(sinks, namespace=selected) == [f"kubernetes_secret:prod/{one}/app"]

    two = cluster.admin.namespace({"team": team, "env": "dev"}, "a")
    assert places(sinks, namespace=selected) == [
        f"kubernetes_secret:prod/{two}/app",
        f"kubernetes_secret:prod/{one}/app",
    ]
    selector = {"selector": f"team={team},env in (dev,test)"}
    assert places(sinks, namespace=selector) == [f"kubernetes_secret:prod/{two}/app"]


def test_no_namespace_at_all_is_no_target(sinks: KubeSinks) -> None:
    assert places(sinks, namespace={"labels": {"team": "nobody"}}) == []


def test_each_is_written_and_removed_by_itself(sinks: KubeSinks, cluster: Cluster) -> None:
    names = [cluster.admin.namespace() for _ in range(2)]
    placed = sinks.place(sinks.secret(namespace=names), CONTENT)
    for desired in placed:
        sinks.write(desired.spec, CONTENT)
    assert [cluster.admin.data(name, "app") for name in names] == [{"a": "1"}, {"a": "1"}]

    sinks.observe(placed[0].spec)
    sinks.secrets.remove(placed[0].spec)
    assert [cluster.admin.data(name, "app") for name in names] == [None, {"a": "1"}]


def test_a_namespace_that_is_going_away_is_no_place(sinks: KubeSinks, cluster: Cluster) -> None:
    team = cluster.admin.unique
    name = cluster.admin.namespace({"team": team})
    cluster.admin.secret(name, "stays", {}, metadata={"finalizers": ["example.com/wait"]})
    cluster.admin.delete("namespaces", "", name)

    assert places(sinks, namespace={"labels": {"team": team}}) == []
    cluster.admin.edit("secrets", name, "stays", {"metadata": {"finalizers": None}})


def test_a_selector_that_is_none_is_an_error(sinks: KubeSinks) -> None:
    with pytest.raises(
        SinkError, match=r"kubernetes_secret:prod/.*: the API server does not understand the selector"
    ):
        places(sinks, namespace={"selector": "a in (("})


def test_namespaces_that_may_not_be_listed_are_an_error(sinks: KubeSinks, api_server: ApiServer) -> None:
    api_server.faults.answer(403, "Forbidden", "no", {"kind": "namespaces"}, resource="namespaces")

    with pytest.raises(SinkError, match=r"its namespaces cannot be told: .*list") as caught:
        places(sinks, namespace={"labels": {"a": "b"}})
    assert "namespaces" in (caught.value.hint or "")


def test_a_hostile_name_is_no_place(sinks: KubeSinks) -> None:
    for name in ("../kube-system/x", "a/b", "a?dryRun=All", "A", "a\nb", "a%2Fb"):
        spec = sinks.secret().model_copy(update={"name": name})
        with pytest.raises(SinkError, match="cannot be an object's name"):
            sinks.place(spec, CONTENT)
        spec = sinks.secret().model_copy(update={"namespace": name})
        with pytest.raises(SinkError, match="cannot be a namespace"):
            sinks.place(spec, CONTENT)


# What a cluster tells of


def test_changes_by_others_are_told_by_target(sinks: KubeSinks, cluster: Cluster) -> None:
    told: list[str] = []
    sinks.cluster.follow(told.append, told.append)
    sinks.write(sinks.secret(), CONTENT)
    sinks.write(sinks.config_map(), CONTENT)
    secret, config_map = (
        f"kubernetes_{kind}:prod/{cluster.namespace}/app" for kind in ("secret", "config_map")
    )
    values = count()

    def is_told_alone() -> bool:
        told.clear()  # an event may have been quicker than the answer to our own write, or is just being told
        cluster.admin.edit("secrets", cluster.namespace, "app", {"stringData": {"b": str(next(values))}})
        return eventually(lambda: secret in told) and set(told) == {secret}

    eventually(is_told_alone)
    cluster.admin.edit("secrets", cluster.namespace, "app", {"data": {"a": "eA=="}})
    cluster.admin.delete("configmaps", cluster.namespace, "app")
    eventually(lambda: config_map in told)
    assert set(told) == {secret, config_map}

    assert sinks.secrets.observe(sinks.secret(), ["a"]).content == {"a": b"x"}
    assert sinks.config_maps.observe(sinks.config_map()).content is None


def test_what_was_looked_at_before_is_followed_too(sinks: KubeSinks, cluster: Cluster) -> None:
    told: list[str] = []
    sinks.write(sinks.secret(), CONTENT)
    sinks.cluster.follow(told.append, told.append)
    watched = sinks.cluster.objects(sinks.secrets.resource, cluster.namespace)

    def edited() -> bool:
        cluster.admin.edit(
            "secrets", cluster.namespace, "app", {"metadata": {"labels": {"n": str(len(told))}}}
        )
        return bool(told)

    eventually(edited)
    assert set(told) == {f"kubernetes_secret:prod/{cluster.namespace}/app"}
    assert sinks.cluster.objects(sinks.secrets.resource, cluster.namespace) is watched


def test_a_namespace_that_appears_is_told(sinks: KubeSinks, cluster: Cluster) -> None:
    told: list[str] = []
    team = cluster.admin.unique
    selected = {"labels": {"team": team}}
    assert places(sinks, namespace=selected) == []
    sinks.cluster.follow(told.append, told.append)
    name = cluster.admin.namespace({"team": team})

    eventually(lambda: "prod" in told)
    assert places(sinks, namespace=selected) == [f"kubernetes_secret:prod/{name}/app"]


def test_a_resync_lists_once_for_a_namespace_and_kind(sinks: KubeSinks, api_server: ApiServer) -> None:
    for number in range(5):
        sinks.write(sinks.secret(f"s{number}"), CONTENT, undoable=False)
    before = len(api_server.log.all())
    sinks.cluster.expire()
    for number in range(5):
        sinks.secrets.observe(sinks.secret(f"s{number}"))

    assert [request.verb for request in api_server.log.all()[before:]] == ["list"]


def test_nothing_is_asked_before_something_is_needed(sinks: KubeSinks, api_server: ApiServer) -> None:
    before = len(api_server.log.all())
    sinks.cluster.follow(lambda _: None, lambda _: None)
    sinks.cluster.expire()
    sinks.cluster.close()

    assert len(api_server.log.all()) == before


def test_a_closed_cluster_answers_at_once(open_sinks: Callable[..., KubeSinks]) -> None:
    sinks = open_sinks()
    sinks.cluster.follow(lambda _: None, lambda _: None)
    sinks.write(sinks.secret(), CONTENT)
    sinks.cluster.close()
    sinks.cluster.close()

    with pytest.raises(SinkError, match="stopping"):
        sinks.observe(sinks.secret())
