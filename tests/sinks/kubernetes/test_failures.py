"""What a server's answer means, and what is told of it. The answers are recorded ones, or in their form."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from stand_ins import kubernetes as stand_in
from stand_ins.kubernetes.fixtures import Cluster

from confsync.errors import ConfsyncError, SinkError
from confsync.sinks.kubernetes.client import Client
from confsync.sinks.kubernetes.failures import (
    ApiFailure,
    Asked,
    Conflict,
    Forbidden,
    Gone,
    NamespaceTerminating,
    NotFound,
    Refused,
    Unauthorized,
    Unreachable,
    sink_error,
)
from confsync.sinks.kubernetes.resources import CONFIG_MAP, DEPLOYMENT, NAMESPACE, SECRET, Resource
from confsync.sinks.kubernetes.statuses import of_answer
from confsync.testing.waiting import eventually

RECORDINGS = Path(stand_in.__file__).with_name("recordings.jsonl")

ASKED = Asked("prod", "patch", SECRET, "demo", "app")
SECRET_VALUE = "hunter2-c2VjcmV0"


def recorded() -> dict[str, dict[str, Any]]:
    lines = RECORDINGS.read_text().splitlines()
    return {one["case"]: one for one in map(json.loads, lines)}


def status(code: int, message: str = "", reason: str = "", **details: Any) -> dict[str, Any]:
    return {"kind": "Status", "code": code, "message": message, "reason": reason, "details": details}


def failure_of(
    code: int, message: str = "", reason: str = "", asked: Asked = ASKED, **details: Any
) -> ApiFailure:
    return of_answer(asked, code, status(code, message, reason, **details))


class TestRecordedAnswers:
    @pytest.mark.parametrize(
        ("case", "kind", "why"),
        [
            ("create namespace again", Conflict, "409: it exists already"),
            ("get secret missing", NotFound, "404: it does not exist"),
            ("another manager conflicts", Conflict, "409: .data.user: set by 'confsync'"),
            ("apply over the drift without force", Conflict, "409: .data.user: set by 'kubectl-edit'"),
            ("list at a resourceVersion of the future", Unreachable, "504: the server failed"),
            ("immutable: change refused", Refused, "422: data: Forbidden: the field is immutable"),
            (
                "type of a secret cannot change",
                Refused,
                (
                    "422: type: Invalid value: the field is immutable; data[username]: Required value; "
                    "data[password]: Required value"
                ),
            ),
            ("tls secret lacking tls.key", Refused, "422: data[tls.key]: Required value"),
            ("dockerconfigjson not json", Refused, "422: data[.dockerconfigjson]: Invalid value"),
            (
                "name not a DNS subdomain",
                Refused,
                "422: metadata.name: Invalid value: must be a lowercase RFC 1123 subdomain",
            ),
            (
                "data key not allowed",
                Refused,
                "422: data[a/b]: Invalid value: a key may have letters, digits, '-', '_' and '.', and nothing else",
            ),
            ("secret over 1 MiB", Refused, "422: data: Too long: may not be more than 1048576 bytes"),
            (
                "data not base64",
                Refused,
                "500: the server cannot read what it was sent: a value is no base64",
            ),
            (
                "unknown field, strict",
                Refused,
                "500: the server cannot read what it was sent: it knows no field .dada",
            ),
            ("namespace that is not there", NotFound, "404: there is no namespace 'demo'"),
            ("no field manager", Refused, "422: fieldManager: Required value: is required for apply patch"),
            ("create that exists", Conflict, "409: it exists already"),
            ("update with a stale resourceVersion", Conflict, "409: it was changed meanwhile"),
            ("unauthorized", Unauthorized, "401: the server does not accept our credentials"),
            (
                "anonymous",
                Forbidden,
                "403: the server takes us for system:anonymous: it was sent no credentials that it knows",
            ),
            (
                "limited account: secret forbidden",
                Forbidden,
                "403: system:serviceaccount:demo:confsync may not patch secrets in namespace 'demo'",
            ),
            ("restart of a deployment that is not there", NotFound, "404: it does not exist"),
            ("lease update lost the race", Conflict, "409: it was changed meanwhile"),
            ("custom resource of an unknown kind", NotFound, "404: the server knows no secrets of v1"),
            (
                "delete secret with a uid that is not its own",
                Conflict,
                "409: it was deleted and created again meanwhile",
            ),
            (
                "apply into a namespace that is going away",
                NamespaceTerminating,
                "403: the namespace 'demo' is being deleted",
            ),
        ],
    )
    def test_each_is_told_in_its_class_and_words(self, case: str, kind: type[ApiFailure], why: str) -> None:
        answer = recorded()[case]["response"]

        failure = of_answer(ASKED, answer["status"], answer["body"])

        assert type(failure) is kind
        assert failure.why == why
        assert failure.status == answer["status"]
        assert str(failure).startswith(f"cluster 'prod': cannot patch Secret demo/app: {why}")

    def test_none_of_them_tells_a_value_that_was_sent(self) -> None:
        for one in recorded().values():
            answer = one["response"]
            if answer["status"] < 300:
                continue
            told = str(of_answer(ASKED, answer["status"], answer["body"]))
            for value in values_of(one["request"]["body"]):
                assert value not in told, one["case"]

    def test_a_watch_that_begins_too_early_is_gone(self) -> None:
        event = recorded()["watch: resourceVersion too old"]["response"]["body"][0]

        assert type(of_answer(ASKED, event["object"]["code"], event["object"])) is Gone

    def test_what_the_server_asks_to_wait_is_kept(self) -> None:
        answer = recorded()["list at a resourceVersion of the future"]["response"]

        assert of_answer(ASKED, 504, answer["body"]).retry_after == 1.0
        assert of_answer(ASKED, 504, answer["body"], retry_after=3.0).retry_after == 3.0


def values_of(body: Any) -> Iterator[str]:
    """What a Secret's data hold, as sent and as meant; of more than one letter, which is in every sentence."""
    for value in ((body or {}).get("data") or {}).values() if isinstance(body, dict) else ():
        yield value
        try:
            meant = base64.b64decode(value).decode()
        except ValueError:
            continue
        if len(meant) > 1:
            yield meant


