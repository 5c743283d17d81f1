"""What a test may do to the stand-in: move its clock, make it fail, act as somebody else, look at what it was asked."""

from __future__ import annotations

import http.client
import itertools
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from confsync.testing.waiting import eventually
from stand_ins.common.certificates import Authority

from .admin import KubeAdmin, encoded, path_of
from .fixtures import Cluster, api_server, cluster
from .server import ApiServer

__all__ = ["api_server", "cluster"]


@pytest.fixture
def admin(cluster: Cluster) -> KubeAdmin:
    return cluster.admin


@pytest.fixture
def where(cluster: Cluster) -> str:
    """The test's namespace."""
    return cluster.namespace


class TestTime:
    def test_a_watch_ends_at_its_timeout(self, api_server: ApiServer, admin: KubeAdmin, where: str) -> None:
        with admin.watching(
            path_of("configmaps", where), timeoutSeconds=300, resourceVersion=1000000
        ) as events:
            assert eventually(lambda: api_server.watches("configmaps") == 1)
            api_server.advance(301)

            assert list(events) == []
        assert eventually(lambda: api_server.watches() == 0)

    def test_a_bookmark_every_minute(self, api_server: ApiServer, admin: KubeAdmin, where: str) -> None:
        made = admin.secret(where, "a", {})
        options = {
            "allowWatchBookmarks": "true",
            "resourceVersion": made["metadata"]["resourceVersion"],
            "timeoutSeconds": 300,
        }
        with admin.watching(path_of("secrets", where), **options) as events:
            admin.config_map(where, "other", {})
            api_server.advance(61)
            bookmark = next(events)

        assert bookmark["type"] == "BOOKMARK"
        revision = bookmark["object"]["metadata"].pop("resourceVersion")
        assert int(revision) > int(made["metadata"]["resourceVersion"])
        assert bookmark["object"] == {"apiVersion": "v1", "kind": "Secret", "metadata": {}}

    def test_a_bookmark_when_a_test_wants_one(
        self, api_server: ApiServer, admin: KubeAdmin, where: str
    ) -> None:
        with ExitStack() as stack:
            revision = admin.must("GET", path_of("secrets", where))["metadata"]["resourceVersion"]
            wanted, unwanted = (
                stack.enter_context(
                    admin.watching(
                        path_of("secrets", where), resourceVersion=revision, allowWatchBookmarks=flag
                    )
                )
                for flag in ("true", "false")
            )
            api_server.bookmark()
            assert next(wanted)["type"] == "BOOKMARK"
            admin.secret(where, "a", {})
            assert next(unwanted)["type"] == "ADDED"

    def test_a_token_expires(self, api_server: ApiServer, admin: KubeAdmin, where: str) -> None:
        rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}
        token = admin.service_account(where, "app", rule)
        assert admin.call("GET", path_of("secrets", where), token=token)[0] == 200

        api_server.advance(3601)

        assert admin.call("GET", path_of("secrets", where), token=token)[0] == 401
        fresh = admin.account_token(where, "app")
        assert admin.call("GET", path_of("secrets", where), token=fresh)[0] == 200

    def test_managers_are_listed_by_when_they_wrote(
        self, api_server: ApiServer, admin: KubeAdmin, where: str
    ) -> None:
        admin.config_map(where, "a", {"x": "1"})
        api_server.advance(1)
        admin.edit("configmaps", where, "a", {"data": {"y": "1"}}, manager="aaa")
        assert [entry["manager"] for entry in _managed(api_server, where)] == ["confsync-tests", "aaa"]
        api_server.advance(1)

        admin.edit("configmaps", where, "a", {"data": {"z": "1"}}, manager="confsync-tests")

        assert [entry["manager"] for entry in _managed(api_server, where)] == ["aaa", "confsync-tests"]


