"""`confsync diff`: what it shows of keys and of renders, and which calls it takes."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest
import yaml
from cli.conftest import Result
from click.testing import CliRunner

from confsync.cli.main import cli
from confsync.redact import DOTS

VALUES = {
    "dev": {"db": {"host": "localhost", "port": "5432"}, "name": "shop"},
    "staging": {"db": {"host": "stg", "port": "5432"}, "name": "shop"},
    "prod": {"db": {"host": "stg", "port": "5432"}, "extra": "yes"},
}
HUSH = {
    "dev": {"pw": "correct horse", "same": "battery"},
    "staging": {"pw": "staple", "same": "battery"},
    "prod": {"pw": "staple", "same": "battery", "more": "xkcd"},
}
CONFIG = {
    "sources": {
        "values": {"backend": "file", "path": "values.yaml"},
        "hush": {"backend": "file", "path": "hush.yaml", "sensitive": True},
    },
    "environments": {name: {"values": name, "hush": name} for name in ("dev", "staging", "prod")},
    "keys": {"db/host": {"about": "the primary", "owner": "team-db"}},
    "syncs": {
        "app": {
            "template": {"inline": "# the app\nhost = {{ values('db/host') }}\nport = {{ values('db/port') }}\n"},
            "to": "app.conf",
            "environment": "dev",
        },
        "secret": {
            "template": {"inline": "# the app\npassword = {{ hush('pw') }}\nport = 80\n"},
            "to": "{{ values('db/host') }}/secret.conf",
        },
    },
}  # fmt: skip


class Shop:
    """A project of three environments. Most commands are run in this process: a start takes longer than they do."""

    def __init__(self, project):
        self.project = project
        self.root = project.root
        self.config()
        self.values(VALUES)
        self.hush(HUSH)

    def config(self, **sections):
        self.project.config(yaml.safe_dump({**CONFIG, **sections}, sort_keys=False))

    def values(self, values):
        self.project.values(values)

    def hush(self, values):
        self.project.write("hush.yaml", yaml.safe_dump(values))

    def run(self, *arguments):
        done = CliRunner().invoke(cli, ["-c", str(self.root / "confsync.yaml"), *arguments])
        assert "this is a bug" not in done.stderr, done.stderr
        return Result(done.exit_code, done.stdout, done.stderr)


@pytest.fixture
def shop(bare, monkeypatch):
    monkeypatch.delenv("CONFSYNC_CONFIG", raising=False)
    return Shop(bare)


def lines(result):
    return [line.rstrip() for line in result.out.splitlines()]


def on_terminal(shop, *arguments, columns=120, **env):
    """What the command prints to a terminal of that width."""
    return shop.project.shown(*arguments, columns=columns, **env).terminal


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


# Keys


def test_two_environments_are_told_key_by_key(shop):
    result = shop.run("diff", "dev", "prod")
    assert result.status == 2
    assert lines(result)[:-1] == [
        "~ values:db/host  localhost → stg",
        "    the primary (team-db)",
        "+ values:extra    only in prod: yes",
        "- values:name     only in dev: shop",
        f"+ hush:more       only in prod: {DOTS}",
        f"~ hush:pw         {DOTS} differs",
    ]
    assert lines(result)[-1].startswith(
        "5 keys differ between dev and prod; 2 keys are the same (values at revision "
    )


def test_three_environments_are_a_table_in_which_what_is_the_same_is_seen(shop):
    result = shop.run("diff", "dev", "staging", "prod")
    assert result.status == 2
    assert [re.split(r"\s{2,}", line) for line in lines(result)[:-1]] == [
        ["", "dev", "staging", "prod"],
        ["~ values:db/host", "localhost", "stg", "= staging"],
        ["", "the primary (team-db)"],
        ["± values:extra", "-", "-", "yes"],
        ["± values:name", "shop", "=", "-"],
        ["± hush:more", "-", "-", DOTS],
        ["~ hush:pw", DOTS, f"{DOTS} differs", "= staging"],
    ]


@pytest.mark.parametrize("columns", [30, 60, 200])
def test_a_table_fits_the_terminal(shop, columns):
    shop.values(
        {name: {"a": letter * 500, "b/c": "x" * 40} for name, letter in zip(VALUES, "xyz", strict=True)}
    )
    shown = on_terminal(shop, "diff", *VALUES, "values:", columns=columns)
    table = shown.splitlines()[:-1]
    assert len(table) > 1
    assert [line for line in table if len(plain(line)) > columns] == []


def test_a_terminal_that_is_hardly_one_is_written_to_all_the_same(shop):
    for call in (("dev", "prod"), (*VALUES,), ("dev", "prod", "--sync", "app")):
        assert "values:db/host" in on_terminal(shop, "diff", *call, columns=3) or "--sync" in call


def test_an_environment_is_the_same_as_itself(shop):
    result = shop.run("diff", "prod", "prod")
    assert result.status == 0
    assert result.out.startswith("prod and prod are the same: 6 keys (")


def test_keys_that_are_the_same_are_listed_where_they_are_asked_for(shop):
    assert lines(shop.run("diff", "dev", "prod", "values:db", "--all"))[2] == "= values:db/port  5432"
    assert f"= hush:same  {DOTS}" in lines(shop.run("diff", "dev", "prod", "hush:same", "--all"))


def test_a_prefix_limits_what_is_compared(shop):
    assert "values:name" not in shop.run("diff", "dev", "prod", "db").out
    assert shop.run("diff", "dev", "prod", "db/port").status == 0
    assert shop.run("diff", "dev", "prod", "d").status == 3


def test_a_prefix_that_is_called_like_an_environment_is_written_otherwise(shop):
    shop.values({name: {"prod": {"x": name}} for name in VALUES})
    for word in ("prod/", "values:prod"):
        result = shop.run("diff", "dev", "staging", word)
        assert "~ values:prod/x  dev → staging" in lines(result)


UNSEEN = [
    "", " ", "a ", "\ta", "=", "-", '"', "a\nb", "a\\nb", "denied", "1.0", "é", "e\u0301", "\u202e", f"{DOTS} differs",
]  # fmt: skip


@pytest.mark.parametrize("columns", [None, 40, 200])
def test_values_that_differ_look_different(shop, columns):
    pairs = {f"k{n}": pair for n, pair in enumerate(zip(UNSEEN, UNSEEN[1:] + UNSEEN[:1], strict=True))}
    shop.values({
        name: {key: pair[at] for key, pair in pairs.items()} for at, name in enumerate(("dev", "staging"))
    })  # fmt: skip
    document = shop.run("diff", "dev", "staging", "values:", "--output", "json").json
    assert len(document["keys"]) == len(pairs)
    arguments = ("diff", "dev", "staging", "values:")
    text = (
        shop.run(*arguments).out if columns is None else plain(on_terminal(shop, *arguments, columns=columns))
    )
    assert "\u202e" not in text
    for line in text.splitlines():
        if " → " in line:
            one, other = line.split(maxsplit=2)[2].split(" → ")
            assert one != other


def test_of_long_values_the_place_where_they_differ_is_seen(shop):
    shop.values(
        {
            "dev": {"long": "x" * 5000 + "here" + "z" * 5000},
            "prod": {"long": "x" * 5000 + "there" + "z" * 5000},
        }
    )
    out = shop.run("diff", "dev", "prod", "long").out
    assert "xhere" in out
    assert "xthere" in out
    assert max(map(len, out.splitlines()[:-1])) <= 120


def test_of_values_of_several_lines_the_lines_that_differ_are_shown(shop):
    many = "".join(f"line {number}\n" for number in range(100))
    shop.values({"dev": {"motd": f"one\ntwo\n{many}"}, "prod": {"motd": f"one\n2\x1b[2J\n{many}"}})
    assert lines(shop.run("diff", "dev", "prod", "motd"))[:-1] == [
        "~ values:motd", "      one", "    - two", r"    + 2\x1b[2J", "      line 0", "      line 1", "      line 2",
        "    @ ⋮",
    ]  # fmt: skip


def test_of_long_lines_in_long_values_the_place_where_they_differ_is_seen(shop):
    shop.values({name: {"motd": "a\n" + "x" * 1000 + f"{name}\n"} for name in ("dev", "prod")})
    out = shop.run("diff", "dev", "prod", "motd").out
    assert "xxxdev\n" in out
    assert "xxxprod\n" in out


# Calls


def test_an_unknown_environment_gets_the_nearest_and_the_list(shop):
    for call in (("dev", "prdo"), ("prdo", "dev"), ("dev", "prdo", "prod")):
        result = shop.run("diff", *call)
        assert (result.status, result.out) == (3, "")
        assert (
            "there is no environment 'prdo'; did you mean 'prod'? (there is dev, staging, prod)" in result.err
        )


@pytest.mark.parametrize("words", [(), ("dev",)], ids=len)
def test_fewer_than_two_environments_are_a_wrong_call(shop, words):
    result = shop.run("diff", *words)
    assert result.status == 3
    assert "two environments are needed to be compared; there is dev, staging, prod" in result.err


def test_a_last_word_that_is_nothing_gets_the_nearest_environment_and_key(shop):
    result = shop.run("diff", "dev", "prod", "stagin")
    assert result.status == 3
    assert "'stagin' is no environment, and no key is at or below it in dev and prod" in result.err
    assert "did you mean the environment 'staging'?" in result.err
    assert "the nearest key is 'db/host'" in shop.run("diff", "dev", "prod", "db/hots").err
    assert (
        "'values:db/hots': no key is at or below it" in shop.run("diff", "dev", "prod", "values:db/hots").err
    )
    assert "there is no source 'value'" in shop.run("diff", "dev", "prod", "value:db").err


def test_a_source_without_its_colon_is_told_how_it_is_written(shop):
    result = shop.run("diff", "dev", "prod", "hush")
    assert result.status == 3
    assert "all of a source is hush:" in result.err
    assert shop.run("diff", "dev", "prod", "hush:").status == 2


def test_without_environments_there_is_nothing_to_compare(shop):
    shop.config(environments={}, syncs={})
    result = shop.run("diff", "dev", "prod")
    assert result.status == 3
    assert "has no environments to compare" in result.err


def test_a_sync_is_compared_as_a_whole(shop):
    for more in (("db",), ("--all",)):
        assert shop.run("diff", "dev", "prod", *more, "--sync", "app").status == 3
    result = shop.run("diff", "dev", "prod", "--sync", "ap")
    assert result.status == 3
    assert "there is no sync 'ap'; did you mean 'app'?" in result.err


OTHERS = (
    "plan", "ls", "get db/host", "status", "check", "explain app", "init there", "completion bash", "schema", "demo",
)  # fmt: skip


@pytest.mark.parametrize("call", OTHERS)
def test_other_commands_refuse_markdown(shop, call):
    for arguments in (("--output", "markdown", *call.split()), (*call.split(), "--output", "markdown")):
        result = shop.run(*arguments)
        assert (result.status, result.out) == (3, "")
        assert f"{call.split()[0]} has no output in markdown" in result.err


def test_markdown_is_taken_before_the_command_too(shop):
    assert shop.run("--output", "markdown", "diff", "dev", "prod").out.startswith(
        "5 keys differ between **dev**"
    )


def test_a_source_that_cannot_be_read_is_told_and_the_others_are_compared(shop):
    shop.project.write("hush.yaml", "{")
    result = shop.run("diff", "dev", "prod")
    assert result.status == 2
    assert "source 'hush' was not compared: " in result.err
    assert "3 keys differ" in result.out
    same = shop.run("diff", "dev", "dev")
    assert same.status == 1
    assert same.out.startswith("nothing is seen to differ between dev and dev; 3 keys are the same")


# Forms


def test_json_has_counts_and_each_key_in_every_environment(shop):
    document = shop.run("diff", "dev", "staging", "prod", "--output", "json").json
    assert document["environments"] == ["dev", "staging", "prod"]
    assert (document["same"], document["complete"], document["prefix"]) == (False, True, None)
    assert document["counts"] == {
        "same": 2, "values_differ": 2, "only_in_some": 3, "unknown": 0, "unfetched": 0,
    }  # fmt: skip
    assert document["missing"] == {"dev": 2, "staging": 2, "prod": 1}
    keys = {key["key"]: key for key in document["keys"]}
    host = keys["values:db/host"]
    assert (host["difference"], host["about"], host["owner"]) == ("values", "the primary", "team-db")
    assert host["environments"]["prod"] == {
        "state": "present", "group": 1, "value": "stg", "encoding": None, "why": None,
    }  # fmt: skip
    password = keys["hush:pw"]["environments"]
    assert [cell["group"] for cell in password.values()] == [0, 1, 1]
    assert {cell["value"] for cell in password.values()} == {None}


def test_markdown_is_a_table_that_values_cannot_break(shop):
    evil = "a|b`c` <img src=x> **bold** [x](http://x) \\| @all\n# head"
    shop.values(
        {"dev": {"a`b|c": evil, "plain": "x_y_z *a* <b> &amp; @all"}, "prod": {"a`b|c": "1", "plain": "2"}}
    )
    result = shop.run("diff", "dev", "prod", "values:", "--output", "markdown")
    head, *rows = result.out.splitlines()[2:]
    assert head == "| | key | dev | prod |"
    assert {row.count("|") for row in rows[:3]} == {5}
    assert "`x_y_z *a* <b> &amp; @all`" in rows[2]
    encoded = rows[1].split("<code>")[2].split("</code>")[0]
    assert not set(encoded) & set("|`<>*_[]\\@\"'")
    assert "&#124;b&#96;c&#96; &#60;img" in encoded


def test_markdown_fits_a_comment(shop):
    shop.values({name: {f"key{n}": name * 50 for n in range(2000)} for name in ("dev", "prod")})
    out = shop.run("diff", "dev", "prod", "--output", "markdown").out
    assert len(out) < 65_536
    assert re.search(r"And \d+ more rows: there is no room for them here\.", out)


def test_markdown_of_several_targets_fits_a_comment_together(shop):
    files = {f"file{n}": {"template": {"inline": "{{ values('long') }}"}, "to": f"file{n}"} for n in range(5)}
    shop.config(syncs=files)
    shop.values({name: {"long": f"{name} ```\n" * 2000} for name in ("dev", "prod")})
    out = shop.run("diff", "dev", "prod", *(f"--sync={name}" for name in files), "--output", "markdown").out
    assert len(out) < 65_536
    assert "`file0`" in out
    assert out.endswith("\n````\n\nAnd more: there is no room for it here.\n")
    assert len(re.findall("^````", out, re.MULTILINE)) % 2 == 0


@pytest.mark.parametrize(
    "long", ["k" * 70_000, "\u0301" * 70_000, "`" * 70_000], ids=["plain", "marks", "ticks"]
)
def test_a_long_key_or_value_hides_no_other_in_markdown(shop, long):
    shop.values({name: {"a": long + name, f"b{long}": name, "c": name} for name in ("dev", "prod")})
    out = shop.run("diff", "dev", "prod", "values:", "--output", "markdown").out
    assert "`values:a`" in out
    assert "| differs | `values:c` | `dev` | `prod` |" in out


def test_a_colour_is_for_a_terminal(shop):
    assert "\x1b[" in on_terminal(shop, "diff", "dev", "prod")
    assert "\x1b[" not in on_terminal(shop, "diff", "dev", "prod", NO_COLOR="1")
    assert "\x1b[" not in shop.run("diff", "dev", "prod").out


def test_a_reader_that_goes_away_ends_it_quietly(shop):
    shop.values({name: {f"key{n}": name * 30 for n in range(5000)} for name in ("dev", "prod")})
    ours, theirs = os.pipe()
    process = subprocess.Popen(
        shop.project.argv("diff", "dev", "prod"),
        cwd=shop.root,
        env=shop.project.environ(),
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    assert len(os.read(ours, 10)) > 0
    os.close(ours)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, b"")


# Renders


def test_several_syncs_are_compared_each(shop):
    call = ("diff", "dev", "prod", "--sync", "app", "--sync", "secret")
    told, document = shop.run(*call), shop.run(*call, "--output", "json").json
    alone = shop.run(*call[:3], "--sync", "secret", "--output", "json").json

    assert told.status == 2
    assert "sync 'app' makes something else under dev and prod" in told.out
    assert "sync 'secret' makes something else under dev and prod" in told.out
    assert [one["sync"] for one in document["syncs"]] == ["app", "secret"]
    assert (document["environments"], document["same"]) == (["dev", "prod"], False)
    assert document["syncs"][1]["comparisons"] == alone["comparisons"]
    markdown = shop.run(*call, "--output", "markdown").out
    assert "Sync `app`: 1 target differs" in markdown
    assert "Sync `secret`: 1 target differs" in markdown


def test_a_sync_is_rendered_under_each_environment_whatever_its_own_is(shop):
    result = shop.run("diff", "staging", "dev", "--sync", "app")
    assert result.status == 2
    assert lines(result)[:-1] == [
        f"~ {shop.root}/app.conf",
        "      # the app",
        "    - host = stg",
        "    + host = localhost",
        "      port = 5432",
    ]
    assert lines(result)[-1].startswith(
        "sync 'app' makes something else under staging and dev (values at revision "
    )
    same = shop.run("diff", "staging", "prod", "--sync", "app")
    assert same.status == 0
    assert "sync 'app' makes the same under staging and prod (values at revision " in same.out


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_two_files_stand_side_by_side_where_there_is_room(shop, unbuffered):
    call = ("diff", "dev", "prod", "--sync", "app")
    wide = plain(on_terminal(shop, *call, columns=140, PYTHONUNBUFFERED=unbuffered))
    assert re.search(r"^host = localhost +~ host = stg$", wide, re.MULTILINE)
    assert re.search(r"^dev +prod$", wide, re.MULTILINE)
    narrow = plain(on_terminal(shop, "diff", "dev", "prod", "--sync", "app", columns=80))
    assert "    - host = localhost\n    + host = stg\n" in narrow


def test_a_secret_is_masked_and_a_path_that_differs_is_told(shop):
    for arguments in (("--sync", "secret"), ("--sync", "secret", "--output", "markdown")):
        out = shop.run("diff", "dev", "prod", *arguments).out
        assert f"- password = {DOTS}\n" in out
        assert f"+ password = {DOTS}\n" in out
        assert "port = 80" in out
        assert "localhost/secret.conf" in out
        assert "stg/secret.conf" in out
        assert not re.search("horse|staple", out)


def test_what_is_the_same_in_a_sensitive_file_is_masked_too(shop):
    template = "same = {{ hush('same') }}\npassword = {{ hush('pw') }}\n{{ hush('same') }}\n"
    shop.config(syncs={"app": {"template": {"inline": template}, "to": "a"}})
    out = shop.run("diff", "dev", "prod", "--sync", "app").out
    assert f"      same = {DOTS}\n" in out
    assert "battery" not in out


def test_a_target_that_only_one_has_is_told(shop):
    each = {
        "template": {"inline": "{{ each.value }}\n"},
        "for_each": "values.items('up')",
        "to": "{{ each.key }}",
    }
    shop.config(syncs={"each": each})
    shop.values({"dev": {"up": {"a": "1", "b": "2"}}, "prod": {"up": {"a": "1", "c": "3"}}})
    out = shop.run("diff", "dev", "prod", "--sync", "each").out
    assert f"= {shop.root}/a\n" in out
    assert f"- {shop.root}/b  (only under dev)\n    - 2\n" in out
    assert f"+ {shop.root}/c  (only under prod)\n    + 3\n" in out


def test_targets_in_directories_that_differ_belong_together_by_name(shop):
    each = {
        "template": {"inline": "{{ each.value }}\n"},
        "for_each": "values.items('up')",
        "to": "{{ values('dir') }}/{{ each.key }}",
    }
    shop.config(syncs={"each": each})
    shop.values({name: {"dir": name, "up": {"a": name, "b": "2"}} for name in ("dev", "prod")})
    result = shop.run("diff", "dev", "prod", "--sync", "each")
    assert f"~ {shop.root}/dev/a → {shop.root}/prod/a\n    - dev\n    + prod\n" in result.out
    assert f"~ {shop.root}/dev/b → {shop.root}/prod/b  (the content is the same)\n" in result.out


def test_of_several_environments_each_is_set_against_the_first(shop):
    out = shop.run("diff", "dev", "staging", "prod", "--sync", "app").out
    assert "dev and staging\n" in out
    assert "dev and prod\n" in out
    document = shop.run("diff", "dev", "staging", "prod", "--sync", "app", "--output", "json").json
    assert [one["environments"] for one in document["comparisons"]] == [["dev", "staging"], ["dev", "prod"]]
    assert "- host = localhost" in document["comparisons"][0]["targets"][0]["diff"]


def test_a_render_that_fails_under_one_is_told(shop):
    template = "{{ values('name') }} {{ hush('pw') }}"
    shop.config(syncs={"app": {"template": {"inline": template}, "to": "a"}})
    result = shop.run("diff", "dev", "staging", "prod", "--sync", "app")
    assert result.status == 2
    assert "sync 'app' cannot be rendered under prod: " in result.err
    assert "no key 'name' in source 'values'" in result.err
    alone = shop.run("diff", "prod", "dev", "--sync", "app", "--output", "json")
    assert alone.status == 1
    assert alone.json["complete"] is False
    assert alone.json["renders"]["dev"]["error"] is None
    assert "no key 'name'" in alone.json["renders"]["prod"]["error"]


def test_how_many_lines_a_secret_has_is_not_told(shop):
    template = "# keys\nkey = {{ hush('pem') }}\nport = 80\n{{ hush('pem') }}\n[end]\n"
    shop.config(syncs={"app": {"template": {"inline": template}, "to": "a"}})
    outs = set()
    for ours, theirs in (("a", "b"), ("a\nb\nc", "a\n\nd\ne"), ("a\nb", "a\nc"), ("a", "b\n" * 50)):
        shop.hush({"dev": {"pem": ours}, "prod": {"pem": theirs}})
        for more in ((), ("--output", "json"), ("--output", "markdown")):
            out = shop.run("diff", "dev", "prod", "--sync", "app", *more).out
            outs.add((more, re.sub(r"at revision \S+[Z;]|\"hush\": \d+", "", out)))
    assert len(outs) == 3


def test_the_output_is_one_document_each_time_the_same(shop):
    for call in (("dev", "prod"), ("dev", "prod", "--sync", "app")):
        first, second = (shop.run("diff", *call, "--output", "json").out for _ in range(2))
        assert first == second
        json.loads(first)