class TestHostileAnswers:
    """Servers, webhooks and values that try to be shown."""

    @pytest.mark.parametrize(
        "message",
        [
            f'Invalid value: "{SECRET_VALUE}": must be good',
            f'Invalid value: "{SECRET_VALUE}": field is immutable {SECRET_VALUE}',
            f'Invalid value: "a\\": field is immutable {SECRET_VALUE}": bad',
            f'Invalid value: map[string]interface {{}}{{"a":"{SECRET_VALUE}"}}: field is immutable',
            f'Unsupported value: "{SECRET_VALUE}": supported values: "{SECRET_VALUE} "',
            f'Duplicate value: "{SECRET_VALUE}"',
            f"Required value: {SECRET_VALUE}",
            f"Forbidden: {SECRET_VALUE} may not be",
            f"Too long: may not be more than 5 bytes, and {SECRET_VALUE} is",
            SECRET_VALUE,
            f"{SECRET_VALUE}: Required value",
        ],
    )
    def test_a_value_in_a_cause_is_not_shown(self, message: str) -> None:
        failure = failure_of(
            422, message, "Invalid", causes=[{"field": "data[a]", "message": message, "reason": "X"}]
        )

        assert type(failure) is Refused
        assert "data[a]" in failure.why
        assert SECRET_VALUE not in str(failure)
        assert SECRET_VALUE not in str(failure.causes)

    @pytest.mark.parametrize("field", [SECRET_VALUE, f"the {SECRET_VALUE}", f"data{SECRET_VALUE}"])
    def test_nor_one_in_the_place_of_a_field(self, field: str) -> None:
        failure = failure_of(422, "", "Invalid", causes=[{"field": field, "message": "Required value"}])

        assert SECRET_VALUE not in str(failure)

    @pytest.mark.parametrize("code", [400, 403, 422])
    def test_a_webhook_that_refuses_is_named_and_not_quoted(self, code: int) -> None:
        message = f'admission webhook "check.example.com" denied the request: {SECRET_VALUE} is weak'

        failure = failure_of(code, message)

        assert type(failure) is Refused
        assert "the admission webhook 'check.example.com' refuses it" in failure.why
        assert SECRET_VALUE not in str(failure)

    def test_a_policy_too(self) -> None:
        message = f"ValidatingAdmissionPolicy 'strong' with binding 'all' denied request: {SECRET_VALUE}"

        failure = failure_of(422, message, "Invalid")

        assert type(failure) is Refused
        assert "the admission policy 'strong' refuses it" in failure.why
        assert SECRET_VALUE not in str(failure)

    def test_a_webhook_that_cannot_be_asked_is_tried_again(self) -> None:
        message = (
            f'Internal error occurred: failed calling webhook "inject.example.com": Post {SECRET_VALUE}: EOF'
        )

        failure = failure_of(500, message, "InternalError")

        assert type(failure) is Unreachable
        assert "cannot ask the admission webhook 'inject.example.com'" in failure.why
        assert SECRET_VALUE not in str(failure)

    def test_the_schema_s_errors_are_not_quoted(self) -> None:
        message = (
            "failed to create typed patch object (demo/app; /v1, Kind=Secret): .data.port: expected string, "
            f"got &value.valueUnstructured{{Value:{SECRET_VALUE}}}"
        )

        failure = failure_of(500, message)

        assert type(failure) is Refused
        assert SECRET_VALUE not in str(failure)

    def test_it_stays_one_line_whatever_a_name_holds(self) -> None:
        causes = [{"field": "data[a\n\x1b[31mb]", "message": 'conflict with "evil\n\x1b[2J"'}]
        asked = Asked("prod", "get", SECRET, "demo", "a\nb")

        failure = failure_of(409, "", "Conflict", asked=asked, causes=causes)

        assert str(failure).isprintable()

    def test_very_many_causes_are_counted(self) -> None:
        causes = [{"field": f"data[{number}]", "message": "Required value"} for number in range(1000)]

        failure = failure_of(422, "", "Invalid", causes=causes)

        assert failure.why.endswith("data[4]: Required value; and 995 more reasons")
        assert len(failure.causes) == 1000

    @pytest.mark.parametrize(
        "body",
        [
            None, "text", [], 5, {}, {"kind": "Status"}, {"kind": "Status", "details": []}, {"kind": "Pod"},
            {"kind": "Status", "details": {"causes": {}}}, {"kind": "Status", "details": {"causes": [None, 1]}},
            {"kind": "Status", "message": None, "reason": 5, "details": {"causes": [{"field": 5, "message": []}]}},
            {"kind": "Status", "details": {"retryAfterSeconds": "soon"}},
        ],
    )  # fmt: skip
    def test_an_answer_of_no_known_form_is_a_failure_all_the_same(self, body: object) -> None:
        for code in (302, 400, 401, 403, 404, 409, 410, 422, 429, 500, 503, 599):
            failure = of_answer(ASKED, code, body)

            assert isinstance(failure, ApiFailure)
            assert failure.status == code


