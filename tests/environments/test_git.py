"""Whether git might carry a file away: real repositories, and what git says of them."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from confsync.environments.output.git import check_unseen, own_place
from confsync.errors import ConfsyncError

NAMES = (".env", "-x", ":(top)x", "a*b", "[x]", "trailing ", "#x", "!x", "q'x", "back\\slash", "é", "a b")


@pytest.fixture
def environ(tmp_path):
    """Of somebody who has no configuration of git, and in no repository's hook."""
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}


@pytest.fixture
def git(environ):
    def run(directory, *arguments):
        identity = [
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@example.test",
            "-c",
            "protocol.file.allow=always",
        ]
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=directory, env=environ, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def repository(tmp_path, git):
    path = tmp_path / "repository"
    path.mkdir()
    git(path, "init", "-q")
    (path / "sub").mkdir()
    return path


def refused(path, environ):
    with pytest.raises(ConfsyncError) as told:
        check_unseen(str(path), environ)
    assert "\n" not in str(told.value)
    return str(told.value)


def remedy(path, environ):
    """The command that an error says makes git ignore the file."""
    found = re.search(r"let git ignore it: (.*); nothing was written", refused(path, environ))
    assert found
    return found[1]


def test_outside_of_any_repository_all_is_well(tmp_path, environ):
    check_unseen(str(tmp_path / ".env"), environ)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_the_line_an_error_names_is_all_it_takes(repository, environ, name, shell):
    path = repository / "sub" / name
    command = remedy(path, environ)
    subprocess.run([shell, "-c", command], check=True)
    check_unseen(str(path), environ)
    refused(repository / "sub" / "other", environ)
    refused(repository / name, environ)


def test_the_line_goes_to_the_nearest_gitignore_which_no_other_overrules(repository, environ):
    (repository / ".gitignore").write_text(".env\n")
    check_unseen(str(repository / "sub" / ".env"), environ)
    (repository / "sub" / ".gitignore").write_text("!.env")  # no line end
    command = remedy(repository / "sub" / ".env", environ)
    assert str(repository / "sub" / ".gitignore") in command
    subprocess.run(["sh", "-c", command], check=True)
    assert (repository / "sub" / ".gitignore").read_text() == "!.env\n/.env\n"
    check_unseen(str(repository / "sub" / ".env"), environ)


def test_a_name_that_no_gitignore_can_have_is_refused(repository, environ):
    assert "write to another file" in refused(repository / "a\nb", environ)


@pytest.mark.parametrize("name", NAMES)
def test_a_tracked_file_is_refused_even_where_it_is_ignored(repository, environ, git, name):
    (repository / ".gitignore").write_text("*\n")
    (repository / name).write_text("A=1\n")
    git(repository, "--literal-pathspecs", "add", "-f", "--", name)
    assert "is tracked by git" in refused(repository / name, environ)
    if name == ".env":
        told = refused(repository / name, environ)
        subprocess.run(["sh", "-c", re.search(r"this one: (.*); nothing", told)[1]], env=environ, check=True)
        check_unseen(str(repository / name), environ)


def test_a_name_is_no_pattern(repository, environ, git):
    (repository / ".gitignore").write_text("*\n")
    (repository / "axb").touch()
    git(repository, "add", "-f", "axb")
    check_unseen(str(repository / "a*b"), environ)


def test_what_only_this_clone_or_this_user_ignores_is_ignored(repository, environ, git, tmp_path):
    (repository / ".git/info/exclude").write_text(".env\n")
    check_unseen(str(repository / ".env"), environ)
    (tmp_path / "ignored").write_text("*.local\n")
    (tmp_path / ".gitconfig").write_text(f"[core]\nexcludesFile = {tmp_path / 'ignored'}\n")
    check_unseen(str(repository / "x.local"), environ)


def test_a_worktree_and_a_submodule_answer_for_themselves(repository, environ, git, tmp_path):
    git(repository, "commit", "-q", "--allow-empty", "-m", "first")
    git(repository, "worktree", "add", "-q", str(tmp_path / "tree"))
    git(repository, "submodule", "-q", "add", str(repository), "module")
    for place in (tmp_path / "tree", repository / "module"):
        command = remedy(place / ".env", environ)
        assert str(place / ".gitignore") in command
        (place / ".gitignore").write_text(".env\n")
        check_unseen(str(place / ".env"), environ)
        (place / ".env").touch()
        git(place, "add", "-f", ".env")
        assert "is tracked by git" in refused(place / ".env", environ)


def test_gits_own_directory_is_no_place_for_secrets(repository, environ, git, tmp_path):
    assert "git's own" in refused(repository / ".git" / ".env", environ)
    assert "git's own" in refused(repository / ".git" / "info" / "x", environ)
    git(tmp_path, "init", "-q", "--bare", "bare.git")
    assert "git's own" in refused(tmp_path / "bare.git" / ".env", environ)


def test_without_git_a_repository_above_is_enough_to_refuse(repository, environ, tmp_path):
    empty = {**environ, "PATH": str(tmp_path / "empty")}
    assert "git is not installed" in refused(repository / "sub" / ".env", empty)
    check_unseen(str(tmp_path / ".env"), empty)


