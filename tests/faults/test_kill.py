"""kill -9 at any moment of an apply: each target is wholly old or new, and the next run finishes the work."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from contextlib import closing

import pytest
from stand_ins.moments import wait_in

from confsync.testing.prepared import prepared
from confsync.testing.waiting import eventually

KILLS = 210
STEPS = 3  # kills in a row before a run is let through


@pytest.fixture
def apply(workspace):
    """apply(None) runs `confsync apply` to its end, apply(seconds) kills it after so long; gives how it ended."""
    words = ["apply", "--config", str(workspace.file), "--state-dir", str(workspace.state)]

    def apply(after=None):
        with open(os.devnull, "w") as null:
            begun = prepared().begin(
                words, cwd=workspace.root, env=os.environ, stdout=null.fileno(), stderr=null.fileno()
            )
        with closing(begun):
            if after is not None:
                wait_in(begun.pid, after)
                begun.signal(signal.SIGKILL)
            return begun.wait()

    return apply


def versions(workspace):
    """Which version each target holds; an assertion fails where one holds a mixture."""
    one = json.loads(workspace.read("one.json"))
    two = dict(line.split("=", 1) for line in workspace.read("two.env").splitlines())
    three = {name: workspace.read(f"three/{name}") for name in ("A", "B")}
    found = []
    for target in (one, two, three):
        texts = {text.strip("'\"") for text in (target["A"], target["B"])}
        assert len(texts) == 1, "a mixture of two versions"
        text = texts.pop()
        number = text.split("-")[0]
        assert text == content(int(number)), "half a version"
        found.append(int(number))
    return found


def content(version):
    return f"{version}-" + "x" * 3000


def put(workspace, version):
    workspace.values({"a": content(version), "b": content(version)})


def leftovers(workspace):
    """What a killed run left beside its targets."""
    names = set(os.listdir(workspace.out)) - {"one.json", "two.env", "three"}
    inside = [name for name in os.listdir(workspace.out / "three") if name.startswith("..")]
    return names | (set(inside) if len(inside) != 2 else set())


@pytest.mark.timeout(300)
def test_killed_at_any_moment_every_target_is_whole_and_the_next_run_converges(workspace, apply):
    reload = workspace.script("reload", "head -c 20 out/one.json > reloads; true")
    workspace.config(
        syncs={
            "all": {
                "data": {"A": "values:a", "B": "values:b"},
                "to": [{"file": "out/one.json"}, {"file": "out/two.env"}, {"directory": "out/three"}],
                "reload": [reload],
            }
        }
    )
    put(workspace, 0)
    assert apply() == 0
    began = time.perf_counter()
    put(workspace, 1)
    assert apply() == 0
    duration = time.perf_counter() - began
    moments, version, outcomes = random.Random(7), 1, set()

    for kill in range(KILLS):
        version += 1
        put(workspace, version)
        killed = apply(moments.uniform(0, duration)) == -signal.SIGKILL
        duration *= 1.04 if killed else 0.85  # the machine's speed changes: some are to come near the end
        found = versions(workspace)
        settled = version - 1 - kill % STEPS
        assert all(settled <= each <= version for each in found), (found, settled, version)
        outcomes.add(tuple(each == version for each in found))
        if kill % STEPS == STEPS - 1:
            assert apply() == 0
            assert versions(workspace) == [version] * 3
            assert leftovers(workspace) == set()
            # A reload that outlived its killed apply may be writing the same just now.
            eventually(lambda: f'"{version}-' in (workspace.root / "reloads").read_text())  # noqa: B023 - called at once
            assert not owed(workspace)

    assert {(True, True, True), (False, False, False)} <= outcomes, "the moments were well chosen"


def owed(workspace):
    ledger = workspace.ledger()
    try:
        return ledger.owed_reloads()
    finally:
        ledger.close()


def test_killed_at_any_moment_of_its_first_run_it_never_takes_what_is_not_its_own(workspace, apply):
    """What was there before stays, what confsync made is deleted with its sync: kills confuse neither."""
    (workspace.out / "adopted").write_text("v")
    syncs = {
        name: {"template": {"inline": "{{ values('v') }}"}, "to": f"out/{name}"}
        for name in ("adopted", "made")
    }
    workspace.values({"v": "v"})
    moments = random.Random(11)
    workspace.config(syncs=syncs)
    for _ in range(20):
        apply(moments.uniform(0, 0.08))
    assert apply() == 0
    assert (workspace.read("adopted"), workspace.read("made")) == ("v", "v")

    workspace.config(syncs={})
    for _ in range(20):
        apply(moments.uniform(0, 0.08))
    assert apply() == 0

    assert (workspace.read("adopted"), workspace.read("made")) == ("v", None)
