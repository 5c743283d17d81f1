"""What is kept of an object: all that decides whose it is and what it holds."""

from __future__ import annotations

import base64
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confsync.sinks.kubernetes.objects import APPLY, Fields, KubeObject, Manager

RECORDINGS = Path(__file__).parents[2] / "stand_ins/kubernetes/recordings.jsonl"

METADATA = {"name": "app", "namespace": "shop", "uid": "u-1", "resourceVersion": "7"}

names = st.text(st.sampled_from("abz019-_."), min_size=1, max_size=8).filter(lambda name: name != ".")
owned = st.frozensets(names, max_size=4)
fields = st.builds(Fields, owned, owned, owned, st.frozensets(st.sampled_from(["type", "immutable"])))
managers = st.builds(Manager, names, st.sampled_from([APPLY, "Update"]))


def tree(found: Fields) -> dict[str, Any]:
    """As the server writes it."""
    metadata = {"f:labels": below(found.labels), "f:annotations": below(found.annotations)}
    return {"f:data": below(found.keys), "f:metadata": metadata, **{f"f:{name}": {} for name in found.others}}


def below(found: frozenset[str]) -> dict[str, Any]:
    return {".": {}} | {f"f:{name}": {} for name in found}


def entry(manager: Manager, found: Fields, **more: Any) -> dict[str, Any]:
    return {"manager": manager.name, "operation": manager.operation, "fieldsV1": tree(found), **more}


def secret(**more: Any) -> dict[str, Any]:
    return {"kind": "Secret", "apiVersion": "v1", "metadata": METADATA, "type": "Opaque", **more}


@given(st.dictionaries(names, st.binary(max_size=40)))
def test_a_secret_holds_bytes(data: dict[str, bytes]) -> None:
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}

    found = KubeObject.parse(secret(data=encoded))

    assert found.data == data
    assert [found.value(key) for key in data] == list(data.values())
    assert not found.binary


@given(st.dictionaries(names, st.text(max_size=20)), st.dictionaries(names, st.binary(max_size=20)))
def test_a_config_map_holds_text_and_bytes(text: dict[str, str], binary: dict[str, bytes]) -> None:
    data = {key: value for key, value in text.items() if key not in binary}
    encoded = {key: base64.b64encode(value).decode() for key, value in binary.items()}

    found = KubeObject.parse({"metadata": METADATA, "data": data, "binaryData": encoded}, "ConfigMap")

    assert found.data == {key: value.encode() for key, value in data.items()} | binary
    assert found.binary == set(binary)


@given(st.dictionaries(managers, fields, max_size=4))
def test_who_owns_what(owners: dict[Manager, Fields]) -> None:
    entries = [entry(manager, found) for manager, found in owners.items()]

    found = KubeObject.parse(secret(metadata={**METADATA, "managedFields": entries}))

    assert found.owners == owners


def test_a_manager_that_used_two_versions_of_the_api_owns_what_is_in_both_entries() -> None:
    entries = [
        entry(Manager("kubectl", "Update"), Fields(frozenset("a")), apiVersion="v1"),
        entry(Manager("kubectl", "Update"), Fields(frozenset("b")), apiVersion="v2"),
        entry(Manager("kubectl", APPLY), Fields(frozenset("c"))),
    ]

    found = KubeObject.parse(secret(metadata={**METADATA, "managedFields": entries}))

    assert found.owners == {
        Manager("kubectl", "Update"): Fields(frozenset("ab")),
        Manager("kubectl", APPLY): Fields(frozenset("c")),
    }


def test_fields_that_are_neither_keys_nor_labels_nor_annotations() -> None:
    managed = {
        "f:type": {},
        "f:immutable": {},
        "f:binaryData": {"f:b": {}},
        "f:metadata": {"f:finalizers": {".": {}, 'v:"x"': {}}, "f:labels": {"f:l": {}}},
    }
    entries = [{"manager": "m", "operation": "Update", "fieldsV1": managed, "time": "2026-01-01T00:00:00Z"}]

    found = KubeObject.parse(secret(metadata={**METADATA, "managedFields": entries}))

    assert found.owners[Manager("m", "Update")] == Fields(
        frozenset("b"), frozenset("l"), others=frozenset({"type", "immutable", "metadata.finalizers"})
    )


def test_what_is_empty_may_be_null_or_left_out() -> None:
    empty = {"labels": None, "annotations": None, "managedFields": None}

    full = KubeObject.parse({**secret(data=None), "metadata": {**METADATA, **empty}})
    bare = KubeObject.parse({"metadata": METADATA}, "Secret")

    assert full == KubeObject("app", "shop", "u-1", "7", type="Opaque")
    assert bare == KubeObject("app", "shop", "u-1", "7")
    assert KubeObject.parse(secret(data={"a": None, "b": ""})).data == {"a": b"", "b": b""}


