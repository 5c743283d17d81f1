"""Why a result differs, and what a saved plan accepts."""

from __future__ import annotations

import json

import pytest

from confsync.errors import PlanRefused
from confsync.plan.change import Action, Change
from confsync.plan.reasons import reasons
from confsync.plan.saved import dump, verify
from confsync.reads import KeyRead, PathRead, Reads

HOST = PathRead("etcd", "db/host")


def reads(digest="d1", revision=1, prefix="/prod", **more):
    return Reads(keys={HOST: KeyRead(prefix, revision, digest, 0.0)}, **more)


CASES = [
    (None, reads(), False, ["first time"]),
    (reads(), reads(), False, []),
    (reads(), reads(revision=9), False, []),
    (reads(), reads("d2", 9), False, ["etcd:/prod/db/host changed (revision 1 → 9)"]),
    (reads(), reads(prefix="/c"), False, ["etcd:/prod/db/host is found under /c now (revision 1)"]),
    (reads(), reads("d2", prefix="/c"), False, ["etcd:/prod/db/host is found under /c now (revision 1)"]),
    (reads(), reads("d2", prefix=""), False, ["etcd:/prod/db/host is found under the root now (revision 1)"]),
    (reads(prefix=""), reads(), False, ["etcd:db/host is found under /prod now (revision 1)"]),
    (Reads(missed=frozenset({HOST})), reads(), False, ["etcd:/prod/db/host is new (revision 1)"]),
    (Reads(), reads(), False, ["etcd:/prod/db/host is read now (revision 1)"]),
    (reads(), Reads(missed=frozenset({HOST})), False, ["etcd:/prod/db/host is gone (was revision 1)"]),
    (reads(), Reads(), False, ["etcd:/prod/db/host is not read any more (was revision 1)"]),
    (reads(templates={"a": "1"}), reads(templates={"a": "2"}), False, ["template a changed"]),
    (reads(), reads(templates={"a": "2"}), False, ["template a is used now"]),
    (reads(), reads(), True, ["its definition changed"]),
]


@pytest.mark.parametrize(("before", "after", "spec", "expected"), CASES)
def test_each_cause_has_its_phrase(before, after, spec, expected):
    assert list(reasons(before, after, spec_changed=spec)) == expected


def change(**more):
    facts = {
        "sync": "app", "target": "file:/x", "action": Action.UPDATE, "drift": False, "sensitive": False,
        "before": "1", "after": "2", "attributes": {"mode": "0644"},
    }  # fmt: skip
    return Change(**{**facts, **more})


def test_a_saved_plan_accepts_the_same_changes_in_any_order():
    one, two = change(), change(target="file:/y")
    verify(dump([one, two], key_fingerprint="k"), [two, one], key_fingerprint="k")


def test_reasons_and_diffs_do_not_matter_to_a_saved_plan():
    verify(dump([change()], key_fingerprint="k"), [change(reasons=("x",), diff=("y",))], key_fingerprint="k")


@pytest.mark.parametrize(
    "moved",
    [
        [],
        [change(before="9")],
        [change(after="9")],
        [change(action=Action.CREATE)],
        [change(attributes={"mode": "0600"})],
        [change(sync="other")],
        [change(target="file:/y")],
        [change(), change(target="file:/y")],
    ],
)
def test_whatever_moved_refuses_a_saved_plan(moved):
    with pytest.raises(PlanRefused, match=r"the world has moved since .*file:/"):
        verify(dump([change()], key_fingerprint="k"), moved, key_fingerprint="k")


def test_a_plan_of_another_ledger_or_version_is_refused():
    text = dump([change()], key_fingerprint="k")
    with pytest.raises(PlanRefused, match="another state directory"):
        verify(text, [change()], key_fingerprint="other")
    newer = json.dumps({**json.loads(text), "format": "confsync-plan-9"})
    with pytest.raises(PlanRefused, match="version"):
        verify(newer, [change()], key_fingerprint="k")
