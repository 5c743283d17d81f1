"""What only a mount can bring about: a file that cannot be renamed over, a full disk, a read-only one."""

from __future__ import annotations

import os
import stat

import pytest

from confsync.config.models import DirectoryTarget, FileTarget
from confsync.errors import SinkError
from confsync.sinks import sink_for

pytestmark = pytest.mark.root


@pytest.fixture
def bound(tmp_path, mount):
    """A single file that is a bind mount, as container runtimes make them; and the file it shows."""
    (tmp_path / "etc").mkdir()
    bound, origin = tmp_path / "etc/app.conf", tmp_path / "origin"
    bound.touch()
    origin.write_bytes(b"a rather long old content")
    origin.chmod(0o644)
    mount("--bind", str(origin), str(bound))
    return bound


@pytest.fixture
def small(tmp_path, mount):
    """A filesystem of 64 KiB."""
    small = tmp_path / "small"
    small.mkdir()
    mount("-t", "tmpfs", "-o", "size=64k,mode=755", "none", str(small))
    return small


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("undoable", [True, False])
def test_a_bind_mounted_file_is_written_in_place(bound, write, agrees, undoable):
    spec = FileTarget(path=str(bound))
    inode = bound.stat().st_ino

    staged = write(spec, b"new", undoable=undoable)

    assert bound.stat().st_ino == inode
    assert agrees(spec, b"new")
    assert os.listdir(bound.parent) == ["app.conf"]
    assert "in place" in staged.notes[-1]


def test_a_bind_mounted_file_gets_its_mode_and_is_narrowed_when_sensitive(bound, write):
    write(FileTarget(path=str(bound)), b"new", sensitive=True)

    assert mode(bound) == 0o600


def test_a_bind_mounted_file_is_rolled_back(bound, stage):
    staged = stage(FileTarget(path=str(bound), mode=0o600), b"new")
    staged.commit()
    staged.rollback()
    staged.close()

    assert bound.read_bytes() == b"a rather long old content"
    assert mode(bound) == 0o644
    assert os.listdir(bound.parent) == ["app.conf"]


def test_a_bind_mounted_file_keeps_a_backup(bound, write):
    write(FileTarget(path=str(bound), backup=True), b"new")

    assert (bound.parent / "app.conf.bak").read_bytes() == b"a rather long old content"


def test_in_place_can_be_forbidden(bound, stage):
    staged = stage(FileTarget(path=str(bound), in_place="never"), b"new")

    with pytest.raises(SinkError, match=r"a mount point of its own.*in_place: fallback"):
        staged.commit()
    staged.close()
    assert bound.read_bytes() == b"a rather long old content"
    assert os.listdir(bound.parent) == ["app.conf"]


def test_a_mount_point_is_not_removed(bound):
    spec = FileTarget(path=str(bound))

    with pytest.raises(SinkError, match="mounted there"):
        sink_for(spec).remove(spec)


def test_a_bind_mounted_file_in_a_read_only_directory_is_written_in_place(
    small, tmp_path, mount, write, agrees
):
    bound, origin = small / "app.conf", tmp_path / "origin"
    bound.touch()
    origin.write_bytes(b"old")
    mount("-o", "remount,ro", str(small))
    mount("--bind", str(origin), str(bound))
    spec = FileTarget(path=str(bound))

    write(spec, b"new")

    assert agrees(spec, b"new")
    assert origin.read_bytes() == b"new"


def test_a_full_disk_while_writing_in_place_puts_the_old_content_back(small, tmp_path, mount, stage):
    bound, origin = tmp_path / "app.conf", small / "origin"
    bound.touch()
    origin.write_bytes(b"old" * 1000)
    mount("--bind", str(origin), str(bound))
    staged = stage(FileTarget(path=str(bound)), b"x" * 100_000)

    with pytest.raises(SinkError, match="full"):
        staged.commit()
    staged.close()

    assert bound.read_bytes() == b"old" * 1000


def test_a_full_disk_leaves_the_target_and_nothing_behind(small, write, stage):
    spec = FileTarget(path=str(small / "app.conf"))
    write(spec, b"old")

    with pytest.raises(SinkError, match=r"the filesystem is full.*keeps its old content"):
        stage(spec, b"x" * 100_000)

    assert (small / "app.conf").read_bytes() == b"old"
    assert os.listdir(small) == ["app.conf"]


def test_a_full_disk_leaves_a_directory_target_and_nothing_behind(small, write, stage, agrees):
    spec = DirectoryTarget(path=str(small / "conf"))
    write(spec, {"a": b"old"})
    before = sorted(os.listdir(small / "conf"))

    with pytest.raises(SinkError, match="full"):
        stage(spec, {"a": b"new", "b": b"x" * 100_000})

    assert sorted(os.listdir(small / "conf")) == before
    assert agrees(spec, {"a": b"old"})


def test_a_directory_target_that_never_was_leaves_no_directory_on_a_full_disk(small, stage):
    with pytest.raises(SinkError, match="full"):
        stage(DirectoryTarget(path=str(small / "a/conf"), parents=True), {"b": b"x" * 100_000})

    assert os.listdir(small) == []


def test_a_read_only_filesystem_teaches_and_can_still_be_observed(small, mount, write, stage):
    file, directory = FileTarget(path=str(small / "app.conf")), DirectoryTarget(path=str(small / "conf"))
    write(file, b"old")
    write(directory, {"a": b"old"})
    mount("-o", "remount,ro", str(small))

    assert sink_for(file).observe(file).content == b"old"
    assert sink_for(directory).observe(directory).content == {"a": b"old"}
    for spec, content in ((file, b"new"), (directory, {"a": b"new"})):
        with pytest.raises(SinkError, match="read-only"):
            stage(spec, content)
        with pytest.raises(SinkError, match="read-only"):
            sink_for(spec).remove(spec)
        sink_for(spec).sweep([spec])


def test_a_directory_target_can_be_a_mount_point(small, write, agrees):
    spec = DirectoryTarget(path=str(small))
    write(spec, {"a": b"1"})
    assert agrees(spec, {"a": b"1"})

    sink_for(spec).remove(spec)

    assert os.listdir(small) == []
