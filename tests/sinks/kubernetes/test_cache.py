"""Our objects in one namespace: when the server is asked, and what is made of its answers and of our own writes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from stand_ins.kubernetes import ApiServer, Fault
from stand_ins.kubernetes.fixtures import Cluster
from stand_ins.watched import OURS, SteeredClock, ours, seen

from confsync.sinks.kubernetes.cache import ObjectCache
from confsync.sinks.kubernetes.client import Client
from confsync.sinks.kubernetes.failures import ApiFailure, Forbidden, Gone, Unreachable
from confsync.sinks.kubernetes.objects import KubeObject
from confsync.sinks.kubernetes.resources import CONFIG_MAP, SECRET

APPLY = "application/apply-patch+yaml"


@pytest.fixture
def cache(client: Client, space: str, clock: SteeredClock) -> Iterator[ObjectCache]:
    """Of the Secrets in the test's namespace; not followed."""
    cache = ObjectCache(client, SECRET, space, clock)
    yield cache
    cache.stop()


def apply(client: Client, space: str, name: str, **data: str) -> KubeObject:
    """Our own write, and what it was answered."""
    body = {"apiVersion": "v1", "kind": "Secret", **ours(name, **data)}
    query = {"fieldManager": "confsync"}
    answer = client.request("PATCH", SECRET, space, name, query=query, body=body, content_type=APPLY)
    return KubeObject.parse(answer.body)


def make(server: ApiServer, space: str, count: int, labels: dict[str, str] = OURS) -> None:
    """Many Secrets, s-0000 to …, without a request."""
    for number in range(count):
        thing = {"metadata": {"name": f"s-{number:04}", "labels": labels}}
        server.core.do("POST", f"/api/v1/namespaces/{space}/secrets", thing)


class TestLooks:
    def test_what_is_ours_is_found(self, cluster: Cluster, space: str, cache: ObjectCache) -> None:
        cluster.admin.create("secrets", space, ours("app", user="u"))
        cluster.admin.secret(space, "theirs", {"a": "1"})

        assert seen(cache.get("app")) == {"user": b"u"}
        assert cache.get("theirs") is None
        assert list(cache.all()) == ["app"]

    def test_config_maps_hold_text_and_bytes(
        self, cluster: Cluster, client: Client, space: str, clock: SteeredClock
    ) -> None:
        metadata = {"name": "app", "labels": OURS}
        data = {"data": {"text": "ä"}, "binaryData": {"bytes": "/w=="}}
        cluster.admin.create("configmaps", space, {"metadata": metadata, **data})

        cache = ObjectCache(client, CONFIG_MAP, space, clock)

        assert seen(cache.get("app")) == {"text": "ä".encode(), "bytes": b"\xff"}

    def test_a_namespace_that_is_not_there_holds_nothing(
        self, cluster: Cluster, client: Client, clock: SteeredClock
    ) -> None:
        cache = ObjectCache(client, SECRET, cluster.admin.name("later"), clock)

        assert cache.get("app") is None
        assert not cache.exists("app")

    def test_a_list_is_believed_for_ten_seconds(
        self, api_server: ApiServer, cluster: Cluster, space: str, cache: ObjectCache, clock: SteeredClock
    ) -> None:
        assert cache.get("app") is None
        cluster.admin.create("secrets", space, ours("app"))
        clock.advance(9.9)
        assert cache.get("app") is None
        assert api_server.count("list", "secrets") == 1
        clock.advance(0.1)

        assert cache.get("app") is not None
        assert api_server.count("list", "secrets") == 2

    def test_a_resync_looks_again(
        self, api_server: ApiServer, cluster: Cluster, space: str, cache: ObjectCache
    ) -> None:
        cache.all()
        cluster.admin.create("secrets", space, ours("app"))
        cache.expire()

        assert list(cache.all()) == ["app"]
        cache.get("app")
        assert api_server.count("list", "secrets") == 2

    def test_a_thousand_are_listed_in_two_pages_of_one_moment(
        self, api_server: ApiServer, space: str, cache: ObjectCache
    ) -> None:
        make(api_server, space, 1000)
        made_late(api_server, space)

        found = cache.all()

        assert len(found) == 1000
        assert "late" not in found
        assert api_server.count("list", "secrets") == 2
        assert all("limit=500" in request.url for request in api_server.requests if request.verb == "list")

    def test_a_past_that_is_forgotten_between_two_pages_is_read_from_the_start(
        self, api_server: ApiServer, space: str, cache: ObjectCache
    ) -> None:
        make(api_server, space, 501)
        made_late(api_server, space, compact=True)

        found = cache.all()

        assert len(found) == 502
        lists = [request.status for request in api_server.requests if request.verb == "list"]
        assert lists == [200, 410, 200, 200]

    def test_a_past_that_is_forgotten_every_time_is_a_failure(
        self, api_server: ApiServer, space: str, cache: ObjectCache
    ) -> None:
        make(api_server, space, 501)
        api_server.faults.expired(verb="list", times=None, when=lambda call: bool(call.option("continue")))

        with pytest.raises(Gone):
            cache.all()
        assert api_server.count("list", "secrets") == 10

    def test_threads_that_look_at_once_share_one_list(
        self, api_server: ApiServer, cluster: Cluster, space: str, cache: ObjectCache
    ) -> None:
        cluster.admin.create("secrets", space, ours("app"))
        api_server.faults.late(0.2, verb="list")

        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(lambda _: cache.get("app"), range(64)))

        assert None not in found
        assert api_server.count("list", "secrets") == 1

    def test_a_list_that_was_asked_for_before_a_resync_is_not_enough_for_it(
        self, api_server: ApiServer, cluster: Cluster, space: str, cache: ObjectCache
    ) -> None:
        listing = threading.Event()
        api_server.faults.late(0.2, verb="list", when=lambda _: listing.set() is None)
        first = threading.Thread(target=cache.all)
        first.start()
        assert listing.wait(30)
        cache.expire()

        cache.all()

        first.join(30)
        assert api_server.count("list", "secrets") == 2