def test_a_git_that_cannot_tell_is_a_refusal(repository, environ, tmp_path):
    (repository / ".git/HEAD").write_text("no reference")
    assert "cannot be told: fatal: " in refused(repository / ".env", environ)
    (repository / "sub/.git").write_text("gitdir: /nowhere\n")
    assert "cannot be told" in refused(repository / "sub" / ".env", environ)


def test_a_git_that_fails_in_the_middle_is_a_refusal(repository, environ, tmp_path):
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin/git"
    for command in ("ls-files", "check-ignore"):
        fake.write_text(f'#!/bin/sh\ncase "$*" in *{command}*) exit 128;; esac\nexec {which_git()} "$@"\n')
        fake.chmod(0o755)
        assert "cannot be told" in refused(
            repository / ".env", {**environ, "PATH": f"{tmp_path}/bin:{environ['PATH']}"}
        )


def which_git():
    return subprocess.run(["sh", "-c", "command -v git"], capture_output=True, text=True).stdout.strip()


HOSTILE = (
    {"GIT_DIR": "/nowhere"},
    {"GIT_CEILING_DIRECTORIES": "{top}:{parent}"},
    {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.excludesFile", "GIT_CONFIG_VALUE_0": "{parent}/all"},
    {"GIT_INDEX_FILE": "/nowhere"},
    {"GIT_ICASE_PATHSPECS": "1"},
)


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda one: next(iter(one)))
def test_the_environment_cannot_talk_git_out_of_it(repository, environ, git, hostile, tmp_path):
    (tmp_path / "all").write_text("*\n")
    more = {name: value.format(top=repository, parent=tmp_path) for name, value in hostile.items()}
    (repository / "sub/.env").touch()
    assert "is not ignored" in refused(repository / "sub" / ".env", {**environ, **more})
    git(repository, "add", "sub/.env")
    assert "is tracked" in refused(repository / "sub" / ".env", {**environ, **more})


def test_a_repository_the_environment_names_is_asked_too(environ, git, tmp_path, monkeypatch):
    """As for files of a home directory that are kept in a bare repository beside them."""
    home = tmp_path / "home"
    home.mkdir()
    git(tmp_path, "init", "-q", "--bare", "dotfiles")
    named = {**environ, "GIT_DIR": str(tmp_path / "dotfiles"), "GIT_WORK_TREE": str(home)}
    monkeypatch.chdir(home)
    check_unseen(str(home / ".env"), environ)
    assert "unset GIT_DIR" in refused(home / ".env", named)
    check_unseen(str(tmp_path / ".env"), named)
    (home / ".gitignore").write_text(".env\n")
    check_unseen(str(home / ".env"), named)
    (home / ".env").touch()
    subprocess.run(["git", "add", "-f", ".env"], env=named, cwd=home, check=True)
    assert "is tracked" in refused(home / ".env", named)


def test_in_a_hook_of_one_repository_a_file_elsewhere_is_its_own_matter(
    repository, environ, tmp_path, monkeypatch
):
    monkeypatch.chdir(repository)
    check_unseen(str(tmp_path / ".env"), {**environ, "GIT_DIR": ".git"})
    check_unseen(str(tmp_path / ".env"), {**environ, "GIT_DIR": str(repository / ".git")})


def test_a_repositorys_configuration_runs_nothing(repository, environ, git, tmp_path):
    run = tmp_path / "run"
    run.write_text(f"#!/bin/sh\ntouch {tmp_path / 'was-run'}\n")
    run.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(run))
    refused(repository / ".env", environ)
    assert not (tmp_path / "was-run").exists()


def test_a_name_that_git_knows_in_other_letters_where_they_are_the_same(repository, git, environ):
    (repository / ".gitignore").write_text("*.env\n")
    (repository / "sub" / "Tracked.env").touch()
    git(repository, "add", "-f", "sub/Tracked.env")
    check_unseen(str(repository / "sub" / "tracked.env"), environ)
    git(repository, "config", "core.ignorecase", "true")
    assert "rm --cached Tracked.env" in refused(repository / "sub" / "tracked.env", environ)
    check_unseen(str(repository / "sub" / "other.env"), environ)


def test_a_repositorys_own_place_is_no_part_of_its_work_tree(repository, git, environ, tmp_path):
    git(repository, "commit", "-q", "--allow-empty", "-m", "x")
    git(repository, "worktree", "add", "-q", str(tmp_path / "second"))
    places = [
        own_place(str(path / ".env"), environ)
        for path in (repository, repository / "sub", tmp_path / "second")
    ]
    assert len(set(places)) == 3
    for place in places:
        with open(place, "w"):
            assert git(repository, "status", "--porcelain", "--untracked-files=all") == ""
    assert own_place(str(tmp_path / ".env"), environ) is None
    assert own_place(str(tmp_path / "nowhere" / ".env"), environ) is None


def test_of_a_repository_that_the_environment_names(tmp_path, git, environ):
    git(tmp_path, "init", "-q", "--bare", "bare")
    named = {**environ, "GIT_DIR": str(tmp_path / "bare"), "GIT_WORK_TREE": str(tmp_path / "home")}
    (tmp_path / "home").mkdir()
    assert os.path.dirname(own_place(str(tmp_path / "home" / ".env"), named)) == str(tmp_path / "bare")
    assert own_place(str(tmp_path / ".env"), named) is None
