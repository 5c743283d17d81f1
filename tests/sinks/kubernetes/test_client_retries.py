"""What is asked again, when, and what never is: by a server that fails on demand and a clock that only waits move."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from stand_ins.kubernetes import ApiServer, Faults
from stand_ins.kubernetes.fixtures import Cluster
from stand_ins.pauses import Pauses

from confsync.sinks.kubernetes.client import Client
from confsync.sinks.kubernetes.failures import (
    ApiFailure,
    Conflict,
    Forbidden,
    Gone,
    NotFound,
    Refused,
    Unreachable,
)
from confsync.sinks.kubernetes.resources import LEASE, SECRET
from confsync.testing.ports import free_port

APPLY = "application/apply-patch+yaml"


@pytest.fixture
def client(connect: Callable[..., Client], cluster: Cluster, pauses: Pauses) -> Client:
    return connect(cluster.kubeconfig, pauses=pauses)


@pytest.fixture
def faults(api_server: ApiServer) -> Faults:
    return api_server.faults


def get(client: Client, **how: object) -> int:
    return client.request("GET", SECRET, "default", **how).status


def apply(client: Client, **how: object) -> int:
    thing = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "app"}, "data": {"a": "MQ=="}}
    query = {"fieldManager": "confsync"}
    return client.request(
        "PATCH", SECRET, "default", "app", query=query, body=thing, content_type=APPLY, **how
    ).status


def create(client: Client) -> int:
    body = {"metadata": {"name": "confsync"}, "spec": {"holderIdentity": "a"}}
    return client.request("POST", LEASE, "default", body=body).status


class TestTooManyRequests:
    def test_retry_after_in_seconds_is_obeyed(self, client: Client, faults: Faults, pauses: Pauses) -> None:
        faults.rate_limited(7)

        assert get(client) == 200
        assert len(pauses.taken) == 1
        assert 7 <= pauses.taken[0] <= 7 * 1.25

    def test_a_date_too(self, client: Client, faults: Faults, pauses: Pauses) -> None:
        then = datetime.fromtimestamp(pauses.now() + 9, UTC)
        faults.answer(429, None, "", headers={"Retry-After": format_datetime(then, usegmt=True)})

        assert get(client) == 200
        assert 9 <= pauses.taken[0] <= 9 * 1.25

    @pytest.mark.parametrize("header", ["soon", "-5", "1e9", "", "Thu, 99 Foo 2026 00:00:00 GMT", "٣"])
    def test_one_that_says_nothing_counts_as_none(
        self, client: Client, faults: Faults, pauses: Pauses, header: str
    ) -> None:
        faults.answer(429, None, "", headers={"Retry-After": header})

        assert get(client) == 200
        assert 0 < pauses.taken[0] < 1

    def test_one_of_the_body_counts(self, client: Client, faults: Faults, pauses: Pauses) -> None:
        faults.answer(429, "TooManyRequests", "", {"retryAfterSeconds": 4})

        assert get(client) == 200
        assert 4 <= pauses.taken[0] <= 5

    def test_without_one_the_pauses_grow(self, client: Client, faults: Faults, pauses: Pauses) -> None:
        faults.rate_limited(None, times=6)

        assert get(client) == 200
        assert len(pauses.taken) == 6
        assert all(later > earlier for earlier, later in zip(pauses.taken, pauses.taken[1:], strict=False))

    def test_zero_seconds_make_no_hot_loop(self, client: Client, faults: Faults, pauses: Pauses) -> None:
        faults.rate_limited(0, times=5)
        get(client)

        assert sum(pauses.taken) > 1

    def test_an_hour_is_not_waited_for(self, client: Client, faults: Faults, pauses: Pauses) -> None:
        busy = faults.rate_limited(3600, times=None)
        with pytest.raises(Unreachable) as failure:
            get(client)

        assert failure.value.status == 429
        assert failure.value.retry_after == 3600
        assert max(pauses.taken) <= 30
        assert sum(pauses.taken) <= 90
        assert busy.hits <= 5

    def test_it_ends_when_the_time_is_up(self, client: Client, faults: Faults, pauses: Pauses) -> None:
        faults.rate_limited(1, times=None)
        with pytest.raises(Unreachable, match="429: the server has too much to do"):
            get(client)

        assert sum(pauses.taken) <= 3 * 30

    def test_even_a_create_is_sent_again(self, client: Client, faults: Faults) -> None:
        faults.rate_limited(1, times=2)

        assert create(client) == 201

    def test_who_wants_one_try_gets_one(self, client: Client, faults: Faults, pauses: Pauses) -> None:
        faults.rate_limited(1)
        with pytest.raises(Unreachable) as failure:
            get(client, retry=False)

        assert failure.value.retry_after == 1
        assert pauses.taken == []

    def test_a_server_that_turns_away_every_other_one_is_served_in_the_end(
        self, connect: Callable[..., Client], cluster: Cluster, api_server: ApiServer, faults: Faults
    ) -> None:
        client = connect(cluster.kubeconfig, pauses=Pauses())
        turn = iter(range(10**6))
        faults.rate_limited(1, times=None, when=lambda _: next(turn) % 2 == 0)

        assert {apply(client) for _ in range(100)} == {200, 201}


class TestServerErrors:
    @pytest.mark.parametrize("code", [500, 502, 503, 504])
    def test_what_may_be_done_twice_is_asked_again(
        self, client: Client, faults: Faults, pauses: Pauses, code: int
    ) -> None:
        faults.answer(code, None, "", times=4)

        assert apply(client) == 201
        assert len(pauses.taken) == 4

    @pytest.mark.parametrize("code", [500, 502, 503, 504])
    def test_five_times_at_most(self, client: Client, faults: Faults, code: int) -> None:
        broken = faults.answer(code, None, "", times=None)
        with pytest.raises(Unreachable, match=f"{code}: the server failed"):
            get(client)

        assert broken.hits == 5

    @pytest.mark.parametrize("code", [500, 502, 503, 504])
    def test_a_create_never_is(self, client: Client, faults: Faults, code: int) -> None:
        broken = faults.answer(code, None, "", times=None)
        with pytest.raises(Unreachable):
            create(client)

        assert broken.hits == 1

    def test_what_the_server_cannot_read_is_not_sent_twice(
        self, client: Client, api_server: ApiServer
    ) -> None:
        api_server.forget_requests()
        thing = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "app"}, "data": {"a": "***"}}
        with pytest.raises(Refused):
            client.request(
                "PATCH", SECRET, "default", "app",
                query={"fieldManager": "confsync"}, body=thing, content_type=APPLY,
            )  # fmt: skip

        assert len(api_server.requests) == 1

    def test_etcd_s_trouble_is_named(self, client: Client, faults: Faults) -> None:
        faults.broken(times=None)

        with pytest.raises(Unreachable, match="etcdserver: leader changed"):
            get(client)

    def test_retry_after_of_a_503_is_obeyed(self, client: Client, faults: Faults, pauses: Pauses) -> None:
        faults.answer(503, None, "", headers={"Retry-After": "6"})
        get(client)

        assert 6 <= pauses.taken[0] <= 7.5

    @pytest.mark.parametrize(
        ("code", "kind"), [(400, Refused), (403, Forbidden), (404, NotFound), (410, Gone), (422, Refused)]
    )
    def test_an_answer_that_will_not_change_is_not_asked_for_again(
        self, client: Client, faults: Faults, code: int, kind: type[ApiFailure]
    ) -> None:
        told = faults.answer(code, None, "", {"kind": "secrets"}, times=None)
        with pytest.raises(kind):
            get(client)

        assert told.hits == 1


class TestConflicts:
    def test_a_patch_that_was_overtaken_is_sent_again(self, client: Client, faults: Faults) -> None:
        overtaken = faults.conflict("app", times=2)

        assert apply(client) == 201
        assert overtaken.hits == 2

    @pytest.mark.parametrize("as_bytes", [False, True])
    def test_one_for_a_version_that_is_no_more_is_not(
        self, client: Client, api_server: ApiServer, as_bytes: bool
    ) -> None:
        apply(client)
        api_server.forget_requests()
        metadata = {"name": "app", "resourceVersion": "1"}
        thing: Any = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
        body = json.dumps(thing, separators=(",", ":")).encode() if as_bytes else thing
        query = {"fieldManager": "confsync"}
        with pytest.raises(Conflict, match="changed meanwhile"):
            client.request("PATCH", SECRET, "default", "app", query=query, body=body, content_type=APPLY)

        assert len(api_server.requests) == 1

    def test_somebody_else_s_field_is_not_fought_for(
        self, client: Client, cluster: Cluster, api_server: ApiServer
    ) -> None:
        apply(client)
        cluster.admin.apply(
            "secrets", "default", {"metadata": {"name": "app"}, "data": {"a": "Mg=="}}, "other", force=True
        )
        api_server.forget_requests()
        with pytest.raises(Conflict) as failure:
            apply(client)

        assert [(cause.field, cause.manager) for cause in failure.value.causes] == [(".data.a", "other")]
        assert len(api_server.requests) == 1

    def test_an_update_or_a_delete_of_what_has_changed_is_not_repeated(
        self, client: Client, api_server: ApiServer
    ) -> None:
        apply(client)
        body = client.request("GET", SECRET, "default", "app").body
        api_server.edit("secrets", "default", "app", {"data": {"b": "MQ=="}})
        api_server.forget_requests()
        with pytest.raises(Conflict):
            client.request("PUT", SECRET, "default", "app", body=body)
        options = {"preconditions": {"resourceVersion": body["metadata"]["resourceVersion"]}}
        with pytest.raises(Conflict):
            client.request("DELETE", SECRET, "default", "app", body=options)

        assert len(api_server.requests) == 2


class TestLostConnections:
    @pytest.mark.parametrize("processed", [False, True])
    def test_what_may_be_done_twice_is_asked_again(
        self, client: Client, faults: Faults, api_server: ApiServer, processed: bool
    ) -> None:
        faults.drop(times=2, processed=processed, verb="patch")

        assert apply(client) == (200 if processed else 201)

    def test_a_create_whose_answer_was_lost_is_not(
        self, client: Client, faults: Faults, api_server: ApiServer
    ) -> None:
        lost = faults.drop(processed=True, verb="create")
        with pytest.raises(Unreachable) as failure:
            create(client)

        assert failure.value.sent
        assert lost.hits == 1
        assert api_server.get("leases", "default", "confsync") is not None

    def test_a_create_that_was_never_sent_is(
        self, client: Client, api_server: ApiServer, pauses: Pauses
    ) -> None:
        get(client)
        api_server.stop()
        pauses.during[2] = api_server.start

        assert create(client) == 201

    def test_half_an_answer_is_none(self, client: Client, faults: Faults, pauses: Pauses) -> None:
        faults.cut(20, times=2)

        assert get(client) == 200
        assert len(pauses.taken) == 2

    def test_half_an_answer_to_the_last(self, client: Client, faults: Faults) -> None:
        faults.cut(20, times=None)

        with pytest.raises(Unreachable, match="half an answer") as failure:
            get(client)
        assert failure.value.status == 0

    def test_an_answer_that_is_no_json(self, client: Client, faults: Faults) -> None:
        page = faults.no_json(times=None)

        with pytest.raises(Unreachable, match="half an answer, or not one of an API server"):
            get(client)
        assert page.hits == 5

    @pytest.mark.parametrize("text", ["[]", "1", '"x"', "null", "", "{"])
    def test_nor_is_json_that_is_no_object(self, client: Client, faults: Faults, text: str) -> None:
        faults.no_json(text)

        assert get(client) == 200

    def test_silence(self, client: Client, faults: Faults) -> None:
        faults.late(5, times=1)

        assert get(client, timeout=0.5) == 200

    def test_silence_to_the_last(self, client: Client, faults: Faults) -> None:
        faults.late(5, verb="list", times=None)

        with pytest.raises(Unreachable, match="no answer in time"):
            get(client, timeout=0.02)

    def test_a_restarted_server_is_not_noticed(self, client: Client, api_server: ApiServer) -> None:
        get(client)
        api_server.restart()

        assert get(client) == 200


class TestServerThatIsDown:
    def test_it_is_named_with_the_reason(
        self, connect: Callable[..., Client], cluster: Cluster, api_server: ApiServer, pauses: Pauses
    ) -> None:
        client = connect(cluster.kubeconfig, pauses=pauses)
        api_server.stop()

        with pytest.raises(Unreachable) as failure:
            get(client)
        assert api_server.address in failure.value.why
        assert "no connection: connection refused" in failure.value.why
        assert not failure.value.sent
        assert len(pauses.taken) == 4

    def test_who_comes_after_is_told_at_once_until_it_answers(
        self, client: Client, api_server: ApiServer, pauses: Pauses
    ) -> None:
        api_server.stop()
        with pytest.raises(Unreachable):
            get(client)
        pauses.taken.clear()
        for _ in range(3):
            with pytest.raises(Unreachable):
                get(client)
        assert pauses.taken == []

        api_server.start()
        get(client)
        api_server.faults.broken(times=2)
        assert get(client) == 200

    def test_it_is_found_again_by_the_same_request(
        self, client: Client, api_server: ApiServer, pauses: Pauses
    ) -> None:
        api_server.stop()
        pauses.during[3] = api_server.start

        assert get(client) == 200

    def test_a_host_that_does_not_exist(
        self, connect: Callable[..., Client], tmp_path: Path, pauses: Pauses
    ) -> None:
        path = kubeconfig(tmp_path, server="http://no-such-host.invalid")

        with pytest.raises(Unreachable, match="there is no such host"):
            get(connect(path, pauses=pauses))

    def test_a_proxy_that_is_down_is_told_apart(
        self, connect: Callable[..., Client], tmp_path: Path, pauses: Pauses
    ) -> None:
        proxy = f"http://jane:hunter2@127.0.0.1:{free_port()}"
        path = kubeconfig(tmp_path, server="http://192.0.2.1", **{"proxy-url": proxy})

        with pytest.raises(
            Unreachable, match="the proxy does not let us through: connection refused"
        ) as failure:
            get(connect(path, pauses=pauses))
        assert not failure.value.sent
        assert "hunter2" not in str(failure.value)


def kubeconfig(directory: Path, **cluster: str) -> Path:
    """Writes one for a cluster that asks nobody who they are; gives its path."""
    content = {
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it"}}],
        "clusters": [{"name": "it", "cluster": cluster}],
    }
    path = directory / "config"
    path.write_text(yaml.safe_dump(content))
    return path
