"""Missing keys, damaged state, checks and reloads that fail: what is said, and what is left alone."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import sys

import pytest


def test_all_missing_keys_are_named_at_once_with_line_and_nearest_name(project):
    project.write(
        "templates/app.conf.j2",
        "first line\n{{ values('db/hots') }}\n{{ values('nmae') }} {{ values('db/port') }}\n\n"
        "{{ values('zzz')|upper }}\n",
    )
    for command in ("apply", "plan"):
        result = project.run(command)
        assert result.status == 1
        assert "3 keys are missing" in result.err
        assert "app.conf.j2:2: no key 'db/hots' in source 'values' (did you mean 'db/host'?)" in result.err
        assert "app.conf.j2:3: no key 'nmae' in source 'values' (did you mean 'name'?)" in result.err
        assert "app.conf.j2:5: no key 'zzz' in source 'values'" in result.err
    assert not project.exists("app.conf")


def test_missing_keys_of_a_data_map_name_the_entry(project):
    project.syncs(
        {"env": {"data": {"A": "values:db/hots", "B": "values:name", "C": "values:no"}, "to": "x.env"}}
    )
    result = project.run("apply")
    assert result.status == 1
    assert "syncs.env.data.A: no key 'db/hots' in source 'values' (did you mean 'db/host'?)" in result.err
    assert "syncs.env.data.C: no key 'no'" in result.err


def ruin_the_middle(state):
    ledger = state / "ledger.db"
    content = bytearray(ledger.read_bytes())
    content[4096:12_000] = os.urandom(12_000 - 4096)
    ledger.write_bytes(content)


def make_it_newer(state):
    with contextlib.closing(sqlite3.connect(state / "ledger.db")) as connection:
        connection.execute("PRAGMA user_version = 99")


def remove_everything(state):
    shutil.rmtree(state)
    state.mkdir()


DAMAGES = {
    "garbage": lambda state: (state / "ledger.db").write_bytes(os.urandom(20_000)),
    "garbage in the middle": ruin_the_middle,
    "cut off": lambda state: os.truncate(state / "ledger.db", 5000),
    "empty": lambda state: os.truncate(state / "ledger.db", 0),
    "a future version": make_it_newer,
    "missing": lambda state: (state / "ledger.db").unlink(),
    "key missing": lambda state: (state / "ledger.key").unlink(),
    "key damaged": lambda state: (state / "ledger.key").write_bytes(b"short"),
    "key replaced": lambda state: (state / "ledger.key").write_bytes(os.urandom(32)),
    "everything missing": remove_everything,
}


def damage(project, how):
    DAMAGES[how](project.state)


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_ledger_is_rebuilt_and_nothing_is_deleted(project, how):
    inline = {"inline": "{{ values('name') }}\n"}
    project.syncs({name: {"template": inline, "to": name} for name in ("a", "b", "edited")})
    project.ok("apply")
    damage(project, how)
    # While the ledger is damaged a sync is removed and another's file edited: neither may be lost.
    project.write("edited", "by hand\n")
    project.syncs({name: {"template": inline, "to": name} for name in ("a", "b")})
    for command in ("status", "plan"):
        assert project.run(command).status in (0, 1, 2)
    project.ok("apply")
    assert project.read("edited") == "by hand\n"
    assert project.read("a") == project.read("b") == "shop\n"
    assert project.ok("plan").out == "nothing to do\n"
    assert project.ok("status").status == 0


def test_a_damaged_ledger_is_set_aside_and_reported(project):
    project.ok("apply")
    damage(project, "garbage")
    result = project.ok("apply")
    assert "the ledger was damaged and is begun anew; nothing is deleted" in result.err
    assert list(project.state.glob("ledger.db.damaged-*"))


def test_what_a_lost_ledger_owned_is_adopted_and_never_deleted_later(project):
    project.ok("apply")
    damage(project, "missing")
    project.ok("apply")
    project.syncs({})
    project.ok("apply")
    assert project.exists("app.conf")


def script(project, name, text):
    """A command made of Python, as an argument list."""
    return [sys.executable, str(project.write(name, text))]


def test_a_check_that_fails_leaves_the_target_untouched(project):
    check = script(
        project, "check.py", "import sys; sys.exit('not allowed: ' + open(sys.argv[1]).readline())"
    )
    project.ok("apply")
    before = os.stat(project.root / "app.conf")
    project.syncs({"app": {"template": "app.conf.j2", "to": "app.conf", "check": [*check, "{staged}"]}})
    project.values({"dev": {"db": {"host": "db2"}}})
    result = project.run("apply")
    assert result.status == 1
    assert "not allowed: # the application" in result.err
    assert "host = localhost" in project.read("app.conf")
    assert os.stat(project.root / "app.conf").st_ino == before.st_ino
    assert [path.name for path in project.root.iterdir() if "app.conf" in path.name] == ["app.conf"]
    assert "failed" in project.run("status").out


def test_a_check_that_fails_keeps_a_new_target_from_appearing(project):
    project.syncs({"app": {"template": "app.conf.j2", "to": "app.conf", "check": ["false"]}})
    assert project.run("apply").status == 1
    assert not project.exists("app.conf")


LOGGING = """\
import pathlib, sys
log = pathlib.Path("reloads.log")
log.write_text((log.read_text() if log.exists() else "") + sys.argv[1] + "\\n")
sys.exit(f"{sys.argv[1]} is down" if pathlib.Path("down-" + sys.argv[1]).exists() else 0)
"""


def reloads(project):
    return project.read("reloads.log").split() if project.exists("reloads.log") else []


@pytest.fixture
def reloading(project):
    """Syncs `a` and `b` that reload `web`, and `c` that reloads `db`."""
    command = script(project, "reload.py", LOGGING)
    template = {"inline": "{{ values('name') }}\n"}
    project.syncs({
        "a": {"template": template, "to": "a", "reload": [*command, "web"]},
        "b": {"template": template, "to": "b", "reload": {"command": [*command, "web"]}},
        "c": {"template": template, "to": "c", "reload": [{"command": [*command, "db"]}]},
    })  # fmt: skip
    return project


def test_identical_reloads_run_once(reloading):
    result = reloading.ok("apply")
    assert sorted(reloads(reloading)) == ["db", "web"]
    assert "[a, b]" in result.out or "[b, a]" in result.out


def test_nothing_changed_is_nothing_reloaded(reloading):
    reloading.ok("apply")
    reloading.ok("apply")
    assert len(reloads(reloading)) == 2


def test_a_reload_that_fails_is_owed_until_it_succeeds_and_only_it_is_done_again(reloading):
    reloading.write("down-web", "")
    first = reloading.run("apply")
    assert first.status == 1
    assert "web is down" in first.err
    assert sorted(reloads(reloading)) == ["db", "web"]
    assert reloading.read("a") == "shop\n"
    status = reloading.run("status")
    assert status.status == 2
    lines = {line.split()[0]: line for line in status.out.splitlines()}
    assert "owed" in lines["a"]
    assert "owed" in lines["b"]
    assert lines["c"].startswith("c  ok")

    again = reloading.run("apply")
    assert again.status == 1
    assert reloads(reloading)[2:] == ["web"]

    (reloading.root / "down-web").unlink()
    reloading.ok("apply")
    assert reloads(reloading)[2:] == ["web", "web"]
    assert reloading.ok("status").status == 0
    reloading.ok("apply")
    assert len(reloads(reloading)) == 4


def test_a_reload_that_is_owed_shows_in_the_json_of_status(reloading):
    reloading.write("down-db", "")
    reloading.run("apply")
    syncs = {one["sync"]: one for one in reloading.run("status", "--output", "json").json["syncs"]}
    assert syncs["c"]["state"] == "owed"
    assert syncs["c"]["reloads_owed"] == 1
    assert syncs["a"]["state"] == "ok"


def test_a_removed_sync_owes_no_reload(reloading):
    reloading.write("down-web", "")
    reloading.run("apply")
    reloading.syncs({})
    reloading.ok("apply")
    assert reloading.ok("status").status == 0


def test_a_target_nobody_can_write_fails_alone(project):
    inline = {"inline": "x\n"}
    project.syncs({
        "bad": {"template": inline, "to": "no/such/directory/x"},
        "good": {"template": inline, "to": "good"},
    })  # fmt: skip
    result = project.run("apply")
    assert result.status == 1
    assert "no/such/directory" in result.err
    assert project.exists("good")


def test_two_items_that_want_one_path_are_refused(project):
    project.values({"dev": {"t": {"a": {"x": "1"}, "b": {"x": "1"}}}})
    project.syncs({
        "each": {"for_each": "values.dirs('t')", "template": {"inline": "x"}, "to": "{{ 'x' if each.key }}"}
    })  # fmt: skip
    result = project.run("apply")
    assert result.status == 1
    assert "would both write" in result.err


def test_two_syncs_whose_templates_give_one_path_are_refused(project):
    inline = {"inline": "x"}
    project.syncs({
        "one": {"template": inline, "to": "{{ values('name') }}"},
        "two": {"template": inline, "to": "{{ values('name') }}"},
    })  # fmt: skip
    result = project.run("apply")
    assert result.status == 1
    assert "a target belongs to one sync" in result.err


@pytest.mark.parametrize(
    ("to", "what"),
    [
        ("values.yaml", "is the file that source 'values' reads"),
        ("./templates/../values.yaml", "is the file that source 'values' reads"),
        ("templates/app.conf.j2", "is the template 'app.conf.j2', which this sync is made from"),
        ("confsync.yaml", "is the configuration itself"),
        ("{{ values('its/own') }}", "is the file that source 'values' reads"),
    ],
)
def test_what_a_sync_is_made_of_is_not_overwritten(project, to, what):
    project.values({"dev": {"db": {"host": "h"}, "its": {"own": "values.yaml"}}})
    project.syncs(
        {"app": {"template": "app.conf.j2", "to": to}, "good": {"template": "app.conf.j2", "to": "x"}}
    )
    before = {path: project.read(path) for path in ("values.yaml", "templates/app.conf.j2", "confsync.yaml")}
    result = project.run("apply")
    assert result.status == 1
    assert f"{what}; correct `path`" in result.err
    assert {path: project.read(path) for path in before} == before
    assert project.exists("x")


@pytest.mark.parametrize("command", ["plan", "check --online"])
def test_that_a_sync_would_overwrite_what_it_is_made_of_is_seen_before_it_is_applied(project, command):
    project.syncs({"app": {"template": "app.conf.j2", "to": "values.yaml"}})
    result = project.run(*command.split())
    assert result.status == 1
    assert "is the file that source 'values' reads; correct `path`" in result.err


def test_one_sync_may_write_what_another_reads(project):
    project.write("made.yaml", "")
    project.config("""\
