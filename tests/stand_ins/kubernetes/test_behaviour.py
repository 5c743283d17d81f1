"""What the stand-in does beyond the recordings. A real cluster passes these as well: that is how they are checked."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from confsync.testing.waiting import eventually

from .admin import APPLY, JSON_PATCH, MERGE, STRATEGIC, KubeAdmin, encoded, path_of
from .fixtures import Cluster, api_server, cluster

__all__ = ["api_server", "cluster"]


def secret(name: str, data: dict[str, str | bytes] | None = None, **fields: Any) -> dict[str, Any]:
    metadata = {"name": name, **fields.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded(data or {}), **fields}


def owners(thing: dict[str, Any]) -> dict[str, Any]:
    """What each manager owns, by its name."""
    return {entry["manager"]: entry["fieldsV1"] for entry in thing["metadata"].get("managedFields", [])}


def told(answer: tuple[int, Any]) -> tuple[int, str]:
    return answer[0], answer[1]["message"]


class TestApply:
    def test_every_conflict_is_told_by_manager_and_field(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        admin.apply("secrets", where, secret("a", {"x": "1", "y": "1"}), "one")

        status, body = admin.apply("secrets", where, secret("a", {"x": "2", "y": "2"}), "two")

        assert (status, body["reason"]) == (409, "Conflict")
        assert body["message"] == 'Apply failed with 2 conflicts: conflicts with "one":\n- .data.x\n- .data.y'
        assert [cause["field"] for cause in body["details"]["causes"]] == [".data.x", ".data.y"]

    def test_the_same_value_is_owned_by_both_and_goes_with_the_last(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        admin.apply("secrets", where, secret("a", {"x": "1"}), "one")
        _, both = admin.apply("secrets", where, secret("a", {"x": "1"}), "two")

        assert {"one", "two"} == owners(both).keys()
        _, left = admin.apply("secrets", where, secret("a"), "one")
        assert left["data"] == encoded({"x": "1"})
        _, left = admin.apply("secrets", where, secret("a"), "two")
        assert not left.get("data")

    def test_labels_and_annotations_of_others_stay(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        ours = secret("a", metadata={"labels": {"ours": "1"}, "annotations": {"ours": "1"}})
        admin.apply("secrets", where, ours, "one")
        admin.edit("secrets", where, "a", {"metadata": {"labels": {"theirs": "1"}}})

        _, thing = admin.apply("secrets", where, secret("a"), "one")

        assert thing["metadata"]["labels"] == {"theirs": "1"}
        assert "annotations" not in thing["metadata"]

    def test_who_creates_owns_the_maps_too(self, cluster: Cluster) -> None:
        made = cluster.admin.secret(cluster.namespace, "a", {"x": "1"})

        assert owners(made) == {"confsync-tests": {"f:data": {".": {}, "f:x": {}}, "f:type": {}}}

    def test_an_object_of_another_is_adopted_key_by_key(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        admin.secret(where, "a", {"x": "1", "y": "1"})

        status, body = admin.apply("secrets", where, secret("a", {"x": "2"}), "one")
        assert (status, body["details"]["causes"][0]["message"]) == (
            409,
            'conflict with "confsync-tests" using v1',
        )

        _, thing = admin.apply("secrets", where, secret("a", {"x": "2"}), "one", force=True)
        assert thing["data"] == encoded({"x": "2", "y": "1"})
        assert owners(thing)["one"] == {"f:data": {"f:x": {}}}

    def test_ownership_that_was_wiped_begins_anew(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        admin.secret(where, "a", {"x": "1"})
        wiped = admin.edit("secrets", where, "a", {"metadata": {"managedFields": [{}]}})
        assert "managedFields" not in wiped["metadata"]

        status, body = admin.apply("secrets", where, secret("a", {"x": "2"}), "one")

        assert (status, body["details"]["causes"][0]["message"]) == (
            409,
            'conflict with "before-first-apply" using v1',
        )

    def test_a_dry_run_tells_and_does_nothing(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        admin.apply("secrets", where, secret("a", {"x": "1"}), "one")
        before = admin.get("secrets", where, "a")
        path = path_of("secrets", where, "a")

        changed = admin.must(
            "PATCH", f"{path}?fieldManager=one&dryRun=All", secret("a", {"x": "2"}), content_type=APPLY
        )
        admin.must("DELETE", f"{path}?dryRun=All")

        assert changed["data"] == encoded({"x": "2"})
        assert changed["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
        assert admin.get("secrets", where, "a") == before

    def test_yaml_is_read(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  x: |\n    one\n    two\n"

        made = admin.must(
            "PATCH", f"{path_of('configmaps', where, 'a')}?fieldManager=one", text, content_type=APPLY
        )

        assert made["data"] == {"x": "one\ntwo\n"}

    def test_what_is_no_string_is_refused(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        body = {"metadata": {"name": "a"}, "data": {"x": 1}}

        status, answer = admin.apply("configmaps", where, body, "one")

        assert status == 500
        assert answer["message"].startswith(
            "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .data.x: expected string, got "
        )

    def test_of_another_version_or_name(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        path = f"{path_of('secrets', where, 'a')}?fieldManager=one"

        version = admin.call("PATCH", path, secret("a") | {"apiVersion": "v2"}, content_type=APPLY)
        name = admin.call("PATCH", path, secret("b"), content_type=APPLY)
        nameless = admin.call("PATCH", path, secret("a") | {"metadata": {}}, content_type=APPLY)

        assert told(version) == (
            400,
            "Incorrect version specified in apply patch. Specified patch version: v2, expected: v1",
        )
        assert told(name) == (400, "the name of the object (b) does not match the name on the URL (a)")
        assert told(nameless) == (
            400,
            "the name of the object (a based on URL) was undeterminable: name must be provided",
        )

    def test_a_uid_is_a_precondition(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        uid = "00000000-0000-0000-0000-000000000000"

        missing = admin.apply("secrets", where, secret("a", metadata={"uid": uid}), "one")
        admin.apply("secrets", where, secret("a"), "one")
        other = admin.apply("secrets", where, secret("a", metadata={"uid": uid}), "one")

        assert missing[0] == 409
        assert "uid mismatch: the provided object specified uid" in missing[1]["message"]
        assert (other[0], other[1]["details"]["causes"][0]["field"]) == (422, "metadata.uid")

    def test_a_resource_version_is_one_too(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        _, made = admin.apply("secrets", where, secret("a", {"x": "1"}), "one")
        admin.edit("secrets", where, "a", {"metadata": {"labels": {"b": "c"}}})
        stale = {"resourceVersion": made["metadata"]["resourceVersion"]}

        status, body = admin.apply("secrets", where, secret("a", {"x": "2"}, metadata=stale), "one")

        assert (status, body["reason"]) == (409, "Conflict")
        assert "the object has been modified" in body["message"]

    def test_owners_are_listed_appliers_first(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        admin.secret(where, "a", {"x": "1"})
        admin.apply("secrets", where, secret("a", {"y": "1"}), "zz")

        _, thing = admin.apply("secrets", where, secret("a", {"z": "1"}), "aa")

        operations = [entry["operation"] for entry in thing["metadata"]["managedFields"]]
        assert operations == ["Apply", "Apply", "Update"]


class TestWrites:
    def test_a_merge_patch_removes_with_null(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        admin.secret(where, "a", {"x": "1", "y": "1"})

        thing = admin.edit("secrets", where, "a", {"data": {"x": None}})

        assert thing["data"] == encoded({"y": "1"})
        assert "f:x" not in json.dumps(owners(thing))

    def test_a_json_patch_tests_and_replaces(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        admin.config_map(where, "a", {"x": "1"})
        path = path_of("configmaps", where, "a")
        change = [
            {"op": "test", "path": "/data/x", "value": "1"},
            {"op": "replace", "path": "/data/x", "value": "2"},
            {"op": "add", "path": "/data/a~1b", "value": "3"},
            {"op": "remove", "path": "/data/a~1b"},
        ]

        first = admin.call("PATCH", path, change, content_type=JSON_PATCH)
        again = admin.call("PATCH", path, change, content_type=JSON_PATCH)
        missing = admin.call("PATCH", path, [{"op": "remove", "path": "/data/no"}], content_type=JSON_PATCH)

        assert (first[0], first[1]["data"]) == (200, {"x": "2"})
        text = "the server rejected our request due to an error in our request"
        assert told(again) == told(missing) == (422, text)

    def test_a_strategic_patch_merges_containers_by_name(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        admin.workload("deployments", where, "web")
        path = path_of("deployments", where, "web")
        thing: dict[str, Any] = {}

        for part in ({"command": ["run"]}, {"image": "pause:2"}):
            change = {"spec": {"template": {"spec": {"containers": [{"name": "c", **part}]}}}}
            thing = admin.must("PATCH", path, change, content_type=STRATEGIC)

        (container,) = thing["spec"]["template"]["spec"]["containers"]
        assert (container["image"], container["command"]) == ("pause:2", ["run"])
        assert container["imagePullPolicy"] == "IfNotPresent"

    def test_an_update_need_not_say_of_which_version(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        admin.secret(where, "a", {"x": "1"})

        thing = admin.must("PUT", path_of("secrets", where, "a"), secret("a", {"x": "2"}))

        assert thing["data"] == encoded({"x": "2"})

    def test_an_update_of_a_lease_must(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}}
        path = path_of("leases", where, "l")

        assert admin.call("PUT", path, lease)[0] == 201
        status, body = admin.call("PUT", path, lease)

        assert (status, body["details"]["causes"][0]["field"]) == (422, "metadata.resourceVersion")

    def test_an_update_of_what_is_not_there(self, cluster: Cluster) -> None:
        answer = cluster.admin.call("PUT", path_of("secrets", cluster.namespace, "a"), secret("a"))

        assert told(answer) == (404, 'secrets "a" not found')

    def test_an_update_of_another_uid(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        admin.secret(where, "a", {})
        other = secret("a", metadata={"uid": "00000000-0000-0000-0000-000000000000"})

        status, body = admin.call("PUT", path_of("secrets", where, "a"), other)

        assert (status, body["reason"]) == (409, "Conflict")
        assert "Precondition failed: UID in precondition" in body["message"]

    def test_nothing_changed_is_no_write(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        made = admin.secret(where, "a", {"x": "1"})

        put = admin.must("PUT", path_of("secrets", where, "a"), secret("a", {"x": "1"}, type="Opaque"))
        patched = admin.edit("secrets", where, "a", {"data": encoded({"x": "1"})})

        assert put["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
        assert patched["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]

    def test_string_data_is_encoded(self, cluster: Cluster) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"generateName": "a-"},
            "stringData": {"x": "1"},
        }

        made = cluster.admin.must("POST", path_of("secrets", cluster.namespace), body)

        assert (made["data"], "stringData" in made, made["type"]) == (encoded({"x": "1"}), False, "Opaque")
        assert len(made["metadata"]["name"]) == len("a-") + 5

    def test_what_is_no_base64(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        body = secret("a") | {"data": {"x": "YWJj*"}}

        posted = admin.call("POST", path_of("secrets", where), body)
        admin.secret(where, "a", {})
        patched = admin.call(
            "PATCH", path_of("secrets", where, "a"), {"data": {"x": "YQ"}}, content_type=MERGE
        )

        text = 'Secret in version "v1" cannot be handled as a Secret: illegal base64 data at input byte 4'
        assert told(posted) == (400, text)
        assert patched[0] == 422
        assert patched[1]["message"].endswith("illegal base64 data at input byte 0")

    def test_unknown_fields_as_wished(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        body = secret("a") | {"dada": 1}

        strict = admin.call("POST", f"{path_of('secrets', where)}?fieldValidation=Strict", body)
        ignored = admin.call("POST", f"{path_of('secrets', where)}?fieldValidation=Ignore", body)

        text = 'Secret in version "v1" cannot be handled as a Secret: strict decoding error: unknown field "dada"'
        assert told(strict) == (400, text)
        assert (ignored[0], "dada" in ignored[1]) == (201, False)

    def test_another_namespace_in_the_body(self, cluster: Cluster) -> None:
        body = secret("a", metadata={"namespace": "default"})

        answer = cluster.admin.call("POST", path_of("secrets", cluster.namespace), body)

        text = "the namespace of the provided object does not match the namespace sent on the request"
        assert told(answer) == (400, text)

    def test_too_large_a_request(self, cluster: Cluster) -> None:
        body = secret("a", {"x": b"x" * (3 * 1024 * 1024)})

        status, answer = cluster.admin.call("POST", path_of("secrets", cluster.namespace), body)

        assert (status, answer["message"]) == (413, "Request entity too large: limit is 3145728")

    def test_a_media_type_nobody_knows(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        admin.secret(where, "a", {})

        status, body = admin.call(
            "PATCH", path_of("secrets", where, "a"), {}, content_type="application/json"
        )

        assert (status, body["reason"]) == (415, "UnsupportedMediaType")


class TestValidation:
    @pytest.mark.parametrize(
        ("kind", "data", "fields"),
        [
            ("kubernetes.io/tls", {}, ["data[tls.crt]", "data[tls.key]"]),
            ("kubernetes.io/basic-auth", {"other": "x"}, ["data[username]", "data[password]"]),
            ("kubernetes.io/ssh-auth", {}, ["data[ssh-privatekey]"]),
            ("kubernetes.io/dockerconfigjson", {}, ["data[.dockerconfigjson]"]),
            ("kubernetes.io/dockercfg", {".dockercfg": "[]"}, ["data[.dockercfg]"]),
        ],
    )
    def test_typed_secrets_need_their_keys(
        self, cluster: Cluster, kind: str, data: dict[str, str | bytes], fields: list[str]
    ) -> None:
        status, body = cluster.admin.apply("secrets", cluster.namespace, secret("a", data, type=kind), "one")

        assert (status, [cause["field"] for cause in body["details"]["causes"]]) == (422, fields)

    def test_typed_secrets_that_have_them(self, cluster: Cluster) -> None:
        for number, (kind, data) in enumerate(
            [
                ("kubernetes.io/tls", {"tls.crt": "x", "tls.key": ""}),
                ("kubernetes.io/basic-auth", {"username": "x"}),
                ("kubernetes.io/dockerconfigjson", {".dockerconfigjson": '{"auths": {}}'}),
                ("confsync.dev/anything", {}),
            ]
        ):
            made = secret(f"a{number}", dict(data), type=kind)
            assert cluster.admin.apply("secrets", cluster.namespace, made, "one")[0] == 201

    def test_labels_and_annotations(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        label = secret("a", metadata={"labels": {"a": "not a label"}})
        prefix = secret("a", metadata={"labels": {"/a": "b"}})
        large = secret("a", metadata={"annotations": {"a": "x" * (256 * 1024)}})

        answers = [admin.apply("secrets", where, body, "one") for body in (label, prefix, large)]

        causes = [answer["details"]["causes"][0] for _, answer in answers]
        assert [status for status, _ in answers] == [422] * 3
        assert [cause["field"] for cause in causes] == ["metadata.labels"] * 2 + ["metadata.annotations"]
        assert causes[0]["message"].startswith(
            'Invalid value: "not a label": a valid label must be an empty string or consist of alphanumeric'
        )
        assert causes[1]["message"] == 'Invalid value: "/a": prefix part must be non-empty'
        assert causes[2]["message"] == "Too long: may not be more than 262144 bytes"

    def test_keys_and_sizes_of_config_maps(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        both = {"metadata": {"name": "a"}, "data": {"x": "1"}, "binaryData": {"x": "AA=="}}
        dots = {"metadata": {"name": "a"}, "data": {"..": "1"}}
        large = {"metadata": {"name": "a"}, "data": {"x": "x" * (1024 * 1024 + 1)}}

        answers = [admin.apply("configmaps", where, body, "one") for body in (both, dots, large)]

        assert [answer["details"]["causes"][0]["message"] for _, answer in answers] == [
            'Invalid value: "x": duplicate of key present in binaryData',
            "Invalid value: \"..\": must not be '..'",
            "Too long: may not be more than 1048576 bytes",
        ]

    def test_immutable_is_for_ever(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        admin.config_map(where, "a", {"x": "1"}, immutable=True)
        path = path_of("configmaps", where, "a")

        mutable = admin.call("PATCH", path, {"immutable": False}, content_type=MERGE)
        changed = admin.call("PATCH", path, {"data": {"x": "2"}}, content_type=MERGE)
        labelled = admin.call("PATCH", path, {"metadata": {"labels": {"a": "b"}}}, content_type=MERGE)

        text = "Forbidden: field is immutable when `immutable` is set"
        assert [mutable[0], changed[0], labelled[0]] == [422, 422, 200]
        assert mutable[1]["details"]["causes"][0] == {
            "field": "immutable",
            "message": text,
            "reason": "FieldValueForbidden",
        }
        assert changed[1]["details"]["causes"][0]["field"] == "data"

    def test_names_of_namespaces(self, cluster: Cluster) -> None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "with.dots"}}

        status, answer = cluster.admin.call("POST", "/api/v1/namespaces", body)

        assert (status, answer["details"]["causes"][0]["message"]) == (
            422,
            'Invalid value: "with.dots": must not contain dots',
        )

    def test_a_workload_made_by_a_patch_of_its_template(self, cluster: Cluster) -> None:
        """What an apply that only wants to restart something gets when it is not there."""
        annotated = {"metadata": {"annotations": {"a": "b"}}}
        body = {"metadata": {"name": "none"}, "spec": {"template": annotated}}

        status, answer = cluster.admin.apply("deployments", cluster.namespace, body, "one")

        assert status == 422
        assert {"spec.selector", "spec.template.metadata.labels", "spec.template.spec.containers"} <= {
            cause["field"] for cause in answer["details"]["causes"]
        }


class TestReading:
    def test_pages_hold_everything_once(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        for number in range(5):
            admin.secret(where, f"s{number}", {}, metadata={"labels": {"page": "yes"}})
        path = f"{path_of('secrets', where)}?labelSelector=page%3Dyes&limit=2"
        first = admin.must("GET", path)
        admin.secret(where, "s9", {}, metadata={"labels": {"page": "yes"}})
        pages, token = [first], first["metadata"].get("continue")
        while token:
            pages.append(admin.must("GET", f"{path}&continue={token}"))
            token = pages[-1]["metadata"].get("continue")

        names = [item["metadata"]["name"] for page in pages for item in page["items"]]
        assert names == ["s0", "s1", "s2", "s3", "s4"]
        assert len({page["metadata"]["resourceVersion"] for page in pages}) == 1

    def test_a_page_of_no_list(self, cluster: Cluster) -> None:
        path = f"{path_of('secrets', cluster.namespace)}?limit=2&continue=nonsense!"

        status, body = cluster.admin.call("GET", path)

        assert (status, body["reason"]) == (400, "BadRequest")
        assert body["message"].startswith("continue key is not valid")

    @pytest.mark.parametrize(
        ("selector", "names"),
        [
            ("a", {"ab", "ac"}),
            ("!a", {"none"}),
            ("a=b", {"ab"}),
            ("a!=b", {"ac", "none"}),
            ("a in (b,c)", {"ab", "ac"}),
            ("a notin (b)", {"ac", "none"}),
            ("a,a!=c", {"ab"}),
            ("a=", set()),
        ],
    )
    def test_label_selectors(self, cluster: Cluster, selector: str, names: set[str]) -> None:
        admin, where = cluster.admin, cluster.namespace
        for name, labels in {"ab": {"a": "b"}, "ac": {"a": "c"}, "none": {}}.items():
            admin.secret(where, name, {}, metadata={"labels": labels})

        found = {item["metadata"]["name"] for item in admin.items("secrets", where, selector)}

        assert names == found & {"ab", "ac", "none"}

    def test_field_selectors(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        admin.secret(where, "a", {})
        admin.secret(where, "b", {"tls.crt": "", "tls.key": ""}, type="kubernetes.io/tls")
        path = path_of("secrets", where)

        by_name = admin.must("GET", f"{path}?fieldSelector=metadata.name%3Da")["items"]
        by_type = admin.must("GET", f"{path}?fieldSelector=type%3Dkubernetes.io%2Ftls")["items"]
        unknown = admin.call("GET", f"{path}?fieldSelector=data%3Dx")

        assert [item["metadata"]["name"] for item in by_name] == ["a"]
        assert [item["metadata"]["name"] for item in by_type] == ["b"]
        assert (unknown[0], unknown[1]["reason"]) == (400, "BadRequest")
        assert "field label not supported" in unknown[1]["message"]

    def test_a_selector_that_is_none(self, cluster: Cluster) -> None:
        status, body = cluster.admin.call(
            "GET", f"{path_of('secrets', cluster.namespace)}?labelSelector=a%20b"
        )

        assert (status, body["reason"]) == (400, "BadRequest")
        assert "unable to parse requirement" in body["message"]

    def test_an_empty_list_is_one(self, cluster: Cluster) -> None:
        found = cluster.admin.must("GET", path_of("secrets", "no-such-namespace"))

        assert (found["kind"], found["items"]) == ("SecretList", [])


class TestWatching:
    def test_what_is_there_comes_first(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        admin.secret(where, "a", {}, metadata={"labels": {"w": "yes"}})

        with admin.watching(path_of("secrets", where), labelSelector="w=yes") as events:
            first = next(events)
            admin.secret(where, "b", {}, metadata={"labels": {"w": "yes"}})
            second = next(events)

        assert [(e["type"], e["object"]["metadata"]["name"]) for e in (first, second)] == [
            ("ADDED", "a"),
            ("ADDED", "b"),
        ]

    def test_what_no_longer_fits_is_gone_to_the_watch(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        made = admin.secret(where, "a", {}, metadata={"labels": {"w": "yes"}})
        revision = made["metadata"]["resourceVersion"]

        with admin.watching(
            path_of("secrets", where), labelSelector="w=yes", resourceVersion=revision
        ) as events:
            changed = admin.edit("secrets", where, "a", {"metadata": {"labels": {"w": "no"}}})
            left = next(events)
            admin.edit("secrets", where, "a", {"metadata": {"labels": {"w": "yes"}}})
            back = next(events)

        assert (left["type"], back["type"]) == ("DELETED", "ADDED")
        assert left["object"]["metadata"]["resourceVersion"] == changed["metadata"]["resourceVersion"]
        assert left["object"]["metadata"]["labels"] == {"w": "yes"}

    def test_one_object_by_its_name(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        revision = admin.secret(where, "a", {})["metadata"]["resourceVersion"]
        options = {"fieldSelector": "metadata.name=b", "resourceVersion": revision}

        with admin.watching(path_of("secrets", where), **options) as events:
            admin.edit("secrets", where, "a", {"metadata": {"labels": {"x": "y"}}})
            admin.secret(where, "b", {})
            event = next(events)

        assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "b")

    def test_a_list_by_watch_ends_with_a_bookmark(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        admin.secret(where, "a", {}, metadata={"labels": {"w": "yes"}})
        options = {
            "sendInitialEvents": "true",
            "allowWatchBookmarks": "true",
            "resourceVersionMatch": "NotOlderThan",
            "labelSelector": "w=yes",
        }

        with admin.watching(path_of("secrets", where), **options) as events:
            first, second = next(events), next(events)

        assert (first["type"], second["type"]) == ("ADDED", "BOOKMARK")
        assert second["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}

    def test_a_deletion_has_a_version_of_its_own(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        made = admin.secret(where, "a", {"x": "1"})
        revision = made["metadata"]["resourceVersion"]

        with admin.watching(path_of("secrets", where), resourceVersion=revision) as events:
            admin.delete("secrets", where, "a")
            gone = next(events)

        assert (gone["type"], gone["object"]["data"]) == ("DELETED", encoded({"x": "1"}))
        assert int(gone["object"]["metadata"]["resourceVersion"]) > int(revision)

    def test_every_namespace_at_once(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        other = admin.namespace()
        label = {"labels": {"w": admin.unique}}
        revision = admin.must("GET", "/api/v1/secrets?limit=1")["metadata"]["resourceVersion"]
        options = {"labelSelector": f"w={admin.unique}", "resourceVersion": revision}

        with admin.watching("/api/v1/secrets", **options) as events:
            admin.secret(where, "a", {}, metadata=label)
            admin.secret(other, "a", {}, metadata=label)
            seen = [next(events)["object"]["metadata"]["namespace"] for _ in range(2)]

        assert seen == [where, other]


class TestDeleting:
    def test_only_what_was_meant(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        made = admin.secret(where, "a", {})
        admin.edit("secrets", where, "a", {"metadata": {"labels": {"x": "y"}}})
        stale = {"preconditions": {"resourceVersion": made["metadata"]["resourceVersion"]}}

        status, body = admin.call("DELETE", path_of("secrets", where, "a"), stale)
        admin.delete("secrets", where, "a", preconditions={"uid": made["metadata"]["uid"]})

        assert (status, body["reason"]) == (409, "Conflict")
        assert "The object might have been modified" in body["message"]
        assert admin.find("secrets", where, "a") is None

    def test_many_by_label(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        admin.secret(where, "a", {}, metadata={"labels": {"x": "y"}})
        admin.secret(where, "b", {})

        admin.must("DELETE", f"{path_of('secrets', where)}?labelSelector=x%3Dy")

        assert eventually(lambda: admin.find("secrets", where, "a") is None)
        assert admin.find("secrets", where, "b")

    def test_what_belonged_to_it_goes_too(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        self._owned(cluster)

        admin.delete("configmaps", where, "owner")

        assert eventually(lambda: admin.find("secrets", where, "a") is None, 60)

    def _owned(self, cluster: Cluster) -> None:
        """The Secret `a`, which belongs to the ConfigMap `owner`."""
        admin, where = cluster.admin, cluster.namespace
        owner = admin.config_map(where, "owner", {})["metadata"]
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["uid"]}
        admin.secret(where, "a", {}, metadata={"ownerReferences": [reference]})

    def test_in_the_foreground_it_goes_last(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        self._owned(cluster)

        answer = admin.delete("configmaps", where, "owner", propagationPolicy="Foreground")

        assert answer["kind"] == "ConfigMap"
        assert answer["metadata"]["finalizers"] == ["foregroundDeletion"]
        assert eventually(lambda: admin.find("configmaps", where, "owner") is None, 60)
        assert eventually(lambda: admin.find("secrets", where, "a") is None, 60)

    def test_an_orphan_stays(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        self._owned(cluster)

        admin.delete("configmaps", where, "owner", propagationPolicy="Orphan")

        assert eventually(lambda: admin.find("configmaps", where, "owner") is None, 60)
        assert "ownerReferences" not in admin.get("secrets", where, "a")["metadata"]

    def test_a_finalizer_holds_it(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        admin.secret(where, "a", {"x": "1"}, metadata={"finalizers": ["confsync.dev/hold"]})

        going = admin.delete("secrets", where, "a")
        changed = admin.edit("secrets", where, "a", {"metadata": {"labels": {"x": "y"}}})
        more = {"metadata": {"finalizers": ["confsync.dev/hold", "confsync.dev/more"]}}
        refused = admin.call("PATCH", path_of("secrets", where, "a"), more, content_type=MERGE)
        admin.edit("secrets", where, "a", {"metadata": {"finalizers": None}})

        assert going["metadata"]["deletionTimestamp"] == changed["metadata"]["deletionTimestamp"]
        assert (refused[0], refused[1]["details"]["causes"][0]["field"]) == (422, "metadata.finalizers")
        assert admin.find("secrets", where, "a") is None


class TestNamespaces:
    def test_a_new_one_is_not_quite_empty(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace

        assert eventually(lambda: admin.find("configmaps", where, "kube-root-ca.crt"), 60)
        assert eventually(lambda: admin.find("serviceaccounts", where, "default"), 60)

    def test_one_that_goes_takes_everything_with_it(self, cluster: Cluster) -> None:
        admin = cluster.admin
        where = admin.namespace()
        admin.secret(where, "held", {}, metadata={"finalizers": ["confsync.dev/hold"]})
        admin.secret(where, "free", {})

        going = admin.delete("namespaces", "", where)
        assert eventually(lambda: admin.find("secrets", where, "free") is None, 60)
        refused = admin.apply("secrets", where, secret("late"), "one")
        admin.edit("secrets", where, "held", {"metadata": {"finalizers": None}})

        assert going["status"]["phase"] == "Terminating"
        assert told(refused)[0] == 403
        assert refused[1]["details"]["causes"][0]["reason"] == "NamespaceTerminating"
        assert eventually(lambda: admin.find("namespaces", "", where) is None, 60)

    def test_some_cannot_go(self, cluster: Cluster) -> None:
        answer = cluster.admin.call("DELETE", path_of("namespaces", "", "default"))

        text = 'namespaces "default" is forbidden: this namespace may not be deleted'
        assert told(answer) == (403, text)

    def test_labels_select_them(self, cluster: Cluster) -> None:
        admin = cluster.admin
        name = admin.namespace({"confsync.dev/test": admin.unique})

        found = admin.items("namespaces", selector=f"confsync.dev/test={admin.unique}")

        assert [item["metadata"]["name"] for item in found] == [name]
        assert found[0]["metadata"]["labels"]["kubernetes.io/metadata.name"] == name


class TestWorkloads:
    @pytest.mark.parametrize("resource", ["deployments", "statefulsets", "daemonsets"])
    def test_only_what_is_wanted_counts_as_a_generation(self, cluster: Cluster, resource: str) -> None:
        admin, where = cluster.admin, cluster.namespace
        admin.workload(resource, where, "web")
        annotated = {"spec": {"template": {"metadata": {"annotations": {"checksum": "1"}}}}}

        labelled = admin.edit(resource, where, "web", {"metadata": {"labels": {"a": "b"}}})
        rolled = admin.edit(resource, where, "web", annotated)
        again = admin.edit(resource, where, "web", annotated)

        generations = [thing["metadata"]["generation"] for thing in (labelled, rolled, again)]
        assert generations == [1, 2, 2]

    def test_an_annotation_of_the_template_has_its_own_manager(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        admin.workload("deployments", where, "web")
        annotated = {"template": {"metadata": {"annotations": {"checksum": "1"}}}}

        _, rolled = admin.apply(
            "deployments", where, {"metadata": {"name": "web"}, "spec": annotated}, "restarter"
        )
        _, back = admin.apply("deployments", where, {"metadata": {"name": "web"}}, "restarter")

        owned: dict[str, Any] = {
            "f:spec": {"f:template": {"f:metadata": {"f:annotations": {"f:checksum": {}}}}}
        }
        assert owners(rolled)["restarter"] == owned
        assert "annotations" not in back["spec"]["template"]["metadata"]
        assert back["spec"]["template"]["spec"]["containers"]

    def test_the_controller_says_what_it_has_seen(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        admin.workload("deployments", where, "web")

        def observed() -> Any:
            return admin.get("deployments", where, "web")["status"].get("observedGeneration")

        assert eventually(lambda: observed() == 1, 60)


class TestAccess:
    def test_a_user_may_do_what_was_granted(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        admin.secret(where, "mine", {})
        rule = {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": ["mine"],
            "verbs": ["get", "list"],
        }
        token = admin.service_account(where, "app", rule)
        path = path_of("secrets", where)

        def answers() -> list[int]:
            one = f"{path}?fieldSelector=metadata.name%3Dmine"
            return [
                admin.call("GET", p, token=token)[0] for p in (f"{path}/mine", f"{path}/other", one, path)
            ]

        assert eventually(lambda: answers() == [200, 403, 200, 403], 30)

    def test_what_is_missing_is_told(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        token = admin.service_account(where, "app")
        who = f'User "system:serviceaccount:{where}:app" cannot'

        listing = admin.call("GET", path_of("secrets", where), token=token)
        everywhere = admin.call("GET", "/api/v1/secrets", token=token)
        status = admin.call(
            "PATCH", f"{path_of('deployments', where, 'web')}/status", {}, content_type=MERGE, token=token
        )

        assert told(listing) == (
            403,
            f'secrets is forbidden: {who} list resource "secrets" in API group "" in the namespace "{where}"',
        )
        assert told(everywhere) == (
            403,
            f'secrets is forbidden: {who} list resource "secrets" in API group "" at the cluster scope',
        )
        assert told(status) == (
            403,
            (
                f'deployments.apps "web" is forbidden: {who} patch resource "deployments/status" in API group "apps" '
                f'in the namespace "{where}"'
            ),
        )

    def test_an_apply_that_creates_needs_the_verb_create(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        admin.apply("secrets", where, secret("there"), "one")
        rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["patch"]}
        token = admin.service_account(where, "app", rule)

        def apply(name: str) -> tuple[int, Any]:
            path = f"{path_of('secrets', where, name)}?fieldManager=one"
            return admin.call("PATCH", path, secret(name), content_type=APPLY, token=token)

        assert eventually(lambda: apply("there")[0] == 200, 30)
        status, body = apply("new")
        assert (status, body["reason"], body["message"]) == (403, "Forbidden", 'secrets "new" is forbidden: ')

    def test_may_i(self, cluster: Cluster) -> None:
        admin, where = cluster.admin, cluster.namespace
        rule = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"]}
        token = admin.service_account(where, "app", rule)

        def allowed(verb: str) -> Any:
            attributes = {"group": "apps", "resource": "deployments", "namespace": where, "verb": verb}
            body = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": attributes},
            }
            path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
            return admin.must("POST", path, body, token=token)["status"]["allowed"]

        assert eventually(lambda: allowed("patch"), 30)
        assert not allowed("delete")

    def test_a_token_says_whose_it_is(self, cluster: Cluster) -> None:
        token = cluster.admin.service_account(cluster.namespace, "app")

        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))

        assert claims["sub"] == f"system:serviceaccount:{cluster.namespace}:app"
        assert claims["exp"] > claims["iat"]

    def test_a_token_of_nobody(self, cluster: Cluster) -> None:
        answer = cluster.admin.call("GET", "/api/v1/namespaces", token="nobody's")

        assert told(answer) == (401, "Unauthorized")


def test_clean_up_leaves_nothing(cluster: Cluster) -> None:
    admin = KubeAdmin(cluster.kubeconfig)
    where = admin.namespace()
    admin.service_account(
        where, "app", {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}, cluster=True
    )

    admin.clean_up()

    assert eventually(lambda: admin.find("namespaces", "", where) is None, 60)
    for resource in ("clusterroles", "clusterrolebindings"):
        assert admin.unique not in str([item["metadata"]["name"] for item in admin.items(resource)])


def test_pages_beside_the_resources(cluster: Cluster) -> None:
    admin = cluster.admin

    assert admin.call("GET", "/livez", token="") == (200, "ok")
    assert admin.must("GET", "/version", token="")["major"] == "1"
    assert "v1" in admin.must("GET", "/api")["versions"]
    assert "secrets" in {found["name"] for found in admin.must("GET", "/api/v1")["resources"]}
    assert "apps" in {group["name"] for group in admin.must("GET", "/apis")["groups"]}
    assert admin.call("GET", "/nowhere") == (404, "404 page not found\n")