class TestThePast:
    def test_what_is_compacted_cannot_be_watched(
        self, api_server: ApiServer, admin: KubeAdmin, where: str
    ) -> None:
        old = admin.secret(where, "a", {})["metadata"]["resourceVersion"]
        admin.secret(where, "b", {})
        api_server.compact()

        with admin.watching(path_of("secrets", where), resourceVersion=old) as events:
            (event,) = list(events)

        assert (event["type"], event["object"]["code"], event["object"]["reason"]) == (
            "ERROR",
            410,
            "Expired",
        )
        assert event["object"]["message"].startswith(f"too old resource version: {old} (")

    def test_a_watch_that_runs_does_not_notice(
        self, api_server: ApiServer, admin: KubeAdmin, where: str
    ) -> None:
        revision = admin.secret(where, "a", {})["metadata"]["resourceVersion"]
        with admin.watching(path_of("secrets", where), resourceVersion=revision) as events:
            assert eventually(lambda: api_server.watches("secrets") == 1)
            with api_server.core.store.changed:  # so that the watch cannot see it before it is compacted
                api_server.core.do("POST", path_of("secrets", where), {"metadata": {"name": "b"}})
                api_server.compact()
            admin.secret(where, "c", {})
            names = [next(events)["object"]["metadata"]["name"] for _ in range(2)]

        assert names == ["b", "c"]

    def test_unless_a_test_wants_it_to(self, api_server: ApiServer, admin: KubeAdmin, where: str) -> None:
        revision = admin.secret(where, "a", {})["metadata"]["resourceVersion"]
        with admin.watching(path_of("secrets", where), resourceVersion=revision) as events:
            assert eventually(lambda: api_server.watches("secrets") == 1)
            api_server.compact(running=True)

            assert [event["object"]["code"] for event in events] == [410]

    def test_a_page_of_what_is_compacted(self, api_server: ApiServer, admin: KubeAdmin, where: str) -> None:
        for name in ("a", "b", "c"):
            admin.secret(where, name, {})
        path = f"{path_of('secrets', where)}?limit=2"
        first = admin.must("GET", path)
        admin.delete("secrets", where, "a")
        api_server.compact()

        status, body = admin.call("GET", f"{path}&continue={first['metadata']['continue']}")
        rest = admin.must("GET", f"{path}&continue={body['metadata']['continue']}")

        assert first["metadata"]["remainingItemCount"] == 1
        assert (status, body["reason"], body["code"]) == (410, "Expired", 410)
        assert [item["metadata"]["name"] for item in rest["items"]] == ["c"]

    def test_an_exact_list_of_the_past(self, api_server: ApiServer, admin: KubeAdmin, where: str) -> None:
        revision = admin.secret(where, "a", {})["metadata"]["resourceVersion"]
        admin.delete("secrets", where, "a")
        path = f"{path_of('secrets', where)}?resourceVersion={revision}&resourceVersionMatch=Exact"

        then = admin.must("GET", path)["items"]
        api_server.compact()

        assert [item["metadata"]["name"] for item in then] == ["a"]
        assert admin.call("GET", path)[0] == 410

    def test_what_was_deleted_and_made_again_reads_as_new(
        self, api_server: ApiServer, admin: KubeAdmin, where: str
    ) -> None:
        first = admin.secret(where, "a", {})
        admin.delete("secrets", where, "a")
        api_server.compact()
        second = admin.secret(where, "a", {})

        assert first["metadata"]["uid"] != second["metadata"]["uid"]
        assert admin.get("secrets", where, "a") == second


