"""`confsync env --ttl` and `--clean`: what was written is known, is brought to mind, and goes without a trace."""

from __future__ import annotations

import json
import os
from contextlib import suppress

import pytest
from stand_ins.mounts import mount as mount

CONFIG = """\
sources:
  values: {backend: file, path: values.yaml, sensitive: ["*password*"]}
environments:
  dev: {values: dev}
  prod: {values: prod}
syncs: {}
"""
PASSWORD = "correct-horse"


@pytest.fixture
def shop(bare):
    bare.config(CONFIG)
    bare.values({"dev": {"host": "localhost"}, "prod": {"host": "db1", "password": PASSWORD}})
    return bare


def listed(shop):
    """The list as it is on disk."""
    path = shop.state / "environments" / "written.json"
    return json.loads(path.read_text())["files"] if path.exists() else []


def test_a_file_that_has_nothing_else_is_removed(shop):
    before = {path.name for path in shop.root.iterdir()}
    shop.ok("env", "prod", "--out", ".env")
    shop.ok("env", "prod", "--out", "x.json")
    result = shop.ok("env", "--clean")
    assert result.out == f"{shop.root}/.env of prod: removed\n{shop.root}/x.json of prod: removed\n"
    assert {path.name for path in shop.root.iterdir()} == before
    assert listed(shop) == []
    again = shop.ok("env", "--clean")
    assert again.out == "nothing to remove\n"


def test_own_lines_stay_and_so_does_what_was_written_in_the_block(shop):
    path = shop.write(".env", b"# mine\r\nMINE=1")
    shop.ok("env", "prod", "--out", ".env")
    path.write_bytes(path.read_bytes().replace(b"HOST=db1\r\n", b"HOST=localhost\r\n") + b"MORE=1\r\n")
    result = shop.ok("env", "--clean")
    assert (
        "block removed: your own lines stay, and so does what you wrote in the block (line 6)" in result.out
    )
    assert path.read_bytes() == b"# mine\r\nMINE=1\r\nHOST=localhost\r\nMORE=1\r\n"


def test_an_empty_file_that_was_there_before_stays(shop):
    shop.write(".env", "")
    shop.ok("env", "prod", "--out", ".env")
    shop.ok("env", "dev", "--out", ".env")
    assert "block removed: the file was there before, and stays" in shop.ok("env", "--clean").out
    assert shop.read(".env") == ""


def test_no_value_is_on_the_list(shop):
    shop.write(".env", "MINE=my-own-value\n")
    shop.ok("env", "prod", "--out", ".env", "--ttl", "1h")
    for path in (shop.state / "environments").iterdir():
        text = path.read_bytes()
        assert PASSWORD.encode() not in text
        assert b"my-own-value" not in text
        assert path.stat().st_mode & 0o077 == 0


def test_a_file_that_somebody_made_theirs_is_not_removed_until_it_is_gone(shop):
    shop.ok("env", "prod", "--out", "our x.json")
    shop.write("our x.json", '{"MINE": 1}')
    result = shop.run("env", "--clean")
    assert (result.status, result.out) == (1, "")
    assert "our x.json: was changed by hand since confsync env wrote it" in result.err
    assert f"(look through it, and remove it yourself: rm '{shop.root}/our x.json')" in result.err
    assert shop.exists("our x.json")
    (shop.root / "our x.json").unlink()
    assert "nothing to remove: it is not there" in shop.ok("env", "--clean").out
    assert shop.ok("env", "--clean").out == "nothing to remove\n"


def test_one_that_cannot_be_cleaned_does_not_keep_the_others(shop):
    for name in ("a", "b", "c"):
        shop.ok("env", "prod", "--out", name)
    shop.write("a", shop.read("a").replace("# <<<", "# <"))
    (shop.root / "b").unlink()
    (shop.root / "b").mkdir()
    result = shop.run("env", "--clean")
    assert result.status == 1
    assert f"{shop.root}/a:1: begins a block of confsync, and nothing ends it" in result.err
    assert f"{shop.root}/b: is a directory" in result.err
    assert "c of prod: removed" in result.out
    assert [one["path"] for one in listed(shop)] == [f"{shop.root}/a", f"{shop.root}/b"]


