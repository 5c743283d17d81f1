"""What a daemon watches of a cluster: all that it needs, and for how long what it needs no longer."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stand_ins.kube_sinks import LateClock
from stand_ins.kubernetes import ApiServer
from stand_ins.kubernetes.fixtures import Cluster
from stand_ins.watched import Told

from confsync.config import kubernetes as options
from confsync.config.kubernetes import KubernetesConfigMapTarget, KubernetesSecretTarget, KubernetesTarget
from confsync.config.loading import load_config
from confsync.errors import TargetTaken
from confsync.sinks import Sinks
from confsync.sinks.kubernetes.cluster import Cluster as KeptCluster
from confsync.sinks.kubernetes.resources import CONFIG_MAP, SECRET
from confsync.target import Desired, target_id
from confsync.testing.waiting import eventually

DAY = 86400.0


@pytest.fixture
def clock() -> LateClock:
    return LateClock()


@pytest.fixture
def told() -> Told:
    """Is called with the ids of targets that drifted, and with the cluster where namespaces came or went."""
    return Told()


@pytest.fixture
def configured(
    cluster: Cluster, tmp_path: Path, clock: LateClock, told: Told
) -> Iterator[Callable[..., Sinks]]:
    """Open the sinks of a configuration with these targets, in place of those before; they are followed."""
    opened: list[Sinks] = []

    def configured(*namespaces: object) -> Sinks:
        syncs = {
            f"sync-{number}": {
                "data": {"user": "values:user"},
                "to": {"kubernetes_secret": {"namespace": namespace, "name": "app"}},
            }
            for number, namespace in enumerate(namespaces)
        }
        config = {
            "sources": {"values": {"backend": "file", "path": "values.yaml"}},
            "clusters": {"prod": {"kubeconfig": str(cluster.kubeconfig)}},
            "syncs": syncs,
        }
        path = tmp_path / "confsync.yaml"
        path.write_text(json.dumps(config))
        before = opened[-1] if opened else None
        sinks = Sinks(load_config(path), b"k" * 32, clock, before)
        if before is not None:
            before.close(keep=sinks)
        opened.append(sinks)
        sinks.follow(told, told)
        return sinks

    yield configured
    for sinks in opened:
        sinks.close()


def secret(namespace: object) -> KubernetesSecretTarget:
    return KubernetesSecretTarget.model_validate({"cluster": "prod", "namespace": namespace, "name": "app"})


def config_map(namespace: object) -> KubernetesConfigMapTarget:
    return KubernetesConfigMapTarget.model_validate(
        {"cluster": "prod", "namespace": namespace, "name": "app"}
    )


def with_label(team: str) -> dict[str, dict[str, str]]:
    return {"labels": {"team": team}}


def look(sinks: Sinks, *specs: KubernetesTarget) -> None:
    for spec in specs:
        sinks.of(spec).observe(spec)


def resyncs(sinks: Sinks, clock: LateClock, *kept: KubernetesTarget, after: float = 301.0) -> None:
    """A timer of somebody else's goes off now, and again when that much time is over."""
    targets = [target_id(spec) for spec in kept]
    sinks.expire(targets)
    clock.ahead += after
    sinks.expire(targets)


def watches() -> set[str]:
    """What is watched in this process, as the threads say that do it."""
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("watch ")}


def watch_of(spec: KubernetesTarget) -> str:
    plural = "secrets" if isinstance(spec, KubernetesSecretTarget) else "configmaps"
    return f"watch {plural} in namespace {spec.namespace} of cluster prod"


def test_what_is_kept_is_watched_however_rarely_it_is_looked_at(
    configured: Callable[..., Sinks], cluster: Cluster, clock: LateClock, told: Told
) -> None:
    """A sync whose interval is two days, found by a selector, beside one whose is a minute."""
    namespace = cluster.admin.namespace({"team": cluster.admin.unique})
    rare = secret(namespace)
    sinks = configured(with_label(cluster.admin.unique))
    sinks.of(rare).stage(Desired(rare, {"user": b"me"}, sensitive=False, sync="sync-0")).commit()

    resyncs(sinks, clock, rare, after=1.5 * DAY)

    def edited() -> bool:
        labels = {"labels": {"n": str(clock.monotonic())}}
        cluster.admin.edit("secrets", namespace, "app", {"metadata": labels})
        return bool(told.names)

    assert watch_of(rare) in watches()
    assert eventually(edited)


def test_what_the_configuration_names_is_watched_though_nothing_is_kept_there_yet(
    configured: Callable[..., Sinks], cluster: Cluster, clock: LateClock
) -> None:
    sinks = configured(cluster.namespace)
    watched = sinks.cluster("prod").objects(SECRET, cluster.namespace)

    resyncs(sinks, clock, after=2 * DAY)

    assert sinks.cluster("prod").objects(SECRET, cluster.namespace) is watched
    assert watch_of(secret(cluster.namespace)) in watches()