class TestFaults:
    def test_half_of_all_writes_too_many(self, api_server: ApiServer, admin: KubeAdmin, where: str) -> None:
        turn = itertools.cycle([True, False])
        fault = api_server.faults.rate_limited(
            3, verb="patch", resource="secrets", times=None, when=lambda call: next(turn)
        )

        answers = [admin.apply("secrets", where, {"metadata": {"name": f"s{n}"}}, "one")[0] for n in range(4)]

        assert answers == [429, 201, 429, 201]
        assert fault.hits == 2

    @pytest.mark.parametrize(
        ("fault", "status", "reason"),
        [
            ("throttled", 429, "TooManyRequests"),
            ("broken", 500, "InternalError"),
            ("timed_out", 504, "Timeout"),
            ("unauthorized", 401, "Unauthorized"),
            ("expired", 410, "Expired"),
        ],
    )
    def test_once_a_wrong_answer(
        self, api_server: ApiServer, admin: KubeAdmin, where: str, fault: str, status: int, reason: str
    ) -> None:
        getattr(api_server.faults, fault)(verb="list", namespace=where)

        code, body = admin.call("GET", path_of("secrets", where))

        assert (code, body["code"], body["reason"], body["kind"]) == (status, status, reason, "Status")
        assert admin.call("GET", path_of("secrets", where))[0] == 200

    def test_retry_after(self, api_server: ApiServer) -> None:
        api_server.faults.rate_limited(7)

        with connected(api_server) as connection:
            connection.request("GET", "/version")
            response = connection.getresponse()

        assert (response.status, response.getheader("Retry-After")) == (429, "7")

    def test_somebody_was_faster(self, api_server: ApiServer, admin: KubeAdmin, where: str) -> None:
        api_server.faults.conflict("a", verb="update")
        admin.secret(where, "a", {})
        body = {"metadata": {"name": "a"}, "data": {}}

        status, answer = admin.call("PUT", path_of("secrets", where, "a"), body)

        assert (status, answer["reason"]) == (409, "Conflict")
        assert (
            'Operation cannot be fulfilled on secrets "a": the object has been modified' in answer["message"]
        )

    def test_no_server_behind_the_balancer(self, api_server: ApiServer, admin: KubeAdmin, where: str) -> None:
        api_server.faults.unavailable()
        api_server.faults.no_json()

        answers = [admin.call("GET", path_of("secrets", where)) for _ in range(2)]

        assert answers == [(503, "service unavailable\n"), (200, "<html>bad gateway</html>")]

    def test_half_an_answer(self, api_server: ApiServer, admin: KubeAdmin, where: str) -> None:
        api_server.faults.cut(10, verb="list")

        with pytest.raises(http.client.IncompleteRead) as error:
            admin.call("GET", path_of("secrets", where))

        assert len(error.value.partial) == 10

    def test_half_a_watch(self, api_server: ApiServer, admin: KubeAdmin, where: str) -> None:
        revision = admin.secret(where, "a", {})["metadata"]["resourceVersion"]
        api_server.faults.cut(20, verb="watch")

        with admin.watching(path_of("secrets", where), resourceVersion=revision) as events:
            admin.secret(where, "b", {})
            with pytest.raises((http.client.IncompleteRead, json.JSONDecodeError)):
                list(events)

    def test_no_answer(self, api_server: ApiServer, admin: KubeAdmin, where: str) -> None:
        api_server.faults.drop(verb="create")

        with pytest.raises(http.client.RemoteDisconnected):
            admin.secret(where, "a", {})

        assert api_server.get("secrets", where, "a") is None
        assert api_server.requests[-1].status == 0

    def test_no_answer_but_done(self, api_server: ApiServer, admin: KubeAdmin, where: str) -> None:
        api_server.faults.drop(processed=True, verb="create")

        with pytest.raises(http.client.RemoteDisconnected):
            admin.secret(where, "a", {})

        assert api_server.get("secrets", where, "a")

    def test_a_late_answer_holds_up_nobody_else(
        self, api_server: ApiServer, admin: KubeAdmin, where: str
    ) -> None:
        api_server.faults.late(240, name="a")
        late = threading.Thread(target=_ignore_errors, args=(admin, path_of("secrets", where, "a")))
        late.start()

        started = time.monotonic()
        assert admin.call("GET", path_of("secrets", where))[0] == 200
        api_server.stop()
        late.join()

        assert time.monotonic() - started < 120

    def test_every_watch_ends(self, api_server: ApiServer, admin: KubeAdmin, where: str) -> None:
        with (
            admin.watching(path_of("secrets", where), resourceVersion=1000000) as one,
            admin.watching(path_of("configmaps", where), resourceVersion=1000000) as two,
        ):
            assert eventually(lambda: api_server.watches() == 2)
            api_server.end_watches()

            assert (list(one), list(two)) == ([], [])


class TestSomebodyElse:
    def test_an_edit_that_no_log_shows(self, api_server: ApiServer, admin: KubeAdmin, where: str) -> None:
        admin.secret(where, "a", {"x": "1"})
        api_server.forget_requests()

        thing = api_server.edit("secrets", where, "a", {"data": encoded({"x": "2"})})

        assert api_server.requests == []
        assert thing["metadata"]["managedFields"][-1]["manager"] == "kubectl-edit"
        assert admin.data(where, "a") == {"x": "2"}

    def test_a_deletion_by_somebody_else(self, api_server: ApiServer, admin: KubeAdmin, where: str) -> None:
        admin.secret(where, "a", {})

        api_server.delete("secrets", where, "a")

        assert admin.find("secrets", where, "a") is None

    def test_what_is_granted_can_be_taken_back(
        self, api_server: ApiServer, admin: KubeAdmin, where: str
    ) -> None:
        token = api_server.user("ann", "developers")
        path = path_of("secrets", where)
        assert admin.call("GET", path, token=token)[0] == 403

        api_server.grant("ann", where, ["list"], ["secrets"])
        assert admin.call("GET", path, token=token)[0] == 200
        assert admin.call("GET", "/api/v1/secrets", token=token)[0] == 403
        api_server.grant("ann", None, ["list"], ["secrets", "deployments"])
        assert admin.call("GET", "/api/v1/secrets", token=token)[0] == 200
        assert admin.call("GET", path_of("deployments"), token=token)[0] == 200

        api_server.revoke("ann")
        assert admin.call("GET", "/api/v1/secrets", token=token)[0] == 403
        assert admin.call("GET", path, token=token)[0] == 200
        api_server.revoke("ann", where)
        assert admin.call("GET", path, token=token)[0] == 403

    def test_a_service_account_of_a_pod(self, api_server: ApiServer, admin: KubeAdmin, where: str) -> None:
        token = api_server.account(where, "app", seconds=600)
        api_server.grant(f"system:serviceaccount:{where}:app", where, ["get"], ["secrets"])

        answers = [admin.call("GET", path_of("secrets", where, "a"), token=token)[0]]
        api_server.revoke_token(token)
        answers.append(admin.call("GET", path_of("secrets", where, "a"), token=token)[0])

        assert answers == [404, 401]

    def test_a_binding_to_a_role_that_is_not_there_is_told(
        self, api_server: ApiServer, admin: KubeAdmin, where: str
    ) -> None:
        admin.create(
            "rolebindings",
            where,
            {
                "metadata": {"name": "dangling"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "gone"},
                "subjects": [{"kind": "User", "name": "ann"}],
            },
        )

        _, body = admin.call("GET", path_of("secrets", where), token=api_server.user("ann"))

        assert body["message"].endswith(': RBAC: role.rbac.authorization.k8s.io "gone" not found')


