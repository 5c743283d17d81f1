"""The directory of an exec's files: private, switched all at once, locked while it is in use, swept when it is not."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
from stand_ins.mounts import mount as mount

from confsync.environments.execution import scratch
from confsync.environments.execution.guardian import hold, name_in_the_making, remove_tree
from confsync.environments.execution.scratch import File, Scratch, filesystem, new_path, roots, sweep
from confsync.errors import ConfsyncError


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The only place there is."""
    directory = tmp_path / "runtime"
    directory.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    # It may be on a disk, and memory would go before it: a place that every exec of this machine sweeps.
    monkeypatch.setattr(scratch, "roots", lambda: [str(directory)])
    return directory


@pytest.fixture
def made(root):
    made = Scratch(new_path())
    yield made
    made.remove()


def put(made, *files):
    made.switch(made.stage(files))


def read(path):
    return Path(path).read_bytes()


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


# Where


@pytest.mark.parametrize(
    ("kind", "order"),
    [("tmpfs", ["runtime", "/dev/shm", "tmp"]), ("ext4", ["/dev/shm", "runtime", "tmp"])],
)
def test_memory_goes_before_any_disk_and_the_runtime_directory_before_places_of_all(
    root, tmp_path, monkeypatch, kind, order
):
    """What is on which filesystem is told here: no test can mount one."""
    disk = tmp_path / "tmp"
    disk.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    kinds = {str(root): kind, "/dev/shm": "tmpfs", str(disk): "ext4"}
    monkeypatch.setattr(scratch, "filesystem", kinds.__getitem__)
    named = {"runtime": str(root), "tmp": str(disk)}

    assert roots() == [named.get(place, place) for place in order]


def test_a_runtime_directory_on_a_disk_does_not_go_before_memory(tmp_path, monkeypatch):
    if filesystem("/dev/shm") != "tmpfs" or filesystem(str(tmp_path)) == "tmpfs":
        pytest.skip("there is no disk, or no memory")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    assert roots()[:2] == ["/dev/shm", str(tmp_path)]


@pytest.mark.parametrize("bits", [0o777, 0o770, 0o500])
def test_a_place_others_can_change_or_we_cannot_is_none(root, bits):
    if bits == 0o500 and os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    root.chmod(bits)

    assert str(root) not in roots()


@pytest.mark.parametrize("said", ["", "relative", "/no/such/place"])
def test_what_is_no_place_is_none(monkeypatch, said):
    monkeypatch.setenv("XDG_RUNTIME_DIR", said)

    assert said not in roots()


def test_where_every_disk_is_full_there_may_still_be_memory(root, monkeypatch):
    def full():
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(scratch, "gettempdir", full)
    assert str(root) in roots()


def test_where_there_is_no_place_it_says_what_to_do(monkeypatch):
    monkeypatch.setattr(scratch, "roots", list)

    with pytest.raises(
        ConfsyncError, match=r"make one that only you can write to, and name it in XDG_RUNTIME_DIR"
    ):
        new_path()


def test_the_kind_of_filesystem_is_told(tmp_path):
    assert filesystem("/proc/self") == "proc"
    assert filesystem(str(tmp_path / "missing")) == ""


def test_a_place_that_is_not_in_memory_is_told_of(root, caplog, monkeypatch):
    monkeypatch.setattr(scratch, "filesystem", lambda _: "ext4")
    with caplog.at_level("INFO", "confsync"):
        Scratch(new_path()).remove()

    [record] = caplog.records
    assert record.filesystem == "ext4"


# What


@pytest.mark.parametrize("umask", [0, 0o777])
def test_nobody_else_can_look_whatever_the_umask(root, umask):
    before = os.umask(umask)
    try:
        made = Scratch(new_path())
        put(made, File("a/deep/x", b"1"), File("a/run", b"2", executable=True))
    finally:
        os.umask(before)

    assert [mode(made.path), mode(f"{made.path}/a/deep")] == [0o700, 0o700]
    assert [mode(f"{made.path}/a/deep/x"), mode(f"{made.path}/a/run")] == [0o600, 0o700]
    made.remove()


def test_a_switch_changes_every_file_and_leaves_nothing_of_the_version_before(made):
    put(made, File("a/x", b"1"), File("b/x", b"1"))
    put(made, File("a/x", b"2"), File("b/x", b"2"))

    assert sorted(os.listdir(made.path)) == ["..2", "..data", "a", "b"]
    assert [read(f"{made.path}/{name}/x") for name in "ab"] == [b"2", b"2"]


def test_a_reader_never_sees_a_mixture(made):
    versions, over, seen = [b"1", b"2"], threading.Event(), []
    put(made, File("a/x", b"1"), File("a/y", b"1"))

    def look():
        while not (over.is_set() and seen):
            try:
                version = os.path.realpath(f"{made.path}/a", strict=True)
                seen.append({read(f"{version}/{name}") for name in "xy"})
            except FileNotFoundError:
                continue  # it was switched, and the one before is gone

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(100):
        content = versions[number % 2]
        put(made, File("a/x", content), File("a/y", content))
    over.set()
    reader.join()

    assert seen
    assert all(len(contents) == 1 for contents in seen)


