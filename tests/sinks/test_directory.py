from __future__ import annotations

import os
import stat

import pytest

from confsync.config.models import DirectoryTarget
from confsync.errors import SinkError
from confsync.sinks import sink_for
from confsync.sinks.base import Desired


@pytest.fixture
def path(tmp_path):
    return tmp_path / "conf"


@pytest.fixture
def spec(path):
    return DirectoryTarget(path=str(path))


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def content(path):
    return {name: (path / name).read_bytes() for name in os.listdir(path) if not name.startswith("..")}


def versions(path):
    return [name for name in os.listdir(path) if name.startswith("..confsync-")]


def test_a_missing_directory_is_observed_as_nothing(spec):
    assert sink_for(spec).observe(spec).content is None
    assert sink_for(spec).locate(spec) == spec.path


def test_every_name_is_a_link_through_one_switch(spec, path, write, agrees):
    write(spec, {"a": b"1", "b": b"2"})

    assert content(path) == {"a": b"1", "b": b"2"}
    assert os.readlink(path / "a") == "..data/a"
    assert os.readlink(path / "..data") == versions(path)[0]
    assert (mode(path), mode(path / "..data/a"), mode(path / versions(path)[0])) == (0o755, 0o644, 0o755)
    assert agrees(spec, {"a": b"1", "b": b"2"})


def test_names_come_and_go_and_old_versions_are_removed(spec, path, write, agrees):
    write(spec, {"a": b"1", "b": b"2"})
    write(spec, {"b": b"3", "c": b"4"})

    assert content(path) == {"b": b"3", "c": b"4"}
    assert len(versions(path)) == 1
    assert agrees(spec, {"b": b"3", "c": b"4"})


def test_no_files_at_all_is_a_content_too(spec, path, write, agrees):
    write(spec, {})
    assert agrees(spec, {})
    assert content(path) == {}

    write(spec, {"a": b"1"})
    write(spec, {})
    assert agrees(spec, {})


def test_sensitive_files_are_0600_in_a_directory_of_0700(spec, path, write):
    write(spec, {"key": b"secret"}, sensitive=True)

    assert mode(path / "..data/key") == 0o600
    assert mode(path / versions(path)[0]) == 0o700


def test_whoever_may_read_the_files_may_enter_their_directory(path, write):
    write(DirectoryTarget(path=str(path), mode=0o640), {"key": b"secret"}, sensitive=True)

    assert mode(path / versions(path)[0]) == 0o750


def test_staging_changes_nothing_a_reader_sees(spec, path, write, stage):
    write(spec, {"a": b"1"})

    staged = stage(spec, {"a": b"2", "b": b"3"})

    assert content(path) == {"a": b"1"}
    assert sorted(os.listdir(staged.path)) == ["a", "b"]


def test_closing_without_commit_leaves_nothing_behind(spec, path, tmp_path, write, stage):
    stage(spec, {"a": b"1"}).close()
    assert os.listdir(tmp_path) == []

    write(spec, {"a": b"1"})
    before = sorted(os.listdir(path))
    stage(spec, {"a": b"2"}).close()
    assert sorted(os.listdir(path)) == before


def test_rollback_brings_back_names_and_contents(spec, path, write, stage, agrees):
    write(spec, {"a": b"1", "b": b"2"})
    before = sorted(os.listdir(path))

    staged = stage(spec, {"b": b"3", "c": b"4"})
    staged.commit()
    staged.rollback()
    staged.close()

    assert agrees(spec, {"a": b"1", "b": b"2"})
    assert sorted(os.listdir(path)) == before


def test_rollback_of_a_created_directory_removes_it(spec, tmp_path, stage):
    staged = stage(spec, {"a": b"1"})
    staged.commit()
    staged.rollback()
    staged.close()

    assert os.listdir(tmp_path) == []


def test_missing_parents_are_made_only_when_asked_for(tmp_path, write, stage, agrees):
    path = str(tmp_path / "a/b/conf")
    with pytest.raises(SinkError, match="parents: true"):
        stage(DirectoryTarget(path=path), {"x": b""})
    assert os.listdir(tmp_path) == []

    write(DirectoryTarget(path=path, parents=True), {"x": b""})
    assert agrees(DirectoryTarget(path=path, parents=True), {"x": b""})


