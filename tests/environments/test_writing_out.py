"""Writing out, and being killed in the middle of it."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import replace

import pytest

from confsync.environments.dialects import FORMATS, LINE_BASED
from confsync.environments.output import output_file, writing_out
from confsync.environments.output.assignments import SCRIPTS
from confsync.environments.output.cleaning import Fate, clean
from confsync.environments.output.writing_out import Order, write_out
from confsync.environments.output.written import WrittenFiles
from confsync.environments.variables import Variable
from confsync.errors import ConfsyncError


@pytest.fixture
def files(tmp_path):
    return WrittenFiles(tmp_path / "state")


@pytest.fixture
def path(tmp_path):
    (tmp_path / "project").mkdir()
    return tmp_path / "project" / ".env"


def order(path, form="dotenv"):
    return Order(str(path), form, None, "prod", "/confsync.yaml", "confsync env prod")


def variables(**values):
    return [
        Variable(name, value, f"values:{name}", sensitive=False) for name, value in sorted(values.items())
    ]


AT_A_CALL = """
import os, pickle, sys
from confsync.environments.output import output_file
setattr(output_file.os, sys.argv[1], lambda *_: os._exit(9))
"""
ONCE_IT_IS_THERE = """
import os, pickle, sys
from confsync.environments.output.written import WrittenFiles
noted, calls = WrittenFiles.note, []
def note(self, written):
    calls.append(written)
    if len(calls) == 2:  # the one after the file was replaced
        os._exit(9)
    noted(self, written)