def test_flags() -> None:
    found = KubeObject.parse(
        secret(immutable=True, metadata={**METADATA, "deletionTimestamp": "2026-01-01T00:00:00Z"})
    )

    assert (found.immutable, found.deleting) == (True, True)
    assert (KubeObject.parse(secret()).immutable, KubeObject.parse(secret()).deleting) == (False, False)


def test_its_repr_shows_no_value() -> None:
    metadata = {**METADATA, "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "hunter2"}}

    found = KubeObject.parse(secret(metadata=metadata, data={"password": "aHVudGVyMg=="}))

    assert found.value("password") == b"hunter2"
    assert "hunter2" not in repr(found)
    assert "app" in repr(found)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"metadata": METADATA},  # neither says its kind
        secret(metadata=None),
        secret(metadata={"name": "app"}),
        secret(metadata=[]),
        secret(data=["hunter2"]),
        secret(data={"a": 1}),
        secret(data={"a": "hunter2!"}),
        secret(data={"a": "hünter2"}),
        secret(binaryData={"a": "hunter2!"}),
        secret(metadata={**METADATA, "labels": "hunter2"}),
        secret(metadata={**METADATA, "managedFields": ["hunter2"]}),
        secret(metadata={**METADATA, "managedFields": [{"manager": "hunter2"}]}),
        {"kind": "ConfigMap", "metadata": METADATA, "data": {"a": 1}},
    ],
)
def test_what_is_no_object_is_refused_without_a_value(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\S") as caught:
        KubeObject.parse(broken)

    assert "hunter2" not in str(caught.value)
    assert "hünter2" not in str(caught.value)


def recorded() -> list[dict[str, Any]]:
    """Every Secret and ConfigMap the real server sent, in answers, lists and events."""
    found: list[dict[str, Any]] = []
    for line in RECORDINGS.read_text().splitlines():
        gather(json.loads(line)["response"]["body"], found)
    return found


def gather(body: Any, found: list[dict[str, Any]]) -> None:
    if isinstance(body, list):
        for one in body:
            gather(one, found)
    elif isinstance(body, dict) and "items" in body:
        kind = body["kind"].removesuffix("List")
        gather([{"kind": kind, **item} for item in body["items"] or ()], found)
    elif isinstance(body, dict) and "type" in body and "object" in body:
        gather(body["object"], found)
    elif isinstance(body, dict) and body.get("kind") in ("Secret", "ConfigMap"):
        found.append(body)


def test_everything_a_real_server_sent_can_be_read() -> None:
    things = recorded()
    assert len(things) > 20

    for thing in things:
        if "uid" not in thing["metadata"]:
            continue  # a bookmark
        found = KubeObject.parse(thing)
        metadata = thing["metadata"]
        assert (found.name, found.uid, found.resource_version) == (
            metadata["name"],
            metadata["uid"],
            metadata.get("resourceVersion", ""),
        )
        assert found.data.keys() == {**thing.get("data", {}), **thing.get("binaryData", {})}.keys()
        owned_keys = {key for fields in found.owners.values() for key in fields.keys}
        assert owned_keys <= found.data.keys() or not found.data


def test_a_thousand_secrets_of_ten_small_keys_take_a_few_megabytes() -> None:
    keys = [f"SETTING_{number}" for number in range(10)]
    manager = Manager("confsync", APPLY)
    labels = frozenset({"app.kubernetes.io/managed-by"})
    marks = frozenset(f"confsync.dev/{mark}" for mark in ("sync", "origin", "checksum"))
    managed = [entry(manager, Fields(frozenset(keys), labels, marks, frozenset({"type"})))]
    things = [
        json.dumps(
            secret(
                metadata={
                    "name": f"credentials-{number}",
                    "namespace": "shop",
                    "uid": f"2f8c2361-3b31-4ebd-8ee3-2f67483a{number:04}",
                    "resourceVersion": str(number),
                    "labels": dict.fromkeys(labels, "confsync"),
                    "annotations": dict.fromkeys(marks, f"a value of {number}"),
                    "managedFields": managed,
                },
                data={key: base64.b64encode(f"value {number} of {key}".encode()).decode() for key in keys},
            )
        )
        for number in range(1000)
    ]

    tracemalloc.start()
    try:
        kept = [KubeObject.parse(json.loads(thing)) for thing in things]
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert (len(kept), size // 1_000_000) <= (1000, 4), f"{size / len(kept):.0f} bytes each"