def test_a_foreign_file_where_a_link_must_go_is_refused_before_anything_is_written(spec, path, stage):
    path.mkdir()
    (path / "a").write_bytes(b"mine")
    actual = sink_for(spec).observe(spec)

    with pytest.raises(SinkError, match="it holds a, which confsync did not put there"):
        sink_for(spec).attributes(Desired(spec, {"a": b"1"}, False), actual)
    with pytest.raises(SinkError, match="it holds a"):
        stage(spec, {"a": b"1"})
    assert content(path) == {"a": b"mine"}


def test_other_foreign_files_are_left_alone(spec, path, write, agrees):
    path.mkdir()
    (path / "README").write_bytes(b"mine")
    (path / "folder").mkdir()
    (path / "link").symlink_to("/etc/hostname")

    write(spec, {"a": b"1"})
    assert agrees(spec, {"a": b"1"})
    sink_for(spec).remove(spec)

    assert sorted(os.listdir(path)) == ["README", "folder", "link"]


def test_a_file_that_came_between_staging_and_commit_undoes_the_switch(spec, path, write, stage, agrees):
    write(spec, {"a": b"1"})
    staged = stage(spec, {"a": b"2", "b": b"3"})
    (path / "b").write_bytes(b"mine")

    with pytest.raises(SinkError):
        staged.commit()
    staged.close()

    assert agrees(spec, {"a": b"1"})
    assert (path / "b").read_bytes() == b"mine"
    assert len(versions(path)) == 1


def test_the_switch_of_another_program_is_a_problem(spec, path, stage):
    path.mkdir()
    (path / "..2026_01_01").mkdir()
    (path / "..data").symlink_to("..2026_01_01")

    assert "not confsync's" in (sink_for(spec).observe(spec).problem or "")
    with pytest.raises(SinkError, match="not confsync's"):
        stage(spec, {"a": b"1"})
    with pytest.raises(SinkError, match="not confsync's"):
        sink_for(spec).remove(spec)
    sink_for(spec).sweep([spec])
    assert len(os.listdir(path)) == 2


def test_a_file_or_link_at_the_path_is_a_problem(tmp_path, stage):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("/tmp")

    for name in ("file", "link", "file/below"):
        spec = DirectoryTarget(path=str(tmp_path / name))
        assert sink_for(spec).observe(spec).problem is not None
        with pytest.raises(SinkError):
            stage(spec, {"a": b""})


@pytest.mark.parametrize("bad", ["", ".", "..", "..data", "a/b", "/a", "a\0b", "x" * 256, "\ud800"])
def test_a_name_that_cannot_be_a_file_is_refused(spec, tmp_path, stage, bad):
    with pytest.raises(SinkError, match="cannot be a file name"):
        stage(spec, {"good": b"", bad: b""})
    assert os.listdir(tmp_path) == []


def test_strange_but_possible_names_work(spec, write, agrees):
    files = {"x" * 255: b"1", ".hidden": b"2", "-rf": b"3", " ": b"4", "ä": b"5", "a..b": b"6"}
    write(spec, files)

    assert agrees(spec, files)


def test_drift_of_a_file_a_link_or_a_mode_shows_and_is_healed(spec, path, write, agrees):
    files = {"a": b"1", "b": b"2"}
    write(spec, files)

    for damage in (
        lambda: (path / "..data/a").write_bytes(b"changed"),
        (path / "b").unlink,
        (path / "..data/b").unlink,
        lambda: (path / "..data/b").chmod(0o666),
        (path / "..data").unlink,
        lambda: os.rename(path / os.readlink(path / "..data"), path / "gone"),
    ):
        damage()
        assert not agrees(spec, files)
        write(spec, files)
        assert agrees(spec, files)
        assert len(versions(path)) == 1


def test_removing_removes_all_of_ours_and_a_second_time_is_no_error(spec, tmp_path, write):
    write(spec, {"a": b"1", "b": b"2"})

    sink_for(spec).remove(spec)
    assert os.listdir(tmp_path) == []
    sink_for(spec).remove(spec)


def test_sweep_removes_versions_not_in_force_and_an_unthrown_switch(spec, path, write, agrees):
    write(spec, {"a": b"1"})
    stale = path / "..confsync-0123456789ab"
    stale.mkdir()
    (stale / "a").write_bytes(b"")
    (path / "..data_tmp").symlink_to(stale.name)
    (path / "..confsync-other").mkdir()

    sink_for(spec).sweep([spec])

    assert not stale.exists()
    assert not os.path.lexists(path / "..data_tmp")
    assert (path / "..confsync-other").exists()
    assert agrees(spec, {"a": b"1"})
