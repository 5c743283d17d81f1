"""What is applied is what is read back; whose it is; what is put back, and what is left when we withdraw."""

import json
import re

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stand_ins.kubernetes.fixtures import Cluster

from confsync.config.kubernetes import KubernetesConfigMapTarget, KubernetesSecretTarget, KubernetesTarget
from confsync.sinks.kubernetes import manifest
from confsync.sinks.kubernetes.manifest import OURS, Marks, Origin
from confsync.sinks.kubernetes.objects import KubeObject

SALT = "00112233445566778899aabbccddeeff"

KEYS = st.from_regex(r"[-._a-zA-Z0-9]{1,20}", fullmatch=True).filter(
    lambda key: key != "." and not key.startswith("..")
)
VALUES = st.binary(max_size=50) | st.text(max_size=30).map(lambda text: text.encode("utf-8", "replace"))
CONTENTS = st.dictionaries(KEYS, VALUES, max_size=5)

each_kind = pytest.mark.parametrize("model", [KubernetesSecretTarget, KubernetesConfigMapTarget])


def spec(
    model: type[KubernetesTarget], cluster: Cluster, name: str = "app", **fields: object
) -> KubernetesTarget:
    return model(cluster="prod", namespace=cluster.namespace, name=name, **fields)


def apply(cluster: Cluster, thing: dict, manager: str = "confsync", *, force: bool = False) -> KubeObject:
    plural = {"Secret": "secrets", "ConfigMap": "configmaps"}[thing["kind"]]
    status, answer = cluster.admin.apply(plural, cluster.namespace, thing, manager, force=force)
    assert status < 300, answer
    return KubeObject.parse(answer)


def desired(target: KubernetesTarget, content: dict[str, bytes]) -> dict:
    return manifest.desired_object(target, "shop", content, Origin.CREATED, manifest.checksum(content, SALT))


@each_kind
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=CONTENTS, then=CONTENTS)
def test_what_is_applied_is_what_is_read_back(
    model: type[KubernetesTarget], content: dict[str, bytes], then: dict[str, bytes], cluster: Cluster
) -> None:
    target = spec(model, cluster)
    for one in (content, then):
        found = apply(cluster, desired(target, one))
        assert manifest.content_of(found) == one
        assert manifest.owned_keys(found) == one.keys()
        assert manifest.attributes_of(found, target, one) == manifest.attributes_wanted(target, "shop")


def test_text_of_a_config_map_is_text_and_the_rest_is_binary(cluster: Cluster) -> None:
    content = {"text": "grüße".encode(), "nul": b"\0", "binary": b"\xff\0"}

    apply(cluster, desired(spec(KubernetesConfigMapTarget, cluster), content))

    found = cluster.admin.get("configmaps", cluster.namespace, "app")
    assert found["data"] == {"text": "grüße", "nul": "\0"}
    assert found["binaryData"] == {"binary": "/wA="}


def test_marks_are_read_back(cluster: Cluster) -> None:
    found = apply(cluster, desired(spec(KubernetesSecretTarget, cluster), {"a": b"1"}))
    marks = Marks.of(found)

    assert marks == Marks("shop", "created", manifest.checksum({"a": b"1"}, SALT), None, None)
    assert marks.created_for("shop")
    assert not marks.created_for("other")
    assert found.labels == {"app.kubernetes.io/managed-by": "confsync"}


@each_kind
def test_what_others_set_is_not_ours(model: type[KubernetesTarget], cluster: Cluster) -> None:
    target = spec(model, cluster, labels={"team": "shop"})
    mine = apply(cluster, desired(target, {"a": b"1"}))
    theirs = desired(spec(model, cluster), {"b": b"2"}) | {"metadata": {"name": "app", "labels": {"x": "y"}}}
    found = apply(cluster, theirs, "someone")

    assert manifest.content_of(found) == {"a": b"1"}
    assert manifest.content_of(found, ["b", "missing"]) == {"a": b"1", "b": b"2"}
    assert manifest.foreign_keys(mine) == {}
    assert manifest.foreign_keys(found) == {"b": "someone"}
    assert manifest.attributes_of(found, target) == manifest.attributes_wanted(target, "shop")
    assert manifest.attributes_of(found, target, ["b"])["managed by"] == "someone"


