"""The Dockerfile copies what exists, and its steps give a confsync that works; it is tried without Docker."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "packaging/Dockerfile"


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text("utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    return [
        (line.partition(" ")[0], line.partition(" ")[2].strip()) for line in text.splitlines() if line.strip()
    ]


def copies() -> list[tuple[list[str], str]]:
    found = [
        what.split() for name, what in instructions() if name == "COPY" and not what.startswith("--from")
    ]
    return [(words[:-1], words[-1]) for words in found]


def test_everything_that_is_copied_exists_and_is_not_ignored() -> None:
    ignored = (ROOT / "packaging/Dockerfile.dockerignore").read_text("utf-8").splitlines()
    for sources, _ in copies():
        for source in sources:
            assert (ROOT / source).exists()
            assert f"!{source}" in ignored


def test_everything_the_wheel_is_made_of_is_copied() -> None:
    sources = {source for found, _ in copies() for source in found}
    assert sources == {"pyproject.toml", "README.md", "LICENSE", "confsync", "backends", "templates"}


def test_the_image_runs_confsync_and_not_as_root() -> None:
    last = dict(instructions())  # of each instruction the last one, which is the final stage's
    assert json.loads(last["ENTRYPOINT"]) == ["confsync"]
    assert json.loads(last["CMD"]) == ["run"]
    assert last["USER"].isdigit()
    assert int(last["USER"]) > 0


def test_the_steps_of_the_build_make_a_confsync_that_runs(tmp_path: Path) -> None:
    if not os.environ.get("CONFSYNC_TEST_WHEEL"):
        pytest.skip("builds with pip, which needs the network: make wheel-test does it")
    directory = tmp_path / "src"
    directory.mkdir()
    places = {"/src": directory, "/opt": tmp_path / "opt", "/dist": tmp_path / "dist"}
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for name, what in instructions():
        if name == "COPY" and not what.startswith("--from"):
            *sources, to = what.split()
            for source in sources:
                copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
                copy(ROOT / source, directory / to)
        if name == "RUN" and "python" in what:
            command = re.sub(r"(?<![\w.])(/src|/opt|/dist)\b", lambda found: str(places[found[1]]), what)
            subprocess.run(["sh", "-ec", command], cwd=directory, env=environment, check=True, timeout=300)
    program = tmp_path / "opt/confsync/bin/confsync"
    done = subprocess.run([program, "demo"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