@pytest.mark.root
def test_a_list_that_cannot_be_written_keeps_no_file_from_being_removed(shop, mount):
    shop.state.mkdir()
    mount("-t", "tmpfs", "-o", "size=32k", "none", str(shop.state))
    for name in ("a", "b", "c"):
        shop.ok("env", "prod", "--out", name)
    with suppress(OSError), open(shop.state / "ballast", "wb", buffering=0) as ballast:
        while True:
            ballast.write(b"x" * 1024)
    result = shop.run("env", "--clean")
    assert result.status == 1
    assert result.out.count("of prod: removed\n") == 3
    assert "written.json: the list of written files cannot be written: No space left" in result.err
    assert not any(shop.exists(name) for name in ("a", "b", "c"))


@pytest.mark.parametrize("arguments", [(), ("--expired",)])
def test_a_file_that_cannot_be_seen_is_not_taken_for_gone(shop, arguments):
    (shop.root / "folder").mkdir()
    shop.ok("env", "prod", "--out", "folder/.env", "--ttl", "1ms")
    (shop.root / "folder").rename(shop.root / "moved")
    (shop.root / "folder").symlink_to("folder")
    result = shop.run("env", "--clean", *arguments)
    assert (result.status, result.out) == (1, "")
    assert f"{shop.root}/folder/.env: cannot be looked at" in result.err
    assert [one["path"] for one in listed(shop)] == [f"{shop.root}/folder/.env"]


def test_only_what_this_configuration_wrote_is_removed_unless_it_is_named(shop):
    shop.write("other.yaml", CONFIG)
    shop.ok("env", "prod", "--out", ".env")
    shop.ok("env", "prod", "--out", ".env.other", "-c", "other.yaml")
    shop.ok("env", "--clean")
    assert not shop.exists(".env")
    assert shop.exists(".env.other")
    (shop.root / "confsync.yaml").unlink()
    (shop.root / "other.yaml").write_text("not: valid")
    assert shop.run("env", "--clean").status == 3
    shop.ok("env", "--clean", ".env.other")
    assert not shop.exists(".env.other")


def test_a_block_is_removed_where_it_is_named_though_it_is_on_no_list(shop):
    shop.write(".env", "MINE=1\n")
    shop.ok("env", "prod", "--out", ".env", "--state-dir", "memory")
    assert listed(shop) == []
    result = shop.ok("env", "--clean", ".env")
    assert f"{shop.root}/.env: block removed: it was not on the list of written files" in result.out
    assert shop.read(".env") == "MINE=1\n"
    assert "it has no block of confsync" in shop.ok("env", "--clean", ".env").out
    assert "it is not there" in shop.ok("env", "--clean", "nowhere").out


@pytest.mark.parametrize("call", ["env prod --clean", "env --clean .env prod"])
def test_an_environment_is_no_file(shop, call):
    shop.ok("env", "prod", "--out", ".env")
    result = shop.run(*call.split())
    assert (result.status, result.out) == (3, "")
    assert "--clean takes names of files, and prod is an environment" in result.err
    assert PASSWORD in shop.read(".env")


def test_a_file_that_is_called_like_an_environment_is_one(shop):
    shop.ok("env", "prod", "--out", "prod")
    assert f"{shop.root}/prod of prod: removed\n" in shop.ok("env", "--clean", "prod").out


def test_what_is_on_no_list_is_told_when_it_is_written(shop):
    result = shop.ok("env", "prod", "--out", ".env", "--state-dir", "memory")
    assert "env --clean removes it only where you name the file" in result.err


def test_without_a_state_directory_that_can_be_used_a_named_block_is_removed(shop):
    shop.write(".env", "MINE=1\n")
    shop.ok("env", "prod", "--out", ".env", "--state-dir", "memory")
    shop.state.write_text("in the way")
    result = shop.ok("env", "--clean", ".env")
    assert shop.read(".env") == "MINE=1\n"
    assert "only blocks between confsync's marks are removed" in result.err


@pytest.mark.parametrize("made", ["", "# Made by: confsync env prod\n"])
def test_somebodys_text_that_looks_like_a_block_is_not_removed(shop, made):
    text = f'FOO="\n# >>> confsync env prod >>>\n{made}x\n# <<< confsync env prod <<<\n"\nBAR=1\n'
    shop.write(".env", text)
    result = shop.run("env", "--clean", ".env")
    assert (result.status, result.out) == (1, "")
    assert shop.read(".env") == text


