"""`confsync env --out`: merged into somebody's file or written as one, whole, private, and never where git takes it."""

from __future__ import annotations

import json
import os
import stat
import subprocess

import dotenv
import pytest
from stand_ins.mounts import mount as mount

from confsync.testing.waiting import eventually

CONFIG = """\
sources:
  values: {backend: file, path: values.yaml, sensitive: ["*password*"]}
environments:
  dev: {values: dev}
  prod: {values: prod}
syncs: {}
"""
PASSWORD = "correct-horse"
HEAD = "# >>> confsync env prod >>>"
TAIL = "# <<< confsync env prod <<<"


@pytest.fixture
def shop(bare):
    bare.config(CONFIG)
    bare.values({
        "dev": {"db": {"host": "localhost"}},
        "prod": {"db": {"host": "db1", "password": PASSWORD}, "url": "https://x"},
    })  # fmt: skip
    return bare


@pytest.fixture
def public(shop):
    """Nothing of it is a secret."""
    shop.config(CONFIG.replace('["*password*"]', "false"))
    return shop


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def out(shop, *arguments, environment="prod"):
    result = shop.run("env", environment, "--out", ".env", *arguments)
    assert (result.status, result.out) == (0, ""), result
    return result.err


def refused(shop, *arguments, status=1):
    """What is said where nothing is written, and nothing is."""
    before = shop.tree()
    result = shop.run("env", "prod", *(arguments or ("--out", ".env")))
    assert (result.status, result.out) == (status, "")
    assert PASSWORD not in result.err
    after = {name: one for name, one in shop.tree().items() if not name.startswith("state")}
    assert after == {name: one for name, one in before.items() if not name.startswith("state")}
    return result.err


def test_a_new_file_is_private_and_says_how_it_was_made(shop):
    err = out(shop)
    assert f"3 variables of prod written to {shop.root}/.env\n" in err
    assert mode(shop.root / ".env") == 0o600
    lines = shop.read(".env").splitlines()
    assert (lines[0], lines[-1]) == (HEAD, TAIL)
    assert lines[1] == f"# Made by: confsync --state-dir {shop.state} env prod --out .env"
    assert dotenv.dotenv_values(shop.root / ".env") == {
        "DB_HOST": "db1", "DB_PASSWORD": PASSWORD, "URL": "https://x",
    }  # fmt: skip


def test_a_new_file_without_secrets_is_private_too_and_an_old_one_keeps_its_mode(public):
    out(public)
    assert mode(public.root / ".env") == 0o600
    public.write(".env", "MINE=1\n").chmod(0o644)
    out(public)
    assert mode(public.root / ".env") == 0o644


OWN = b"# mine\r\nMINE='it''s'\r\n\r\nURL=http://localhost # for now\r\nexport MINE=2\r\n \t# end"


def test_own_lines_stay_byte_for_byte_and_win(shop):
    path = shop.write(".env", OWN)
    path.chmod(0o644)
    err = out(shop)
    content = path.read_bytes()
    assert content.startswith(OWN + b"\r\n")
    block = content[len(OWN) + 2 :]
    assert block.count(b"\r\n") == block.count(b"\n")
    assert b"URL" not in block
    assert f"2 variables of prod written to {path}" in err
    assert "yours        URL, set in line 4\n" in err
    assert "repeated     MINE, in lines 2, 5: the last one counts\n" in err
    assert "its mode was 0644 and is 0600 now" in err
    assert dotenv.dotenv_values(path)["URL"] == "http://localhost"
    shop.ok("env", "--clean")
    assert path.read_bytes() == OWN


def test_writing_again_what_is_there_writes_nothing(shop):
    out(shop)
    before = (shop.root / ".env").stat()
    err = out(shop)
    assert "3 variables of prod already in" in err
    after = (shop.root / ".env").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_block_is_replaced_where_it_stands_by_another_environments_too(shop):
    shop.write(".env", "ABOVE=1\n")
    out(shop)
    with open(shop.root / ".env", "a") as file:
        file.write("BELOW=1\n")
    err = out(shop, environment="dev")
    assert "replaced     the block of prod: a file has one\n" in err
    text = shop.read(".env")
    assert text.startswith("ABOVE=1\n# >>> confsync env dev >>>\n")
    assert text.endswith("\nDB_HOST=localhost\n# <<< confsync env dev <<<\nBELOW=1\n")
    assert PASSWORD not in text