WrittenFiles.note = WrittenFiles.forget = note
"""


def killed(moment, *arguments, at=""):
    """`write_out` in a process that is killed at this moment."""
    from_stdin = "act, arguments = pickle.load(sys.stdin.buffer); act(*arguments)"
    done = subprocess.run(
        [sys.executable, "-c", f"{moment}{from_stdin}", at], input=pickle.dumps((write_out, arguments))
    )
    assert done.returncode == 9


@pytest.mark.parametrize("form", ["dotenv", "json"])
@pytest.mark.parametrize("moment", ["rename", "fsync"])
def test_killed_before_the_file_is_there_the_old_one_is_whole_and_the_next_one_does_as_if_nothing_was(
    files, path, form, moment
):
    write_out(files, variables(A="1", B="1"), order(path, form), {})
    before = path.read_bytes()
    again = files, variables(A="2", C="1"), order(path, form), {}
    killed(AT_A_CALL, *again, at=moment)
    assert path.read_bytes() == before
    outcome = write_out(*again)
    assert (outcome.edited, outcome.overrides) == ((), ())
    assert os.listdir(path.parent) == [".env"]
    assert [one.fate for one in clean(files)] == [Fate.REMOVED]


def git(path, *arguments):
    done = subprocess.run(
        ["git", *arguments], cwd=path.parent, env=GIT, capture_output=True, text=True, check=True
    )
    return done.stdout


GIT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
SECRET = [Variable("PW", "correct-horse", "values:pw", sensitive=True)]


def test_killed_or_not_git_never_sees_a_secret(files, path):
    git(path, "init", "-q")
    path.with_name(".gitignore").write_text("/.env\n")
    git(path, "add", "-A")
    write_out(files, variables(A="1"), order(path), GIT)
    killed(AT_A_CALL, files, SECRET, order(path), GIT, at="rename")
    left = [one for one in path.parent.rglob("*") if one.is_file() and b"correct-horse" in one.read_bytes()]
    assert [one.parent.name for one in left] == [".git"]
    assert git(path, "status", "--porcelain", "--untracked-files=all") == "A  .gitignore\n"
    write_out(files, SECRET, order(path), GIT)
    assert "correct-horse" in path.read_text()
    assert not left[0].exists()
    killed(AT_A_CALL, files, [*SECRET, *variables(A="1")], order(path), GIT, at="rename")
    clean(files)
    assert [
        one for one in path.parent.rglob("*") if one.is_file() and b"correct-horse" in one.read_bytes()
    ] == []


def test_where_gits_directory_cannot_be_used_what_lies_beside_has_to_be_ignored_too(files, path, monkeypatch):
    """As where it is on another filesystem."""
    git(path, "init", "-q")
    path.with_name(".gitignore").write_text("/.env\n")
    monkeypatch.setattr(writing_out, "own_place", lambda *_: "/proc/self/env-0")
    with pytest.raises(ConfsyncError, match=r"with the line `\.\*\.confsync-\*` in \.gitignore"):
        write_out(files, SECRET, order(path), GIT)
    assert not path.exists()
    path.with_name(".gitignore").write_text("/.env\n.*.confsync-*\n")
    write_out(files, SECRET, order(path), GIT)
    assert "correct-horse" in path.read_text()


@pytest.mark.parametrize("form", ["dotenv", "json"])
def test_killed_once_the_file_is_there_it_is_on_the_list(files, path, form, monkeypatch):
    write_out(files, variables(A="1"), order(path, form), {})
    killed(ONCE_IT_IS_THERE, files, variables(A="2", B="1"), order(path, form), {})
    assert b"B" in path.read_bytes()
    assert write_out(files, variables(A="3"), order(path, form), {}).edited == ()
    assert [one.fate for one in clean(files)] == [Fate.REMOVED]


def test_a_failure_leaves_the_list_as_it_was(files, path, monkeypatch):
    write_out(files, variables(A="1"), order(path), {})
    before = files.all()

    def rename(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(output_file.os, "rename", rename)
        for place in (path, path.with_name("new")):
            with pytest.raises(KeyboardInterrupt):
                write_out(files, variables(A="2"), order(place), {})
    assert files.all() == before
    assert os.listdir(path.parent) == [".env"]


def test_a_value_somebody_put_back_by_hand_is_an_edit(files, path):
    """What was there before last is not what was written last."""
    write_out(files, variables(A="old"), order(path), {})
    write_out(files, variables(A="new"), order(path), {})
    path.write_text(path.read_text().replace("A=new", "A=old"))
    outcome = write_out(files, variables(A="new"), order(path), {})
    assert [one.names for one in outcome.edited] == [("A",)]
    assert path.read_text().endswith("<<<\nA=old\n")


@pytest.mark.parametrize("form", sorted(LINE_BASED))
def test_a_line_of_ours_that_is_quoted_otherwise_goes_with_the_block(files, path, form):
    """Else a secret would stay as somebody's own line, and override another environment's."""
    write_out(files, variables(S_PW="x y"), order(path, form), {})
    text = path.read_text()
    assert "x y" in text
    path.write_text(text.replace("'x y'", '"x y"').replace("S_PW=x y", 'S_PW="x y"'))
    assert write_out(files, variables(OTHER="1"), order(path, form), {}).edited == ()
    assert "S_PW" not in path.read_text()
    assert [one.fate for one in clean(files)] == [Fate.REMOVED]


def test_a_lost_list_costs_nobody_a_line(files, path):
    write_out(files, variables(A="1"), order(path), {})
    path.write_text(path.read_text().replace("A=1\n", "A=1\nMY_OWN_KEY=only-copy\n"))
    files.forget([str(path)])
    outcome = write_out(files, variables(A="2"), order(path), {})
    assert [one.names for one in outcome.edited] == [("MY_OWN_KEY",)]
    assert path.read_text().endswith("A=2\n# <<< confsync env prod <<<\nMY_OWN_KEY=only-copy\n")


def test_the_lines_of_another_environment_do_not_become_somebodys_own(files, path):
    write_out(files, variables(S_PW="x"), order(path), {})
    files.forget([str(path)])
    before = path.read_text()
    with pytest.raises(ConfsyncError, match=r"has a block of prod .*\(line 4\)"):
        write_out(files, variables(A="1"), replace(order(path), environment="dev"), {})
    assert path.read_text() == before


def test_a_deadline_stays_until_another_one_is_given(files, path):
    write_out(files, variables(A="1"), replace(order(path), until=5e9), {})
    outcome = write_out(files, variables(A="1"), order(path), {})
    assert not outcome.changed
    assert "it is still good until 2128-06-11" in outcome.notes[0]
    assert [one.until for one in files.all()] == [5e9]
    write_out(files, variables(A="1"), replace(order(path), until=6e9), {})
    assert [one.until for one in files.all()] == [6e9]


def test_a_line_that_was_written_into_a_value_is_not_taken_for_a_comment(files, path):
    write_out(files, variables(KEY="begin\nend"), order(path), {})
    path.write_text(path.read_text().replace("begin\n", "begin\n# mine\n").replace("end'", "end' # why"))
    outcome = write_out(files, variables(KEY="begin\nend"), order(path), {})
    assert [one.names for one in outcome.edited] == [("KEY",)]
    assert "KEY='begin\n# mine\nend' # why\n" in path.read_text()


@pytest.mark.parametrize("values", [{"A": "1"}, {"A": "2"}, {}])
def test_the_line_end_a_last_line_was_given_is_taken_back_however_often_it_was_written(files, path, values):
    path.write_bytes(b"MINE=1")
    write_out(files, variables(A="1"), order(path), {})
    write_out(files, variables(**values), order(path), {})
    clean(files)
    assert path.read_bytes() == b"MINE=1"


@pytest.mark.parametrize("form", sorted(LINE_BASED))
def test_formats_of_lines_are_merged_and_taken_out_again(files, path, form):
    path.write_text("# mine\n")
    write_out(files, variables(A="it's", B="1"), order(path, form), {})
    content = path.read_text()
    begins = "# >>> confsync env prod >>>\n"
    assert content.startswith(begins if form in SCRIPTS else f"# mine\n{begins}")
    path.write_text(content + "# below\n")
    again = write_out(files, variables(A="it's", B="1"), order(path, form), {})
    assert (again.changed, again.edited, again.overrides) == (False, (), ())
    assert path.read_text() == content + "# below\n"
    assert [one.fate for one in clean(files)] == [Fate.BLOCK_REMOVED]
    assert path.read_text() == "# mine\n# below\n"


@pytest.mark.parametrize("form", sorted({*FORMATS} - LINE_BASED))
def test_other_formats_replace_their_own_file_and_no_other(files, path, form):
    write_out(files, variables(A="1"), order(path, form), {})
    assert write_out(files, variables(A="2"), order(path, form), {}).changed
    path.write_text(path.read_text() + "\n")
    with pytest.raises(ConfsyncError, match="was changed by hand since confsync env wrote it"):
        write_out(files, variables(A="3"), order(path, form), {})
    assert [one.fate for one in clean(files)] == [Fate.FAILED]
    path.with_name("theirs").touch()
    with pytest.raises(ConfsyncError, match="was not written by confsync env"):
        write_out(files, variables(A="3"), order(path.with_name("theirs"), form), {})


@pytest.mark.parametrize("dialect", ["common", "python-dotenv", "node", "compose", "shell"])
def test_every_dialects_block_is_known_again(files, path, dialect):
    values = {
        "A": "a\nb", "B": "it's", "C": 'both \' and "', "D": "", "E": "x\n'\n\"y", "Z": "a\nb\\", "G": "$H `i` # j",
    }  # fmt: skip
    if dialect == "common":
        values = {name: values[name] for name in "ABDG"}
    if dialect == "node":
        del values["E"]
    written = Order(str(path), "dotenv", dialect, "prod", "/confsync.yaml", "confsync env prod")
    path.write_text("MINE=1\r\n")
    first = write_out(files, variables(**values), written, {})
    content = path.read_bytes()
    assert first.names == tuple(sorted(values))
    again = write_out(files, variables(**values), written, {})
    assert (again.changed, again.edited, again.removed) == (False, (), ())
    assert path.read_bytes() == content
    assert [one.fate for one in clean(files)] == [Fate.BLOCK_REMOVED]
    assert path.read_bytes() == b"MINE=1\r\n"