@pytest.mark.parametrize(
    ("edit", "changed"),
    [
        ({"metadata": {"labels": {"team": "other"}}}, {"managed by": "kubectl-edit", "label team": "other"}),
        ({"metadata": {"labels": {"team": None}}}, {"label team": None}),
        ({"metadata": {"labels": {manifest.MANAGED_BY: None}}}, {"marks": "changed"}),
        ({"metadata": {"annotations": {manifest.SYNC: "mine"}}}, {"sync": "mine", "marks": "changed"}),
        ({"metadata": {"annotations": {manifest.ORIGIN: None}}}, {"marks": "changed"}),
        ({"metadata": {"annotations": {manifest.CHECKSUM: "x.y"}}}, {"marks": "changed"}),
        (
            {"metadata": {"annotations": {"note": "theirs"}}},
            {"managed by": "kubectl-edit", "annotation note": "theirs"},
        ),
        ({"metadata": {"annotations": {"other": "theirs"}}}, {}),
    ],
)
def test_an_edit_of_what_is_ours_shows_in_the_attributes(edit: dict, changed: dict, cluster: Cluster) -> None:
    target = spec(KubernetesSecretTarget, cluster, labels={"team": "shop"}, annotations={"note": "ours"})
    apply(cluster, desired(target, {"a": b"1"}))
    found = KubeObject.parse(cluster.admin.edit("secrets", cluster.namespace, "app", edit))

    actual, wanted = manifest.attributes_of(found, target), manifest.attributes_wanted(target, "shop")
    assert {
        name: actual.get(name)
        for name in actual.keys() | wanted.keys()
        if actual.get(name) != wanted.get(name)
    } == changed


def test_a_mark_that_others_have_set_as_it_was_is_not_ours(cluster: Cluster) -> None:
    target = spec(KubernetesSecretTarget, cluster)
    apply(cluster, desired(target, {"a": b"1"}))
    for value in ("Helm", "confsync"):
        change = {"metadata": {"labels": {manifest.MANAGED_BY: value}}}
        edited = cluster.admin.edit("secrets", cluster.namespace, "app", change)

    assert manifest.attributes_of(KubeObject.parse(edited), target)["marks"] == "changed"


def test_a_label_that_left_the_spec_shows_until_it_is_gone(cluster: Cluster) -> None:
    before = spec(KubernetesSecretTarget, cluster, labels={"team": "shop"}, annotations={"note": "x"})
    after = spec(KubernetesSecretTarget, cluster)
    found = apply(cluster, desired(before, {"a": b"1"}))

    assert manifest.attributes_of(found, after)["label team"] == "shop"
    assert manifest.attributes_of(found, after)["annotation note"] == "x"

    found = apply(cluster, desired(after, {"a": b"1"}))
    assert manifest.attributes_of(found, after) == manifest.attributes_wanted(after, "shop")
    assert "team" not in found.labels


def test_the_type_has_its_full_name(cluster: Cluster) -> None:
    target = spec(KubernetesSecretTarget, cluster, type="tls")
    found = apply(cluster, desired(target, {"tls.crt": b"c", "tls.key": b"k"}))

    assert found.type == "kubernetes.io/tls"
    assert manifest.attributes_of(found, target)["type"] == "kubernetes.io/tls"
    assert manifest.attributes_wanted(target, "shop")["type"] == "kubernetes.io/tls"


@each_kind
def test_what_was_there_before_can_be_applied_again(model: type[KubernetesTarget], cluster: Cluster) -> None:
    target = spec(model, cluster, labels={"team": "a"})
    before = apply(cluster, desired(target, {"a": b"1", "b": b"\xff"}))
    content = {"a": b"2", "c": b"3"}
    thing = desired(spec(model, cluster, labels={"team": "b", "new": "x"}), content)
    apply(cluster, thing)

    back = apply(
        cluster, manifest.as_it_was(before, thing, content, manifest.resource_of(target)), force=True
    )

    assert (back.data, back.labels, back.annotations) == (before.data, before.labels, before.annotations)
    assert back.owners[OURS] == before.owners[OURS]


def test_what_was_taken_from_others_has_its_value_again(cluster: Cluster) -> None:
    target = spec(KubernetesSecretTarget, cluster)
    cluster.admin.secret(cluster.namespace, "app", {"a": "theirs", "b": "theirs"})
    before = KubeObject.parse(cluster.admin.get("secrets", cluster.namespace, "app"))
    content = {"a": b"ours", "c": b"new"}
    thing = desired(target, content)
    apply(cluster, thing, force=True)

    apply(cluster, manifest.as_it_was(before, thing, content, manifest.resource_of(target)), force=True)

    assert cluster.admin.data(cluster.namespace, "app") == {"a": "theirs", "b": "theirs"}


