"""Helpers for sink tests: write a target in one call, mount things, be somebody else."""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from stand_ins.mounts import mount as mount

from confsync.sinks import sink_for
from confsync.sinks.base import Desired, Staged, TargetSpec

NOBODY = 65534


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
    """Call a function in a child process that runs as nobody; returns or raises what it did."""
    if os.geteuid() != 0:
        pytest.skip("needs root")

    def as_nobody(function: Callable[[], object]) -> object:
        receive, send = os.pipe()
        pid = os.fork()
        if pid == 0:
            _run_as_nobody(function, send)
        os.close(send)
        with os.fdopen(receive, "rb") as stream:
            failed, outcome = pickle.loads(stream.read())
        os.waitpid(pid, 0)
        if failed:
            raise AssertionError(outcome)
        return outcome

    return as_nobody


def _run_as_nobody(function: Callable[[], object], send: int) -> None:
    try:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        outcome = (False, function())
    except BaseException as exc:  # noqa: BLE001 - told to the parent process
        outcome = (True, f"{type(exc).__name__}: {exc}")
    try:
        with os.fdopen(send, "wb") as stream:
            stream.write(pickle.dumps(outcome))
    finally:
        os._exit(0)
