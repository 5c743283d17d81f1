"""Killed at any moment, a target is wholly old or wholly new, never absent, never wider than it should be."""

from __future__ import annotations

import itertools
import os
import pickle
import random
import signal
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from confsync.config.models import DirectoryTarget, FileTarget
from confsync.sinks import sink_for
from confsync.sinks.base import Desired

KILLS = 220
LONGEST = 0.004
ONE, TWO = b"one\n" * 3000, b"two, which is longer\n" * 3000


class Writers:
    """Processes that write a target again and again, one at a time, until they are killed."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("endless_writer.py")], stdin=-1, stdout=-1, text=True
        )
        self._pid = None

    def begin(self, spec, contents, **options):
        """Begin one; returns when it is about to write the first of the contents."""
        self._process.stdin.write(pickle.dumps((spec, contents, options)).hex() + "\n")
        self._process.stdin.flush()
        self._pid = int(self._process.stdout.readline())

    def kill_after(self, seconds):
        """Spin for an exact moment: a sleep would round all of them to the scheduler's."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass
        os.kill(self._pid, signal.SIGKILL)
        self._pid = None
        assert int(self._process.stdout.readline()) == -signal.SIGKILL, "it failed by itself"

    def close(self):
        """None is left."""
        if self._pid is not None:
            os.kill(self._pid, signal.SIGKILL)
        self._process.communicate(timeout=60)


@pytest.fixture
def writers():
    writers = Writers()
    yield writers
    writers.close()


def longest(number, seen):
    """The longest life of this child: longer and longer while the machine is too slow for a write to be finished."""
    return LONGEST if len(seen) > 1 else LONGEST * (1 + number / 10) ** 2


def write(spec, content):
    with closing(sink_for(spec).stage(Desired(spec, content, True))) as staged:
        staged.commit()


def modes(folder):
    for root, _, files in os.walk(folder):
        for name in files:
            yield stat.S_IMODE(os.lstat(os.path.join(root, name)).st_mode)


@pytest.mark.parametrize("undoable", [True, False])
def test_a_file_survives_being_killed_at_any_moment(tmp_path, undoable, writers):
    spec = FileTarget(path=str(tmp_path / "app.conf"), backup=undoable)
    sink, moments, seen = sink_for(spec), random.Random(1), set()
    write(spec, ONE)

    for number in range(KILLS // 2):
        turns = [TWO, ONE] if number % 2 else [ONE, TWO]  # however slow the machine, each is first at times
        writers.begin(spec, turns, undoable=undoable)
        writers.kill_after(moments.uniform(0, longest(number, seen)))

        content = sink.observe(spec).content
        assert content in (ONE, TWO)
        assert all(mode & ~0o600 == 0 for mode in modes(tmp_path))
        seen.add(content)
        sink.sweep([spec])
        assert set(os.listdir(tmp_path)) <= {"app.conf", "app.conf.bak"}

    assert seen == {ONE, TWO}


def test_a_directory_survives_being_killed_at_any_moment(tmp_path, writers):
    path = tmp_path / "conf"
    spec = DirectoryTarget(path=str(path))
    old, new = {"a": ONE, "b": ONE}, {"a": TWO, "b": TWO}
    sink, moments, seen = sink_for(spec), random.Random(2), set()
    write(spec, old)

    for number in range(KILLS):
        writers.begin(spec, [new, old] if number % 2 else [old, new])
        writers.kill_after(moments.uniform(0, 2 * longest(number, seen)))

        content = sink.observe(spec).content
        assert content in (old, new)
        assert all(mode & ~0o600 == 0 for mode in modes(path / "..data/"))
        seen.add(content["a"])
        sink.sweep([spec])
        assert len(os.listdir(path)) == 4

    assert seen == {ONE, TWO}


def test_a_directory_whose_names_change_is_mended_by_the_next_write(tmp_path, agrees, writers):
    spec = DirectoryTarget(path=str(tmp_path / "conf"))
    moments = random.Random(3)

    for _ in range(40):
        writers.begin(spec, [{"a": ONE, "b": ONE}, {"b": TWO, "c": TWO}, {}])
        writers.kill_after(moments.uniform(0, 2 * LONGEST))

        sink_for(spec).sweep([spec])
        write(spec, {"x": ONE})
        assert agrees(spec, {"x": ONE}, sensitive=True)
        assert len(os.listdir(tmp_path / "conf")) == 3


def read(path):
    """What a reader gets at any moment.

    The one exception is as with kubelet: who is stopped within `open`, on its way through the link of a directory,
    finds nothing where that led to, once it was switched and tidied up. It leads elsewhere by then.
    """
    while True:
        led_to = switched_to(path)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            assert switched_to(path) != led_to, "there was nothing, and no switch"


def switched_to(path):
    try:
        return os.readlink(path.parent / "..data")
    except FileNotFoundError:
        return None


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_reader_never_sees_half_or_nothing(tmp_path, kind, writers):
    if kind == "file":
        spec, seen_at, contents = FileTarget(path=str(tmp_path / "x")), tmp_path / "x", [ONE, TWO]
    else:
        spec, seen_at, contents = (
            DirectoryTarget(path=str(tmp_path)),
            tmp_path / "a",
            [{"a": ONE}, {"a": TWO}],
        )
    write(spec, contents[0])
    writers.begin(spec, contents)
    try:
        seen, deadline = set(), time.monotonic() + 60
        for number in itertools.count():
            seen.add(read(seen_at))
            if (number > 3000 and seen == {ONE, TWO}) or time.monotonic() > deadline:
                break
    finally:
        writers.kill_after(0)

    assert seen == {ONE, TWO}