def made_late(server: ApiServer, space: str, *, compact: bool = False) -> None:
    """Before the second page is read, somebody makes another Secret, and the past is perhaps forgotten."""

    def happens(call: object) -> bool:
        if call.option("continue") and server.get("secrets", space, "late") is None:
            server.core.do(
                "POST", f"/api/v1/namespaces/{space}/secrets", {"metadata": {"name": "late", "labels": OURS}}
            )
            if compact:
                server.compact()
        return False

    server.faults.add(Fault(verb="list", when=happens))


class TestFailures:
    @pytest.fixture
    def cache(
        self,
        connect: Callable[..., Client],
        cluster: Cluster,
        space: str,
        clock: SteeredClock,
        pauses: object,
    ) -> ObjectCache:
        """As the other, but the client waits for nothing between its tries."""
        return ObjectCache(connect(cluster.kubeconfig, pauses=pauses), SECRET, space, clock)

    def test_a_failure_is_remembered_for_a_second(
        self, api_server: ApiServer, cache: ObjectCache, clock: SteeredClock
    ) -> None:
        broken = api_server.faults.answer(400, "BadRequest", "no", verb="list", times=None)
        failures = [failure_of(cache.all) for _ in range(100)]
        assert all(isinstance(failure, ApiFailure) for failure in failures)
        assert broken.hits == 1
        clock.advance(1)
        failure_of(cache.all)
        assert broken.hits == 2
        api_server.faults.clear()
        clock.advance(1)

        assert cache.get("app") is None

    def test_threads_that_look_at_once_share_one_failure(
        self, api_server: ApiServer, cache: ObjectCache
    ) -> None:
        broken = api_server.faults.answer(400, "BadRequest", "no", delay=0.1, verb="list", times=None)

        with ThreadPoolExecutor(16) as pool:
            failures = list(pool.map(lambda _: failure_of(cache.all), range(64)))

        assert {type(failure) for failure in failures} == {type(failures[0])}
        assert failures[0] is not None
        assert broken.hits == 1

    def test_a_server_that_is_down(
        self, api_server: ApiServer, cluster: Cluster, space: str, cache: ObjectCache, clock: SteeredClock
    ) -> None:
        cluster.admin.create("secrets", space, ours("app"))
        api_server.stop()
        assert isinstance(failure_of(cache.all), Unreachable)
        api_server.start()
        clock.advance(1)

        assert list(cache.all()) == ["app"]

    def test_what_was_known_is_not_told_for_what_is(
        self, api_server: ApiServer, cluster: Cluster, space: str, cache: ObjectCache, clock: SteeredClock
    ) -> None:
        cluster.admin.create("secrets", space, ours("app"))
        cache.all()
        clock.advance(11)
        api_server.faults.broken(verb="list", times=None)

        assert isinstance(failure_of(lambda: cache.get("app")), Unreachable)
        assert isinstance(failure_of(lambda: cache.exists("app")), Unreachable)

    def test_a_list_that_is_forbidden_names_the_rule(
        self,
        api_server: ApiServer,
        connect: Callable[..., Client],
        space: str,
        clock: SteeredClock,
        tmp_path: Path,
    ) -> None:
        config = api_server.kubeconfig(tmp_path / "app", token=api_server.user("app"))
        cache = ObjectCache(connect(config), SECRET, space, clock)

        failure = failure_of(cache.all)
        assert isinstance(failure, Forbidden)
        assert "verbs: [list]" in str(failure)
        assert repr(space) in str(failure)
        api_server.grant("app", space, ["list"], ["secrets"])
        clock.advance(1)
        assert not cache.all()

    @pytest.mark.parametrize(
        "body",
        [
            '{"items": 1, "metadata": {"resourceVersion": "1"}}',
            '{"items": [{"metadata": {}}], "metadata": {"resourceVersion": "1"}}',
            '{"items": [{"metadata": {"name": "a", "uid": "u"}, "data": {"a": "hunter2!"}}], "metadata": {}}',
            '{"items": [], "metadata": {}}',
            '{"items": []}',
            '{"kind": "Secret"}',
            "{}",
            "[]",
            "<html>",
        ],
    )
    def test_an_answer_that_is_no_list_is_no_empty_namespace(
        self, api_server: ApiServer, cache: ObjectCache, body: str
    ) -> None:
        api_server.faults.no_json(body, verb="list", times=None)

        for look in (cache.all, lambda: cache.get("a"), lambda: cache.exists("a")):
            failure = failure_of(look)
            assert isinstance(failure, Unreachable)
            assert "hunter2" not in str(failure)


