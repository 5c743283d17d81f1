from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from confsync.config.models import FileTarget
from confsync.errors import SinkError
from confsync.sinks import sink_for
from confsync.sinks.base import Desired


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.conf"


@pytest.fixture
def spec(path):
    return FileTarget(path=str(path))


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def test_a_missing_file_is_observed_as_nothing(spec):
    actual = sink_for(spec).observe(spec)

    assert (actual.content, dict(actual.attributes), actual.problem) == (None, {}, None)


def test_a_written_file_is_observed_as_it_was_wanted(spec, write, agrees):
    write(spec, b"one\n")

    assert agrees(spec, b"one\n")
    assert sink_for(spec).observe(spec).attributes["mode"] == "0644"


def test_staging_changes_nothing_a_reader_sees(spec, path, stage):
    path.write_bytes(b"old")

    staged = stage(spec, b"new")

    assert path.read_bytes() == b"old"
    assert Path(staged.path).read_bytes() == b"new"


def test_what_is_staged_has_its_final_mode(spec, stage):
    assert mode(stage(spec.model_copy(update={"mode": 0o640}), b"").path) == 0o640


def test_closing_without_commit_leaves_nothing_behind(spec, tmp_path, stage):
    stage(spec, b"new").close()

    assert os.listdir(tmp_path) == []


def test_closing_after_commit_leaves_only_the_target(spec, path, tmp_path, write):
    path.write_bytes(b"old")
    write(spec, b"new")

    assert os.listdir(tmp_path) == ["app.conf"]


def test_closing_twice_is_harmless(spec, path, stage):
    staged = stage(spec, b"new")
    staged.commit()
    staged.close()
    staged.close()

    assert path.read_bytes() == b"new"


def test_a_replaced_file_is_another_inode_so_that_open_readers_keep_the_old(spec, path, write):
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        write(spec, b"new and longer")

        assert reader.read() == b"old"


@pytest.mark.parametrize("undoable", [True, False])
def test_an_empty_and_a_large_content_arrive_whole(spec, path, write, undoable):
    for content in (b"", os.urandom(3_000_000), b"x"):
        write(spec, content, undoable=undoable)
        assert path.read_bytes() == content
        assert sink_for(spec).observe(spec).content == content


def test_rollback_puts_the_very_same_file_back(spec, path, tmp_path, stage):
    path.write_bytes(b"old")
    path.chmod(0o604)
    before = os.stat(path)

    staged = stage(spec, b"new")
    staged.commit()
    staged.rollback()
    staged.close()

    after = os.stat(path)
    assert (path.read_bytes(), after.st_ino, after.st_mode) == (b"old", before.st_ino, before.st_mode)
    assert os.listdir(tmp_path) == ["app.conf"]


def test_rollback_of_a_created_file_removes_it(spec, tmp_path, stage):
    staged = stage(spec, b"new")
    staged.commit()
    staged.rollback()
    staged.close()

    assert os.listdir(tmp_path) == []


def test_rollback_before_commit_changes_nothing(spec, path, stage):
    path.write_bytes(b"old")
    stage(spec, b"new").rollback()

    assert path.read_bytes() == b"old"


def test_what_was_staged_as_not_undoable_says_so_when_taken_back(spec, path, stage):
    path.write_bytes(b"old")
    staged = stage(spec, b"new", undoable=False)
    staged.commit()

    with pytest.raises(SinkError, match="not kept"):
        staged.rollback()


def test_an_existing_mode_is_kept_unless_one_is_configured(spec, path, write):
    path.write_bytes(b"old")
    path.chmod(0o664)
    write(spec, b"new")
    assert mode(path) == 0o664

    write(spec.model_copy(update={"mode": 0o600}), b"new")
    assert mode(path) == 0o600


def test_a_sensitive_file_is_0600_and_narrowed_where_it_was_wider(spec, path, write, agrees):
    path.write_bytes(b"old")
    path.chmod(0o644)
    assert not agrees(spec, b"old", sensitive=True)

    write(spec, b"old", sensitive=True)

    assert mode(path) == 0o600
    assert agrees(spec, b"old", sensitive=True)


