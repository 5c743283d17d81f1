"""Helpers for sink tests: write a target in one call, mount things, be somebody else."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from stand_ins.mounts import mount as mount
from stand_ins.nobody import nobody

from confsync.sinks import sink_for
from confsync.sinks.base import Desired, Staged, TargetSpec


@pytest.fixture
def stage() -> Iterator[Callable[..., Staged]]:
    """Stage content for a target; closed at the end."""
    opened: list[Staged] = []

    def stage(
        spec: TargetSpec, content: bytes | Mapping[str, bytes], sensitive: bool = False, undoable: bool = True
    ) -> Staged:
        staged = sink_for(spec).stage(Desired(spec, content, sensitive), undoable=undoable)
        opened.append(staged)
        return staged

    yield stage
    for staged in opened:
        staged.close()


@pytest.fixture
def write(stage) -> Callable[..., Staged]:
    """Stage, commit and close."""

    def write(*args: object, **options: object) -> Staged:
        staged = stage(*args, **options)
        try:
            staged.commit()
        finally:
            staged.close()
        return staged

    return write


@pytest.fixture
def agrees() -> Callable[..., bool]:
    """Whether a plan would find nothing to do."""

    def agrees(spec: TargetSpec, content: bytes | Mapping[str, bytes], sensitive: bool = False) -> bool:
        sink = sink_for(spec)
        actual = sink.observe(spec)
        wanted = sink.attributes(Desired(spec, content, sensitive), actual)
        return actual.problem is None and actual.content == content and wanted == actual.attributes

    return agrees


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that another user can reach and write in."""
    path = Path(tempfile.mkdtemp(prefix="confsync-test-"))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def as_nobody() -> Callable[..., object]:
    """Call a function as nobody."""
    if os.geteuid() != 0:
        pytest.skip("needs root")

    def as_nobody(function: Callable[[], object]) -> object:
        with nobody():
            return function()

    return as_nobody
