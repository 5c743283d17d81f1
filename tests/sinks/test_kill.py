"""Killed at any moment, a target is wholly old or wholly new, never absent, never wider than it should be."""

from __future__ import annotations

import itertools
import os
import random
import signal
import stat
import time

import pytest

from confsync.config.models import DirectoryTarget, FileTarget
from confsync.sinks import sink_for
from confsync.sinks.base import Desired

KILLS = 220
LONGEST = 0.004
ONE, TWO = b"one\n" * 3000, b"two, which is longer\n" * 3000


def in_a_child(work):
    """Fork, and call `work` for ever in the child; returns its pid when it is about to begin."""
    begun, begin = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(begin, b"!")
            while True:
                work()
        finally:
            os._exit(1)
    os.close(begin)
    has_begun = os.read(begun, 1)
    os.close(begun)
    if has_begun:
        return pid
    os.waitpid(pid, 0)  # a fork of a process that has threads does not always come to life
    return in_a_child(work)


def kill_after(pid, seconds):
    """Spin for an exact moment: a sleep would round all of them to the scheduler's."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), "the child failed by itself"


def longest(number, seen):
    """The longest life of this child: longer and longer while the machine is too slow for a write to be finished."""
    return LONGEST if len(seen) > 1 else LONGEST * (1 + number / 10) ** 2


def writer(spec, contents, **options):
    """A function that writes the next content each time it is called."""
    turns = itertools.cycle(contents)

    def write():
        staged = sink_for(spec).stage(Desired(spec, next(turns), True), **options)
        try:
            staged.commit()
        finally:
            staged.close()

    return write


def modes(folder):
    for root, _, files in os.walk(folder):
        for name in files:
            yield stat.S_IMODE(os.lstat(os.path.join(root, name)).st_mode)


@pytest.mark.parametrize("undoable", [True, False])
def test_a_file_survives_being_killed_at_any_moment(tmp_path, undoable):
    spec = FileTarget(path=str(tmp_path / "app.conf"), backup=undoable)
    sink, moments, seen = sink_for(spec), random.Random(1), set()
    writer(spec, [ONE])()

    for number in range(KILLS // 2):
        turns = [TWO, ONE] if number % 2 else [ONE, TWO]  # however slow the machine, each is first at times
        pid = in_a_child(writer(spec, turns, undoable=undoable))
        kill_after(pid, moments.uniform(0, longest(number, seen)))

        content = sink.observe(spec).content
        assert content in (ONE, TWO)
        assert all(mode & ~0o600 == 0 for mode in modes(tmp_path))
        seen.add(content)
        sink.sweep([spec])
        assert set(os.listdir(tmp_path)) <= {"app.conf", "app.conf.bak"}

    assert seen == {ONE, TWO}


def test_a_directory_survives_being_killed_at_any_moment(tmp_path):
    path = tmp_path / "conf"
    spec = DirectoryTarget(path=str(path))
    old, new = {"a": ONE, "b": ONE}, {"a": TWO, "b": TWO}
    sink, moments, seen = sink_for(spec), random.Random(2), set()
    writer(spec, [old])()

    for number in range(KILLS):
        pid = in_a_child(writer(spec, [new, old] if number % 2 else [old, new]))
        kill_after(pid, moments.uniform(0, 2 * longest(number, seen)))

        content = sink.observe(spec).content
        assert content in (old, new)
        assert all(mode & ~0o600 == 0 for mode in modes(path / "..data/"))
        seen.add(content["a"])
        sink.sweep([spec])
        assert len(os.listdir(path)) == 4

    assert seen == {ONE, TWO}


def test_a_directory_whose_names_change_is_mended_by_the_next_write(tmp_path, agrees):
    spec = DirectoryTarget(path=str(tmp_path / "conf"))
    moments = random.Random(3)

    for _ in range(40):
        pid = in_a_child(writer(spec, [{"a": ONE, "b": ONE}, {"b": TWO, "c": TWO}, {}]))
        kill_after(pid, moments.uniform(0, 2 * LONGEST))

        sink_for(spec).sweep([spec])
        writer(spec, [{"x": ONE}])()
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
def test_a_reader_never_sees_half_or_nothing(tmp_path, kind):
    if kind == "file":
        spec, seen_at, contents = FileTarget(path=str(tmp_path / "x")), tmp_path / "x", [ONE, TWO]
    else:
        spec, seen_at, contents = (
            DirectoryTarget(path=str(tmp_path)),
            tmp_path / "a",
            [{"a": ONE}, {"a": TWO}],
        )
    writer(spec, contents)()
    pid = in_a_child(writer(spec, contents))
    try:
        seen, deadline = set(), time.monotonic() + 60
        for number in itertools.count():
            seen.add(read(seen_at))
            if (number > 3000 and seen == {ONE, TWO}) or time.monotonic() > deadline:
                break
    finally:
        kill_after(pid, 0)

    assert seen == {ONE, TWO}