def test_a_configured_mode_holds_for_sensitive_files_too(spec, path, write):
    write(spec.model_copy(update={"mode": 0o640}), b"secret", sensitive=True)

    assert mode(path) == 0o640


def test_the_umask_plays_no_part(spec, path, write):
    before = os.umask(0o077)
    try:
        write(spec, b"x")
    finally:
        os.umask(before)

    assert mode(path) == 0o644


def test_a_mode_that_drifted_shows_as_a_difference(path, write, agrees):
    spec = FileTarget(path=str(path), mode=0o640)
    write(spec, b"x")
    path.chmod(0o666)

    assert not agrees(spec, b"x")


def test_missing_parents_are_an_error_that_names_the_option(tmp_path, stage):
    spec = FileTarget(path=str(tmp_path / "a/b/app.conf"))

    with pytest.raises(SinkError, match=r"its directory does not exist.*parents: true"):
        stage(spec, b"x")
    assert os.listdir(tmp_path) == []


def test_missing_parents_are_made_0755_when_asked_for(tmp_path, write):
    before = os.umask(0o077)
    try:
        write(FileTarget(path=str(tmp_path / "a/b/app.conf"), parents=True), b"x", sensitive=True)
    finally:
        os.umask(before)

    assert [mode(tmp_path / "a"), mode(tmp_path / "a/b"), mode(tmp_path / "a/b/app.conf")] == [
        0o755,
        0o755,
        0o600,
    ]


def test_parents_made_for_nothing_are_removed_again(tmp_path, stage):
    staged = stage(FileTarget(path=str(tmp_path / "a/b/app.conf"), parents=True), b"x")
    staged.commit()
    staged.rollback()
    staged.close()

    assert os.listdir(tmp_path) == []


def test_a_fifo_is_a_problem_and_never_blocks(spec, path, stage):
    os.mkfifo(path)

    assert "FIFO" in (sink_for(spec).observe(spec).problem or "")
    with pytest.raises(SinkError, match="FIFO"):
        stage(spec, b"x")
    with pytest.raises(SinkError, match="not removed"):
        sink_for(spec).remove(spec)
    assert stat.S_ISFIFO(os.lstat(path).st_mode)


