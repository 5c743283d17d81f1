"""The same promise, asked of the commands: no output, log, error or file but a target has a sensitive value in it."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from taint.strategies import TELLS_LITTLE, Case, Stores, cases, in_time, stores, tries

from confsync.cli.main import cli
from confsync.clock import SystemClock
from confsync.ledger.ledger import read_ledger
from confsync.ledger.records import State
from confsync.logs import JsonFormatter, TextFormatter
from confsync.testing.leaks import Leaks

CONFIG: dict[str, Any] = {
    "sources": {
        "vault": {"backend": "file", "path": "vault", "sensitive": True},
        "mixed": {"backend": "file", "path": "mixed", "sensitive": ["*/password"]},
        "values": {"backend": "file", "path": "values"},
    },
    "environments": {name: dict.fromkeys(("vault", "mixed", "values"), name) for name in ("dev", "prod")},
    "defaults": {"environment": "dev", "limits": {"time": "3s", "memory": "1MB"}},
    "mass_delete": {"percent": 100, "count": 1000},
}
PUBLIC = "nothing but text example undefined generator nosuch"
SHOW = {
    "shell": 'cat "$CONFSYNC_STAGED" "$CONFSYNC_STAGED"/* 2>&1; tr " =:" "\\n" < "$CONFSYNC_STAGED"; exit 1'
}
SHOW_TARGETS = {"shell": "cat out out/* o/* 2>&1; tr ' =:' '\\n' < out; exit 1"}
LOOKS = [
    ["plan"], ["plan", "--output", "json"], ["status"], ["status", "--output", "json"], ["explain", "app"],
    ["explain", "app", "--output", "json"], ["explain", "vault:a"], ["explain", "mixed:one/password"],
    ["explain", "vault:db/x", "--output", "json"], ["diff", "dev", "prod"], ["diff", "prod", "dev", "--output", "json"],
    ["diff", "dev", "prod", "--output", "markdown"], ["diff", "dev", "prod", "--sync", "app"],
    ["diff", "prod", "dev", "--sync", "app", "--output", "json"],
    ["ls", "--values"], ["ls", "--values", "--output", "json"], ["get", "vault:a"], ["get", "b", "--output", "json"],
    ["get", "vault:nosuch"], ["check"], ["check", "--output", "json"], ["plan", "--out", "state/saved"],
]  # fmt: skip


class World:
    """A project in a scratch directory; commands are run on it, and all they tell is kept.

    Attributes:
        told: what was said, by whom.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.told: list[tuple[str, str]] = []
        self._handler = _Kept(self.told)

    def __enter__(self) -> Self:
        self.close()
        self.told.clear()
        self.root.mkdir()
        os.chdir(self.root)
        logging.getLogger("confsync").addHandler(self._handler)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("confsync").removeHandler(self._handler)
        self.close()

    def close(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def put(self, environment: str, stores: Stores) -> None:
        """Fill the sources: a file for each value."""
        for source, tree in stores.items():
            for path, value in tree.items():
                file = self.root / source / environment / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(value)

    def configure(self, sync: Mapping[str, Any]) -> None:
        (self.root / "templates").mkdir(exist_ok=True)
        (self.root / "templates" / "plain.j2").write_text("# nothing but text\n")
        document = {**CONFIG, "syncs": {"app": dict(sync)}}
        (self.root / "confsync.yaml").write_text(yaml.safe_dump(document, allow_unicode=True))

    def run(self, *arguments: str) -> int:
        """`confsync ARGUMENTS` in this process."""
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        where = ["--state-dir", "state", "--log-level", "debug"]
        try:
            result = CliRunner().invoke(cli, [*where, *arguments])
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        self.told.append((" ".join(arguments), result.output + result.stderr))
        assert "this is a bug" not in result.stderr, result.stderr
        return result.exit_code

    def targets(self) -> dict[Path, bytes]:
        """The files confsync has written: all but those it was given and those it keeps for itself."""
        given = {"vault", "mixed", "values", "state", "templates", "confsync.yaml"}
        return {
            path: path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and path.relative_to(self.root).parts[0] not in given
        }

    def assert_private(self, leaks: Leaks) -> None:
        """What read a secret is recorded so and its owner's alone; what everybody may read has none in it."""
        ledger = read_ledger(self.root / "state", SystemClock())
        try:
            sync, targets = ledger.sync("app"), ledger.targets().values()
        finally:
            ledger.close()
        if sync is None or sync.state not in (State.OK, State.OWED):
            return  # its targets are as they were
        secret = any(source == "vault" or path == "one/password" for source, path in sync.reads.keys)
        for record in targets:
            path = Path(json.loads(record.spec)["path"])
            assert record.sensitive or not secret or len(targets) > 1
            assert not record.sensitive or path.is_dir() or stat.S_IMODE(path.stat().st_mode) == 0o600
        for path, content in self.targets().items():
            if path.stat().st_mode & 0o077:
                assert leaks.find_in_bytes(content) == [], path

    def leaks(self, leaks: Leaks) -> dict[str, list[str]]:
        """What was told of the secrets, and what the state directory and the names of the targets have of them."""
        found = [(who, leaks.find(text)) for who, text in self.told]
        found += leaks.find_in_files(self.root / "state").items()
        found += [(f"name {path}", leaks.find(str(path.relative_to(self.root)))) for path in self.targets()]
        return {who: what for who, what in found if what}


class _Kept(logging.Handler):
    """Keeps every record in every form it may be given."""

    def __init__(self, told: list[tuple[str, str]]) -> None:
        super().__init__(logging.NOTSET)
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        facts = {name: value for name, value in record.__dict__.items() if name != "exc_info"}
        for text in (TextFormatter().format(record), JsonFormatter().format(record), repr(facts)):
            self._told.append((f"log: {record.msg}", text))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("CONFSYNC_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)  # and back, in the end
    root = logging.getLogger()
    kept = root.handlers[:], root.level
    yield World(tmp_path / "root")
    root.handlers[:], root.level = kept


def damage(world: World, old: Stores) -> None:
    """What somebody else may do to a target: edit it, put an old secret into it, let everybody read it."""
    for number, (path, content) in enumerate(world.targets().items()):
        if (
            path.stat().st_mode & 0o077
        ):  # a file without secrets stays so: what others put there nobody can tell
            path.write_bytes(content + b"\nby hand\n")
        else:
            path.write_bytes(
                content[::-1] if number % 2 else content + b"\nby hand: " + old["vault"]["a"] + b"\n"
            )
        path.chmod(0o644)


def made_of(world: World, case: Case) -> set[str]:
    """The longer words in the targets that only a sensitive value can have brought there."""
    public = f"{case.text} {CONFIG} {SHOW} {SHOW_TARGETS} {LOOKS} {PUBLIC}".lower()
    text = "\n".join(content.decode("utf-8", "replace") for content in world.targets().values())
    text = re.sub(
        r"(one|two)\.example|shop|0x[0-9a-f]+", " ", text
    )  # neither values that are no secrets, nor addresses
    runs = {run for run in re.findall(r"[^\W_]{8,}", text) if len(set(run)) > 3}
    return {run for run in runs if run.lower() not in public and not (run.isdigit() and len(run) < 10)}


@dataclass(frozen=True)
class Story:
    """A sync, and three generations of values: one after the other in dev, the last in prod."""

    case: Case
    generations: tuple[Stores, Stores, Stores]
    more: Mapping[str, Any]
    looks: Sequence[Sequence[str]]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    more = draw(st.sampled_from([{}, {}, {"check": SHOW}, {"reload": SHOW_TARGETS}, {"sensitive": True}]))
    generations = tuple(draw(stores()) for _ in range(3))
    return Story(draw(cases()), generations, more, draw(st.permutations(LOOKS))[:6])


def leaks_of(world: World, story: Story) -> dict[str, list[str]]:
    """Plan, apply, look; change the values, damage the targets; again. What of the secrets was told?"""
    first, second, prod = story.generations
    case = story.case
    world.put("dev", first)
    world.put("prod", prod)
    world.configure({**case.sync, **story.more})
    world.run("plan")
    world.run("apply", "--log-format", "json")
    secrets = [value for stores in story.generations for value in stores["vault"].values()]
    secrets += [stores["mixed"]["one/password"] for stores in story.generations]
    made = made_of(world, case)
    world.assert_private(Leaks(secrets))
    damage(world, first)
    world.run("plan", "--output", "json")
    world.put("dev", second)
    world.run("plan")
    for look in story.looks:
        world.run(*look)
    world.run("apply", "--output", "json")
    made |= made_of(world, case)
    world.assert_private(Leaks(secrets))
    world.run("status", "--output", "json")
    world.run("explain", "app")
    return world.leaks(Leaks(secrets, () if TELLS_LITTLE.search(case.text) else made))


@in_time
@tries(20)
@given(data=st.data())
def test_no_command_tells_a_secret(world, data):
    story = data.draw(stories())
    with world:
        assert leaks_of(world, story) == {}
