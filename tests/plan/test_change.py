"""The table of decisions, in full, and what follows from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confsync.plan.change import Action, Decision, Known, Print, decide, decide_removal

ATTRIBUTES = {"mode": "0644"}


def seen(digest, mode="0644"):
    return Print(digest, {"mode": mode})


def written(digest="a", created=True, intended=False):
    return Known(digest, created, intended, attributes=ATTRIBUTES)


TABLE = [
    # desired, actual, known -> action, drift
    (seen("a"), None, None, Action.CREATE, False),
    (seen("a"), seen("a"), None, Action.ADOPT, False),
    (seen("a"), seen("b"), None, Action.UPDATE, False),
    (seen("a"), seen("a", "0600"), None, Action.PERMISSIONS, False),
    (seen("a"), seen("a"), written("a"), Action.NONE, False),
    (seen("b"), seen("a"), written("a"), Action.UPDATE, False),
    (seen("a"), seen("x"), written("a"), Action.UPDATE, True),
    (seen("b"), seen("x"), written("a"), Action.UPDATE, True),
    (seen("a"), None, written("a"), Action.CREATE, True),
    (seen("b"), None, written("a"), Action.CREATE, True),
    (seen("a"), seen("a", "0600"), written("a"), Action.PERMISSIONS, True),
    (seen("a", "0600"), seen("a"), written("a"), Action.PERMISSIONS, False),
    (seen("x"), seen("x"), written("a"), Action.NONE, False),
    # A write that may not have been finished: the file may be old or new, and neither is drift.
    (seen("a"), seen("x"), written("a", intended=True), Action.UPDATE, False),
    (seen("a"), None, written("a", intended=True), Action.CREATE, False),
    (seen("a"), seen("a"), written("a", intended=True), Action.NONE, False),
    # The digest is not known: nobody can say whether it drifted.
    (seen("a"), seen("x"), written(None), Action.UPDATE, False),
    (seen("a"), None, written(None), Action.CREATE, False),
    (seen("a"), seen("a"), written(None), Action.NONE, False),
]


@pytest.mark.parametrize(("desired", "actual", "known", "action", "drift"), TABLE)
def test_the_table_of_writes(desired, actual, known, action, drift):
    assert decide(desired, actual, known) == Decision(action, drift)


REMOVALS = [
    (seen("a"), written("a"), Action.DELETE, False),
    (seen("a", "0600"), written("a"), Action.DELETE, False),
    (seen("x"), written("a"), Action.RELEASE, True),
    (None, written("a"), Action.RELEASE, True),
    (seen("a"), written("a", created=False), Action.RELEASE, False),
    (seen("x"), written("a", created=False), Action.RELEASE, True),
    (seen("a"), written(None), Action.RELEASE, False),
    (seen("a"), written("a", intended=True), Action.DELETE, False),
    (seen("x"), written("a", intended=True), Action.RELEASE, False),
    (None, written("a", intended=True), Action.RELEASE, False),
]


@pytest.mark.parametrize(("actual", "known", "action", "drift"), REMOVALS)
def test_the_table_of_removals(actual, known, action, drift):
    assert decide_removal(actual, known) == Decision(action, drift)


prints = st.builds(seen, st.sampled_from("abc"), st.sampled_from(["0600", "0644"]))
knowns = st.builds(Known, st.sampled_from(["a", "b", "c", None]), st.booleans(), st.booleans())


@given(prints, st.none() | prints, st.none() | knowns)
def test_after_it_was_applied_nothing_is_left_to_do(desired, actual, known):
    decision = decide(desired, actual, known)
    created = known.created if known else decision.action is Action.CREATE
    after = Known(desired.digest, created, False)
    assert decide(desired, desired, after) == Decision(Action.NONE)


@given(prints, st.none() | prints, st.none() | knowns)
def test_nothing_is_done_only_where_all_is_right(desired, actual, known):
    decision = decide(desired, actual, known)
    assert decision.action.is_change == (actual != desired)


@given(st.none() | prints, knowns)
def test_nothing_is_deleted_but_what_is_ours_and_as_we_left_it(actual, known):
    if decide_removal(actual, known).action is Action.DELETE:
        assert known.created
        assert actual is not None
        assert actual.digest == known.digest


@given(st.none() | prints, knowns, prints)
def test_what_was_adopted_is_never_deleted_later(actual, known, desired):
    adopted = Known(desired.digest, False, False)
    assert decide_removal(desired, adopted).action is Action.RELEASE


SHARED_REMOVALS = [
    (seen("a"), written("a"), Action.DELETE),
    (seen("x"), written("a"), Action.WITHDRAW),
    (seen("a"), written(None), Action.WITHDRAW),
    (None, written("a"), Action.RELEASE),
    (None, written("a", created=False), Action.RELEASE),
    (seen("a"), written("a", created=False), Action.WITHDRAW),
    (seen("x"), written("a", created=False), Action.WITHDRAW),
    (seen("x"), written(None, created=False), Action.WITHDRAW),
]


@pytest.mark.parametrize(("actual", "known", "action"), SHARED_REMOVALS)
def test_from_what_others_keep_only_what_is_ours_is_taken(actual, known, action):
    assert decide_removal(actual, known, shared=True).action is action
    assert Action.WITHDRAW.is_change
    assert Action.WITHDRAW.removes


def test_what_is_shared_has_metadata_and_no_permissions():
    shared = decide(seen("a"), seen("a", "0600"), written("a"), shared=True)
    assert shared == Decision(Action.METADATA, drift=True)
    assert Action.METADATA.is_change
    assert not Action.METADATA.writes_content
