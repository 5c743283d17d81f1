"""Secrets that somebody edits, deletes, strips or replaces under a running daemon: healed at once, by the watch."""

from __future__ import annotations

import pytest
from stand_ins.clustered import PASSWORD, data
from stand_ins.kubernetes.admin import encoded, path_of

from confsync.testing.waiting import eventually

READ = {"PASSWORD": "values:db/password", "HOST": "values:db/host"}
HELD = {"PASSWORD": PASSWORD, "HOST": "db1"}
OURS = "app.kubernetes.io/managed-by"


def edit(change):
    return lambda workspace, name: workspace.admin.edit("secrets", workspace.namespace, name, change)


def delete(workspace, name):
    workspace.admin.delete("secrets", workspace.namespace, name)


def replace(workspace, name):
    """As `kubectl replace` does: a PUT of another object, without what it does not know."""
    thing = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": workspace.namespace},
        "data": encoded({"PASSWORD": "x", "more": "theirs"}),
    }  # fmt: skip
    workspace.admin.must("PUT", path_of("secrets", workspace.namespace, name), thing)


DRIFTS = {
    "edited": edit({"data": encoded({"PASSWORD": "x"})}),
    "emptied": edit({"data": None}),
    "deleted": delete,
    "replaced": replace,
    "label-taken-off": edit({"metadata": {"labels": {OURS: None}}}),
    "label-changed": edit({"metadata": {"labels": {OURS: "Helm"}}}),
    "annotations-taken-off": edit({"metadata": {"annotations": None}}),
    "our-label-changed": edit({"metadata": {"labels": {"team": "theirs"}}}),
}


@pytest.fixture
def kept(clustered):
    """A Secret for each drift, and one that nobody touches, under a daemon that only the watch tells of it."""
    names = [*DRIFTS, "same"]
    syncs = {name: data(READ, clustered.secret(name, labels={"team": "ours"})) for name in names}
    clustered.configure(syncs, interval="1h")
    with clustered.daemon() as daemon:
        for name in names:
            clustered.wait_held(HELD, name)
        yield daemon


def test_whatever_is_done_to_a_secret_by_hand_is_healed_at_once(clustered, kept):
    before = clustered.version("same")
    for name, act in DRIFTS.items():
        act(clustered, name)
    for name in DRIFTS:
        healed = {**HELD, "more": "theirs"} if name == "replaced" else HELD
        eventually(lambda name=name, healed=healed: is_ours(clustered, name, healed))
        kept.wait_log("target healed", sync=name)
    assert clustered.version("same") == before
    assert not kept.lines("target healed", sync="same")


def is_ours(workspace, name, held):
    """Whether a Secret is as it should be, marks included."""
    found = workspace.admin.find("secrets", workspace.namespace, name)
    assert found is not None
    assert workspace.held(name) == held
    assert found["metadata"].get("labels") == {"team": "ours", OURS: "confsync"}
    assert "annotations" in found["metadata"]
    assert workspace.marks(name).keys() == {"sync", "origin", "checksum"}
    return True


def test_a_key_that_somebody_adds_lives_on_and_wakes_nobody(clustered, kept):
    clustered.admin.edit("secrets", clustered.namespace, "same", {"data": encoded({"extra": "theirs"})})
    before = clustered.version("same")
    clustered.values({"db": {"host": "db2", "password": PASSWORD}})

    clustered.wait_held({"PASSWORD": PASSWORD, "HOST": "db2", "extra": "theirs"}, "same")

    assert clustered.version("same")[0] == before[0]
    assert not kept.lines("target healed", sync="same")
    clustered.configure({})
    kept.wait_log("removed syncs are not cleaned up")  # nine at once are many
    assert clustered.confsync("apply", "--allow-mass-delete").returncode == 0
    # The daemon cleans up, one object after the other.
    eventually(lambda: clustered.versions().keys() == {"same"})
    eventually(lambda: clustered.held("same") == {"extra": "theirs"})
