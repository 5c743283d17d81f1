"""Which namespaces match a selector, as they come, go, and change."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stand_ins.kubernetes import ApiServer, KubeAdmin
from stand_ins.kubernetes.fixtures import Cluster
from stand_ins.watched import SteeredClock, Told

from confsync.sinks.kubernetes.client import Client
from confsync.sinks.kubernetes.failures import Forbidden, Refused
from confsync.sinks.kubernetes.namespaces import NamespaceCache
from confsync.testing.waiting import eventually


@pytest.fixture
def admin(cluster: Cluster) -> KubeAdmin:
    return cluster.admin


@pytest.fixture
def team(admin: KubeAdmin) -> dict[str, str]:
    """Labels no other test's namespaces have."""
    return {"team": admin.name("team")}


@pytest.fixture
def selector(team: dict[str, str]) -> str:
    return f"team={team['team']}"


@pytest.fixture
def namespaces(client: Client, clock: SteeredClock) -> Iterator[NamespaceCache]:
    """Not followed yet."""
    namespaces = NamespaceCache(client, clock)
    yield namespaces
    namespaces.stop()


def test_those_that_match_are_named_in_order(
    admin: KubeAdmin, team: dict[str, str], selector: str, namespaces: NamespaceCache
) -> None:
    admin.namespace()
    made = [admin.namespace(team, stem) for stem in ("b", "a", "c")]

    assert namespaces.matching(selector) == tuple(sorted(made))
    assert namespaces.matching(f"{selector},env=prod") == ()


def test_one_that_appears_later_is_told(
    admin: KubeAdmin, team: dict[str, str], selector: str, namespaces: NamespaceCache, told: Told
) -> None:
    namespaces.follow(told)
    assert namespaces.matching(selector) == ()
    name = admin.namespace(team)

    assert eventually(lambda: len(told.names) == 1)
    assert namespaces.matching(selector) == (name,)


def test_one_that_gets_and_loses_the_label(
    admin: KubeAdmin, team: dict[str, str], selector: str, namespaces: NamespaceCache, told: Told
) -> None:
    name = admin.namespace()
    assert namespaces.matching(selector) == ()
    namespaces.follow(told)
    admin.edit("namespaces", "", name, {"metadata": {"labels": team}})
    assert eventually(lambda: len(told.names) == 1)
    assert namespaces.matching(selector) == (name,)
    admin.edit("namespaces", "", name, {"metadata": {"labels": {"team": None}}})

    assert eventually(lambda: len(told.names) == 2)
    assert namespaces.matching(selector) == ()


def test_one_that_is_deleted_is_left_out_from_the_first_moment(
    admin: KubeAdmin, team: dict[str, str], selector: str, namespaces: NamespaceCache, told: Told
) -> None:
    name = admin.namespace(team)
    kept = {"metadata": {"name": "kept", "finalizers": ["confsync.dev/test"]}}
    admin.create("configmaps", name, kept)  # so that it stays, terminating
    assert namespaces.matching(selector) == (name,)
    namespaces.follow(told)
    admin.delete("namespaces", "", name)
    try:
        assert eventually(lambda: len(told.names) == 1)
        assert namespaces.matching(selector) == ()
        assert admin.get("namespaces", "", name)["metadata"]["deletionTimestamp"]
    finally:
        admin.edit("configmaps", name, "kept", {"metadata": {"finalizers": None}})
    assert eventually(lambda: admin.find("namespaces", "", name) is None, within=60)
    other = admin.namespace(team)
    assert eventually(lambda: namespaces.matching(selector) == (other,))

    assert eventually(lambda: len(told.names) >= 2)
    assert len(told.names) == 2  # its end changed nothing any more


def test_what_does_not_change_who_matches_is_not_told(
    admin: KubeAdmin, team: dict[str, str], selector: str, namespaces: NamespaceCache, told: Told
) -> None:
    name = admin.namespace(team)
    assert namespaces.matching(selector) == (name,)
    namespaces.follow(told)
    for number in range(3):
        admin.edit("namespaces", "", name, {"metadata": {"annotations": {"number": str(number)}}})
    other = admin.namespace(team)
    assert eventually(lambda: namespaces.matching(selector) == tuple(sorted((name, other))))

    assert eventually(lambda: len(told.names) == 1)


def test_each_selector_is_asked_for_once(
    api_server: ApiServer, team: dict[str, str], selector: str, namespaces: NamespaceCache, told: Told,
    clock: SteeredClock,
) -> None:  # fmt: skip
    namespaces.follow(told)
    for _ in range(3):
        namespaces.matching(selector)
        namespaces.matching("env=prod")
    assert api_server.count("list", "namespaces") == 2

    def watches_tell() -> bool:
        before = api_server.count("list", "namespaces")
        clock.advance(60)
        namespaces.expire()
        namespaces.matching(selector)
        namespaces.matching("env=prod")
        return api_server.count("list", "namespaces") == before

    assert eventually(watches_tell)
    assert api_server.count("watch", "namespaces") == 2


def test_without_a_watch_a_resync_lists(
    api_server: ApiServer, admin: KubeAdmin, team: dict[str, str], selector: str, namespaces: NamespaceCache
) -> None:
    assert namespaces.matching(selector) == ()
    name = admin.namespace(team)
    assert namespaces.matching(selector) == ()
    namespaces.expire()

    assert namespaces.matching(selector) == (name,)
    assert api_server.count("list", "namespaces") == 2


def test_what_a_list_finds_after_the_watch_was_away_is_told(
    api_server: ApiServer, admin: KubeAdmin, team: dict[str, str], selector: str, namespaces: NamespaceCache,
    told: Told,
) -> None:  # fmt: skip
    namespaces.matching(selector)
    namespaces.follow(told)
    assert eventually(lambda: api_server.watches("namespaces") == 1)
    with api_server.core.store.changed:
        api_server.core.do("POST", "/api/v1/namespaces", {"metadata": {"name": "late", "labels": team}})
        api_server.compact(running=True)

    assert eventually(lambda: len(told.names) == 1)
    assert namespaces.matching(selector) == ("late",)


def test_a_selector_that_is_none(namespaces: NamespaceCache) -> None:
    with pytest.raises(Refused):
        namespaces.matching("a in (b")


def test_one_who_may_not_list_namespaces_is_told_the_rule(
    api_server: ApiServer, connect: Callable[..., Client], clock: SteeredClock, tmp_path: Path
) -> None:
    client = connect(api_server.kubeconfig(tmp_path / "app", token=api_server.user("app")))
    namespaces = NamespaceCache(client, clock)
    with pytest.raises(Forbidden) as caught:
        namespaces.matching("team=shop")
    assert "resources: [namespaces], verbs: [list]" in str(caught.value)
    assert "ClusterRole" in str(caught.value)
    api_server.grant("app", None, ["list"], ["namespaces"])
    clock.advance(1)

    assert namespaces.matching("team=shop") == ()


def test_all_watches_end(api_server: ApiServer, namespaces: NamespaceCache, told: Told) -> None:
    namespaces.follow(told)
    for number in range(5):
        namespaces.matching(f"team={number}")
    assert eventually(lambda: api_server.watches("namespaces") == 5)
    namespaces.stop()

    assert eventually(
        lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("watch ")]
    )
    assert namespaces.matching("team=later") == ()
