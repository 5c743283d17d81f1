"""Copies in every namespace that a selector selects, as namespaces come, go and are labelled."""

from __future__ import annotations

import pytest
from stand_ins.clustered import PASSWORD, data

from confsync.testing.waiting import eventually

READ = {"PASSWORD": "values:db/password"}
HELD = {"PASSWORD": PASSWORD}


@pytest.fixture
def label(clustered):
    """Two namespaces that have it; only what the watch tells is done."""
    label = {"team": clustered.admin.unique}
    first, second = (clustered.admin.namespace(label) for _ in range(2))
    clustered.configure({"app": data(READ, clustered.secret(namespace={"labels": label}))}, interval="1h")
    with clustered.daemon() as daemon:
        for namespace in (first, second):
            clustered.wait_held(HELD, namespace=namespace)
        yield label, daemon


def set_label(clustered, namespace, value):
    clustered.admin.edit("namespaces", "", namespace, {"metadata": {"labels": {"team": value}}})


def copies(clustered, label):
    """Namespace -> what its copy holds; None where there is no copy."""
    selector = ",".join(f"{name}={value}" for name, value in label.items())
    found = (thing["metadata"]["name"] for thing in clustered.admin.items("namespaces", "", selector))
    return {namespace: clustered.held(namespace=namespace) for namespace in found}


def test_a_namespace_that_appears_or_is_labelled_gets_its_copy_and_loses_it_with_the_label(clustered, label):
    label, daemon = label
    late = clustered.admin.namespace(label)
    clustered.wait_held(HELD, namespace=late)
    unlabelled = clustered.admin.namespace()
    set_label(clustered, unlabelled, label["team"])
    clustered.wait_held(HELD, namespace=unlabelled)

    set_label(clustered, unlabelled, "others")

    clustered.wait_held(None, namespace=unlabelled)
    assert copies(clustered, label) == dict.fromkeys(copies(clustered, label), HELD)
    clustered.values({"db": {"password": "pw2"}})
    for namespace in copies(clustered, label):
        clustered.wait_held({"PASSWORD": "pw2"}, namespace=namespace)
    daemon.wait_log("target deleted", target=unlabelled)


def test_a_namespace_that_is_deleted_takes_its_copy_along_and_is_no_trouble(clustered, label):
    first, second = copies(clustered, label[0])

    clustered.admin.delete("namespaces", "", first)

    eventually(lambda: clustered.admin.find("namespaces", "", first) is None)
    clustered.values({"db": {"password": "pw2"}})
    clustered.wait_held({"PASSWORD": "pw2"}, namespace=second)
    clustered.wait_state("app", "ok")


def test_copies_are_held_when_most_namespaces_lose_the_label_at_once(clustered, label):
    label, daemon = label
    more = [clustered.admin.namespace(label) for _ in range(3)]
    for namespace in more:
        clustered.wait_held(HELD, namespace=namespace)
    all_of_them = list(copies(clustered, label))
    daemon.stop()

    for namespace in all_of_them:
        set_label(clustered, namespace, "others")
    with clustered.daemon():
        clustered.wait_state(
            "app", "held", detail="5 of the 5 targets of sync 'app' would be deleted at once"
        )
        assert [clustered.held(namespace=namespace) for namespace in all_of_them] == [HELD] * 5

        for namespace in all_of_them[:4]:
            set_label(clustered, namespace, label["team"])

        clustered.wait_held(None, namespace=all_of_them[4])
        for namespace in all_of_them[:4]:
            clustered.wait_held(HELD, namespace=namespace)
        clustered.wait_state("app", "ok")
