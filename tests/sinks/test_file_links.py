from __future__ import annotations

import os

import pytest

from confsync.config.models import FileTarget
from confsync.errors import SinkError
from confsync.sinks import sink_for


@pytest.fixture
def real(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    real = tmp_path / "elsewhere/real.conf"
    real.write_bytes(b"old")
    real.chmod(0o640)
    return real


@pytest.fixture
def link(tmp_path, real):
    link = tmp_path / "app.conf"
    link.symlink_to("elsewhere/real.conf")
    return link


def target(link, symlink):
    return FileTarget(path=str(link), symlink=symlink)


def test_a_link_is_refused_and_the_choices_are_named(link, real, stage):
    spec = target(link, "refuse")

    problem = sink_for(spec).observe(spec).problem or ""
    assert "symlink: follow" in problem
    assert "symlink: replace" in problem
    with pytest.raises(SinkError, match=r"symbolic link to elsewhere/real.conf"):
        stage(spec, b"new")
    with pytest.raises(SinkError, match="symbolic link"):
        sink_for(spec).remove(spec)
    assert real.read_bytes() == b"old"


def test_a_followed_link_stays_and_its_file_is_replaced_in_its_own_directory(link, real, stage, agrees):
    spec = target(link, "follow")
    staged = stage(spec, b"new")
    assert os.path.dirname(staged.path) == str(link.parent / "elsewhere")

    staged.commit()
    staged.close()

    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert real.stat().st_mode & 0o777 == 0o640
    assert agrees(spec, b"new")


def test_a_chain_of_links_is_followed_to_its_end(link, real, tmp_path, write):
    (tmp_path / "first").symlink_to(link)

    write(target(tmp_path / "first", "follow"), b"new")

    assert real.read_bytes() == b"new"
    assert (tmp_path / "first").is_symlink()


def test_a_dangling_link_that_is_followed_gets_its_file(link, real, write, agrees):
    real.unlink()
    spec = target(link, "follow")
    assert sink_for(spec).observe(spec).content is None

    write(spec, b"new")

    assert link.is_symlink()
    assert agrees(spec, b"new")


def test_links_in_a_loop_are_a_problem(tmp_path, stage):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    spec = target(tmp_path / "a", "follow")

    assert "loop" in (sink_for(spec).observe(spec).problem or "")
    with pytest.raises(SinkError, match="loop"):
        stage(spec, b"x")


def test_a_followed_link_to_a_fifo_is_a_problem(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    spec = target(tmp_path / "link", "follow")

    assert "FIFO" in (sink_for(spec).observe(spec).problem or "")


def test_a_replaced_link_becomes_a_file_and_what_it_led_to_is_untouched(link, real, write, agrees):
    spec = target(link, "replace")
    write(spec, b"new")

    assert not link.is_symlink()
    assert (link.read_bytes(), real.read_bytes()) == (b"new", b"old")
    assert link.stat().st_mode & 0o777 == 0o640
    assert agrees(spec, b"new")


def test_a_link_to_the_right_content_is_still_to_be_replaced(link, agrees, write):
    spec = target(link, "replace")
    assert not agrees(spec, b"old")

    write(spec, b"old")
    assert agrees(spec, b"old")


def test_rolling_a_replaced_link_back_brings_the_link_back(link, real, stage, tmp_path):
    staged = stage(target(link, "replace"), b"new")
    staged.commit()
    staged.rollback()
    staged.close()

    assert os.readlink(link) == "elsewhere/real.conf"
    assert sorted(os.listdir(tmp_path)) == ["app.conf", "elsewhere"]


def test_a_link_to_a_directory_or_to_nothing_can_be_replaced(tmp_path, write, agrees):
    for name, goal in (("to-directory", "/"), ("to-nothing", "nowhere")):
        (tmp_path / name).symlink_to(goal)
        write(target(tmp_path / name, "replace"), b"x")
        assert agrees(target(tmp_path / name, "replace"), b"x")


def test_removing_follows_or_removes_the_link_as_told(link, real):
    follow, replace = target(link, "follow"), target(link, "replace")

    sink_for(follow).remove(follow)
    assert link.is_symlink()
    assert not real.exists()

    sink_for(replace).remove(replace)
    assert not link.is_symlink()


def test_a_link_put_in_place_of_the_target_after_staging_is_not_followed(tmp_path, real, stage):
    path = tmp_path / "app.conf"
    path.write_bytes(b"old")
    staged = stage(FileTarget(path=str(path)), b"new")
    path.unlink()
    path.symlink_to(real)

    staged.commit()
    staged.close()

    assert real.read_bytes() == b"old"
    assert not path.is_symlink()


def test_sweep_looks_where_a_followed_link_leads(link, real):
    stale = real.parent / ".real.conf.confsync-0123456789ab"
    stale.touch()
    spec = target(link, "follow")

    sink_for(spec).sweep([spec])

    assert not stale.exists()