def test_namespaces_that_came_and_went_are_watched_for_five_minutes(
    configured: Callable[..., Sinks], cluster: Cluster, clock: LateClock
) -> None:
    gone = [secret(cluster.admin.name("gone")) for _ in range(10)]
    stays = secret(cluster.namespace)
    sinks = configured(with_label("x"))
    look(sinks, stays, *gone)
    wanted = {watch_of(spec) for spec in gone}
    assert wanted <= watches()

    resyncs(sinks, clock, stays, after=200)
    assert wanted <= watches()
    resyncs(sinks, clock, stays, after=200)

    assert eventually(lambda: not wanted & watches())
    assert watch_of(stays) in watches()


def test_a_kind_that_is_no_longer_kept_in_a_namespace_is_not_watched_there(
    configured: Callable[..., Sinks], cluster: Cluster, clock: LateClock
) -> None:
    stays, gone = secret(cluster.namespace), config_map(cluster.namespace)
    sinks = configured(cluster.namespace)
    look(sinks, stays, gone)

    resyncs(sinks, clock, stays)

    assert eventually(lambda: watch_of(gone) not in watches())
    assert watch_of(stays) in watches()


def test_what_was_dropped_is_looked_at_and_watched_anew(
    configured: Callable[..., Sinks], cluster: Cluster, clock: LateClock
) -> None:
    again = secret(cluster.namespace)
    sinks = configured(with_label("x"))
    look(sinks, again)
    resyncs(sinks, clock)
    assert eventually(lambda: watch_of(again) not in watches())
    cluster.admin.secret(cluster.namespace, "app", {"user": "me"})

    assert sinks.of(again).observe(again, ("user",)).content == {"user": b"me"}
    assert watch_of(again) in watches()


def test_selectors_of_configurations_before_are_watched_for_five_minutes(
    configured: Callable[..., Sinks], cluster: Cluster, clock: LateClock, told: Told
) -> None:
    teams = [cluster.admin.name("team") for _ in range(8)]
    for team in teams:
        sinks = configured(with_label(team))
        sinks.namespaces(secret(with_label(team)))
    assert namespace_watches() == 8

    resyncs(sinks, clock, after=200)
    assert namespace_watches() == 8
    resyncs(sinks, clock, after=2 * DAY)

    assert eventually(lambda: namespace_watches() == 1)
    cluster.admin.namespace({"team": teams[-1]})
    assert eventually(lambda: "prod" in told.names)


def namespace_watches() -> int:
    names = [thread.name for thread in threading.enumerate()]
    return names.count("watch namespaces of cluster prod")


def test_a_cluster_that_is_away_is_told_of_once(
    tmp_path: Path, clock: LateClock, caplog: pytest.LogCaptureFixture
) -> None:
    """And not for each kind in each namespace, nor for each selector."""
    caplog.set_level(logging.INFO, logger="confsync")
    with ApiServer() as server:
        given = options.Cluster.model_validate(
            {"kubeconfig": str(server.kubeconfig(tmp_path / "kubeconfig"))}
        )
        cluster = KeptCluster("prod", given, tmp_path, clock)
        cluster.follow(lambda _: None, lambda _: None)
        try:
            for namespace in ("a", "b", "c"):
                cluster.objects(SECRET, namespace)
                cluster.objects(CONFIG_MAP, namespace)
            cluster.namespaces().matching("team=x")
            assert eventually(lambda: server.count("watch") >= 7)
            server.stop()
            assert eventually(lambda: "not seen at once" in caplog.text)
            server.start()

            assert eventually(lambda: "seen at once again" in caplog.text)
        finally:
            cluster.close()
    told = [record for record in caplog.records if "refused" in getattr(record, "error", "")]
    assert len(told) == 1


def test_a_replica_that_led_meanwhile_is_no_rival(
    configured: Callable[..., Sinks], tmp_path: Path, cluster: Cluster, clock: LateClock
) -> None:
    """Leadership goes back and forth within minutes, and the value changes each time.

    Neither follows: what it sees is then what is there, and not what its watch was told so far.
    """
    spec = secret(cluster.namespace)
    configured(cluster.namespace)
    loaded = load_config(tmp_path / "confsync.yaml")
    ours, theirs = (Sinks(loaded, key * 32, clock) for key in (b"a", b"b"))

    def lead(sinks: Sinks, value: str) -> None:
        clock.ahead += 11
        wanted = Desired(spec, {"user": value.encode()}, sensitive=False, sync="sync-0")
        sinks.of(spec).stage(wanted, created=True).commit()

    try:
        for turn in range(5):
            lead(ours, f"ours-{turn}")
            ours.leadership_changed()
            lead(theirs, f"theirs-{turn}")
            theirs.leadership_changed()
        for turn in range(3):  # two that both believe to lead
            lead(ours, f"ours-{turn}")
            lead(theirs, f"theirs-{turn}")
        with pytest.raises(TargetTaken, match="another confsync writes it too"):
            lead(ours, "ours-3")
    finally:
        ours.close()
        theirs.close()


def test_leadership_changes_where_nothing_is_in_a_cluster(configured: Callable[..., Sinks]) -> None:
    configured().leadership_changed()
