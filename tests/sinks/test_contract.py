"""What every sink promises, whatever it writes to: files, directories, Secrets, ConfigMaps."""

import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from stand_ins.kube_sinks import KubeSinks, open_sinks
from stand_ins.kubernetes.fixtures import api_server, cluster

from confsync.config.models import DirectoryTarget, FileTarget
from confsync.errors import SinkError
from confsync.sinks import sink_for
from confsync.sinks.base import Sink, Staged
from confsync.target import Content, Desired, TargetSpec

__all__ = ["api_server", "cluster", "open_sinks"]

KINDS = ("file", "directory", "kubernetes_secret", "kubernetes_config_map")


@dataclass
class World:
    """A sink, a target of it, and a look at all that is there around the target, past the sink.

    Attributes:
        one, other: two contents.
        later: makes sure that what the sink remembers is not believed.
        refused: stages something that cannot be; raises what the sink does.
    """

    sink: Sink
    spec: TargetSpec
    one: Content
    other: Content
    look: Callable[[], Any]
    refused: Callable[[], object]
    later: Callable[[], None] = lambda: None
    opened: list[Staged] = field(default_factory=list)

    def stage(self, content: Content, **how: bool) -> Staged:
        self.later()
        staged = self.sink.stage(Desired(self.spec, content, sensitive=False, sync="shop"), **how)
        self.opened.append(staged)
        return staged

    def write(self, content: Content, **how: bool) -> None:
        staged = self.stage(content, **how)
        staged.commit()
        staged.close()

    def content(self) -> Content | None:
        self.later()
        wanted = () if isinstance(self.other, bytes) else self.other.keys()
        return self.sink.observe(self.spec, wanted).content

    def agrees(self, content: Content) -> bool:
        """Whether a plan would find nothing to do."""
        self.later()
        actual = self.sink.observe(self.spec, () if isinstance(content, bytes) else content.keys())
        wanted = self.sink.attributes(Desired(self.spec, content, sensitive=False, sync="shop"), actual)
        return actual.content == content and dict(actual.attributes) == dict(wanted)


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    world = (
        _on_disk(request.param, tmp_path) if not request.param.startswith("kube") else _in_cluster(request)
    )
    yield world
    for staged in world.opened:
        staged.close()


def _on_disk(kind: str, folder: Path) -> World:
    model, name = (FileTarget, "app.conf") if kind == "file" else (DirectoryTarget, "app")
    spec = model(path=str(folder / name))
    one: Content = b"one" if kind == "file" else {"a": b"1", "b": b"\xff"}
    other: Content = b"other" if kind == "file" else {"a": b"2", "c": b""}

    def refused() -> object:
        nowhere = model(path=str(folder / "missing" / name))
        return sink_for(nowhere).stage(Desired(nowhere, one, sensitive=False, sync="shop"))

    def look() -> list[tuple[str, bytes]]:
        """Every path, whatever a version's own name is, and what is read there."""
        return sorted(
            (re.sub(r"/\.\.[0-9][^/]*", "/version", str(path)), path.read_bytes() if path.is_file() else b"")
            for path in folder.rglob("*")
        )

    return World(sink_for(spec), spec, one, other, look, refused)


def _in_cluster(request: pytest.FixtureRequest) -> World:
    sinks: KubeSinks = request.getfixturevalue("open_sinks")()
    admin = request.getfixturevalue("cluster").admin
    spec = sinks.secret() if request.param == "kubernetes_secret" else sinks.config_map()
    plural = sinks.sink(spec).resource.plural

    def look() -> Any:
        things = copy.deepcopy(admin.items(plural, sinks.namespace))
        for thing in things:
            for name in ("resourceVersion", "managedFields"):
                del thing["metadata"][name]
        return [thing for thing in things if thing["metadata"]["name"] != "kube-root-ca.crt"]

    def refused() -> object:
        nowhere = spec.model_copy(update={"namespace": "nowhere"})
        return sinks.sink(nowhere).stage(Desired(nowhere, {"a": b"1"}, sensitive=False, sync="shop"))

    contents: tuple[Content, Content] = ({"a": b"1", "b": b"\xff"}, {"a": b"2", "c": b""})
    return World(sinks.sink(spec), spec, *contents, look, refused, sinks.later)