def test_a_directory_and_a_socket_and_a_device_are_problems(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for place, noun in (
            (tmp_path / "folder", "directory"),
            (tmp_path / "socket", "socket"),
            ("/dev/null", "device"),
        ):
            spec = FileTarget(path=str(place))
            assert noun in (sink_for(spec).observe(spec).problem or "")


def test_a_file_where_a_directory_should_be_is_a_problem(tmp_path, stage):
    (tmp_path / "a").write_bytes(b"")
    spec = FileTarget(path=str(tmp_path / "a/app.conf"), parents=True)

    assert "not a directory" in (sink_for(spec).observe(spec).problem or "")
    with pytest.raises(SinkError, match="not a directory"):
        stage(spec, b"x")


def test_a_name_of_255_bytes_works_and_a_longer_one_teaches(tmp_path, write, stage):
    longest = FileTarget(path=str(tmp_path / ("ä" * 127 + "x")))
    write(longest, b"one")
    write(longest, b"two")
    assert sink_for(longest).observe(longest).content == b"two"
    assert len(os.listdir(tmp_path)) == 1

    longer = FileTarget(path=str(tmp_path / ("x" * 256)))
    assert "255 bytes" in (sink_for(longer).observe(longer).problem or "")
    with pytest.raises(SinkError, match="255 bytes"):
        stage(longer, b"x")


def test_names_that_are_not_utf8_or_look_strange_work(tmp_path, write, agrees):
    for name in ("\udcff\udcfe", "new\nline", "-rf", " ", "{staged}", "*", ".hidden"):
        spec = FileTarget(path="/").model_copy(update={"path": f"{tmp_path}/{name}"})
        write(spec, b"1")
        write(spec, b"2")
        assert agrees(spec, b"2")
    assert len(os.listdir(tmp_path)) == 7


@pytest.mark.parametrize("bad", ["relative", "/", "//", "/a/..", "/a\0b", "/\ud800"])
def test_a_path_that_cannot_be_one_is_refused(bad, stage):
    spec = FileTarget(path="/x").model_copy(update={"path": bad})  # the model itself refuses a lone surrogate

    for use in (sink_for(spec).observe, sink_for(spec).remove, sink_for(spec).locate):
        with pytest.raises(SinkError):
            use(spec)
    with pytest.raises(SinkError):
        stage(spec, b"x")


def test_the_identity_is_the_normalised_path():
    spec = FileTarget(path="//etc/./x/../app.conf")
    assert sink_for(spec).locate(spec) == "/etc/app.conf"
    assert sink_for(FileTarget(path="/a")).locate(FileTarget(path="/a/b/")) == "/a/b"


def test_removing_removes_and_a_second_time_is_no_error(spec, path, write):
    write(spec, b"x")

    sink_for(spec).remove(spec)
    assert not path.exists()
    sink_for(spec).remove(spec)


def test_a_directory_is_never_removed(spec, path):
    path.mkdir()

    with pytest.raises(SinkError, match="directory"):
        sink_for(spec).remove(spec)
    assert path.is_dir()


def test_sweep_removes_our_leftovers_and_nothing_else(spec, path, tmp_path):
    path.write_bytes(b"x")
    ours = [".app.conf.confsync-0123456789ab", ".app.conf.confsync-old-0123456789ab"]
    others = [
        ".app.conf.confsync-xyz",
        ".app.conf.confsync-0123456789abc",
        ".other.confsync-0123456789ab",
        ".app.conf",
    ]
    for name in ours + others:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / ".app.conf.confsync-ffffffffffff").mkdir()

    sink_for(spec).sweep([spec, FileTarget(path="/nowhere/at/all"), FileTarget(path="relative")])

    assert sorted(os.listdir(tmp_path)) == sorted([*others, ".app.conf.confsync-ffffffffffff", "app.conf"])


def test_sweeping_thousands_of_targets_lists_their_directory_once(tmp_path):
    specs = [FileTarget(path=str(tmp_path / f"{number}.conf")) for number in range(1000)]
    for spec in specs:
        (tmp_path / f".{os.path.basename(spec.path)}.confsync-0123456789ab").touch()

    sink_for(specs[0]).sweep(specs)

    assert os.listdir(tmp_path) == []


def test_a_commit_that_cannot_be_leaves_the_target_as_it_was(spec, path, tmp_path, stage):
    staged = stage(spec, b"new")
    path.mkdir()  # somebody was quicker

    with pytest.raises(SinkError, match="cannot be replaced"):
        staged.commit()
    staged.close()
    assert os.listdir(tmp_path) == ["app.conf"]
    assert path.is_dir()


def test_no_error_shows_the_content(tmp_path, stage):
    for place in (tmp_path / "missing/x", tmp_path / ("y" * 300)):
        with pytest.raises(SinkError) as caught:
            stage(FileTarget(path=str(place)), b"hunter2", sensitive=True)
        assert "hunter2" not in str(caught.value)


def test_a_mapping_cannot_be_written_to_a_file(spec, stage):
    with pytest.raises(SinkError, match="directory target"):
        stage(spec, {"a": b""})


def test_many_targets_staged_at_once_hold_no_descriptors(tmp_path, stage):
    before = len(os.listdir("/proc/self/fd"))
    for number in range(50):
        stage(FileTarget(path=str(tmp_path / str(number))), b"x")

    assert len(os.listdir("/proc/self/fd")) == before


def test_attributes_of_what_is_not_there_name_only_what_is_decided(spec):
    actual = sink_for(spec).observe(spec)
    wanted = sink_for(spec).attributes(Desired(spec.model_copy(update={"owner": 0}), b"", True), actual)

    assert wanted["mode"] == "0600"
    assert set(wanted) == {"mode", "owner"}
