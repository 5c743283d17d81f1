from __future__ import annotations

import os
import stat

import pytest

from confsync.config.models import DirectoryTarget, FileTarget
from confsync.errors import SinkError
from confsync.sinks import sink_for
from confsync.sinks.base import Desired

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def owned(path):
    found = os.stat(path)
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


@pytest.mark.root
@root_only
@pytest.mark.parametrize(("owner", "group"), [("nobody", "daemon"), ("65534", "1"), (65534, 1)])
def test_owner_and_group_are_set_by_name_and_by_number(tmp_path, write, agrees, owner, group):
    spec = FileTarget(path=str(tmp_path / "x"), owner=owner, group=group, mode=0o4750)
    write(spec, b"x")

    assert owned(tmp_path / "x") == (65534, 1, 0o4750)
    assert agrees(spec, b"x")


@pytest.mark.root
@root_only
def test_an_existing_owner_and_group_are_kept(tmp_path, write, agrees):
    (tmp_path / "x").write_bytes(b"old")
    os.chown(tmp_path / "x", 65534, 1)
    spec = FileTarget(path=str(tmp_path / "x"))

    write(spec, b"new")

    assert owned(tmp_path / "x")[:2] == (65534, 1)
    assert agrees(spec, b"new")


@pytest.mark.root
@root_only
def test_an_owner_that_drifted_shows_as_a_difference(tmp_path, write, agrees):
    spec = FileTarget(path=str(tmp_path / "x"), owner="root")
    write(spec, b"x")
    os.chown(tmp_path / "x", 4242, -1)

    assert sink_for(spec).observe(spec).attributes["owner"] == "4242"
    assert not agrees(spec, b"x")


def test_an_unknown_owner_or_group_is_an_error_with_a_suggestion(tmp_path, stage):
    for spec, message in (
        (FileTarget(path=str(tmp_path / "x"), owner="roott"), "no user 'roott'.*did you mean 'root'"),
        (FileTarget(path=str(tmp_path / "x"), group="no such"), "no group 'no such'"),
        (FileTarget(path=str(tmp_path / "x"), owner=-5), "-5 cannot be a user id"),
    ):
        actual = sink_for(spec).observe(spec)
        with pytest.raises(SinkError, match=message):
            stage(spec, b"x")
        with pytest.raises(SinkError, match=message):
            sink_for(spec).attributes(Desired(spec, b"x", False), actual)
    assert os.listdir(tmp_path) == []


@pytest.mark.root
def test_a_configured_owner_that_may_not_be_given_fails_and_says_who_we_are(public, as_nobody):
    def attempt():
        spec = FileTarget(path=str(public / "x"), owner="root")
        with pytest.raises(SinkError) as caught:
            sink_for(spec).stage(Desired(spec, b"x", False))
        return str(caught.value), os.listdir(public)

    message, left = as_nobody(attempt)
    assert "cannot make root (0) its owner as nobody (uid 65534)" in message
    assert "CAP_CHOWN" in message
    assert left == []


@pytest.mark.root
def test_an_owner_nobody_configured_is_lost_with_a_note_and_without_opening_the_file(public, as_nobody):
    path = public / "x"
    path.write_bytes(b"old")
    path.chmod(0o2664)

    def attempt():
        spec = FileTarget(path=str(path))
        staged = sink_for(spec).stage(Desired(spec, b"new", False))
        staged.commit()
        staged.close()
        sink = sink_for(spec)
        actual = sink.observe(spec)
        return staged.notes, actual.attributes == sink.attributes(Desired(spec, b"new", False), actual)

    notes, agrees = as_nobody(attempt)
    assert any("its owner was root" in note for note in notes)
    assert any("its group was root" in note for note in notes)
    # The group's write permission was for root's group; ours is not given it.
    assert owned(path) == (65534, 65534, 0o644)
    assert agrees


@pytest.mark.root
def test_a_file_that_may_not_be_read_or_a_directory_not_written_teaches(public, as_nobody):
    (public / "closed").mkdir()
    (public / "closed/x").write_bytes(b"secret")
    (public / "closed/x").chmod(0o600)

    def attempt():
        spec = FileTarget(path=str(public / "closed/x"))
        with pytest.raises(SinkError) as reading:
            sink_for(spec).observe(spec)
        with pytest.raises(SinkError) as writing:
            sink_for(spec).stage(Desired(spec, b"x", False))
        with pytest.raises(SinkError) as removing:
            sink_for(spec).remove(spec)
        return str(reading.value), str(writing.value), str(removing.value)

    for message in as_nobody(attempt):
        assert "not permitted as nobody (uid 65534)" in message


@pytest.mark.root
def test_a_writable_file_in_a_closed_directory_is_written_in_place(public, as_nobody):
    (public / "closed").mkdir()
    path = public / "closed/x"
    path.write_bytes(b"a long old content")
    path.chmod(0o666)

    def attempt():
        spec = FileTarget(path=str(path))
        staged = sink_for(spec).stage(Desired(spec, b"new", False))
        with open(staged.path, "rb") as stream:
            seen = stream.read()
        staged.commit()
        staged.close()
        return seen, staged.notes

    seen, notes = as_nobody(attempt)
    assert seen == b"new"
    assert "in place" in notes[-1]
    assert path.read_bytes() == b"new"


@pytest.mark.root
@root_only
def test_a_directory_target_gives_owner_and_group_to_all_its_files(tmp_path, write, agrees):
    spec = DirectoryTarget(path=str(tmp_path / "conf"), owner="nobody", group="daemon", mode=0o440)
    write(spec, {"a": b"1", "b": b"2"}, sensitive=True)

    version = tmp_path / "conf" / os.readlink(tmp_path / "conf/..data")
    assert owned(tmp_path / "conf/a") == (65534, 1, 0o440)
    assert owned(version) == (65534, 1, 0o750)
    assert agrees(spec, {"a": b"1", "b": b"2"}, sensitive=True)