def test_what_is_past_its_time_is_brought_to_mind_and_removed_from_any_configuration(shop):
    shop.write("other.yaml", CONFIG)
    shop.ok("env", "prod", "--out", ".env", "--ttl", "1ms", "-c", "other.yaml")
    shop.ok("env", "prod", "--out", ".env.later", "--ttl", "1h")
    reminded = shop.ok("env", "dev")
    assert f"expired      {shop.root}/.env (prod), since " in reminded.err
    assert "confsync env --clean --expired" in reminded.err
    assert ".env.later" not in reminded.err
    assert "expired" not in shop.ok("env", "--clean", "--expired", ".env.later").out
    assert shop.ok("env", "--clean", "--expired").out == f"{shop.root}/.env of prod: removed\n"
    assert shop.exists(".env.later")
    assert "expired" not in shop.ok("env", "dev").err


def test_a_file_that_was_moved_with_its_secrets_is_not_forgotten_in_silence(shop):
    (shop.root / "project").mkdir()
    shop.ok("env", "prod", "--out", "project/.env", "--ttl", "1ms")
    (shop.root / "project").rename(shop.root / "moved")
    result = shop.run("env", "--clean", "--expired")
    assert (result.status, result.out) == (1, "")
    assert f"{shop.root}/project/.env: is past its time, and no longer where it was written" in result.err
    assert "confsync env --clean FILE" in result.err
    shop.ok("env", "--clean", "moved/.env")
    assert PASSWORD not in shop.read("moved/.env")
    assert shop.ok("env", "--clean", "--expired").out == "nothing to remove\n"


@pytest.mark.parametrize("arguments", [("env", "prod"), ("env", "--clean")])
def test_what_a_killed_exec_has_left_is_removed(shop, arguments):
    runtime = shop.root / "run"
    runtime.mkdir(mode=0o700)
    (runtime / "confsync-exec-0123456789abcdef").mkdir(mode=0o700)
    assert shop.run(*arguments, env={"XDG_RUNTIME_DIR": str(runtime)}).status == 0
    assert list(runtime.iterdir()) == []


def test_a_time_to_live_is_told_in_the_file_and_stays(shop):
    shop.ok("env", "prod", "--out", ".env", "--ttl", "1h30m")
    line = next(line for line in shop.read(".env").splitlines() if "Good until" in line)
    assert line.endswith("; then: confsync env --clean --expired")
    (entry,) = listed(shop)
    assert (
        5000 < entry["until"] - os.stat(shop.root / ".env").st_mtime <= 5401
    )  # the clock of files goes in ticks
    assert "it is still good until" in shop.ok("env", "prod", "--out", ".env").err
    assert line in shop.read(".env")
    assert listed(shop)[0]["until"] == entry["until"]


def test_the_list_may_be_garbage(shop):
    shop.ok("env", "prod", "--out", ".env")
    (shop.state / "environments" / "written.json").write_text("{")
    result = shop.run("env", "--clean")
    assert (result.status, result.out) == (1, "nothing to remove\n")
    assert "name them: confsync env --clean FILE" in result.err
    assert "nobody can tell" in shop.ok("env", "prod", "--out", ".env").err
    assert (shop.state / "environments" / "written.json.unreadable").read_text() == "{"
    shop.ok("env", "--clean")
    assert shop.read(".env") == ""


def test_for_programs(shop):
    shop.ok("env", "prod", "--out", ".env")
    assert shop.ok("env", "--clean", "--output", "json").json == [
        {"path": f"{shop.root}/.env", "environment": "prod", "result": "removed", "detail": ""}
    ]
    assert shop.ok("env", "--clean", "--output", "json").json == []


def test_without_a_state_directory_it_is_in_the_home_of_whoever_calls(shop):
    environ = {"XDG_STATE_HOME": ""}
    result = shop.run("env", "prod", "--out", ".env", env=environ, state=False)
    assert result.status == 0
    assert (shop.directory / ".local/state/confsync/environments/written.json").is_file()
    environ = {"XDG_STATE_HOME": str(shop.directory / "xdg")}
    shop.run("env", "prod", "--out", ".env", env=environ, state=False)
    assert (shop.directory / "xdg/confsync/environments/written.json").is_file()
    assert not shop.state.exists()
