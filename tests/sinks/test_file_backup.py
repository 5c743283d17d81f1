from __future__ import annotations

import os

import pytest

from confsync.config.models import FileTarget
from confsync.errors import SinkError


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
    backup.mkdir()
    staged = stage(spec, b"two")

    with pytest.raises(SinkError, match=r"PATH.bak"):
        staged.commit()
    staged.close()

    assert (tmp_path / "app.conf").read_bytes() == b"one"
    assert sorted(os.listdir(tmp_path)) == ["app.conf", "app.conf.bak"]
