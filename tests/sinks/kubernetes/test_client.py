"""Requests to an API server: what is sent, what is answered, how they end."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from stand_ins.kubernetes import ApiServer
from stand_ins.kubernetes.fixtures import Cluster

from confsync.sinks.kubernetes.client import Answer, Client
from confsync.sinks.kubernetes.failures import ApiFailure, Conflict, NotFound, Refused, Unreachable
from confsync.sinks.kubernetes.resources import CONFIG_MAP, DEPLOYMENT, LEASE, NAMESPACE, SECRET
from confsync.testing.waiting import eventually

APPLY = "application/apply-patch+yaml"
CANARY = "Y2FuYXJ5LXZhbHVl"


def apply(client: Client, namespace: str, name: str, **data: str) -> Answer:
    thing = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
    query = {"fieldManager": "confsync"}
    return client.request("PATCH", SECRET, namespace, name, query=query, body=thing, content_type=APPLY)


class TestRequests:
    def test_an_apply_creates_and_is_read_back(self, client: Client, cluster: Cluster) -> None:
        created = apply(client, cluster.namespace, "app", a="MQ==")

        assert created.status == 201
        assert created.body["metadata"]["name"] == "app"
        assert client.request("GET", SECRET, cluster.namespace, "app").body["data"] == {"a": "MQ=="}

    def test_an_apply_of_what_is_there_already_says_so(self, client: Client, cluster: Cluster) -> None:
        apply(client, cluster.namespace, "app", a="MQ==")

        assert apply(client, cluster.namespace, "app", a="MQ==").status == 200

    def test_a_list_by_label_and_a_page(self, client: Client, cluster: Cluster) -> None:
        for name in ("a", "b"):
            cluster.admin.config_map(cluster.namespace, name, {}, metadata={"labels": {"is": "ours"}})
        query = {"labelSelector": "is=ours", "limit": "1"}

        page = client.request("GET", CONFIG_MAP, cluster.namespace, query=query).body

        assert [item["metadata"]["name"] for item in page["items"]] == ["a"]
        assert page["metadata"]["continue"]

    def test_names_only(self, client: Client, cluster: Cluster) -> None:
        cluster.admin.secret(cluster.namespace, "app", {"a": "1"})
        accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

        listed = client.request("GET", SECRET, cluster.namespace, accept=accept).body

        assert [set(item) - {"kind", "apiVersion"} for item in listed["items"]] == [{"metadata"}]

    def test_bytes_are_sent_as_they_are(self, client: Client, cluster: Cluster) -> None:
        body = json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "raw"}}).encode()
        query = {"fieldManager": "confsync"}

        answer = client.request(
            "PATCH", SECRET, cluster.namespace, "raw", query=query, body=body, content_type=APPLY
        )

        assert answer.status == 201

    def test_objects_of_other_groups_and_of_no_namespace(self, client: Client, cluster: Cluster) -> None:
        cluster.admin.workload("deployments", cluster.namespace, "shop")

        assert client.request("GET", DEPLOYMENT, cluster.namespace, "shop").body["kind"] == "Deployment"
        assert client.request("GET", NAMESPACE, None, cluster.namespace).body["kind"] == "Namespace"


class TestNames:
    """A name comes from a template: it must not lead to another object."""

    @pytest.mark.parametrize(
        "name", ["", ".", "..", "a/b", "../../../api/v1/namespaces/kube-system", "%2e%2e"]
    )
    def test_a_name_that_is_no_step_of_a_path_is_refused_unsent(
        self, api_server: ApiServer, client: Client, name: str
    ) -> None:
        with pytest.raises(Refused, match="no name of an object"):
            client.request("DELETE", SECRET, "default", name)

        assert api_server.count(resource="secrets") == 0

    def test_a_namespace_too(self, client: Client) -> None:
        with pytest.raises(Refused, match="no name of an object"):
            client.request("GET", SECRET, "..", "app")

    @pytest.mark.parametrize("name", ["a?watch=true", "a#b", "a b", "ä", "a&b=c", "a;b", "a\nb"])
    def test_what_means_something_in_a_url_stays_part_of_the_name(
        self, api_server: ApiServer, client: Client, name: str
    ) -> None:
        api_server.forget_requests()
        with pytest.raises(NotFound):
            client.request("GET", SECRET, "default", name)

        assert [(r.verb, r.resource, r.name) for r in api_server.requests] == [("get", "secrets", name)]


class TestLife:
    def test_nothing_is_read_or_asked_before_the_first_request(
        self, connect: Callable[..., Client], tmp_path: Path
    ) -> None:
        connect(tmp_path / "none")

    def test_the_library_is_imported_by_the_first_request_only(self) -> None:
        code = (
            "import sys, confsync.sinks.kubernetes.client as c; "
            "from confsync.config.kubernetes import Cluster; from pathlib import Path; "
            "c.Client('x', Cluster(), Path('/')); "
            "sys.exit(bool({'kubernetes', 'urllib3'} & set(sys.modules)))"
        )

        assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0

    def test_connections_are_used_again(self, api_server: ApiServer, client: Client) -> None:
        api_server.forget_requests()
        for _ in range(5):
            client.request("GET", SECRET, "default")

        assert api_server.log.connections == 1

    def test_many_threads_have_a_connection_each_and_keep_it(
        self, api_server: ApiServer, client: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        api_server.forget_requests()
        failures: list[Exception] = []

        def write(number: int) -> None:
            try:
                for turn in range(5):
                    apply(client, "default", f"s{number}", turn=f"MT{turn}=")
            except Exception as exc:  # noqa: BLE001 - shown by the assertion
                failures.append(exc)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert failures == []
        assert api_server.count("patch", "secrets") == 80
        assert api_server.log.connections <= 16
        assert caplog.text == ""

    def test_a_connection_that_dies_silently_is_noticed_by_the_kernel(
        self, client: Client, cluster: Cluster
    ) -> None:
        with client.stream(SECRET, cluster.namespace, read_timeout=60):
            (opened,) = client._login.opened._sockets

            assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
            assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1

    def test_after_close_nothing_is_asked(self, api_server: ApiServer, client: Client) -> None:
        client.request("GET", SECRET, "default")
        client.close()
        client.close()
        api_server.forget_requests()

        with pytest.raises(Unreachable, match="stopping"):
            client.request("GET", SECRET, "default")
        assert api_server.requests == []

    def test_close_ends_a_request_that_waits_for_its_answer(
        self, api_server: ApiServer, client: Client
    ) -> None:
        client.request("GET", SECRET, "default")
        slow = api_server.faults.late(60, verb="get", resource="secrets")
        ended: list[Exception] = []

        def ask() -> None:
            try:
                client.request("GET", SECRET, "default", "app")
            except Unreachable as exc:
                ended.append(exc)

        thread = threading.Thread(target=ask)
        thread.start()
        assert eventually(lambda: slow.hits == 1)
        client.close()
        thread.join(30)

        assert not thread.is_alive()
        assert "stopping" in str(ended[0])

    def test_close_ends_a_pause_between_two_tries(self, api_server: ApiServer, client: Client) -> None:
        busy = api_server.faults.rate_limited(25, verb="list", times=None)

        def ask() -> None:
            with pytest.raises(Unreachable, match="stopping"):
                client.request("GET", SECRET, "default")

        thread = threading.Thread(target=ask)
        thread.start()
        assert eventually(lambda: busy.hits == 1)
        client.close()
        thread.join(30)

        assert not thread.is_alive()


class TestSecrecy:
    """A server that repeats what it was sent, and one that says what it likes."""

    def test_a_refusal_that_quotes_the_patch_is_told_without_it(
        self, api_server: ApiServer, client: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        quoted = f'Invalid value: "{CANARY}": {CANARY} is bad'
        causes = [{"field": "data[password]", "message": quoted, "reason": "FieldValueInvalid"}]
        told = f'Secret "app" is invalid: data[password]: {quoted}'
        api_server.faults.answer(422, "Invalid", told, {"causes": causes, "kind": "Secret"}, verb="patch")

        with pytest.raises(Refused) as failure:
            apply(client, "default", "app", password=CANARY)

        assert failure.value.causes[0].field == "data[password]"
        assert_hidden(failure.value, caplog)

    @pytest.mark.parametrize("where", ["message", "field", "cause", "reason", "name"])
    def test_no_word_of_a_strange_answer_is_shown(
        self, api_server: ApiServer, client: Client, caplog: pytest.LogCaptureFixture, where: str
    ) -> None:
        caplog.set_level(logging.DEBUG)
        told = {place: CANARY if place == where else "x" for place in ("message", "field", "cause", "name")}
        cause = {"field": told["field"], "message": told["cause"], "reason": "FieldValueInvalid"}
        details = {"causes": [cause], "kind": told["name"], "name": told["name"]}
        reason = f"{CANARY}=" if where == "reason" else "Invalid"
        for code in (400, 403, 404, 405, 409, 410, 413, 415, 418, 422, 429, 500, 503):
            api_server.faults.answer(code, reason, told["message"], details, verb="patch")

            with pytest.raises(ApiFailure) as failure:
                client.request("PATCH", SECRET, "default", "app", body={"data": {"a": CANARY}}, retry=False)

            assert failure.value.status in (
                code,
                404,
            )  # after a 401 it is sent again, and there is no such object
            assert_hidden(failure.value, caplog)

    def test_nor_is_an_answer_that_is_no_json(
        self, api_server: ApiServer, client: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        api_server.faults.no_json(f"<html>{CANARY}</html>", times=None)

        with pytest.raises(Unreachable) as failure:
            client.request("GET", SECRET, "default", "app", retry=False)

        assert_hidden(failure.value, caplog)

    def test_an_answer_does_not_print_itself(self, client: Client, cluster: Cluster) -> None:
        answer = apply(client, cluster.namespace, "app", a=CANARY)

        assert CANARY not in repr(answer)
        assert CANARY not in str(answer)


def assert_hidden(failure: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    """The canary is in no text of the failure, of what it came from, or of the log."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [failure]
    while pending:
        one = pending.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        for text in (str(one), repr(one), repr(vars(one)) if hasattr(one, "__dict__") else ""):
            assert CANARY not in text
        pending += [one.__cause__, one.__context__]
    assert CANARY not in caplog.text


def test_a_lease_is_made_and_taken_over_only_by_who_saw_it_last(client: Client, cluster: Cluster) -> None:
    thing = {"metadata": {"name": "confsync"}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15}}
    made = client.request("POST", LEASE, cluster.namespace, body=thing).body
    made["spec"]["holderIdentity"] = "b"
    client.request("PUT", LEASE, cluster.namespace, "confsync", body=made)

    with pytest.raises(Conflict) as late:
        client.request("PUT", LEASE, cluster.namespace, "confsync", body=made)
    with pytest.raises(Conflict) as again:
        client.request("POST", LEASE, cluster.namespace, body=thing)

    assert "changed meanwhile" in late.value.why
    assert again.value.reason == "AlreadyExists"