def failure_of(look: Callable[[], object]) -> ApiFailure | None:
    try:
        look()
    except ApiFailure as failure:
        return failure
    return None


class TestOurOwnWrites:
    def test_a_write_is_known_at_once(
        self, api_server: ApiServer, client: Client, space: str, cache: ObjectCache
    ) -> None:
        cache.all()

        cache.put(apply(client, space, "app", user="u"))

        assert seen(cache.get("app")) == {"user": b"u"}
        assert api_server.count("list", "secrets") == 1

    def test_an_answer_that_comes_late_does_not_undo_a_later_one(
        self, client: Client, space: str, cache: ObjectCache
    ) -> None:
        cache.all()
        early, late = apply(client, space, "app", user="1"), apply(client, space, "app", user="2")

        cache.put(late)
        cache.put(early)

        assert seen(cache.get("app")) == {"user": b"2"}

    def test_what_we_delete_is_gone_at_once(
        self, api_server: ApiServer, cluster: Cluster, client: Client, space: str, cache: ObjectCache
    ) -> None:
        made = apply(client, space, "app", user="u")
        cache.put(made)
        assert cache.exists("app")
        cluster.admin.delete("secrets", space, "app")

        cache.forget("app", made.uid)

        assert cache.get("app") is None
        assert not cache.exists("app")
        assert cache.tombstone("app") is not None

    def test_one_that_somebody_made_anew_stays(
        self, client: Client, cluster: Cluster, space: str, cache: ObjectCache
    ) -> None:
        old = apply(client, space, "app", user="1")
        cluster.admin.delete("secrets", space, "app")
        cache.put(apply(client, space, "app", user="2"))

        cache.forget("app", old.uid)

        assert seen(cache.get("app")) == {"user": b"2"}

    def test_what_lost_our_label_is_ours_no_more(
        self, client: Client, cluster: Cluster, space: str, cache: ObjectCache
    ) -> None:
        cache.all()
        cache.put(apply(client, space, "app", user="u"))
        label = {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}

        cache.put(KubeObject.parse(cluster.admin.edit("secrets", space, "app", label)))

        assert cache.get("app") is None
        assert cache.exists("app")


