"""Others who keep the same fields, another confsync that wants the same object, and what happens in between."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from stand_ins.kube_sinks import KubeSinks, marks, open_sinks, sinks
from stand_ins.kubernetes import ApiServer
from stand_ins.kubernetes.fixtures import Cluster

from confsync.errors import SinkError, TargetTaken
from confsync.plan.change import Action
from confsync.sinks.kubernetes.staged import StagedObject
from confsync.target import Desired

__all__ = ["open_sinks", "sinks"]

OURS = {"user": b"ours"}


@pytest.fixture
def other(open_sinks: Callable[..., KubeSinks]) -> KubeSinks:
    """Another confsync, with a ledger of its own."""
    return open_sinks(key=b"another")


def read(cluster: Cluster, name: str = "app") -> dict:
    return cluster.admin.get("secrets", cluster.namespace, name)


# Field managers


def test_a_key_that_others_keep_is_reported_and_not_touched(sinks: KubeSinks, cluster: Cluster) -> None:
    cluster.admin.secret(cluster.namespace, "app", {"user": "theirs", "extra": "x"})
    before = read(cluster)

    assert sinks.decide(sinks.secret(), OURS).action is Action.UPDATE
    with pytest.raises(SinkError) as caught:
        sinks.stage(sinks.secret(), OURS)

    assert "conflict: .data.user is kept by confsync-tests" in str(caught.value)
    assert "conflicts: take" in (caught.value.hint or "")
    with pytest.raises(SinkError, match=r"conflict: \.data\.user"):
        sinks.write(sinks.secret(), OURS, undoable=False)
    assert read(cluster) == before


def test_a_label_that_others_keep_is_reported(sinks: KubeSinks, cluster: Cluster) -> None:
    labels = {"app.kubernetes.io/managed-by": "Helm"}
    cluster.admin.secret(cluster.namespace, "app", {"user": "ours"}, metadata={"labels": labels})

    with pytest.raises(
        SinkError, match=r"\.metadata\.labels\.app\.kubernetes\.io/managed-by is kept by confsync-tests"
    ):
        sinks.stage(sinks.secret(), OURS)


def test_what_is_there_already_is_adopted_and_shared(sinks: KubeSinks, cluster: Cluster) -> None:
    cluster.admin.secret(cluster.namespace, "app", {"user": "ours", "extra": "x"})
    decision = sinks.decide(sinks.secret(), OURS)
    assert decision.action is Action.METADATA
    sinks.write(sinks.secret(), OURS)

    assert marks(read(cluster))["origin"] == "adopted"
    assert sinks.observe(sinks.secret()).created_for is None
    assert sinks.agrees(sinks.secret(), OURS)
    assert cluster.admin.data(cluster.namespace, "app") == {"user": "ours", "extra": "x"}

    with pytest.raises(SinkError, match=r"conflict: \.data\.user is kept by confsync-tests"):
        sinks.stage(sinks.secret(), {"user": b"new"})
    sinks.write(sinks.secret(), {**OURS, "added": b"1"})
    assert cluster.admin.data(cluster.namespace, "app") == {"user": "ours", "extra": "x", "added": "1"}


def test_what_others_keep_is_taken_where_that_is_said(sinks: KubeSinks, cluster: Cluster) -> None:
    cluster.admin.secret(cluster.namespace, "app", {"user": "theirs", "extra": "x"})
    spec = sinks.secret(conflicts="take")
    staged = sinks.write(spec, OURS)

    assert staged.notes == ("takes over from confsync-tests: user",)
    assert cluster.admin.data(cluster.namespace, "app") == {"user": "ours", "extra": "x"}
    assert marks(read(cluster))["origin"] == "adopted"
    assert sinks.agrees(spec, OURS)


def test_what_was_taken_is_given_its_value_again(sinks: KubeSinks, cluster: Cluster) -> None:
    cluster.admin.secret(cluster.namespace, "app", {"user": "theirs", "extra": "x"})
    staged = sinks.stage(sinks.secret(conflicts="take", labels={"team": "a"}), {**OURS, "new": b"1"})
    staged.commit()
    staged.rollback()
    staged.close()

    assert cluster.admin.data(cluster.namespace, "app") == {"user": "theirs", "extra": "x"}
    assert read(cluster)["metadata"].get("labels") is None
    assert marks(read(cluster)) == {}


def test_in_what_we_made_a_conflict_is_reported_where_that_is_said(
    sinks: KubeSinks, cluster: Cluster
) -> None:
    spec = sinks.secret(conflicts="report")
    sinks.write(spec, OURS)
    cluster.admin.edit("secrets", cluster.namespace, "app", {"data": {"user": "eA=="}})

    with pytest.raises(SinkError, match=r"\.data\.user is kept by kubectl-edit"):
        sinks.stage(spec, OURS, created=True)
    assert cluster.admin.data(cluster.namespace, "app") == {"user": "x"}


def test_what_we_made_is_healed_without_a_note(sinks: KubeSinks, cluster: Cluster) -> None:
    sinks.write(sinks.secret(), OURS)
    cluster.admin.edit("secrets", cluster.namespace, "app", {"data": {"user": "eA=="}})

    assert sinks.write(sinks.secret(), OURS).notes == ()
    assert cluster.admin.data(cluster.namespace, "app") == {"user": "ours"}


def test_the_ledger_knows_what_we_made_where_the_marks_are_gone(sinks: KubeSinks, cluster: Cluster) -> None:
    sinks.write(sinks.secret(), OURS)
    change = {"metadata": {"annotations": None, "labels": None}, "data": {"user": "eA=="}}
    cluster.admin.edit("secrets", cluster.namespace, "app", change)

    with pytest.raises(SinkError, match="conflict"):
        sinks.stage(sinks.secret(), OURS, created=False)
    sinks.write(sinks.secret(), OURS, created=True)
    assert marks(read(cluster))["origin"] == "created"
    assert sinks.agrees(sinks.secret(), OURS)


def test_what_somebody_made_anew_is_not_ours_whatever_the_ledger_says(
    sinks: KubeSinks, cluster: Cluster
) -> None:
    sinks.write(sinks.secret(), OURS)
    cluster.admin.delete("secrets", cluster.namespace, "app")
    cluster.admin.secret(cluster.namespace, "app", {"user": "theirs"})

    with pytest.raises(SinkError, match=r"conflict: \.data\.user is kept by confsync-tests"):
        sinks.stage(sinks.secret(), OURS, created=True)
    sinks.write(sinks.secret(), {"user": b"theirs"}, created=True)
    sinks.observe(sinks.secret())
    sinks.secrets.remove(sinks.secret())
    assert cluster.admin.data(cluster.namespace, "app") == {"user": "theirs"}


def test_a_rehearsal_goes_by_the_same_rule(sinks: KubeSinks, cluster: Cluster) -> None:
    sinks.write(sinks.secret(), OURS)
    cluster.admin.edit(
        "secrets", cluster.namespace, "app", {"metadata": {"annotations": None}, "data": {"user": "eA=="}}
    )
    before = read(cluster)
    desired = Desired(sinks.secret(), OURS, sensitive=True, sync="shop")
    sinks.later()

    sinks.secrets.rehearse(desired, created=True)
    with pytest.raises(SinkError, match="conflict"):
        sinks.secrets.rehearse(desired, created=False)
    assert read(cluster) == before


# Another confsync


def test_what_belongs_to_another_sync_is_left_and_both_say_so(
    sinks: KubeSinks, other: KubeSinks, cluster: Cluster
) -> None:
    sinks.write(sinks.secret(), OURS, "first")
    assert sinks.observe(sinks.secret()).claimed_by is None

    with pytest.raises(TargetTaken, match="it belongs to sync 'first' of another confsync"):
        other.stage(other.secret(), {"user": b"other"}, "second")

    assert cluster.admin.data(cluster.namespace, "app") == {"user": "ours"}
    assert sinks.observe(sinks.secret()).claimed_by == "second"
    assert sinks.agrees(sinks.secret(), OURS, "first")


def test_a_claim_is_noted_every_ten_minutes_and_told_for_an_hour(
    sinks: KubeSinks, other: KubeSinks, api_server: ApiServer
) -> None:
    def patches() -> int:
        return api_server.log.count("patch", "secrets")

    def claim() -> None:
        with pytest.raises(TargetTaken):
            other.stage(other.secret(), OURS, "second")

    sinks.write(sinks.secret(), OURS, "first")
    before = patches()
    claim()
    claim()
    assert patches() == before + 1

    other.clock.ahead += 600
    claim()
    assert patches() == before + 2

    sinks.clock.ahead = other.clock.ahead
    assert sinks.observe(sinks.secret()).claimed_by is not None
    sinks.clock.ahead += 3600
    assert sinks.observe(sinks.secret()).claimed_by is None


@pytest.mark.parametrize(
    "note", ["", "second", "second at", "second at noon", "second at 2999-01-01T00:00:00Z"]
)
def test_a_claim_that_cannot_be_read_is_none(note: str, sinks: KubeSinks, cluster: Cluster) -> None:
    sinks.write(sinks.secret(), OURS)
    cluster.admin.edit(
        "secrets", cluster.namespace, "app", {"metadata": {"annotations": {"confsync.dev/claimed-by": note}}}
    )

    assert sinks.observe(sinks.secret()).claimed_by is None


def test_a_rehearsal_leaves_no_claim(sinks: KubeSinks, other: KubeSinks, cluster: Cluster) -> None:
    sinks.write(sinks.secret(), OURS, "first")
    before = read(cluster)
    with pytest.raises(TargetTaken):
        other.secrets.rehearse(Desired(other.secret(), OURS, sensitive=True, sync="second"))

    assert read(cluster) == before


def test_a_claim_that_cannot_be_left_is_no_harm(
    sinks: KubeSinks, other: KubeSinks, api_server: ApiServer
) -> None:
    sinks.write(sinks.secret(), OURS, "first")
    api_server.faults.answer(403, "Forbidden", "no", verb="patch")

    with pytest.raises(TargetTaken, match="belongs to sync 'first'"):
        other.stage(other.secret(), OURS, "second")


def test_who_takes_over_claims_no_longer(sinks: KubeSinks, other: KubeSinks, cluster: Cluster) -> None:
    sinks.write(sinks.secret(), OURS, "first")
    with pytest.raises(TargetTaken):
        other.stage(other.secret(), OURS, "second")
    spec = other.secret(conflicts="take")
    other.write(spec, OURS, "second")

    assert other.observe(spec).claimed_by is None
    assert "claimed-by" not in marks(read(cluster))
    assert other.agrees(spec, OURS, "second")


def test_another_sync_takes_over_where_that_is_said(
    sinks: KubeSinks, other: KubeSinks, cluster: Cluster
) -> None:
    sinks.write(sinks.secret(), OURS, "first")
    spec = other.secret(conflicts="take")
    other.write(spec, {"user": b"other"}, "second")

    assert cluster.admin.data(cluster.namespace, "app") == {"user": "other"}
    assert other.agrees(spec, {"user": b"other"}, "second")
    for created in (True, False):
        with pytest.raises(TargetTaken, match="belongs to sync 'second'"):
            sinks.stage(sinks.secret(), OURS, "first", created=created)
    assert other.observe(spec).claimed_by == "first"


def test_a_sync_that_was_renamed_keeps_what_the_ledger_says_is_its(
    sinks: KubeSinks, cluster: Cluster
) -> None:
    sinks.write(sinks.secret(), OURS, "first")

    assert sinks.decide(sinks.secret(), OURS, "second").action is Action.METADATA
    sinks.write(sinks.secret(), OURS, "second", created=True, formerly="first")
    assert (marks(read(cluster))["sync"], marks(read(cluster))["origin"]) == ("second", "created")


def test_a_sync_that_was_renamed_keeps_what_it_adopted(sinks: KubeSinks, cluster: Cluster) -> None:
    cluster.admin.secret(cluster.namespace, "app", {"theirs": "x"})
    sinks.write(sinks.secret(), OURS, "first")

    sinks.write(sinks.secret(), OURS, "second", formerly="first")
    assert (marks(read(cluster))["sync"], marks(read(cluster))["origin"]) == ("second", "adopted")


def test_adopting_equal_values_tells_who_keeps_them_too(sinks: KubeSinks, cluster: Cluster) -> None:
    cluster.admin.secret(cluster.namespace, "app", {"user": OURS["user"].decode()})
    (remark,) = sinks.rehearse(sinks.secret(), OURS)
    assert remark.text.startswith("also kept by ")
    assert ": user; a change of them is a conflict, unless `conflicts: take` is set" in remark.text

    assert sinks.write(sinks.secret(), OURS).notes == (remark.text,)
    assert sinks.rehearse(sinks.secret(), OURS) == ()  # it was told


def test_rehearsing_tells_what_is_taken_from_whom(sinks: KubeSinks, cluster: Cluster) -> None:
    cluster.admin.secret(cluster.namespace, "app", {"user": "theirs"})
    (remark,) = sinks.rehearse(sinks.secret(conflicts="take"), OURS)
    assert remark.text.startswith("takes over from ")
    assert remark.text.endswith(": user")
    assert not remark.wrong


def test_two_confsyncs_with_one_name_do_not_fight_for_ever(
    sinks: KubeSinks, other: KubeSinks, cluster: Cluster
) -> None:
    """The same configuration with another environment, say: the marks are the same."""
    refused: dict[KubeSinks, str] = {}
    writes = 0
    for _ in range(10):
        for one, content in ((sinks, {"user": b"prod"}), (other, {"user": b"dev"})):
            if one.agrees(one.secret(), content):
                continue
            try:
                one.write(one.secret(), content, created=True)
                writes += 1
            except TargetTaken as exc:
                refused[one] = str(exc)

    assert writes <= 8
    assert "another confsync writes it too: it was overwritten 3 times in 10 minutes" in "".join(
        refused.values()
    )
    winner = sinks if other in refused else other
    assert winner.observe(winner.secret()).claimed_by == "shop"

    loser = other if other in refused else sinks
    loser.clock.ahead += 600
    loser.write(loser.secret(), {"user": b"again"}, created=True)
    assert cluster.admin.data(cluster.namespace, "app") == {"user": "again"}


def test_a_replica_that_leads_again_is_no_fight(sinks: KubeSinks, other: KubeSinks) -> None:
    for turn in range(8):
        content = {"user": str(turn).encode()}
        one = (sinks, other)[turn % 2]
        one.clock.ahead += 400
        one.write(one.secret(), content)
        assert one.agrees(one.secret(), content)


def test_a_person_who_edits_again_and_again_is_no_confsync(
    sinks: KubeSinks, other: KubeSinks, cluster: Cluster
) -> None:
    sinks.write(sinks.secret(), OURS)
    for turn in range(6):
        change = {"data": {"user": "eA=="}} if turn % 2 else {"metadata": {"annotations": None}}
        cluster.admin.edit("secrets", cluster.namespace, "app", change)
        sinks.write(sinks.secret(), OURS, created=True)
    assert sinks.agrees(sinks.secret(), OURS)

    other.write(other.secret(), {"user": b"other"})
    sinks.write(sinks.secret(), OURS, created=True)
    assert sinks.agrees(sinks.secret(), OURS)


# Between looking and writing


@pytest.mark.parametrize("theirs", ["confsync", "kubectl"])
@pytest.mark.parametrize("conflicts", ["take", "report"])
def test_what_somebody_made_meanwhile_is_not_touched(
    theirs: str, conflicts: str, sinks: KubeSinks, other: KubeSinks, cluster: Cluster
) -> None:
    staged = sinks.stage(sinks.secret(conflicts=conflicts), OURS)
    if theirs == "confsync":  # the same field manager: no conflict for the server
        other.write(other.secret(), {"theirs": b"x"}, "second")
    else:
        cluster.admin.secret(cluster.namespace, "app", {"theirs": "x"})
    before = read(cluster)

    with pytest.raises(SinkError, match="somebody made it meanwhile"):
        staged.commit()
    staged.rollback()
    staged.close()
    assert read(cluster) == before


def test_what_was_deleted_and_made_again_meanwhile_is_not_touched(sinks: KubeSinks, cluster: Cluster) -> None:
    sinks.write(sinks.secret(), OURS)
    staged = sinks.stage(sinks.secret(), {"user": b"new"})
    cluster.admin.delete("secrets", cluster.namespace, "app")
    cluster.admin.secret(cluster.namespace, "app", {"theirs": "x"})

    with pytest.raises(SinkError, match="somebody deleted it, or made it anew, meanwhile"):
        staged.commit()
    assert cluster.admin.data(cluster.namespace, "app") == {"theirs": "x"}

    assert sinks.observe(sinks.secret(), "user").content == {}
    sinks.write(sinks.secret(), OURS)
    assert cluster.admin.data(cluster.namespace, "app") == {"theirs": "x", "user": "ours"}


def test_what_turned_out_otherwise_is_looked_at_afresh(sinks: KubeSinks, cluster: Cluster) -> None:
    """At once: what was known of it is not believed for the rest of its ten seconds."""
    staged = sinks.stage(sinks.secret(), OURS)
    cluster.admin.secret(cluster.namespace, "app", {"theirs": "x"})
    with pytest.raises(SinkError, match="somebody made it meanwhile"):
        staged.commit()
    assert sinks.secrets.observe(sinks.secret(), ["theirs"]).content == {"theirs": b"x"}


def test_what_was_deleted_meanwhile_is_not_made_by_a_change(sinks: KubeSinks, cluster: Cluster) -> None:
    sinks.write(sinks.secret(), OURS)
    staged = sinks.stage(sinks.secret(), {"user": b"new"})
    cluster.admin.delete("secrets", cluster.namespace, "app")

    with pytest.raises(SinkError, match="somebody deleted it"):
        staged.commit()
    assert cluster.admin.find("secrets", cluster.namespace, "app") is None
    assert sinks.secrets.observe(sinks.secret()).content is None
    assert sinks.decide(sinks.secret(), OURS).action is Action.CREATE


def test_what_others_set_meanwhile_is_a_conflict(sinks: KubeSinks, cluster: Cluster) -> None:
    cluster.admin.secret(cluster.namespace, "app", {})
    staged = sinks.stage(sinks.secret(), OURS)
    cluster.admin.edit("secrets", cluster.namespace, "app", {"data": {"user": "eA=="}})

    with pytest.raises(SinkError, match=r"conflict: \.data\.user is kept by kubectl-edit"):
        staged.commit()
    assert cluster.admin.data(cluster.namespace, "app") == {"user": "x"}


def test_what_we_made_is_not_taken_back_where_others_are_in_it(sinks: KubeSinks, cluster: Cluster) -> None:
    staged = sinks.stage(sinks.secret(), OURS)
    staged.commit()
    cluster.admin.edit("secrets", cluster.namespace, "app", {"data": {"theirs": "eA=="}})

    with pytest.raises(SinkError, match="cannot be put back: somebody changed it meanwhile"):
        staged.rollback()
    assert cluster.admin.data(cluster.namespace, "app") == {"user": "ours", "theirs": "x"}


def test_an_object_that_lost_our_label_is_not_taken_for_what_was_just_made(
    sinks: KubeSinks, cluster: Cluster
) -> None:
    """It has our checksum: a salt outlives the object, so that a heal rolls nothing out."""
    sinks.write(sinks.secret(), OURS)
    sinks.sink(sinks.secret())._access(sinks.secret()).cache.forget("app")
    cluster.admin.edit("secrets", cluster.namespace, "app", {"metadata": {"labels": None}})
    order = replace(sinks.stage(sinks.secret(), OURS, created=True)._order, before=None)

    with pytest.raises(SinkError, match="somebody made it meanwhile"):
        StagedObject(order).commit()
    assert "labels" not in read(cluster)["metadata"]
    sinks.write(sinks.secret(), OURS, created=True)
    assert read(cluster)["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "confsync"}