sources:
  values: {backend: file, path: values.yaml}
  made: {backend: file, path: made.yaml}
syncs:
  first: {template: {inline: "host: {{ values('dev/db/host') }}\\n"}, to: made.yaml}
""")
    project.ok("apply")
    assert project.read("made.yaml") == "host: localhost\n"


def test_a_state_directory_that_is_a_file_is_one_line(project):
    project.state.write_text("")
    result = project.run("apply")
    assert result.status == 1
    assert "--state-dir" in result.err
    assert len(result.err.splitlines()) == 1


def test_what_a_key_is_called_does_not_reach_the_terminal_raw(project):
    project.syncs(
        {"app": {"template": {"inline": "{{ values.items() }}{{ values.get('need') }}"}, "to": "app.conf"}}
    )
    project.values({"dev": {"a": "1"}})
    project.ok("apply")
    project.values({"dev": {"a": "1", "b\x1b[2J\x9b": "2"}})

    result = project.ok("apply")

    assert "b\\x1b[2J\\x9b" in result.out
    assert "\x1b" not in result.out
    assert "\x9b" not in result.out


def test_an_error_that_names_such_a_key_is_safe_to_print_in_apply_and_status(project):
    sync = {
        "template": {"inline": "x"},
        "for_each": "values.children('n')",
        "to": "always-the-same{{ vars.x }}",
    }
    project.syncs({"app": {**sync, "vars": {"x": "y"}}})
    project.values({"dev": {"n": {"b\x1b[2J\x9b": "1", "c\x1b[2J\x9b": "2"}}})

    for shown in (project.run("apply"), project.run("status")):
        assert "b\\x1b[2J\\x9b" in shown.out + shown.err
        assert "\x1b" not in shown.out + shown.err
        assert "\x9b" not in shown.out + shown.err