class TestNames:
    def test_objects_that_are_not_ours_exist(
        self, api_server: ApiServer, space: str, cache: ObjectCache
    ) -> None:
        make(api_server, space, 501, labels={})
        cache.all()
        api_server.forget_requests()

        assert cache.exists("s-0000")
        assert cache.exists("s-0500")
        assert not cache.exists("app")
        assert api_server.count("list", "secrets") == 2  # pages

    def test_only_metadata_is_asked_for(self, api_server: ApiServer, cache: ObjectCache) -> None:
        accepted: list[str] = []
        api_server.faults.add(
            Fault(verb="list", when=lambda call: accepted.append(call.headers["accept"]) is not None)
        )

        cache.exists("app")

        assert "as=PartialObjectMetadataList" in accepted[-1]

    def test_ours_exist_without_a_question(
        self, api_server: ApiServer, client: Client, space: str, cache: ObjectCache
    ) -> None:
        cache.all()
        cache.put(apply(client, space, "app"))
        api_server.forget_requests()

        assert cache.exists("app")
        assert api_server.count("list", "secrets") == 0

    def test_they_are_remembered_for_ten_seconds(
        self, api_server: ApiServer, cluster: Cluster, space: str, cache: ObjectCache, clock: SteeredClock
    ) -> None:
        assert not cache.exists("theirs")
        cluster.admin.secret(space, "theirs", {})
        clock.advance(9)
        assert not cache.exists("theirs")
        clock.advance(1)

        assert cache.exists("theirs")

    def test_names_we_touched_are_asked_for_again(
        self, api_server: ApiServer, client: Client, cluster: Cluster, space: str, cache: ObjectCache
    ) -> None:
        made = apply(client, space, "app")
        assert cache.exists("theirs") is False
        cluster.admin.delete("secrets", space, "app")
        cache.forget("app", made.uid)
        api_server.forget_requests()

        assert not cache.exists("app")
        assert not cache.exists("theirs")
        assert api_server.count("list", "secrets") == 1

    def test_one_we_made_exists_also_when_it_loses_our_label(
        self, client: Client, cluster: Cluster, space: str, cache: ObjectCache
    ) -> None:
        assert not cache.exists("theirs")
        cache.put(apply(client, space, "app"))
        label = {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}
        cluster.admin.edit("secrets", space, "app", label)
        cache.expire()

        assert cache.get("app") is None
        assert cache.exists("app")

    def test_a_name_we_touch_while_the_names_are_on_their_way_is_asked_for_again(
        self, api_server: ApiServer, cluster: Cluster, space: str, cache: ObjectCache
    ) -> None:
        cluster.admin.create("secrets", space, ours("app"))
        made = cache.get("app")
        assert made is not None
        make(api_server, space, 500, labels={})
        second_page = threading.Event()  # "app" was on the first
        api_server.faults.late(
            0.2, verb="list", when=lambda call: bool(call.option("continue")) and second_page.set() is None
        )
        asking = threading.Thread(target=lambda: cache.exists("theirs"))
        asking.start()
        assert second_page.wait(30)
        api_server.delete("secrets", space, "app")
        cache.forget("app", made.uid)

        assert not cache.exists("app")
        asking.join(30)

    def test_what_failed_is_asked_for_again(
        self, api_server: ApiServer, cluster: Cluster, space: str, cache: ObjectCache, clock: SteeredClock
    ) -> None:
        cluster.admin.create("secrets", space, ours("app"))
        made = cache.get("app")
        assert made is not None
        assert not cache.exists("theirs")
        cluster.admin.delete("secrets", space, "app")
        cache.forget("app", made.uid)
        api_server.faults.answer(400, "BadRequest", "no", verb="list")
        assert failure_of(lambda: cache.exists("app")) is not None
        clock.advance(1)

        assert not cache.exists("app")

    def test_threads_that_ask_at_once_share_one_list(self, api_server: ApiServer, cache: ObjectCache) -> None:
        cache.all()
        api_server.forget_requests()
        api_server.faults.late(0.2, verb="list")

        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(lambda number: cache.exists(f"app-{number}"), range(64)))

        assert not any(found)
        assert api_server.count("list", "secrets") == 1
