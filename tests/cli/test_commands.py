"""Each command, on a real project: what it prints and how it ends."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from confsync import __version__
from confsync.cli.main import COMMANDS

UPDATED = "host = db2\n"


def test_init_writes_a_project_that_is_valid_and_applies_at_once(bare):
    assert bare.run("init", state=False).status == 0
    assert bare.run("check").status == 0
    assert bare.run("plan").status == 2
    assert bare.run("apply").status == 0
    assert "database = localhost" in bare.read("app.conf")
    assert bare.run("plan").status == 0
    assert bare.run("status").status == 0


def test_init_overwrites_nothing(project):
    before = project.tree()
    result = project.run("init")
    assert result.status == 1
    assert "exists already; nothing was written" in result.err
    assert project.tree() == before


def test_init_can_name_a_directory(bare):
    result = bare.run("init", "deep/er")
    assert result.status == 0
    assert bare.exists("deep/er/templates/app.conf.j2")
    assert "cd deep/er" in result.err


def test_plan_shows_a_diff_and_its_cause_and_ends_with_2(project):
    project.ok("apply")
    project.values({"dev": {"db": {"host": "db2", "port": "5432"}}})
    result = project.run("plan")
    assert result.status == 2
    assert "-host = localhost" in result.out
    assert "+host = db2" in result.out
    assert "because values:dev/db/host changed (revision" in result.out
    assert "1 change" in result.out


def test_plan_of_a_world_that_agrees_ends_with_0(project):
    project.ok("apply")
    result = project.ok("plan")
    assert result.out == "nothing to do\n"


def test_plan_of_a_sync_that_cannot_be_rendered_ends_with_1(project):
    project.values({"dev": {}})
    result = project.run("plan")
    assert result.status == 1
    assert "db/host" in result.err


def test_apply_writes_what_the_template_says(project):
    result = project.ok("apply")
    assert project.read("app.conf") == "# the application\nhost = localhost\nport = 5432\n"
    assert "created" in result.out
    assert "1 of 1 syncs in agreement, 1 change" in result.out


def test_apply_again_changes_nothing(project):
    project.ok("apply")
    before = os.stat(project.root / "app.conf")
    result = project.ok("apply")
    after = os.stat(project.root / "app.conf")
    assert "0 changes" in result.out
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_apply_of_named_syncs_leaves_the_others(project):
    inline = {"inline": "x\n"}
    project.syncs({"one": {"template": inline, "to": "one"}, "two": {"template": inline, "to": "two"}})
    project.ok("apply", "two")
    assert project.exists("two")
    assert not project.exists("one")


def test_apply_of_a_sync_that_does_not_exist_names_the_nearest(project):
    result = project.run("apply", "ap")
    assert result.status == 3
    assert "there is no sync 'ap'; did you mean 'app'?" in result.err
    assert not project.exists("app.conf")


def test_one_failing_sync_ends_apply_with_1_and_the_others_are_done(project):
    project.syncs({
        "bad": {"template": {"inline": "{{ values('nope') }}"}, "to": "bad"},
        "good": {"template": {"inline": "{{ values('name') }}\n"}, "to": "good"},
    })  # fmt: skip
    result = project.run("apply")
    assert result.status == 1
    assert project.read("good") == "shop\n"
    assert not project.exists("bad")
    assert "sync 'bad' is failed" in result.err
    assert "1 of 2 syncs in agreement" in result.out


def test_status_tells_how_each_sync_stands(project):
    pending = project.run("status")
    assert pending.status == 2
    assert pending.out.startswith("app  pending")
    project.ok("apply")
    good = project.ok("status")
    assert good.out.startswith("app  ok")
    assert "no daemon is running" in good.err


def test_status_sees_a_file_changed_by_hand(project):
    project.ok("apply")
    project.write("app.conf", "mine\n")
    result = project.run("status")
    assert result.status == 2
    assert "app.conf was changed by someone else" in result.out


def test_explain_of_a_target_names_every_key_with_its_revision(project):
    project.ok("apply")
    for name in ("app.conf", str(project.root / "app.conf"), "app"):
        result = project.ok("explain", name)
        assert "created by confsync" in result.out
        assert "values:dev/db/host" in result.out
        assert "made by   app.conf.j2" in result.out


def test_explain_of_a_key_names_every_target_it_reaches(project):
    project.ok("apply")
    for key in ("db/host", "values:db/host"):
        result = project.ok("explain", key)
        assert "value     localhost" in result.out
        assert "goes to" in result.out
        assert str(project.root / "app.conf") in result.out


def test_explain_of_something_unknown_suggests_the_nearest_key(project):
    result = project.run("explain", "db/hots")
    assert result.status == 1
    assert "did you mean 'db/host'?" in result.err


def test_get_prints_one_value(project):
    assert project.ok("get", "db/host").out == "localhost\n"
    assert project.ok("get", "values:db/host").out == "localhost\n"
    assert project.ok("get", "-e", "prod", "db/host").out == "db.example.com\n"


def test_get_of_a_missing_key_suggests_the_nearest(project):
    result = project.run("get", "db/hots")
    assert result.status == 1
    assert result.out == ""
    assert "did you mean 'db/host'?" in result.err


def test_get_from_an_unknown_source_names_those_there_are(project):
    result = project.run("get", "value:db/host")
    assert result.status == 3
    assert "there is no source 'value'; did you mean 'values'?" in result.err


def test_ls_lists_keys_below_a_prefix(project):
    everything = project.ok("ls").out
    assert [line.split()[0] for line in everything.splitlines()] == [
        "values:db/host", "values:db/port", "values:name",
    ]  # fmt: skip
    below = project.ok("ls", "db", "--values").out
    assert "localhost" in below
    assert "name" not in below


def test_diff_of_two_environments_ends_with_2_where_they_differ(project):
    result = project.run("diff", "dev", "prod")
    assert result.status == 2
    lines = {line.split()[1]: line[0] for line in result.out.splitlines()[:-1]}
    assert lines == {"values:db/host": "~", "values:extra": "+", "values:name": "-"}
    assert "3 keys differ between dev and prod" in result.out
    assert "1 key is the same" in result.out


def test_diff_of_an_environment_with_itself_ends_with_0(project):
    assert project.ok("diff", "dev", "dev").out.startswith(
        "dev and dev are the same: 3 keys (values at revision "
    )


def test_diff_of_an_unknown_environment_names_the_nearest(project):
    result = project.run("diff", "dev", "prd")
    assert result.status == 3
    assert "did you mean 'prod'?" in result.err


def test_check_names_file_and_line_of_every_problem(project):
    project.write("templates/app.conf.j2", "one\n{{ values( }}\n")
    project.syncs({
        "app": {"template": "app.conf.j2", "to": "a"},
        "other": {"template": "ap.conf.j2", "to": "b"},
    })  # fmt: skip
    result = project.run("check")
    assert result.status == 3
    assert "app.conf.j2:2: syntax error" in result.err
    assert "there is no template 'ap.conf.j2'; did you mean 'app.conf.j2'?" in result.err


def test_check_asks_no_store_and_writes_nothing(project):
    (project.root / "values.yaml").unlink()
    before = project.tree()
    assert project.ok("check").out.endswith("is valid: 1 source, 1 sync\n")
    assert project.tree() == before


def test_schema_is_a_json_schema_with_the_backends_options(bare):
    result = bare.run("schema", state=False)
    assert result.status == 0
    schema = result.json
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert {"sources", "environments", "syncs", "defaults"} <= schema["properties"].keys()
    kinds = {kind["if"]["properties"]["backend"]["const"] for kind in schema["$defs"]["Source"]["allOf"]}
    assert {"file", "env"} <= kinds


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(bare, shell):
    result = bare.run("completion", shell, state=False)
    assert result.status == 0
    assert "_CONFSYNC_COMPLETE" in result.out


def test_the_bash_completion_script_is_accepted_by_bash(bare):
    script = bare.run("completion", "bash", state=False).out
    bash = shutil.which("bash")
    assert bash is not None
    assert subprocess.run([bash, "-n"], input=script, text=True).returncode == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [("confsync pl", {"plan"}), ("confsync apply a", {"app"}), ("confsync diff p", {"prod"})],
)
def test_completion_completes_commands_syncs_and_environments(project, words, expected):
    env = project.environ(
        _CONFSYNC_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1)
    )
    code = "from confsync.cli.main import cli; cli(prog_name='confsync')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project.root, env=env, capture_output=True, text=True, timeout=60
    )
    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == expected


def test_version_is_printed(bare):
    assert bare.run("--version", state=False).out.strip().endswith(__version__)


def test_demo_plays_to_its_end(bare):
    result = bare.run("demo", state=False)
    assert result.status == 0
    assert "healed" in result.out + result.err


JSON_COMMANDS = (
    ("plan",),
    ("apply",),
    ("status",),
    ("explain", "app.conf"),
    ("explain", "db/host"),
    ("get", "db/host"),
    ("ls", "--values"),
    ("diff", "dev", "prod"),
    ("check",),
    ("check", "--online"),
    ("docs",),
    ("docs", "--online"),
    ("schema",),
)


@pytest.mark.parametrize("command", JSON_COMMANDS, ids=" ".join)
def test_json_output_is_one_document_and_the_same_each_time(project, command):
    project.ok("apply")
    where = () if command == ("schema",) else ("--output", "json")
    first = project.run(*command, *where)
    json.loads(first.out)
    second = project.run(*command, *where)
    assert (first.out, first.status) == (second.out, second.status)


def test_json_of_a_failing_apply_says_what_failed(project):
    project.values({"dev": {}})
    result = project.run("apply", "--output", "json")
    assert result.status == 1
    report = result.json
    assert report["in_agreement"] is False
    assert "db/host" in report["failed"]["app"]["detail"]


def test_json_of_a_plan_has_each_change_with_its_reasons(project):
    report = project.run("--output", "json", "plan")
    assert report.status == 2
    (change,) = report.json["changes"]
    assert change["action"] == "create"
    assert change["reasons"] == ["first time"]
    assert change["target"] == f"file:{project.root / 'app.conf'}"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(bare, command):
    result = bare.run(command, "--help", state=False)
    assert result.status == 0
    assert result.out.startswith(f"Usage: python -m confsync {command}")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_list_of_commands_says_what_the_command_itself_says(command):
    import click

    from confsync.cli.main import cli

    found = cli.get_command(click.Context(cli), command)
    assert found is not None
    assert found.short_help == COMMANDS[command][1]


def test_before_a_program_starts_its_reload_is_left_owed(project):
    project.syncs(
        {"app": {"data": {"PORT": "values:db/port"}, "to": "app.env", "reload": ["touch", "reloaded"]}}
    )
    result = project.ok("apply", "--no-reload")
    assert "reloaded" not in result.out
    assert not project.exists("reloaded")
    assert project.run("status").status == 2  # it is owed

    project.ok("apply")
    assert project.exists("reloaded")
    project.ok("status")


def test_before_a_program_starts_the_last_known_good_files_may_do(project):
    project.syncs({"app": {"data": {"PORT": "values:db/port"}, "to": "app.env"}})
    project.ok("apply")
    written = project.read("app.env")
    project.write("values.yaml", "{broken")

    assert project.run("apply").status == 1
    result = project.run("apply", "--accept-stale", "--output", "json")
    assert result.status == 0
    assert result.json["in_agreement"] is False
    assert project.read("app.env") == written


def test_what_was_never_written_is_not_accepted_as_stale(project):
    project.syncs({"app": {"data": {"PORT": "values:db/port"}, "to": "app.env"}})
    project.write("values.yaml", "{broken")
    assert project.run("apply", "--no-reload", "--accept-stale").status == 1
