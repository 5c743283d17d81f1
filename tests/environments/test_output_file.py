"""The file that is written: what is no file is left alone, and what is there changes whole or not at all."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from contextlib import nullcontext
from pathlib import Path

import pytest
from stand_ins.nobody import nobody

from confsync.environments.output import output_file
from confsync.environments.output.output_file import look, remove, replace, sweep
from confsync.environments.output.place import place_of
from confsync.errors import ConfigError, ConfsyncError


def refused(path, says):
    with pytest.raises(ConfsyncError) as told:
        look(str(path))
    assert says in str(told.value)
    return str(told.value)


def test_a_link_is_not_written_through(tmp_path):
    (tmp_path / "real").touch()
    (tmp_path / "link").symlink_to("real")
    assert refused(tmp_path / "link", "is a symbolic link").endswith(f"({_hint(tmp_path / 'real')})")
    (tmp_path / "dangling").symlink_to("nowhere")
    refused(tmp_path / "dangling", "is a symbolic link")


def test_a_link_to_what_is_no_file_is_better_not_named(tmp_path):
    for path in ("/dev/stdout", "/dev/fd/1"):
        assert "--out - prints the result" in refused(place_of(path), "is a symbolic link")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    assert "--out - prints" in refused(tmp_path / "link", "is a symbolic link")


def test_a_hard_link_becomes_a_file_of_its_own_and_that_is_said(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    os.link(tmp_path / "a", tmp_path / "b")
    (note,) = replace(look(str(tmp_path / "a")), b"y", private=True)
    assert "hard link" in note
    assert (tmp_path / "b").read_bytes() == b"x"
    assert replace(look(str(tmp_path / "a")), b"z", private=True) == ()


def _hint(path):
    return f"name what it leads to: {path}"


def test_what_is_no_file_is_not_written(tmp_path):
    refused(tmp_path, "is a directory")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "device, pipe or socket")
    refused("/dev/null", "device, pipe or socket")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(tmp_path, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{here}/socket")  # a socket's path has to be short
        os.close(here)
    refused(tmp_path / "socket", "device, pipe or socket")


def test_a_directory_that_is_none(tmp_path):
    (tmp_path / "file").touch()
    refused(tmp_path / "nowhere/.env", "nowhere does not exist (create it, or write to another file)")
    refused(tmp_path / "file/.env", "file is no directory")


@pytest.mark.parametrize("name", ["", "/", ".", "..", "x/", "x/..", "a\0b"])
def test_no_file_can_be_called_so(name):
    with pytest.raises(ConfigError):
        place_of(name)


def test_a_path_is_where_its_directory_really_is(tmp_path, monkeypatch):
    (tmp_path / "a/real").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a/real")
    (tmp_path / "real").symlink_to("a/real")
    monkeypatch.chdir(tmp_path)
    assert place_of(".env") == place_of("./a/../.env") == str(tmp_path / ".env")
    assert place_of("link/../.env") == str(tmp_path / "a/.env")
    assert place_of("link/.env") == place_of("real/.env") == str(tmp_path / "a/real/.env")
    (tmp_path / "real/.env").symlink_to("x")
    assert place_of("link/.env") == str(tmp_path / "a/real/.env")


def test_it_is_private_from_the_first_byte(tmp_path):
    path = tmp_path / ".env"
    path.write_text("old")
    path.chmod(0o666)
    before = os.umask(0)
    try:
        replace(look(str(path)), b"new", private=True)
    finally:
        os.umask(before)
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_another_swept_while_it_was_written_is_told_as_such(tmp_path, monkeypatch):
    """As an --out with a list of its own does, which no lock keeps away."""
    path = tmp_path / ".env"
    path.write_text("old")
    before = look(str(path))
    rename = os.rename

    def swept(staged, target):
        sweep(str(path))
        rename(staged, target)

    monkeypatch.setattr(os, "rename", swept)
    with pytest.raises(ConfsyncError, match=r"changed by somebody else meanwhile.*\(try again\)"):
        replace(before, b"new", private=True)
    assert path.read_text() == "old"


def test_what_is_somebody_elses_keeps_nothing_of_ours_from_being_swept(tmp_path, monkeypatch):
    theirs, ours = (tmp_path / f"..env.confsync-{token}" for token in ("0" * 12, "1" * 12))
    for left in (theirs, ours):
        left.touch()
    unlink = os.unlink

    def refused(path):
        if path == str(theirs):
            raise PermissionError
        unlink(path)

    monkeypatch.setattr(os, "unlink", refused)
    monkeypatch.setattr(os, "listdir", lambda _: [theirs.name, ours.name])
    sweep(str(tmp_path / ".env"))
    assert (theirs.exists(), ours.exists()) == (True, False)


def test_what_somebody_else_changed_meanwhile_is_left_as_it_is(tmp_path):
    path = tmp_path / ".env"
    seen = look(str(path))
    path.write_text("theirs")
    with pytest.raises(ConfsyncError, match="changed by somebody else meanwhile"):
        replace(seen, b"ours", private=True)
    seen = look(str(path))
    path.write_text("theirs again")
    for act in (lambda: replace(seen, b"ours", private=True), lambda: remove(seen)):
        with pytest.raises(ConfsyncError, match="changed by somebody else meanwhile"):
            act()
    assert path.read_text() == "theirs again"
    assert os.listdir(tmp_path) == [".env"]


def test_a_failure_in_the_middle_leaves_what_was_there_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / ".env"
    path.write_text("old")

    def rename(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(output_file.os, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        replace(look(str(path)), b"new", private=True)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == [".env"]


def test_only_its_own_leavings_are_swept(tmp_path):
    for name in ("..env.confsync-0123456789ab", "..env.confsync-x", "..envx.confsync-0123456789ab", ".env"):
        (tmp_path / name).touch()
    (tmp_path / "..env.confsync-ffffffffffff").mkdir()
    sweep(str(tmp_path / ".env"))
    assert sorted(os.listdir(tmp_path)) == [
        "..env.confsync-ffffffffffff", "..env.confsync-x", "..envx.confsync-0123456789ab", ".env",
    ]  # fmt: skip
    sweep(str(tmp_path / "nowhere" / ".env"))


def test_a_directory_one_may_not_write_in(tmp_path):
    """As somebody who is not root, to whom nothing is forbidden."""
    place = Path(tempfile.mkdtemp(prefix="confsync-test-"))
    try:
        (place / ".env").write_text("old")
        place.chmod(0o555)
        assert "not permitted as " in as_nobody(
            lambda: replace(look(str(place / ".env")), b"new", private=True)
        )
        assert (place / ".env").read_text() == "old"
        assert os.listdir(place) == [".env"]
        place.chmod(0o000)
        assert "not permitted as " in as_nobody(lambda: look(str(place / ".env")))
    finally:
        place.chmod(0o700)
        shutil.rmtree(place)


def as_nobody(act):
    """What is said when somebody else than root does this."""
    with nobody() if os.geteuid() == 0 else nullcontext(), pytest.raises(ConfsyncError) as told:
        act()
    return str(told.value)


def test_no_content_is_in_what_is_shown_of_it(tmp_path):
    (tmp_path / ".env").write_text("hunter2")
    assert "hunter2" not in repr(look(str(tmp_path / ".env")))
