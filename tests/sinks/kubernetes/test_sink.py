"""A Secret or ConfigMap that confsync keeps: made, changed, healed; what others set in it lives on."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from stand_ins.kube_sinks import KubeSinks, marks, open_sinks, sinks
from stand_ins.kubernetes import ApiServer, Fault
from stand_ins.kubernetes.fixtures import Cluster
from stand_ins.kubernetes.request import Call

from confsync.config.kubernetes import KubernetesTarget
from confsync.errors import SinkError
from confsync.plan.change import Action
from confsync.sinks.kubernetes import private_files
from confsync.sinks.kubernetes.private_files import PrivateFiles
from confsync.target import Desired

__all__ = ["open_sinks", "sinks"]

each_kind = pytest.mark.parametrize("kind", ["secret", "config_map"])

CONTENT = {"user": b"me", "pass": b"s3cret"}


def spec_of(sinks: KubeSinks, kind: str, **fields: object) -> KubernetesTarget:
    return getattr(sinks, kind)(**fields)


@each_kind
def test_what_is_not_there_is_nothing(kind: str, sinks: KubeSinks) -> None:
    spec = spec_of(sinks, kind)

    assert sinks.observe(spec).content is None
    assert sinks.decide(spec, CONTENT).action is Action.CREATE


@each_kind
def test_what_was_written_agrees(kind: str, sinks: KubeSinks) -> None:
    spec = spec_of(sinks, kind, labels={"team": "shop"}, annotations={"note": "grüße 🎉"})
    sinks.write(spec, CONTENT)

    assert sinks.observe(spec).content == CONTENT
    assert sinks.agrees(spec, CONTENT)


def test_a_secret_as_the_cluster_has_it(sinks: KubeSinks, cluster: Cluster) -> None:
    sinks.write(sinks.secret(labels={"team": "shop"}, annotations={"note": "x"}), CONTENT)
    found = cluster.admin.get("secrets", cluster.namespace, "app")

    assert cluster.admin.data(cluster.namespace, "app") == {"user": "me", "pass": "s3cret"}
    assert found["type"] == "Opaque"
    assert "immutable" not in found
    assert found["metadata"]["labels"] == {"team": "shop", "app.kubernetes.io/managed-by": "confsync"}
    assert found["metadata"]["annotations"]["note"] == "x"
    assert marks(found).keys() == {"sync", "origin", "checksum"}
    assert (marks(found)["sync"], marks(found)["origin"]) == ("shop", "created")
    (entry,) = found["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("confsync", "Apply")


@pytest.mark.parametrize(
    ("kind", "content", "full"),
    [
        ("tls", {"tls.crt": b"c", "tls.key": b"k"}, "kubernetes.io/tls"),
        ("dockerconfigjson", {".dockerconfigjson": b"{}"}, "kubernetes.io/dockerconfigjson"),
        ("basic-auth", {"username": b"u", "password": b"p"}, "kubernetes.io/basic-auth"),
        ("ssh-auth", {"ssh-privatekey": b"k"}, "kubernetes.io/ssh-auth"),
        ("example.com/mine", {"a": b""}, "example.com/mine"),
    ],
)
def test_a_secret_has_its_type(
    kind: str, content: dict[str, bytes], full: str, sinks: KubeSinks, cluster: Cluster
) -> None:
    spec = sinks.secret(type=kind)
    sinks.write(spec, content)

    assert cluster.admin.get("secrets", cluster.namespace, "app")["type"] == full
    assert sinks.agrees(spec, content)


def test_a_confsync_without_its_ledger_knows_what_it_made(
    sinks: KubeSinks, open_sinks: Callable[..., KubeSinks]
) -> None:
    sinks.write(sinks.secret(), CONTENT)
    other = open_sinks(key=b"another")

    assert other.observe(other.secret()).created_for == "shop"
    assert other.decide(other.secret(), CONTENT).action is Action.ADOPT


@each_kind
def test_keys_are_changed_added_and_dropped(kind: str, sinks: KubeSinks) -> None:
    spec = spec_of(sinks, kind)
    sinks.write(spec, {"changed": b"1", "dropped": b"2", "to-binary": b"text", "to-text": b"\xff"})
    after = {"changed": b"2", "added": b"3", "to-binary": b"\xff", "to-text": b"text"}

    assert sinks.decide(spec, after).action is Action.UPDATE
    sinks.write(spec, after)
    assert sinks.observe(spec).content == after


@each_kind
def test_what_others_add_lives_on_and_does_not_count(kind: str, sinks: KubeSinks, cluster: Cluster) -> None:
    spec = spec_of(sinks, kind)
    plural, value = ("secrets", "eA==") if kind == "secret" else ("configmaps", "x")
    sinks.write(spec, CONTENT)
    cluster.admin.edit(
        plural, cluster.namespace, "app", {"data": {"extra": value}, "metadata": {"labels": {"theirs": "x"}}}
    )

    assert sinks.observe(spec).content == CONTENT
    assert sinks.agrees(spec, CONTENT)

    sinks.write(spec, {"user": b"you"})
    found = cluster.admin.get(plural, cluster.namespace, "app")
    assert found["data"].keys() == {"user", "extra"}
    assert found["metadata"]["labels"]["theirs"] == "x"


EDITS = {
    "a value": ({"data": {"pass": "eA=="}}, Action.UPDATE),
    "a key deleted": ({"data": {"pass": None}}, Action.UPDATE),
    "all deleted": ({"data": None}, Action.UPDATE),
    "a label": ({"metadata": {"labels": {"team": "theirs"}}}, Action.METADATA),
    "a label deleted": ({"metadata": {"labels": {"team": None}}}, Action.METADATA),
    "our label": ({"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}}, Action.METADATA),
    "all labels deleted": ({"metadata": {"labels": None}}, Action.METADATA),
    "the checksum": ({"metadata": {"annotations": {"confsync.dev/checksum": "x"}}}, Action.METADATA),
    "all annotations": ({"metadata": {"annotations": None}}, Action.METADATA),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edit_by_hand_is_drift_and_is_healed(
    edit: tuple[dict, Action], sinks: KubeSinks, cluster: Cluster
) -> None:
    change, action = edit
    spec = sinks.secret(labels={"team": "shop"}, annotations={"note": "x"})
    sinks.write(spec, CONTENT)
    before = cluster.admin.get("secrets", cluster.namespace, "app")
    cluster.admin.edit("secrets", cluster.namespace, "app", change)

    decision = sinks.decide(spec, CONTENT, known=sinks.known(spec, CONTENT))
    assert (decision.action, decision.drift) == (action, True)

    sinks.write(spec, CONTENT, created=True)
    assert sinks.agrees(spec, CONTENT)
    after = cluster.admin.get("secrets", cluster.namespace, "app")
    assert after["data"] == before["data"]
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert marks(after)["origin"] == "created"


def test_a_label_that_is_no_longer_wanted_goes(sinks: KubeSinks, cluster: Cluster) -> None:
    sinks.write(sinks.secret(labels={"team": "shop"}, annotations={"note": "x"}), CONTENT)
    spec = sinks.secret()

    assert sinks.decide(spec, CONTENT, known=sinks.known(spec, CONTENT)).action is Action.METADATA
    sinks.write(spec, CONTENT)

    assert sinks.agrees(spec, CONTENT)
    metadata = cluster.admin.get("secrets", cluster.namespace, "app")["metadata"]
    assert "team" not in metadata["labels"]
    assert "note" not in metadata["annotations"]


def test_writing_what_is_there_changes_nothing(sinks: KubeSinks, cluster: Cluster) -> None:
    sinks.write(sinks.secret(), CONTENT)
    before = cluster.admin.get("secrets", cluster.namespace, "app")
    sinks.write(sinks.secret(), CONTENT)

    assert cluster.admin.get("secrets", cluster.namespace, "app") == before


def test_the_salt_of_the_checksum_stays_with_the_object(sinks: KubeSinks, cluster: Cluster) -> None:
    def checksum() -> tuple[str, ...]:
        return tuple(marks(cluster.admin.get("secrets", cluster.namespace, "app"))["checksum"].split("."))

    sinks.write(sinks.secret(), {"a": b"1"})
    salt, digest = checksum()
    sinks.write(sinks.secret(), {"a": b"2"})
    assert checksum()[0] == salt
    assert checksum()[1] != digest

    cluster.admin.delete("secrets", cluster.namespace, "app")
    assert sinks.observe(sinks.secret()).content is None
    sinks.write(sinks.secret(), {"a": b"1"})
    assert checksum() == (salt, digest)


def test_the_checksum_is_that_of_the_content_however_it_came_about(
    sinks: KubeSinks, cluster: Cluster
) -> None:
    sinks.write(sinks.secret(), {"a": b"1", "b": b"2"})
    cluster.admin.edit("secrets", cluster.namespace, "app", {"data": {"b": None}})

    assert sinks.decide(sinks.secret(), {"a": b"1"}).action is Action.METADATA
    sinks.write(sinks.secret(), {"a": b"1"})
    assert sinks.agrees(sinks.secret(), {"a": b"1"})


def test_equal_contents_have_unlike_checksums(sinks: KubeSinks, cluster: Cluster) -> None:
    sinks.write(sinks.secret("one"), CONTENT)
    sinks.write(sinks.secret("two"), CONTENT)

    one, two = (
        marks(cluster.admin.get("secrets", cluster.namespace, name))["checksum"] for name in ("one", "two")
    )
    assert one.partition(".")[2] != two.partition(".")[2]


@pytest.mark.parametrize(("undoable", "patches"), [(True, 2), (False, 1)])
def test_what_may_be_undone_is_asked_for_first(
    undoable: bool, patches: int, sinks: KubeSinks, api_server: ApiServer
) -> None:
    sinks.write(sinks.secret(), CONTENT, undoable=undoable)

    asked = [request for request in api_server.log.all() if request.name == "app"]
    assert len(asked) == patches
    assert ["dryRun=All" in request.url for request in asked] == [True, False][-patches:]


def test_looking_at_many_asks_once(sinks: KubeSinks, api_server: ApiServer) -> None:
    for number in range(20):
        sinks.write(sinks.secret(f"s{number}"), CONTENT, undoable=False)
    sinks.later()
    before = len(api_server.log.all())
    for number in range(20):
        assert sinks.secrets.observe(sinks.secret(f"s{number}")).content == CONTENT

    assert len(api_server.log.all()) - before == 1


def test_what_is_going_away_is_waited_for(sinks: KubeSinks, cluster: Cluster) -> None:
    spec = sinks.secret()
    sinks.write(spec, CONTENT)
    cluster.admin.edit(
        "secrets", cluster.namespace, "app", {"metadata": {"finalizers": ["example.com/wait"]}}
    )
    cluster.admin.delete("secrets", cluster.namespace, "app")

    for act in (
        lambda: sinks.observe(spec),
        lambda: sinks.stage(spec, CONTENT),
        lambda: sinks.secrets.remove(spec),
    ):
        with pytest.raises(SinkError, match="being deleted, and waits for its finalizers"):
            act()

    cluster.admin.edit("secrets", cluster.namespace, "app", {"metadata": {"finalizers": None}})
    sinks.write(spec, CONTENT)
    assert sinks.agrees(spec, CONTENT)


def test_a_namespace_that_is_not_there_is_named(sinks: KubeSinks) -> None:
    with pytest.raises(SinkError, match=r"kubernetes_secret:prod/nowhere/app: .*namespace.*nowhere"):
        sinks.stage(sinks.secret(namespace="nowhere"), CONTENT)


def test_a_namespace_that_is_going_away_is_named(sinks: KubeSinks, cluster: Cluster) -> None:
    namespace = cluster.admin.namespace()
    cluster.admin.secret(namespace, "stays", {}, metadata={"finalizers": ["example.com/wait"]})
    cluster.admin.delete("namespaces", "", namespace)

    with pytest.raises(SinkError, match=f"namespace.*{namespace}.*(delet|terminat)"):
        sinks.stage(sinks.secret(namespace=namespace), CONTENT)
    cluster.admin.edit("secrets", namespace, "stays", {"metadata": {"finalizers": None}})


def test_a_type_cannot_change(sinks: KubeSinks) -> None:
    sinks.write(sinks.secret(), {"tls.crt": b"c", "tls.key": b"k"})
    spec = sinks.secret(type="tls")

    with pytest.raises(SinkError, match=r"its type is Opaque, not kubernetes.io/tls") as caught:
        sinks.decide(spec, {"tls.crt": b"c", "tls.key": b"k"})
    assert f"kubectl -n {sinks.namespace} delete secrets app" in (caught.value.hint or "")
    with pytest.raises(SinkError, match="type"):
        sinks.stage(spec, {"tls.crt": b"c", "tls.key": b"k"})


def test_what_is_immutable_cannot_change(sinks: KubeSinks, cluster: Cluster) -> None:
    cluster.admin.secret(cluster.namespace, "app", {"a": "1"}, immutable=True)

    with pytest.raises(SinkError, match="it is immutable") as caught:
        sinks.decide(sinks.secret(), {"a": b"2"})
    assert "delete" in (caught.value.hint or "")


def test_what_the_server_refuses_is_told_when_it_is_staged(sinks: KubeSinks, cluster: Cluster) -> None:
    cluster.admin.secret(cluster.namespace, "app", {"theirs": "x" * 700_000})

    with pytest.raises(SinkError, match=r"kubernetes_secret:.*: cannot be written: .*data") as caught:
        sinks.stage(sinks.secret(), {"ours": b"s3cret" * 100_000})
    assert "s3cret" not in str(caught.value)
    assert cluster.admin.data(cluster.namespace, "app").keys() == {"theirs"}


def test_rehearsing_asks_and_changes_nothing(sinks: KubeSinks, cluster: Cluster) -> None:
    desired = Desired(sinks.secret(), CONTENT, sensitive=True, sync="shop")
    sinks.secrets.rehearse(desired)

    assert cluster.admin.find("secrets", cluster.namespace, "app") is None
    with pytest.raises(SinkError, match="namespace"):
        sinks.secrets.rehearse(
            Desired(sinks.secret(namespace="nowhere"), CONTENT, sensitive=True, sync="shop")
        )


def test_a_cluster_that_is_down_is_an_error(
    open_sinks: Callable[..., KubeSinks], api_server: ApiServer
) -> None:
    sinks = open_sinks(timeout="300ms")
    api_server.stop()

    with pytest.raises(SinkError, match=r"kubernetes_secret:prod/.*/app: cannot be read: ") as caught:
        sinks.observe(sinks.secret())
    assert "\n" not in str(caught.value)


def test_an_answer_that_is_no_secret_is_an_error(sinks: KubeSinks, api_server: ApiServer) -> None:
    api_server.faults.no_json('{"kind": "Secret", "metadata": {}}', verb="patch")

    with pytest.raises(SinkError, match="cannot be written: the server sent what is no object"):
        sinks.write(sinks.secret(), CONTENT, undoable=False)


@pytest.mark.parametrize("processed", [True, False])
def test_an_answer_that_was_lost_does_no_harm(
    processed: bool, sinks: KubeSinks, api_server: ApiServer
) -> None:
    api_server.faults.drop(processed=processed, verb="patch")
    spec = sinks.secret()
    sinks.write(spec, CONTENT, undoable=False)

    assert sinks.agrees(spec, CONTENT)


def test_what_is_sent_is_yaml_as_the_server_reads_it(sinks: KubeSinks, api_server: ApiServer) -> None:
    """A real server reads an apply as YAML, always; the stand-in only what is no JSON."""
    sent: list[bytes] = []

    def note(call: Call) -> bool:
        sent.append(call.body)
        return False

    api_server.faults.add(Fault(verb="patch", when=note))
    text = "🎉 \x7f\x85\u2028\ufeff"
    sinks.write(sinks.config_map(annotations={"note": text}), {"a": text.encode()})

    assert len(sent) == 2
    for body in sent:
        read = yaml.load(body, yaml.CSafeLoader)
        assert read["data"] == {"a": text}
        assert read["metadata"]["annotations"]["note"] == text


def test_nothing_shows_a_value(sinks: KubeSinks) -> None:
    staged = sinks.stage(sinks.secret(), CONTENT)
    staged.commit()

    for thing in (staged, staged._order, staged._after, sinks.observe(sinks.secret())):
        assert "s3cret" not in repr(thing)
        assert "czNjcmV0" not in repr(thing)


# What a ConfigMap may hold, and what is no content at all


def test_a_config_map_is_no_place_for_what_is_sensitive(sinks: KubeSinks) -> None:
    with pytest.raises(SinkError, match="a ConfigMap is no place for one") as caught:
        sinks.place(sinks.config_map(), CONTENT, sensitive=True)
    assert caught.value.hint == "use kubernetes_secret"

    sinks.place(sinks.secret(), CONTENT, sensitive=True)


def test_a_nameless_file_has_no_key(sinks: KubeSinks) -> None:
    with pytest.raises(SinkError, match="one nameless file has no key"):
        sinks.secrets.place(Desired(sinks.secret(), b"x", sensitive=False, sync="shop"))


def test_what_the_server_would_refuse_is_not_placed(sinks: KubeSinks) -> None:
    with pytest.raises(SinkError, match=r"kubernetes_secret:prod/.*/app: 'a/b' cannot be a key"):
        sinks.place(sinks.secret(), {"a/b": b"s3cret"})
    with pytest.raises(SinkError, match="1 MiB"):
        sinks.place(sinks.secret(), {"a": b"x" * 1048577})


def test_a_place_is_its_identity(sinks: KubeSinks) -> None:
    assert sinks.secrets.locate(sinks.secret()) == f"prod/{sinks.namespace}/app"
    with pytest.raises(SinkError, match="cannot be an object's name"):
        sinks.secrets.locate(sinks.secret().model_copy(update={"name": "../x"}))


def test_a_sink_takes_only_its_own_kind(sinks: KubeSinks) -> None:
    with pytest.raises(TypeError):
        sinks.secrets.observe(sinks.config_map())
    with pytest.raises(TypeError):
        sinks.config_maps.observe(sinks.secret())


# What a check looks at


def test_a_check_finds_a_private_file_for_each_key(sinks: KubeSinks) -> None:
    staged = sinks.stage(sinks.secret(), {"app.ini": b"a=1", ".hidden": b"\xff"})
    folder = Path(staged.path)

    assert staged.path == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "app.ini": b"a=1",
        ".hidden": b"\xff",
    }
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}

    staged.close()
    assert not folder.exists()
    staged.close()


def test_files_are_made_only_where_they_are_asked_for(
    sinks: KubeSinks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    staged = sinks.stage(sinks.secret(), CONTENT)
    staged.close()
    assert list(tmp_path.iterdir()) == []

    staged = sinks.stage(sinks.secret(), CONTENT)
    assert Path(staged.path).parent == tmp_path
    staged.close()
    assert list(tmp_path.iterdir()) == []


def test_files_that_cannot_be_written_are_an_error(
    sinks: KubeSinks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    staged = sinks.stage(
        sinks.secret(), {"x" * 256: b"s3cret"} if os.geteuid() else {"a/b": b"s3cret"}, undoable=False
    )

    with pytest.raises(SinkError, match="cannot be written where a check could look at it") as caught:
        _ = staged.path
    assert "s3cret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_swept_away(
    sinks: KubeSinks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    script = (
        "import os, signal\n"
        "from confsync.sinks.kubernetes.private_files import PrivateFiles\n"
        "PrivateFiles({'a': b'1'})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script])
    assert done.returncode == -signal.SIGKILL
    in_use = PrivateFiles({"a": b"1"})
    other = tmp_path / "somebody-elses"
    other.mkdir()
    assert len(list(tmp_path.iterdir())) == 3

    sinks.secrets.sweep([sinks.secret()])

    assert set(tmp_path.iterdir()) == {Path(in_use.path), other}
    in_use.close()
    private_files.sweep()
    assert list(tmp_path.iterdir()) == [other]