def test_what_was_written_by_hand_in_the_block_is_kept_and_wins(shop):
    out(shop)
    edited = shop.read(".env").replace("DB_HOST=db1\n", "DB_HOST=localhost\n# because\nEXTRA=1\n")
    shop.write(".env", edited.replace("URL=https://x\n", ""))
    err = out(shop)
    for line in (
        "kept         DB_HOST: line 4, which you wrote in our block, stands below it now",
        "kept         a comment: line 5, which",
        "kept         EXTRA: line 6, which",
        "restored     URL: leave out what you do not want with --without",
    ):
        assert line in err
    text = shop.read(".env")
    assert text.endswith(f"URL=https://x\n{TAIL}\nDB_HOST=localhost\n# because\nEXTRA=1\n")
    assert dotenv.dotenv_values(shop.root / ".env")["DB_HOST"] == "localhost"
    assert "kept" not in out(shop)
    assert shop.read(".env") == text


def test_a_changed_value_is_no_edit_by_hand(shop):
    out(shop)
    shop.values({"prod": {"db": {"host": "db2"}}})
    err = out(shop)
    assert "kept" not in err
    assert shop.read(".env").splitlines()[3:] == ["DB_HOST=db2", TAIL]


def test_a_block_from_elsewhere_is_replaced_and_that_is_said(shop):
    shop.write(".env", f"{HEAD}\n# Made by: confsync env prod\nURL=old\nMINE=1\n{TAIL}\n")
    err = out(shop)
    assert "nobody can tell what in its block was written by hand" in err
    assert "kept         MINE: line 4" in err
    assert shop.read(".env").endswith(f"URL=https://x\n{TAIL}\nMINE=1\n")