class TestRequestLog:
    def test_who_asked_for_what(self, api_server: ApiServer, admin: KubeAdmin, where: str) -> None:
        api_server.forget_requests()
        admin.items("secrets", where, "a=b")
        admin.find("secrets", where, "none")
        admin.call("GET", "/api/v1/namespaces", token="nobody's")
        with admin.watching(path_of("leases", where), resourceVersion=1000000):
            pass

        seen = [(r.verb, r.resource, r.namespace, r.name, r.status, r.user) for r in api_server.requests]
        assert seen == [
            ("list", "secrets", where, "", 200, "kubernetes-admin"),
            ("get", "secrets", where, "none", 404, "kubernetes-admin"),
            ("list", "namespaces", "", "", 401, ""),
            ("watch", "leases", where, "", 200, "kubernetes-admin"),
        ]
        assert api_server.requests[0].url == f"{path_of('secrets', where)}?labelSelector=a%3Db"
        assert (api_server.count("list", "secrets"), api_server.count("list"), api_server.count()) == (
            1,
            2,
            4,
        )

    def test_how_many_at_once(self, api_server: ApiServer, admin: KubeAdmin) -> None:
        api_server.faults.late(60, times=None)
        threads = [threading.Thread(target=_ignore_errors, args=(admin, "/version")) for _ in range(4)]
        for thread in threads:
            thread.start()

        assert eventually(lambda: api_server.log.most_at_once == 4)
        api_server.stop()
        for thread in threads:
            thread.join()


class TestRestart:
    def test_state_outlives_a_restart(self, api_server: ApiServer, admin: KubeAdmin, where: str) -> None:
        made = admin.secret(where, "a", {"x": "1"})

        api_server.stop()
        with pytest.raises(ConnectionError):
            admin.get("secrets", where, "a")
        api_server.start()

        assert admin.get("secrets", where, "a") == made

    def test_watches_end_with_the_server_and_resume_after_it(
        self, api_server: ApiServer, admin: KubeAdmin, where: str
    ) -> None:
        revision = admin.secret(where, "a", {})["metadata"]["resourceVersion"]
        with admin.watching(path_of("secrets", where), resourceVersion=revision) as events:
            api_server.stop()
            with pytest.raises((http.client.HTTPException, OSError, StopIteration)):
                next(events)
        assert eventually(lambda: api_server.watches() == 0)
        api_server.start()
        admin.secret(where, "b", {})

        with admin.watching(path_of("secrets", where), resourceVersion=revision) as events:
            assert next(events)["object"]["metadata"]["name"] == "b"