class TestClasses:
    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            (301, Refused), (400, Refused), (401, Unauthorized), (403, Forbidden), (404, NotFound), (405, Refused),
            (409, Conflict), (410, Gone), (413, Refused), (415, Refused), (422, Refused), (429, Unreachable),
            (500, Unreachable), (502, Unreachable), (503, Unreachable), (504, Unreachable),
        ],
    )  # fmt: skip
    def test_each_status_has_one(self, code: int, kind: type[ApiFailure]) -> None:
        assert type(of_answer(ASKED, code, None)) is kind

    def test_all_are_errors_for_the_user(self) -> None:
        assert issubclass(ApiFailure, ConfsyncError)

    def test_what_is_missing_is_told_apart(self) -> None:
        gone = {"kind": "namespaces", "name": "demo"}
        cases = {
            "object": failure_of(404, "", "NotFound", kind="secrets", name="app"),
            "namespace": failure_of(404, "", "NotFound", **gone),
            "kind": of_answer(ASKED, 404, "404 page not found\n"),
        }

        assert {name: failure.missing for name, failure in cases.items()} == {name: name for name in cases}

    def test_a_namespace_that_was_itself_asked_for_is_an_object(self) -> None:
        failure = failure_of(
            404, asked=Asked("prod", "get", NAMESPACE, None, "demo"), kind="namespaces", name="demo"
        )

        assert failure.missing == "object"

    def test_plain_http_to_an_https_port_is_recognised(self) -> None:
        text = b"Client sent an HTTP request to an HTTPS server.\n"

        assert "https://" in of_answer(ASKED, 400, None, text=text).why

    def test_a_full_quota(self) -> None:
        message = 'secrets "app" is forbidden: exceeded quota: few, requested: secrets=1, used: secrets=3'

        failure = failure_of(403, message, "Forbidden")

        assert type(failure) is Refused
        assert "ResourceQuota 'few' is used up" in failure.why

    def test_the_owner_of_a_field_is_an_attribute(self) -> None:
        failure = failure_of(
            409,
            reason="Conflict",
            causes=[
                {
                    "field": ".data.user",
                    "message": 'conflict with "kubectl-edit" using v1',
                    "reason": "FieldManagerConflict",
                }
            ],
        )

        assert [(c.field, c.manager, c.reason) for c in failure.causes] == [
            (".data.user", "kubectl-edit", "FieldManagerConflict")
        ]

    def test_a_target_s_error_says_why_once_and_keeps_the_advice(self) -> None:
        failure = Forbidden(ASKED, "403: no", hint="ask for it")

        error = sink_error("kubernetes_secret:prod/demo/app", failure, "cannot be written")

        assert type(error) is SinkError
        assert str(error) == "kubernetes_secret:prod/demo/app: cannot be written: 403: no (ask for it)"


