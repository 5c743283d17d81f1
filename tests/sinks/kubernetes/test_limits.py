"""Everything the server would refuse is refused before it is asked, by the name of its key; the rest is not."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stand_ins.kubernetes.fixtures import Cluster

from confsync.config.kubernetes import KubernetesConfigMapTarget, KubernetesSecretTarget, KubernetesTarget
from confsync.errors import SinkError
from confsync.sinks.kubernetes import limits, manifest
from confsync.sinks.kubernetes.manifest import Origin

TARGET = "kubernetes_secret:prod/shop/app"
TLS = {"tls.crt": b"c", "tls.key": b"k"}


def secret(**fields: object) -> KubernetesSecretTarget:
    """A placed target; `fields` are not validated, since what a template gives is not either."""
    base = KubernetesSecretTarget(cluster="prod", namespace="shop", name="app")
    return base.model_copy(update=fields)


def refusal(spec: KubernetesTarget, content: dict[str, bytes]) -> str:
    with pytest.raises(SinkError) as caught:
        limits.check(TARGET, spec, content)
    return str(caught.value)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"namespace": "a.b"}, "'a.b' cannot be a namespace"),
        ({"namespace": "x" * 64}, "cannot be a namespace"),
        ({"name": "Bad_Name"}, "'Bad_Name' cannot be an object's name"),
        ({"name": "../../x"}, "'../../x' cannot be an object's name"),
        ({"name": "a\nb"}, "cannot be an object's name"),
        ({"name": "x" * 254}, "cannot be an object's name"),
        ({"labels": {"a b": "x"}}, "'a b' cannot be a label's name"),
        ({"labels": {"a/b/c": "x"}}, "'a/b/c' cannot be a label's name"),
        ({"labels": {"/b": "x"}}, "'/b' cannot be a label's name"),
        ({"labels": {"team": "a b"}}, "label team: 'a b' cannot be a label's value"),
        ({"labels": {"team": "x" * 64}}, "label team: "),
        ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "is set by confsync itself"),
        ({"annotations": {"a b": "x"}}, "'a b' cannot be an annotation's name"),
        ({"annotations": {"confsync.dev/sync": "x"}}, "confsync.dev/sync is confsync's own"),
        ({"annotations": {"a": "\ud800"}}, "annotation a: its value is no text"),
        ({"annotations": {"a": "x" * 262144}}, "262145 bytes; 262144 is the most"),
    ],
)  # fmt: skip
def test_a_place_or_mark_that_cannot_be_is_refused(fields: dict, told: str) -> None:
    message = refusal(secret(**fields), {})

    assert told in message
    assert message.startswith(TARGET + ": ")
    assert "\n" not in message


@pytest.mark.parametrize("key", ["", ".", "..", "..a", "a/b", "a b", "a\n", "é", "x" * 254])
def test_a_key_that_cannot_be_one_is_refused(key: str) -> None:
    assert "cannot be a key" in refusal(secret(), {key: b"value"})


@pytest.mark.parametrize("key", ["a", "a..b", ".a", "-", "A_b-c.d", "x" * 253])
def test_a_key_that_can_be_one_is_not(key: str) -> None:
    limits.check(TARGET, secret(), {key: b""})


def test_one_mebibyte_of_values_is_the_most() -> None:
    limits.check(TARGET, secret(), {"long-name": b"x" * (limits.MOST_CONTENT - 1), "b": b"y"})

    message = refusal(secret(), {"big": b"x" * limits.MOST_CONTENT, "small": b"y"})
    assert "1048577 bytes; 1048576 (1 MiB) is the most, and 'big' alone has 1048576" in message


@pytest.mark.parametrize(
    ("kind", "content", "told"),
    [
        ("tls", {"tls.crt": b"c"}, "needs the key tls.key"),
        ("kubernetes.io/tls", {}, "needs the key tls.crt; "),
        ("basic-auth", {"user": b"c"}, "needs the key username or password"),
        ("ssh-auth", {"ssh-privatekey": b""}, "needs the key ssh-privatekey"),
        ("dockerconfigjson", {}, "needs the key .dockerconfigjson"),
        ("dockerconfigjson", {".dockerconfigjson": b"nope"}, "key .dockerconfigjson is not JSON"),
        ("dockerconfigjson", {".dockerconfigjson": b"\xff\xfe"}, "key .dockerconfigjson is not JSON"),
        ("dockerconfigjson", {".dockerconfigjson": b"[]"}, "is not a JSON object"),
    ],
)
def test_a_type_that_lacks_its_keys_is_refused(kind: str, content: dict[str, bytes], told: str) -> None:
    assert told in refusal(secret(type=kind), content)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("Opaque", {}),
        ("tls", {"tls.crt": b"", "tls.key": b""}),
        ("basic-auth", {"password": b""}),
        ("ssh-auth", {"ssh-privatekey": b"k"}),
        ("dockerconfigjson", {".dockerconfigjson": b'{"auths": {}}'}),
        ("dockerconfigjson", {".dockerconfigjson": b"null"}),
        ("dockerconfigjson", {".dockerconfigjson": b'{"a":' * 100_000}),
        ("helm.sh/release.v1", {"release": b"x"}),
    ],
)
def test_a_type_that_has_its_keys_is_not(kind: str, content: dict[str, bytes]) -> None:
    limits.check(TARGET, secret(type=kind), content)


def test_no_value_is_told() -> None:
    value = b"s3cret-value"
    content = {"a/b": value, ".dockerconfigjson": value, "big": value * 100_000}

    assert "s3cret" not in refusal(secret(type="dockerconfigjson"), content)


def test_many_problems_are_told_in_one_line_and_not_without_end() -> None:
    message = refusal(secret(), {f"{number}/": b"" for number in range(100)})

    assert message.count("cannot be a key") == 5
    assert message.endswith("; and 95 more")
    assert len(message) < 2000


ANY_NAMES = st.text(alphabet="aZ0-._/ é", max_size=4) | st.sampled_from(
    ["x" * 63, "x" * 64, "x" * 253, "x" * 254]
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    label=st.tuples(ANY_NAMES, ANY_NAMES),
    annotation=ANY_NAMES,
    key=ANY_NAMES,
    kind=st.sampled_from(["Opaque", "tls", "basic-auth", "ssh-auth", "dockerconfigjson", "any/thing"]),
    content=st.dictionaries(
        st.sampled_from([*TLS, "username", "ssh-privatekey", ".dockerconfigjson"]),
        st.sampled_from([b"", b"x", b"null", b"[]", json.dumps({"auths": {}}).encode()]),
    ),
)
def test_the_server_agrees(
    label: tuple[str, str], annotation: str, key: str, kind: str, content: dict[str, bytes], cluster: Cluster
) -> None:
    """What is refused here it refuses, and what is not it takes."""
    spec = secret(namespace=cluster.namespace, type=kind, labels=dict([label]), annotations={annotation: "x"})
    whole = content | ({key: b""} if key else {})
    thing = manifest.desired_object(spec, "shop", whole, Origin.CREATED, "x")
    status, answer = cluster.admin.apply("secrets", cluster.namespace, thing, "confsync")
    if status in (200, 201):
        cluster.admin.delete("secrets", cluster.namespace, "app")
        limits.check(TARGET, spec, whole)
    else:
        assert status == 422, answer
        refusal(spec, whole)


def test_a_config_map_has_the_same_limit() -> None:
    spec = KubernetesConfigMapTarget(cluster="prod", namespace="shop", name="app")

    assert "1 MiB" in refusal(spec, {"a": b"\xff" * (limits.MOST_CONTENT + 1)})