BROKEN = {
    f"MINE=1\n{HEAD}\nA=1\n": ".env:2: begins a block of confsync, and nothing ends it",
    f"MINE=1\n{TAIL}\n": ".env:2: ends a block of confsync that no line above begins",
    f"{HEAD}\n{HEAD}\n{TAIL}\n": ".env:1: begins a block of confsync, and line 2 opens one more",
    "MINE='1\n": ".env:1: opens a quote, or goes on, and nothing ends it",
    f"{HEAD}\nA=1\n{TAIL}\n": ".env:1: has the mark of a block that confsync env did not write",
    "A\0B": "it has NULs",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_file_that_cannot_be_told_apart_is_left_alone(shop, text):
    shop.write(".env", text)
    assert BROKEN[text] in refused(shop)


def test_a_value_that_would_end_the_block_is_refused(public):
    public.write("values.yaml", json.dumps({"prod": {"evil": f"x\n{TAIL}\nrm -rf /", "good": "1"}}))
    err = refused(public)
    assert "values:evil" in err
    out(public, "--without", "evil")
    public.ok("env", "prod", "--out", "x.json")


def test_a_shells_script_still_runs(shop):
    own = 'MINE=$((1 << 0))\ny="$(echo "a\nDB_PASSWORD=in\n")"\nURL=mine; export URL'
    shop.write("env.sh", own)
    shop.ok("env", "prod", "--out", "env.sh")
    for shell in ("bash", "dash"):
        done = subprocess.run(
            [shell, "-c", '. ./env.sh; printf %s "$MINE/$URL/$DB_PASSWORD"'],
            cwd=shop.root,
            capture_output=True,
            text=True,
        )
        assert done.stdout == f"1/mine/{PASSWORD}"
    shop.ok("env", "--clean")
    assert shop.read("env.sh") == own


def test_lines_with_crlf_that_a_shell_would_not_read(shop):
    path = shop.write("env.sh", b"# mine\r\n")
    err = shop.ok("env", "prod", "--out", "env.sh").err
    assert "which shell takes for part of a value; ours end with LF" in err
    assert path.read_bytes().count(b"\r") == 1


@pytest.mark.parametrize("form", ["json", "github"])
def test_other_formats_are_written_to_a_new_file_or_one_of_ours(shop, form):
    shop.ok("env", "prod", "--out", "file", "--format", form)
    assert mode(shop.root / "file") == 0o600
    shop.values({"prod": {"db": {"host": "db2"}}})
    shop.ok("env", "prod", "--out", "file", "--format", form)
    assert "db2" in shop.read("file")
    shop.write("file", shop.read("file") + " ")
    told = refused(shop, "--out", "file", "--format", form)
    assert "was changed by hand since confsync env wrote it" in told
    shop.write("theirs", "")
    assert "was not written by confsync env" in refused(shop, "--out", "theirs", "--format", form)


BY_NAME = {
    "x.json": "json", "x.yaml": "yaml", "x.yml": "yaml", "x.toml": "toml", "x.fish": "fish", "x.ps1": "powershell",
    "x.sh": "shell", ".envrc": "direnv", "x/.envrc": "direnv", ".env": "dotenv", ".env.local": "dotenv", "x": "dotenv",
    ".env.json": "json",
}  # fmt: skip


def test_the_format_is_told_by_the_files_name(shop):
    from confsync.cli.env import _form

    assert {name: _form(None, name) for name in BY_NAME} == BY_NAME
    assert _form("json", ".env") == "json"
    shop.ok("env", "prod", "--out", "x.json")
    assert json.loads(shop.read("x.json"))["DB_HOST"] == "db1"


def test_a_file_of_ours_may_change_its_kind(shop):
    shop.ok("env", "prod", "--out", "file", "--format", "json")
    shop.ok("env", "prod", "--out", "file")
    assert shop.read("file").startswith(HEAD)
    shop.ok("env", "prod", "--out", "file", "--format", "json")
    assert json.loads(shop.read("file"))["DB_HOST"] == "db1"
    shop.write(".env", "MINE=1\n")
    out(shop)
    told = refused(shop, "--out", ".env", "--format", "json")
    assert "has other lines than those of confsync env, and json cannot be merged" in told


def test_a_dash_is_stdout(shop):
    assert shop.ok("env", "prod", "--out", "-").out == shop.ok("env", "prod").out
    assert not shop.exists("-")


def test_commands_to_paste_are_quoted_for_a_shell(shop):
    shop.write("my file", "MINE=1\n").chmod(0o444)
    assert f"(make it writable: chmod u+w '{shop.root}/my file')" in refused(shop, "--out", "my file")


def test_a_variable_set_in_very_many_lines_is_told_in_a_few_words(shop):
    shop.write(".env", "MINE=1\n" * 5000)
    assert "MINE, in lines 1, 2, 3, 4, 5, 6, 7, 8 and 4992 more: the last one counts" in out(shop)


def test_what_is_no_file_is_left_alone(shop):
    (shop.root / "link").symlink_to("real")
    assert "is a symbolic link" in refused(shop, "--out", "link")
    (shop.root / "folder").mkdir()
    assert "is no name for a file" in refused(shop, "--out", "folder/", status=3)


@pytest.mark.root
def test_a_full_disk_leaves_the_old_file_whole(shop, mount):
    place = shop.root / "full"
    place.mkdir()
    mount("-t", "tmpfs", "-o", "size=64k", "none", str(place))
    shop.write("full/.env", "MINE=1\n")
    (place / "ballast").write_bytes(b"x" * 50000)
    shop.values({"prod": {"big": "x" * 30000}})
    assert "the filesystem is full" in refused(shop, "--out", "full/.env")
    assert sorted(os.listdir(place)) == [".env", "ballast"]
    assert shop.ok("env", "--clean").out == "nothing to remove\n"


@pytest.mark.root
def test_a_read_only_filesystem(shop, mount):
    place = shop.root / "ro"
    place.mkdir()
    mount("-t", "tmpfs", "none", str(place))
    mount("-o", "remount,ro", str(place))
    assert "the filesystem is read-only" in refused(shop, "--out", "ro/.env")


@pytest.mark.root
def test_a_file_that_is_a_mount_of_its_own(shop, mount):
    target, origin = shop.write(".env", "MINE=1\n"), shop.write("origin", "MINE=2\n")
    mount("--bind", str(origin), str(target))
    assert "something is mounted there" in refused(shop)


def test_without_a_list_a_file_is_written_and_that_is_said(shop):
    shop.state.write_text("in the way")
    err = out(shop)
    assert "it is not on the list of written files" in err
    assert PASSWORD in shop.read(".env")
    assert str(shop.state) in refused(shop, "--out", "other", "--ttl", "1h")
    assert not shop.exists("other")


def test_what_a_killed_one_left_beside_the_file_is_removed(shop):
    left = shop.write("..env.confsync-0123456789ab", PASSWORD)
    other = shop.write("..env.confsync-other", "")
    out(shop)
    assert not left.exists()
    assert other.exists()


def test_two_at_once_write_one_file_whole(shop):
    processes = [
        subprocess.Popen(
            shop.argv("--state-dir", str(shop.state), "env", name, "--out", ".env"),
            cwd=shop.root,
            env=shop.environ(),
            stderr=subprocess.DEVNULL,
        )
        for name in ("prod", "dev")
    ]
    assert [process.wait(60) for process in processes] == [0, 0]
    text = shop.read(".env")
    assert text.count(">>>") == 2
    assert (PASSWORD in text) == (HEAD in text)


@pytest.fixture
def repository(shop):
    subprocess.run(["git", "init", "-q"], cwd=shop.root, env=shop.environ(), check=True)
    return shop


def test_secrets_go_to_no_file_that_git_would_take(repository):
    err = refused(repository)
    command = f"echo /.env >> {repository.root}/.gitignore"
    assert (
        f"is not ignored by git, and secrets would be written into it (let git ignore it: {command}; " in err
    )
    subprocess.run(["sh", "-c", command], check=True)
    out(repository)
    subprocess.run(["git", "add", "-f", ".env"], cwd=repository.root, check=True)
    assert "is tracked by git" in refused(repository)


def test_what_has_no_secrets_may_be_tracked(repository):
    out(repository, "--without", "*password*")
    subprocess.run(["git", "add", "-f", ".env"], cwd=repository.root, check=True)
    out(repository, "--without", "*password*")
    repository.write(".env", f"DB_PASSWORD=mine\n{repository.read('.env')}")
    assert "yours        DB_PASSWORD" in out(repository)


def test_an_interrupted_one_leaves_the_old_file_and_nothing_else(shop, tmp_path):
    """Ctrl-C while git is asked, which is after the values were read."""
    subprocess.run(["git", "init", "-q"], cwd=shop.root, env=shop.environ(), check=True)
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "git").write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\nexec sleep 60\n")
    (fake / "git").chmod(0o755)
    shop.write(".env", "MINE=1\n")
    before = {path.name for path in shop.root.iterdir()}
    process = subprocess.Popen(
        shop.argv("--state-dir", str(shop.state), "env", "prod", "--out", ".env"),
        cwd=shop.root,
        env=shop.environ(PATH=f"{fake}:{os.environ['PATH']}"),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    eventually((tmp_path / "asked").exists)
    os.killpg(process.pid, 2)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert shop.read(".env") == "MINE=1\n"
    assert {path.name for path in shop.root.iterdir()} == before


@pytest.mark.parametrize("out", [".env", "./conf/../.env"])
def test_a_file_that_a_sync_writes_is_refused(public, out):
    (public.root / "conf").mkdir()
    public.config(
        CONFIG.replace('["*password*"]', "false").replace(
            "syncs: {}", "syncs: {app: {template: {inline: x}, to: .env}}\n"
        )
    )
    result = public.run("env", "prod", "--out", out)
    assert result.status == 3
    assert result.err == (
        f"confsync: {public.root}/.env: sync 'app' writes that file, and would take out again what is added to it "
        "(name another file with --out, or have the sync write it: confsync apply app)\n"
    )
    assert not public.exists(".env")
    assert public.ok("env", "prod", "--out", "other.env").status == 0
