"""However a file is changed, the watch tells of it, once and promptly; and of nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time

import pytest
from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent, InotifyFD

from confsync.driver import Reading
from confsync.errors import Invalid, Unavailable
from confsync.testing.waiting import eventually
from confsync_backends.file import FileBackend, FileOptions, contents, observe, scan
from confsync_backends.file import watch as watching


@pytest.fixture
def file(tmp_path):
    (tmp_path / "etc").mkdir()
    path = tmp_path / "etc" / "values.yaml"
    path.write_text("a: 1\n")
    return path


@pytest.fixture
def follower(file, follow):
    return follow("etc/values.yaml")


@pytest.fixture
def patient(monkeypatch):
    """Whoever writes is waited for, however slow the machine is: a file that is not whole is not believed."""
    monkeypatch.setattr(watching, "_GRACE", 30.0)
    monkeypatch.setattr(watching, "_PATIENCE", 60.0)


def quiet(follower, seconds=0.3):
    """Look on for a while."""
    before = len(follower.deltas)
    threading.Event().wait(seconds)
    assert follower.error is None
    return len(follower.deltas) == before


def rename_over(path, text):
    staged = path.with_name(".staged")
    staged.write_text(text)
    staged.replace(path)


def vim(path, text):
    """What vim does with backupcopy=no: probe, move away, write anew, sync, remove the backup."""
    (path.parent / "4913").write_text("")
    (path.parent / "4913").unlink()
    path.rename(path.with_name(path.name + "~"))
    with path.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    path.with_name(path.name + "~").unlink()


def slowly(path, text):
    """Truncate first, write later, in pieces that are not valid by themselves."""
    with path.open("w") as file:
        threading.Event().wait(0.03)
        for piece in (text[:1], text[1:]):
            file.write(piece)
            file.flush()
            threading.Event().wait(0.03)


def remove_and_create(path, text):
    path.unlink()
    threading.Event().wait(0.05)
    path.write_text(text)


def replace_the_directory(path, text):
    new = path.parent.with_name("new")
    new.mkdir()
    (new / path.name).write_text(text)
    path.parent.rename(path.parent.with_name("old"))
    new.rename(path.parent)


def delete_and_make_the_directory(path, text):
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    path.write_text(text)


SAVES = [
    lambda path, text: path.write_text(text), rename_over, vim, slowly, remove_and_create,
    replace_the_directory, delete_and_make_the_directory,
]  # fmt: skip
NAMES = ["in place", "rename", "vim", "slowly", "remove", "new directory", "directory again"]


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("save", SAVES, ids=NAMES)
def test_every_way_of_saving_is_told_once(file, follower, save):
    for value in ("2", "3"):
        save(file, f"b: {value}\n")
        follower.wait_for("", {"b": value.encode()})
        if save is replace_the_directory:
            shutil.rmtree(file.parent.with_name("old"))
    assert quiet(follower)
    assert [delta.puts[""]["b"].value for delta in follower.deltas] == [b"2", b"3"]


@pytest.mark.usefixtures("patient")
def test_only_what_is_different_is_told(file, follower):
    file.write_text("# comment\na: 1\nb: 2\n")
    follower.wait_for("", {"a": b"1", "b": b"2"})
    file.write_text("b: 2\na: 1\n")
    os.utime(file, (1, 1))
    assert quiet(follower)
    assert [delta.puts[""].keys() for delta in follower.deltas] == [{"b"}]


def test_neighbours_are_none_of_our_business(file, follower):
    for number in range(50):
        (file.parent / f"other{number}.yaml").write_text("a: 9\n")
        (file.parent.parent / f"elsewhere{number}").mkdir()
    assert quiet(follower)
    assert follower.deltas == []


def test_reading_the_file_is_no_change_of_it(tmp_path, file, follow, monkeypatch):
    from confsync_backends.file.contents import Loader

    monkeypatch.setattr(observe, "_COARSE", 600.0)  # until then it looks once more, for certainty
    loads = []
    load = Loader.load
    monkeypatch.setattr(Loader, "load", lambda self: (loads.append(1), load(self))[1])
    follower = follow("etc/values.yaml")
    eventually(lambda: len(loads) == 2)
    for _ in range(5):
        file.read_text()
        os.listdir(file.parent)
    assert quiet(follower)
    assert len(loads) == 2


@pytest.mark.usefixtures("patient")
def test_a_storm_of_writes_is_told_a_few_times_only(file, follower):
    began = time.monotonic()
    for number in range(300):
        file.write_text(f"a: {number}\n")
    follower.wait_for("", {"a": b"299"})
    assert len(follower.deltas) <= (time.monotonic() - began) / watching._QUIET + 1


def test_a_switched_link_to_the_file_is_told(tmp_path, follow):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "v.yaml").write_text(f"a: {name}\n")
    (tmp_path / "values.yaml").symlink_to("one/v.yaml")
    follower = follow("values.yaml")
    (tmp_path / "next").symlink_to("two/v.yaml")
    (tmp_path / "next").replace(tmp_path / "values.yaml")
    follower.wait_for("", {"a": b"two"})
    rename_over(tmp_path / "two" / "v.yaml", "a: three\n")
    follower.wait_for("", {"a": b"three"})
    rename_over(tmp_path / "one" / "v.yaml", "a: four\n")
    assert quiet(follower)


def test_a_switched_link_to_a_directory_on_the_way_is_told(tmp_path, follow):
    for name in ("r1", "r2"):
        (tmp_path / "releases" / name / "conf").mkdir(parents=True)
        (tmp_path / "releases" / name / "conf" / "v.yaml").write_text(f"a: {name}\n")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "current").symlink_to("../releases/r1")
    (tmp_path / "conf").symlink_to("app/current/conf")
    follower = follow("conf/v.yaml")
    (tmp_path / "next").symlink_to("../releases/r2")
    (tmp_path / "next").replace(tmp_path / "app" / "current")
    follower.wait_for("", {"a": b"r2"})
    (tmp_path / "releases" / "r2" / "conf" / "v.yaml").write_text("a: again\n")
    follower.wait_for("", {"a": b"again"})


def test_what_happens_anywhere_in_a_directory_is_told(tmp_path, follow):
    root = tmp_path / "d"
    root.mkdir()
    follower = follow("d")
    (root / "x" / "y").mkdir(parents=True)
    (root / "x" / "y" / "v.yaml").write_text("a: 1\n")
    follower.wait_for("", {"x/y/v/a": b"1"})
    (root / "x" / "y" / "key").write_text("k")
    follower.wait_for("", {"x/y/v/a": b"1", "x/y/key": b"k"})
    (root / "x").rename(root / "z")
    follower.wait_for("", {"z/y/v/a": b"1", "z/y/key": b"k"})
    (root / "z" / "y" / "key").write_text("l")
    follower.wait_for("", {"z/y/v/a": b"1", "z/y/key": b"l"})
    shutil.rmtree(root / "z")
    follower.wait_for("", {})


def test_links_in_a_directory_lead_the_watch_elsewhere(tmp_path, follow):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret").write_text("1")
    (tmp_path / "d").mkdir()
    follower = follow("d")
    (tmp_path / "d" / "all").symlink_to("../elsewhere")
    (tmp_path / "d" / "one").symlink_to("../elsewhere/secret")
    follower.wait_for("", {"all/secret": b"1", "one": b"1"})
    (tmp_path / "elsewhere" / "secret").write_text("2")
    follower.wait_for("", {"all/secret": b"2", "one": b"2"})


def test_hidden_files_wake_nobody(tmp_path, follow):
    (tmp_path / "d").mkdir()
    follower = follow("d")
    for number in range(50):
        (tmp_path / "d" / f".v.yaml.swp{number}").write_text("x")
    assert quiet(follower)
    assert follower.deltas == []


def test_a_file_that_stays_malformed_ends_the_watch_with_its_line_and_can_be_followed_again(
    file, follower, follow
):
    rename_over(file, "a: 1\nb: [\n")
    eventually(lambda: follower.error)
    assert isinstance(follower.error, Invalid)
    assert f"{file}:3:1: not valid YAML" in str(follower.error)
    assert follower.deltas == []
    with pytest.raises(Invalid):
        next(follower.watch)
    file.write_text("a: 2\n")
    again = follow("etc/values.yaml")
    assert again.values("") == {"a": b"2"}


def test_a_watch_that_begins_with_a_malformed_file_says_so(tmp_path, file):
    backend = FileBackend.open(FileOptions(path="etc/values.yaml"), tmp_path)
    reading = backend.read([""])
    file.write_text("[")
    with backend.watch([""], reading) as watch, pytest.raises(Invalid, match="not valid YAML"):
        next(watch)


def test_a_file_that_stays_away_is_unavailable(file, follower):
    file.unlink()
    eventually(lambda: follower.error)
    assert isinstance(follower.error, Unavailable)
    assert follower.deltas == []


def test_a_file_that_stays_empty_has_no_keys(file, follower):
    file.write_text("")
    follower.wait_for("", {})


def test_a_watch_tells_what_is_different_from_what_it_was_given(tmp_path, file):
    backend = FileBackend.open(FileOptions(path="etc/values.yaml"), tmp_path)
    with backend.watch([""], Reading(7, {"": {}})) as watch:
        delta = next(watch)
    assert delta.puts[""]["a"].value == b"1"
    assert delta.revision > 7


def settled(file, follower):
    """From here on nothing but a change of the file makes the watch look at it."""
    file.write_text("a: settled\n")
    follower.wait_for("", {"a": b"settled"})
    assert quiet(follower, 0.1)


def test_a_file_written_by_another_name_of_it_is_told_within_seconds(tmp_path, file, follow):
    (tmp_path / "elsewhere").mkdir()
    other = tmp_path / "elsewhere" / "hardlink"
    os.link(file, other)
    follower = follow("etc/values.yaml")
    settled(file, follower)
    other.write_text("a: 2\n")
    follower.wait_for("", {"a": b"2"})


def test_beyond_the_directories_that_are_watched_changes_are_told_within_seconds(
    tmp_path, follow, monkeypatch
):
    monkeypatch.setattr(observe, "_MOST", 0)
    (tmp_path / "d" / "e").mkdir(parents=True)
    file = tmp_path / "d" / "e" / "values.yaml"
    file.write_text("a: 1\n")
    before = set(threading.enumerate())
    follower = follow("d")
    file.write_text("a: settled\n")
    follower.wait_for("", {"e/values/a": b"settled"})
    rename_over(file, "a: 2\n")
    follower.wait_for("", {"e/values/a": b"2"})
    assert len(set(threading.enumerate()) - before) == 3  # the follower's, and two of watchdog's


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
def test_a_bind_mounted_file_is_seen_changing_from_outside(tmp_path, file, follow):
    inside = tmp_path / "inside.yaml"
    inside.touch()
    if subprocess.run(["mount", "--bind", file, inside], check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        follower = follow("inside.yaml")
        settled(file, follower)
        file.write_text("a: 2\n")
        follower.wait_for("", {"a": b"2"})
    finally:
        subprocess.run(["umount", "--lazy", inside], check=True)


def test_descriptors_are_given_back(tmp_path, file):
    backend = FileBackend.open(FileOptions(path="etc/values.yaml"), tmp_path)
    reading = backend.read([""])
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        watch = backend.watch([""], Reading(0, {"": {}}))
        next(watch)
        watch.close()
    with backend.watch([""], reading):
        pass
    eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)  # of others' some may be closed meanwhile


def test_a_watch_that_nobody_holds_gives_back_its_threads(tmp_path, file):
    before = set(threading.enumerate())
    backend = FileBackend.open(FileOptions(path="etc/values.yaml"), tmp_path)
    watch = backend.watch([""], Reading(0, {"": {}}))
    next(watch)
    assert set(threading.enumerate()) - before
    del watch
    eventually(lambda: not set(threading.enumerate()) - before)


@pytest.mark.usefixtures("patient")
def test_a_watch_that_ends_amid_changes_ends_quietly_and_soon(tmp_path, file, caplog):
    written = threading.Event()
    backend = FileBackend.open(FileOptions(path="etc/values.yaml"), tmp_path)

    def write():
        while not written.wait(0.002):
            rename_over(file, "a: 2\n")
            file.rename(tmp_path / "away")
            (tmp_path / "away").rename(file)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(10):
            watch = backend.watch([""], Reading(0, {"": {}}))
            next(watch)
            ended = threading.Thread(target=watch.close)
            ended.start()
            ended.join(30)
            assert not ended.is_alive()
    finally:
        written.set()
        writer.join()
    assert caplog.records == []


def test_the_limit_of_the_system_is_explained(tmp_path, file, monkeypatch):
    def none_left(path, *args):
        raise OSError(28, "inotify watch limit reached")

    backend = FileBackend.open(FileOptions(path="etc/values.yaml"), tmp_path)
    reading = backend.read([""])
    monkeypatch.setattr(InotifyFD, "add_callback", none_left)
    with (
        backend.watch([""], reading) as watch,
        pytest.raises(Unavailable, match=r"watch limit reached.*max_user_watches.*poll: 10s"),
    ):
        next(watch)


def test_what_the_kernel_had_to_drop_is_found_by_the_times_of_the_files(file, follower, monkeypatch):
    settled(file, follower)
    read = InotifyFD.read_events
    overflow = InotifyEvent(-1, InotifyConstants.IN_Q_OVERFLOW, 0, b"")
    monkeypatch.setattr(InotifyFD, "read_events", lambda self: [overflow][: len(read(self))])
    file.write_text("a: 3\n")
    follower.wait_for("", {"a": b"3"})


def test_polling_needs_no_inotify(tmp_path, file, follow, monkeypatch):
    monkeypatch.setattr(observe, "Observer", None)
    follower = follow("etc/values.yaml", poll="20ms")
    rename_over(file, "a: 2\n")
    follower.wait_for("", {"a": b"2"})
    file.unlink()
    eventually(lambda: follower.error)
    assert isinstance(follower.error, Unavailable)


def test_polling_reads_only_what_has_a_new_stamp(tmp_path, file, follow, monkeypatch):
    from confsync_backends.file.contents import Loader

    follower = follow("etc/values.yaml", poll="10ms")
    file.write_text("a: 2\n")
    follower.wait_for("", {"a": b"2"})
    loads = []
    load = Loader.load
    monkeypatch.setattr(Loader, "load", lambda self: (loads.append(1), load(self))[1])

    def nothing_is_read_in_sixty_polls():
        loads.clear()  # the write above may be seen in two steps: a file made empty, and one that is written
        threading.Event().wait(0.6)  # three times as long as changes that do not end put off a reading
        return loads == []

    eventually(nothing_is_read_in_sixty_polls)


@pytest.mark.parametrize("poll", ["10ms", None], ids=["polled", "notified"])
def test_what_is_written_at_once_again_is_told_though_its_times_are_the_same(
    tmp_path, file, follow, monkeypatch, poll
):
    monkeypatch.setattr(scan, "stamp", lambda status: (0, 0, 0, 0, 0))
    monkeypatch.setattr(contents, "stamp", scan.stamp)
    monkeypatch.setattr(observe, "_COARSE", 0.3)
    monkeypatch.setattr(observe, "_SELDOM", 0.1)
    other = tmp_path / "hardlink"
    os.link(file, other)
    loads = []
    load = contents.Loader.load

    def load_and_write(self):
        found = load(self)
        loads.append(1)
        if len(loads) == 2:  # the watch's first
            other.write_text("a: 2\n")
        return found

    monkeypatch.setattr(contents.Loader, "load", load_and_write)
    follow("etc/values.yaml", poll=poll).wait_for("", {"a": b"2"})


def test_after_times_that_differed_there_is_one_more_reason_to_look(monkeypatch):
    monkeypatch.setattr(observe, "_COARSE", 0.02)
    polling = observe.Polling(0.001, lambda: "the same times")
    polling.cover({})
    assert polling.wait(30)
    assert not polling.wait(0.05)


def test_a_change_is_told_within_a_fraction_of_a_second(file, follower):
    def told(value):
        began = time.monotonic()
        rename_over(file, f"a: {value}\n")
        follower.wait_for("", {"a": f"{value}".encode()})
        return time.monotonic() - began

    assert min(told(value) for value in range(2, 7)) < 0.5, "the machine may be slow, but not each time"