@each_kind
def test_withdrawing_leaves_what_others_set(model: type[KubernetesTarget], cluster: Cluster) -> None:
    target = spec(model, cluster, labels={"team": "shop"})
    theirs = desired(spec(model, cluster), {"b": b"2"}) | {"metadata": {"name": "app", "labels": {"x": "y"}}}
    apply(cluster, theirs, "someone")
    found = apply(cluster, desired(target, {"a": b"1"}))

    left = apply(cluster, manifest.withdrawn(found, manifest.resource_of(target)))

    assert left.data == {"b": b"2"}
    assert left.labels == {"x": "y"}
    assert left.annotations == {}
    assert OURS not in left.owners


def test_withdrawing_keeps_a_type_that_only_we_have_set(cluster: Cluster) -> None:
    target = spec(KubernetesSecretTarget, cluster, type="example.com/mine")
    found = apply(cluster, desired(target, {"a": b"1"}))

    left = apply(cluster, manifest.withdrawn(found, manifest.resource_of(target)))

    assert (left.type, left.data, left.labels) == ("example.com/mine", {}, {})


def test_withdrawing_from_what_is_immutable_leaves_its_content(cluster: Cluster) -> None:
    target = spec(KubernetesSecretTarget, cluster, name="app-0123456789", immutable=True)
    found = apply(cluster, desired(target, {"a": b"1"}))

    left = apply(cluster, manifest.withdrawn(found, manifest.resource_of(target)))

    assert (left.data, left.immutable, left.labels, left.annotations) == ({"a": b"1"}, True, {}, {})


def test_an_immutable_object_says_its_base_name(cluster: Cluster) -> None:
    target = spec(KubernetesSecretTarget, cluster, name="app-0123456789", immutable=True)
    found = apply(cluster, desired(target, {"a": b"1"}))

    assert Marks.of(found).base_name == "app"
    assert found.immutable
    assert manifest.attributes_of(found, target) == manifest.attributes_wanted(target, "shop")


def test_a_key_that_the_same_name_set_without_applying_is_not_ours(cluster: Cluster) -> None:
    target = spec(KubernetesSecretTarget, cluster)
    apply(cluster, desired(target, {"a": b"1"}))
    edited = cluster.admin.edit(
        "secrets", cluster.namespace, "app", {"data": {"a": "Mg=="}}, manager="confsync"
    )
    found = KubeObject.parse(edited)

    assert manifest.content_of(found) == {}
    assert manifest.attributes_of(found, target, ["a"])["managed by"] == "confsync (without applying)"


@given(
    st.text()
    | st.text(alphabet='"\\\x7f\x80\x85\x9f\xa0\u2028\u2029\ud7ff\ufeff\ufffd\ufffe\uffff🎉\U0010ffff\t\n\0')
)
def test_what_is_sent_is_the_same_as_json_and_as_yaml(text: str) -> None:
    thing = {"data": {"key": text}, "metadata": {"annotations": {"note": text + "x"}}}
    sent = manifest.encoded(thing)

    assert json.loads(sent) == thing
    assert yaml.load(sent, yaml.CSafeLoader) == thing


@given(CONTENTS, CONTENTS)
def test_a_checksum_tells_contents_apart(one: dict[str, bytes], other: dict[str, bytes]) -> None:
    same = manifest.checksum(one, SALT) == manifest.checksum(other, SALT)

    assert same == (one == other)
    assert re.fullmatch(rf"{SALT}\.[0-9a-f]{{64}}", manifest.checksum(one, SALT))
    assert manifest.checksum(one, manifest.new_salt()) != manifest.checksum(one, SALT)


@pytest.mark.parametrize("mark", ["", "x", "x.y", "0" * 31 + ".y", "0" * 33 + ".y", "é" * 32 + ".y"])
def test_a_salt_that_cannot_be_one_is_none(mark: str) -> None:
    found = KubeObject("app", "n", "u", "1", annotations={manifest.CHECKSUM: mark})

    assert manifest.salt_of(found) is None
    assert manifest.salt_of(None) is None