class TestTls:
    @pytest.fixture
    def authority(self, tmp_path: Path) -> Authority:
        return Authority(tmp_path)

    @pytest.fixture
    def secured(self, authority: Authority) -> Iterator[ApiServer]:
        with ApiServer(tls=authority.server(client_ca=authority.cert)) as server:
            yield server

    def test_a_kubeconfig_with_its_authority(
        self, secured: ApiServer, authority: Authority, tmp_path: Path
    ) -> None:
        admin = KubeAdmin(secured.kubeconfig(tmp_path / "config", ca=authority.cert))

        assert admin.namespace()

    def test_another_authority_is_not_believed(self, secured: ApiServer, tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        other = Authority(tmp_path / "other")
        admin = KubeAdmin(secured.kubeconfig(tmp_path / "config", ca=other.cert))

        with pytest.raises(ssl.SSLCertVerificationError):
            admin.namespace()

    def test_a_certificate_is_somebody(
        self, secured: ApiServer, authority: Authority, tmp_path: Path
    ) -> None:
        master = authority.issue("ann", organizations=("system:masters",))
        nobody = authority.issue("bob", organizations=("developers",))
        answers = []
        for who in (master, nobody):
            config = secured.kubeconfig(tmp_path / "config", identity=who, ca=authority.cert)
            answers.append(KubeAdmin(config).call("GET", "/api/v1/namespaces"))

        assert [status for status, _ in answers] == [200, 403]
        assert 'User "bob" cannot list' in answers[1][1]["message"]

    def test_what_a_pod_finds(self, secured: ApiServer, authority: Authority, tmp_path: Path) -> None:
        token = secured.account("default", "app")

        variables = secured.pod(tmp_path / "pod", token, "default", authority.cert)

        assert {path.name: path.read_text() for path in (tmp_path / "pod").iterdir()} == {
            "token": token,
            "namespace": "default",
            "ca.crt": authority.cert.read_text(),
        }
        where = f"https://{variables['KUBERNETES_SERVICE_HOST']}:{variables['KUBERNETES_SERVICE_PORT']}"
        assert where == secured.address

    def test_plain_http_is_told_so(self, secured: ApiServer) -> None:
        with connected(secured) as connection:
            connection.request("GET", "/version")
            response = connection.getresponse()

            assert (response.status, response.read()) == (
                400,
                b"Client sent an HTTP request to an HTTPS server.\n",
            )


def test_metadata_only(api_server: ApiServer, admin: KubeAdmin, where: str) -> None:
    admin.secret(where, "a", {"x": "1"})
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

    with connected(api_server) as connection:
        headers = {"Accept": accept, "Authorization": f"Bearer {api_server.token}"}
        connection.request("GET", path_of("secrets", where), headers=headers)
        found = json.loads(connection.getresponse().read())

    assert found["kind"] == "PartialObjectMetadataList"
    assert [item["metadata"]["name"] for item in found["items"]] == ["a"]
    assert "data" not in found["items"][0]


def test_a_warning_of_what_is_unknown(api_server: ApiServer, admin: KubeAdmin, where: str) -> None:
    body = json.dumps({"metadata": {"name": "a"}, "dada": 1})

    with connected(api_server) as connection:
        headers = {"Authorization": f"Bearer {api_server.token}", "Content-Type": "application/json"}
        connection.request("POST", path_of("secrets", where), body, headers)
        response = connection.getresponse()
        response.read()

    assert (response.status, response.getheader("Warning")) == (201, '299 - "unknown field \\"dada\\""')


def test_many_watches_see_every_change(api_server: ApiServer, admin: KubeAdmin, where: str) -> None:
    revision = admin.must("GET", path_of("secrets", where))["metadata"]["resourceVersion"]
    with ExitStack() as stack:
        watches = [
            stack.enter_context(admin.watching(path_of("secrets", where), resourceVersion=revision))
            for _ in range(60)
        ]
        for number in range(20):
            admin.secret(where, f"s{number}", {})
        seen = [[next(events)["object"]["metadata"]["name"] for _ in range(20)] for events in watches]

    assert seen == [[f"s{number}" for number in range(20)]] * 60


def test_what_it_cannot_do_it_says(admin: KubeAdmin, where: str) -> None:
    status, body = admin.call("GET", path_of("pods", where))

    assert (status, body["message"]) == (501, "the stand-in for the API server does not do this: core pods")


class connected:  # noqa: N801 - reads as a word
    """A connection that is closed in the end."""

    def __init__(self, server: ApiServer) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(server.address).netloc, timeout=60)

    def __enter__(self) -> http.client.HTTPConnection:
        return self._connection

    def __exit__(self, *error: object) -> None:
        self._connection.close()


def _managed(server: ApiServer, namespace: str) -> list[Any]:
    found = server.get("configmaps", namespace, "a")
    assert found is not None
    entries: list[Any] = found["metadata"]["managedFields"]
    return entries


def _ignore_errors(admin: KubeAdmin, path: str) -> None:
    try:
        admin.call("GET", path)
    except (OSError, http.client.HTTPException):
        return