class TestRules:
    """The RBAC rule a 403 prints is the one that is missing: with it, what was denied is done."""

    @pytest.fixture
    def account(self, cluster: Cluster) -> str:
        """The token of one that may do nothing."""
        return cluster.admin.service_account(cluster.namespace, "confsync")

    @pytest.mark.parametrize("verb", ["get", "list", "create", "patch", "delete"])
    @pytest.mark.parametrize(("resource", "plural"), [(SECRET, "secrets"), (DEPLOYMENT, "deployments")])
    def test_what_is_denied_is_done_with_it(
        self,
        connect: Any,
        cluster: Cluster,
        tmp_path: Path,
        account: str,
        verb: str,
        resource: Resource,
        plural: str,
    ) -> None:
        client: Client = connect(cluster.admin.kubeconfig(tmp_path / "limited", token=account))
        denied = forbidden_to(client, verb, resource, cluster.namespace)
        wanted = f"system:serviceaccount:{cluster.namespace}:confsync may not {verb} {plural}"
        assert wanted in denied.why
        assert f"to a Role in namespace '{cluster.namespace}' bound to the ServiceAccount 'confsync'" in str(
            denied
        )

        cluster.admin.allow(cluster.namespace, "confsync", rule_in(denied))

        assert eventually(lambda: is_done(client, verb, resource, cluster.namespace))

    def test_in_the_whole_cluster_it_is_a_cluster_role(
        self, connect: Any, cluster: Cluster, tmp_path: Path, account: str
    ) -> None:
        client: Client = connect(cluster.admin.kubeconfig(tmp_path / "limited", token=account))
        with pytest.raises(Forbidden, match="may not list namespaces in the whole cluster") as denied:
            client.request("GET", NAMESPACE)
        assert "to a ClusterRole bound to" in str(denied.value)

        cluster.admin.allow(cluster.namespace, "confsync", rule_in(denied.value), cluster=True)

        assert eventually(lambda: is_done(client, "list", NAMESPACE, None))

    def test_an_apply_that_creates_says_that_it_needs_create(
        self, connect: Any, cluster: Cluster, tmp_path: Path, account: str
    ) -> None:
        rules = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]}
        cluster.admin.allow(cluster.namespace, "confsync", rules)
        client: Client = connect(cluster.admin.kubeconfig(tmp_path / "limited", token=account))
        denied = forbidden_to(client, "apply", CONFIG_MAP, cluster.namespace)
        assert "an apply that creates needs the verb create on configmaps" in denied.why

        cluster.admin.allow(cluster.namespace, "confsync", rule_in(denied))

        assert eventually(lambda: is_done(client, "apply", CONFIG_MAP, cluster.namespace))

    def test_also_where_the_server_names_no_verb(self) -> None:
        message = 'User "jane" cannot  resource "secrets" in API group "" in the namespace "demo"'

        assert rule_in(failure_of(403, message, "Forbidden"))["verbs"] == ["create"]

    def test_a_role_that_is_bound_and_does_not_exist(self) -> None:
        message = (
            'secrets "app" is forbidden: User "jane" cannot get resource "secrets" in API group "" in the namespace '
            '"demo": RBAC: role.rbac.authorization.k8s.io "writer" not found'
        )

        failure = failure_of(403, message, "Forbidden")

        assert "it is bound to the role 'writer', which does not exist" in failure.why
        assert "bound to the user 'jane'" in str(failure.hint)

    def test_where_the_server_does_not_say_it_is_what_was_asked_for(self) -> None:
        failure = failure_of(403, "no", "Forbidden", asked=Asked("prod", "watch", DEPLOYMENT, "demo"))

        assert rule_in(failure) == {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["watch"]}


def rule_in(failure: ApiFailure) -> dict[str, Any]:
    """The rule its advice has, as YAML."""
    hint = str(failure.hint)
    rule: dict[str, Any] = yaml.safe_load(hint[hint.index("{") : hint.index("}") + 1])
    return rule


def forbidden_to(client: Client, verb: str, resource: Resource, namespace: str) -> Forbidden:
    with pytest.raises(Forbidden) as denied:
        do(client, verb, resource, namespace)
    return denied.value


def is_done(client: Client, verb: str, resource: Resource, namespace: str | None) -> bool:
    """Whether it is no longer forbidden; a new rule takes a moment to count."""
    try:
        do(client, verb, resource, namespace)
    except Forbidden:
        return False
    except ApiFailure:
        return True  # it was looked at, and there is no such object
    return True


def do(client: Client, verb: str, resource: Resource, namespace: str | None) -> int:
    thing = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": "app"}}
    if verb == "apply":
        query = {"fieldManager": "confsync"}
        kind = "application/apply-patch+yaml"
        return client.request(
            "PATCH", resource, namespace, "app", query=query, body=thing, content_type=kind
        ).status
    method = {"get": "GET", "list": "GET", "create": "POST", "patch": "PATCH", "delete": "DELETE"}[verb]
    name = None if verb in ("list", "create") else "app"
    body = thing if verb in ("create", "patch") else None
    kind = "application/merge-patch+json" if verb == "patch" else "application/json"
    return client.request(method, resource, namespace, name, body=body, content_type=kind).status