def test_what_was_committed_is_there(world: World) -> None:
    assert world.content() is None
    for content in (world.one, world.other, world.one):
        world.write(content)
        assert world.content() == content
        assert world.agrees(content)


@pytest.mark.parametrize("first", [True, False])
def test_nothing_is_seen_before_the_commit(first: bool, world: World) -> None:
    if not first:
        world.write(world.one)
    before = world.content()
    staged = world.stage(world.other)
    assert world.content() == before

    staged.close()
    assert world.content() == before


@pytest.mark.parametrize("first", [True, False])
def test_what_was_staged_and_closed_leaves_nothing(first: bool, world: World) -> None:
    if not first:
        world.write(world.one)
    before = world.look()
    staged = world.stage(world.other)
    _ = staged.path
    staged.close()

    assert world.look() == before


@pytest.mark.parametrize("first", [True, False])
def test_a_rollback_restores(first: bool, world: World) -> None:
    if not first:
        world.write(world.one)
    before = world.look()
    staged = world.stage(world.other)
    staged.commit()
    assert world.content() == world.other
    staged.rollback()
    staged.close()

    assert world.look() == before
    assert world.content() == (None if first else world.one)
    if not first:
        assert world.agrees(world.one)


def test_a_rollback_before_the_commit_and_a_second_one_do_nothing(world: World) -> None:
    world.write(world.one)
    staged = world.stage(world.other)
    staged.rollback()
    staged.commit()
    staged.rollback()
    staged.rollback()
    staged.close()

    assert world.content() == world.one


def test_closing_again_is_no_harm(world: World) -> None:
    staged = world.stage(world.one)
    _ = staged.path
    staged.commit()
    staged.close()
    staged.close()

    assert world.content() == world.one


def test_the_staged_content_can_be_looked_at(world: World) -> None:
    path = Path(world.stage(world.one).path)

    if isinstance(world.one, bytes):
        assert path.read_bytes() == world.one
    else:
        assert {name: (path / name).read_bytes() for name in world.one} == world.one


def test_removing_removes_and_again_is_no_harm(world: World) -> None:
    before = world.look()
    world.sink.remove(world.spec)
    world.write(world.one)
    assert world.content() == world.one
    world.sink.remove(world.spec)
    assert world.content() is None
    world.sink.remove(world.spec)

    assert world.look() == before


def test_what_cannot_be_staged_leaves_nothing(world: World) -> None:
    world.write(world.one)
    before = world.look()
    with pytest.raises(SinkError) as caught:
        world.refused()

    assert world.look() == before
    assert "\n" not in str(caught.value)


def test_a_place_names_the_target(world: World) -> None:
    (placed,) = world.sink.place(Desired(world.spec, world.one, sensitive=False, sync="shop"))

    assert world.sink.locate(placed.spec) == placed.spec.place
    assert placed.content == world.one


def test_sweeping_leaves_what_is_wanted(world: World) -> None:
    world.write(world.one)
    before = world.look()
    world.sink.sweep([world.spec])

    assert world.look() == before
    assert world.agrees(world.one)


def test_rehearsing_and_releasing_what_is_not_there_changes_nothing(world: World) -> None:
    before = world.look()
    world.sink.rehearse(Desired(world.spec, world.one, sensitive=False, sync="shop"))
    world.sink.release(world.spec)

    assert world.look() == before


def test_no_value_is_shown(world: World) -> None:
    secret = b"s3cret-value"
    content: Content = secret if isinstance(world.one, bytes) else {"a": secret}
    staged = world.stage(content)
    staged.commit()

    world.later()
    shown = repr(staged) + repr(world.sink.observe(world.spec)) + repr(Desired(world.spec, content, True))
    assert "s3cret" not in shown