def test_a_version_that_cannot_be_written_leaves_all_as_it_was(made):
    put(made, File("a/x", b"1"))

    with pytest.raises(ConfsyncError, match="the command's files cannot be written"):
        made.stage([File("a/x", b"2"), File("a/" + "n" * 300, b"2")])

    assert sorted(os.listdir(made.path)) == ["..1", "..data", "a"]
    assert read(f"{made.path}/a/x") == b"1"


def test_a_switch_that_cannot_be_done_leaves_all_as_it_was(made):
    put(made, File("a/x", b"1"))
    staged = made.stage([File("a/x", b"2")])
    os.unlink(f"{made.path}/..data")
    os.mkdir(f"{made.path}/..data")

    with pytest.raises(ConfsyncError, match="the command's files cannot be written"):
        made.switch(staged)

    assert sorted(os.listdir(made.path)) == ["..1", "..data", "a"]


def test_what_a_command_put_there_goes_too_and_no_link_is_followed(made, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("mine")
    own = f"{made.path}/own"
    os.makedirs(f"{own}/deep")
    os.symlink(tmp_path / "mine", f"{own}/link")
    os.mkfifo(f"{own}/deep/fifo")
    os.chmod(f"{own}/deep", 0o000)
    os.chmod(own, 0o500)

    made.remove()

    assert not os.path.lexists(made.path)
    assert (tmp_path / "mine/file").read_text() == "mine"


def test_a_link_in_place_of_a_tree_is_removed_and_not_followed(tmp_path):
    (tmp_path / "mine").mkdir()
    os.symlink(tmp_path / "mine", tmp_path / "link")

    assert remove_tree(str(tmp_path / "link"))
    assert os.listdir(tmp_path) == ["mine"]


def test_what_lies_deep_is_removed_however_long_its_path(made):
    place = os.open(made.path, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("deep", dir_fd=place)
        inner = os.open("deep", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)

    made.remove()

    assert not os.path.lexists(made.path)


def test_what_is_mounted_there_keeps_what_is_in_it(made, mount, tmp_path):
    mine = tmp_path / "mine"
    (mine / "inner").mkdir(parents=True)
    (mine / "inner/file").write_text("mine")
    mine.chmod(0o755)
    for point in ("top", "deep/er"):
        os.makedirs(f"{made.path}/{point}")
        mount("--bind", str(mine), f"{made.path}/{point}")

    gone = remove_tree(made.path)
    for moved in Path(made.path).glob("*/er"):  # the fixture knows where it was
        subprocess.run(["umount", "-l", moved], check=True)

    assert not gone
    assert (mine / "inner/file").read_text() == "mine"
    assert mode(mine) == 0o755


def test_what_another_user_has_given_its_name_is_left_alone(root):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    theirs = root / "confsync-exec-theirs"
    theirs.mkdir()
    (theirs / "file").write_text("theirs")
    os.chown(theirs, 65534, 65534)

    gone = remove_tree(str(theirs))

    assert not gone
    assert (theirs / "file").read_text() == "theirs"


def test_no_directory_is_used_that_somebody_else_put_there(root):
    """Its name is in the guardian's command line, and in /dev/shm anybody may make one."""
    path = str(root / "confsync-exec-known")
    os.mkdir(name_in_the_making(path))

    with pytest.raises(ConfsyncError, match=r"cannot be written in .*: File exists"):
        Scratch(path)

    assert not os.path.lexists(path)


# Leftovers


def test_what_nobody_holds_is_swept_and_what_somebody_holds_is_not(root, made):
    left = root / "confsync-exec-left"
    (left / "..1/app").mkdir(parents=True)
    (left / "..1/app/secret").write_text("secret")
    (root / "other").mkdir()
    (root / "confsync-exec-file").write_text("no directory")
    (root / "confsync-exec-link").symlink_to(root / "other")

    sweep([str(root), "/no/such/place"])

    assert {"other", "confsync-exec-file", "confsync-exec-link"} <= set(os.listdir(root))
    assert not left.exists()
    assert os.path.isdir(made.path)


def test_what_cannot_be_swept_is_not_said_to_be_gone(root, caplog, monkeypatch):
    (root / "confsync-exec-left").mkdir()
    monkeypatch.setattr(scratch, "remove_tree", lambda _: False)

    with caplog.at_level("INFO", "confsync"):
        sweep([str(root)])

    assert caplog.records == []


def test_a_guardian_alone_holds_it_too(root):
    held = root / "confsync-exec-held"
    held.mkdir()
    lock = hold(str(held))

    sweep([str(root)])
    assert held.exists()
    os.close(lock)
    sweep([str(root)])
    assert not held.exists()


def test_none_is_swept_while_it_is_made(root):
    """Sweeps without a pause, while directories are made and used."""
    over = threading.Event()

    def sweeping():
        while not over.is_set():
            sweep([str(root)])

    sweeper = threading.Thread(target=sweeping)
    sweeper.start()
    try:
        for _ in range(40):
            made = Scratch(new_path())
            put(made, File("a/x", b"1"))
            assert read(f"{made.path}/a/x") == b"1"
            made.remove()
    finally:
        over.set()
        sweeper.join()
    assert os.listdir(root) == []
