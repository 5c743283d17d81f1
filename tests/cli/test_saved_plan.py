"""A plan changes nothing, and a saved one is applied exactly or not at all."""

from __future__ import annotations

import json
import os
import stat

import pytest

CHANGED = {"dev": {"db": {"host": "db-two", "port": "5432"}}}  # which no digest can contain by chance


@pytest.fixture
def planned(project):
    """A project with something to do, and the plan of it in `saved`."""
    project.ok("apply")
    project.values(CHANGED)
    result = project.run("plan", "--out", "saved")
    assert result.status == 2
    return project


@pytest.mark.parametrize("arguments", [(), ("--out", "saved"), ("app",), ("--output", "json")], ids=" ".join)
def test_plan_writes_nothing_anywhere(project, arguments):
    project.ok("apply")
    project.values(CHANGED)
    before = project.tree()
    assert project.run("plan", *arguments).status == 2
    after = project.tree()
    after.pop("project/saved", None)
    assert after == before


def test_the_first_plan_that_is_saved_makes_the_state_directory_and_can_be_applied(project):
    assert project.run("plan", "--out", "saved").status == 2
    assert not project.exists("app.conf")
    assert (project.state / "ledger.db").stat().st_mode & 0o777 == 0o600
    project.ok("apply", "--plan", "saved")
    assert project.exists("app.conf")


def test_the_first_plan_ever_makes_no_state_directory(project):
    before = project.tree()
    assert project.run("plan").status == 2
    assert project.tree() == before


@pytest.mark.parametrize(
    "command", ["status", "explain app.conf", "get db/host", "ls", "diff dev prod", "check"]
)
def test_commands_that_look_write_nothing_anywhere(project, command):
    project.ok("apply")
    project.values(CHANGED)
    before = project.tree()
    project.run(*command.split())
    assert project.tree() == before


def test_a_saved_plan_is_applied(planned):
    result = planned.ok("apply", "--plan", "saved")
    assert "1 change" in result.out
    assert "host = db-two" in planned.read("app.conf")
    assert planned.ok("plan").status == 0


def test_a_saved_plan_is_refused_when_a_key_changed_since(planned):
    planned.values({"dev": {"db": {"host": "db3", "port": "5432"}}})
    before = planned.tree()
    result = planned.run("apply", "--plan", "saved")
    assert result.status == 1
    assert "the world has moved since this plan was saved" in result.err
    assert f"file:{planned.root / 'app.conf'}" in result.err
    assert {k: v for k, v in planned.tree().items() if k.startswith("project/")} == {
        k: v for k, v in before.items() if k.startswith("project/")
    }


def test_a_saved_plan_is_refused_when_the_file_changed_since(planned):
    planned.write("app.conf", "by hand\n")
    result = planned.run("apply", "--plan", "saved")
    assert result.status == 1
    assert "the world has moved" in result.err
    assert planned.read("app.conf") == "by hand\n"


def test_a_saved_plan_is_refused_when_the_files_mode_changed_since(planned):
    os.chmod(planned.root / "app.conf", 0o600)
    result = planned.run("apply", "--plan", "saved")
    assert result.status == 1
    assert "host = localhost" in planned.read("app.conf")


def test_a_saved_plan_is_refused_when_there_is_more_to_do_now(planned):
    planned.syncs({
        "app": {"template": "app.conf.j2", "to": "app.conf"},
        "more": {"template": {"inline": "x\n"}, "to": "more"},
    })  # fmt: skip
    result = planned.run("apply", "--plan", "saved")
    assert result.status == 1
    assert not planned.exists("more")


def test_a_saved_plan_is_refused_once_it_was_applied(planned):
    planned.ok("apply", "--plan", "saved")
    assert planned.run("apply", "--plan", "saved").status == 1


def test_a_plan_saved_with_another_state_directory_is_refused(planned):
    planned.state.rename(planned.directory / "old-state")
    result = planned.run("apply", "--plan", "saved")
    assert result.status == 1
    assert "another state directory" in result.err
    assert "host = localhost" in planned.read("app.conf")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"changes": [1]}', '{"changes": [{}]}', "\x00"])
def test_a_file_that_is_no_plan_is_refused(planned, text):
    planned.write("saved", text)
    result = planned.run("apply", "--plan", "saved")
    assert result.status == 1
    assert "plan" in result.err
    assert "host = localhost" in planned.read("app.conf")


def test_a_file_that_is_not_even_text_is_refused(planned):
    planned.write("saved", b"\xff\xfe\x00")
    result = planned.run("apply", "--plan", "saved")
    assert result.status == 1
    assert "this is not a plan" in result.err


def test_a_saved_plan_is_readable_by_its_owner_only_and_holds_no_values(planned):
    path = planned.root / "saved"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "db-two" not in path.read_text()
    assert json.loads(path.read_text())["changes"][0]["action"] == "update"


@pytest.mark.parametrize("mine", ["values.yaml", "confsync.yaml", "app.json"])
def test_a_plan_is_not_saved_over_what_is_none(project, mine):
    project.write("app.json", '{"format": "shop-1"}')
    before = project.read(mine)
    result = project.run("plan", "--out", mine)
    assert (result.status, result.out) == (1, "")
    assert result.err == f"confsync: {mine} is no saved plan, and stays as it is (name another file)\n"
    assert project.read(mine) == before


def test_a_plan_is_saved_over_an_older_one_and_into_an_empty_file(project):
    project.write("saved", "")
    assert project.run("plan", "--out", "saved").status == 2
    first = project.read("saved")
    project.values(CHANGED)
    assert project.run("plan", "--out", "saved").status == 2
    assert project.read("saved") not in ("", first)


def test_a_plan_file_that_cannot_be_written_is_one_line(project):
    project.ok("apply")
    result = project.run("plan", "--out", "no/such/directory/plan")
    assert result.status == 1
    assert "no/such/directory/plan" in result.err
