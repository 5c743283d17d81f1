"""An immutable target has an object for each content, named for it."""

import re
from collections.abc import Callable

import pytest
from stand_ins.kube_sinks import KubeSinks, marks, open_sinks, sinks
from stand_ins.kubernetes.fixtures import Cluster

from confsync.errors import SinkError
from confsync.plan.change import Action

__all__ = ["open_sinks", "sinks"]


def named(sinks: KubeSinks, content: dict[str, bytes], sync: str = "shop", **fields: object) -> str:
    """The name of the object for this content, by now."""
    sinks.later()
    (placed,) = sinks.place(sinks.secret(immutable=True, **fields), content, sync)
    return placed.spec.name


def write(sinks: KubeSinks, content: dict[str, bytes], **fields: object) -> str:
    sinks.later()
    (placed,) = sinks.place(sinks.secret(immutable=True, **fields), content)
    sinks.write(placed.spec, content)
    return placed.spec.name


def test_a_name_is_told_by_the_content(sinks: KubeSinks) -> None:
    name = named(sinks, {"a": b"1"})

    assert re.fullmatch(r"app-[0-9a-f]{10}", name)
    assert named(sinks, {"a": b"1"}) == name
    assert (
        len(
            {
                name,
                named(sinks, {"a": b"2"}),
                named(sinks, {"b": b"1"}),
                named(sinks, {"a": b"1"}, type="x/y"),
            }
        )
        == 4
    )


def test_a_name_tells_nothing_of_the_content_to_who_lacks_the_key(
    sinks: KubeSinks, open_sinks: Callable[..., KubeSinks]
) -> None:
    assert named(open_sinks(key=b"another"), {"a": b"1"}) != named(sinks, {"a": b"1"})


def test_each_content_has_its_object(sinks: KubeSinks, cluster: Cluster) -> None:
    one, two = write(sinks, {"a": b"1"}), write(sinks, {"a": b"2"})

    for name, value in ((one, "1"), (two, "2")):
        found = cluster.admin.get("secrets", cluster.namespace, name)
        assert found["immutable"] is True
        assert marks(found)["base-name"] == "app"
        assert cluster.admin.data(cluster.namespace, name) == {"a": value}
    assert sinks.agrees(sinks.secret(one, immutable=True), {"a": b"1"})
    assert sinks.agrees(sinks.secret(two, immutable=True), {"a": b"2"})


def test_without_the_ledger_an_object_keeps_its_name(
    sinks: KubeSinks, open_sinks: Callable[..., KubeSinks]
) -> None:
    name = write(sinks, {"a": b"1"})
    other = open_sinks(key=b"another")

    assert named(other, {"a": b"1"}) == name
    assert named(other, {"a": b"2"}) != named(sinks, {"a": b"2"})
    assert other.decide(other.secret(name, immutable=True), {"a": b"1"}).action is Action.ADOPT
    assert named(other, {"a": b"1"}, "another-sync") != name
    assert named(other, {"a": b"1"}, type="example.com/x") != name


def test_what_only_looks_the_same_keeps_nothing(
    sinks: KubeSinks, cluster: Cluster, open_sinks: Callable[..., KubeSinks]
) -> None:
    sinks.write(sinks.secret("app"), {"a": b"1"})
    sinks.write(sinks.secret("app-0123456789"), {"a": b"1"})

    assert named(open_sinks(key=b"another"), {"a": b"1"}) not in ("app", "app-0123456789")


def test_labels_can_change(sinks: KubeSinks, cluster: Cluster) -> None:
    name = write(sinks, {"a": b"1"}, labels={"team": "a"})
    spec = sinks.secret(name, immutable=True, labels={"team": "b"})

    assert sinks.decide(spec, {"a": b"1"}).action is Action.METADATA
    sinks.write(spec, {"a": b"1"})
    assert cluster.admin.get("secrets", cluster.namespace, name)["metadata"]["labels"]["team"] == "b"


def test_an_old_one_is_removed(sinks: KubeSinks, cluster: Cluster) -> None:
    name = write(sinks, {"a": b"1"})
    spec = sinks.secret(name, immutable=True)
    sinks.observe(spec)
    sinks.secrets.remove(spec)

    assert cluster.admin.find("secrets", cluster.namespace, name) is None


def test_what_somebody_put_at_the_name_cannot_become_it(sinks: KubeSinks, cluster: Cluster) -> None:
    name = named(sinks, {"a": b"1"})
    cluster.admin.secret(cluster.namespace, name, {"a": "theirs"}, immutable=True)

    with pytest.raises(SinkError, match="it is immutable, and holds something else"):
        sinks.decide(sinks.secret(name, immutable=True), {"a": b"1"})


def test_a_name_that_would_be_too_long_is_refused(sinks: KubeSinks) -> None:
    assert len(named(sinks, {"a": b"1"}, name="x" * 242)) == 253
    with pytest.raises(SinkError, match="cannot be an object's name"):
        named(sinks, {"a": b"1"}, name="x" * 243)


def test_a_config_map_too(sinks: KubeSinks, cluster: Cluster) -> None:
    (placed,) = sinks.place(sinks.config_map(immutable=True), {"a": b"1", "b": b"\xff"})
    sinks.write(placed.spec, {"a": b"1", "b": b"\xff"})

    assert cluster.admin.get("configmaps", cluster.namespace, placed.spec.name)["immutable"] is True
    assert sinks.agrees(placed.spec, {"a": b"1", "b": b"\xff"})


def test_a_new_one_is_taken_back(sinks: KubeSinks, cluster: Cluster) -> None:
    (placed,) = sinks.place(sinks.secret(immutable=True), {"a": b"1"})
    staged = sinks.stage(placed.spec, {"a": b"1"})
    staged.commit()
    staged.rollback()
    staged.close()

    assert cluster.admin.find("secrets", cluster.namespace, placed.spec.name) is None
