from __future__ import annotations

import os

import pytest

from confsync.config.models import FileTarget
from confsync.errors import SinkError
from confsync.sinks import sink_for


@pytest.fixture
def spec(tmp_path):
    return FileTarget(path=str(tmp_path / "app.conf"), backup=True)


@pytest.fixture
def backup(tmp_path):
    return tmp_path / "app.conf.bak"


def mode(path):
    return path.stat().st_mode & 0o7777


@pytest.mark.parametrize("undoable", [True, False])
def test_the_previous_content_is_kept_with_its_mode(spec, backup, tmp_path, write, undoable):
    write(spec, b"one", undoable=undoable)
    assert not backup.exists()
    (tmp_path / "app.conf").chmod(0o640)

    write(spec, b"two", undoable=undoable)
    assert (backup.read_bytes(), mode(backup)) == (b"one", 0o640)

    write(spec, b"three", undoable=undoable)
    assert backup.read_bytes() == b"two"
    assert sorted(os.listdir(tmp_path)) == ["app.conf", "app.conf.bak"]


def test_the_backup_is_never_wider_than_the_new_file(spec, backup, write):
    write(spec, b"one")

    write(spec, b"two", sensitive=True)

    assert (backup.read_bytes(), mode(backup)) == (b"one", 0o600)


def test_a_change_of_mode_alone_keeps_the_backup(spec, backup, write):
    write(spec, b"one")
    write(spec, b"two")

    write(spec, b"two", sensitive=True)

    assert backup.read_bytes() == b"one"


def test_rollback_brings_the_older_backup_back(spec, backup, tmp_path, write, stage):
    write(spec, b"one")
    write(spec, b"two")

    staged = stage(spec, b"three")
    staged.commit()
    assert backup.read_bytes() == b"two"
    staged.rollback()
    staged.close()

    assert backup.read_bytes() == b"one"
    assert sorted(os.listdir(tmp_path)) == ["app.conf", "app.conf.bak"]


def test_rollback_of_the_first_backup_removes_it(spec, backup, write, stage):
    write(spec, b"one")
    staged = stage(spec, b"two")
    staged.commit()
    staged.rollback()
    staged.close()

    assert not backup.exists()


def test_a_backup_that_cannot_be_written_fails_with_the_target_as_it_was(
    spec, backup, tmp_path, write, stage
):
    write(spec, b"one")
    staged = stage(spec, b"two")
    backup.mkdir()

    with pytest.raises(SinkError, match=r"PATH.bak"):
        staged.commit()
    staged.close()

    assert (tmp_path / "app.conf").read_bytes() == b"one"
    assert sorted(os.listdir(tmp_path)) == ["app.conf", "app.conf.bak"]


@pytest.mark.parametrize(
    "make", [lambda path: path.mkdir(), os.mkfifo, lambda path: path.symlink_to("/nowhere")]
)
def test_a_backup_does_not_replace_what_is_not_a_file(spec, backup, tmp_path, write, make):
    write(spec, b"one")
    make(backup)

    with pytest.raises(SinkError, match=r"PATH.bak would replace what is not a file"):
        write(spec, b"two")

    assert (tmp_path / "app.conf").read_bytes() == b"one"
    assert sorted(os.listdir(tmp_path)) == ["app.conf", "app.conf.bak"]


def test_a_replaced_link_that_became_the_backup_is_replaced_in_turn(spec, backup, tmp_path, write):
    spec = spec.model_copy(update={"symlink": "replace"})
    (tmp_path / "real").write_bytes(b"one")
    (tmp_path / "app.conf").symlink_to("real")
    write(spec, b"two")

    write(spec, b"three")

    assert (backup.is_symlink(), backup.read_bytes()) == (False, b"two")
    assert (tmp_path / "real").read_bytes() == b"one"


def test_the_backup_is_removed_with_its_target(spec, backup, tmp_path, write):
    write(spec, b"one")
    write(spec, b"two")
    assert backup.read_bytes() == b"one"

    sink_for(spec).remove(spec)

    assert os.listdir(tmp_path) == []


def test_without_backup_what_has_its_name_is_left_alone(spec, backup, write):
    plain = spec.model_copy(update={"backup": False})
    write(plain, b"one")
    backup.write_bytes(b"of somebody else")

    sink_for(plain).remove(plain)

    assert backup.read_bytes() == b"of somebody else"
