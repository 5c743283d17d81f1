"""`confsync init --template`: what it writes works at once, and nothing that exists is touched."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from click.shell_completion import ShellComplete
from stand_ins.stock import STOCK, Started, stock_file

from confsync.cli.main import cli


@pytest.mark.parametrize("template", STOCK)
def test_what_is_begun_works_at_once_and_gives_no_secret_to_a_laptop(tmp_path, template):
    begun = Started(tmp_path, template)

    syncs = [f"--sync={name}" for name in yaml.safe_load(stock_file(template, "confsync.yaml"))["syncs"]]
    look_for_secrets = ("grep", "-R", "change-me", "{files}")  # it ends with 1 where there is none
    calls = [
        ("check", "--online"), ("plan",), ("diff", "dev", "prod"), ("env", "prod", "--reveal"),
        ("exec", "prod", *syncs, "--only-syncs", "--", *look_for_secrets),
    ]  # fmt: skip
    with ThreadPoolExecutor(2) as threads:  # they only look, and hold no lock
        check, plan, diff, env, files = threads.map(lambda call: begun.run(*call), calls)
    assert (check.status, plan.status, diff.status, env.status) == (0, 2, 2, 0)
    assert (files.status, files.out, files.err) == (1, "", "")
    assert "is valid" in check.out
    assert "local.prod." in env.err
    assert "names no key" not in env.err
    assert "change" not in env.out


@pytest.mark.parametrize(("template", "names"), [
    ("dotenv", {"APP_NAME", "APP_ENV", "APP_URL", "PORT", "FEATURE_NEW_CART", "SECRET_KEY"}),
    ("systemd", {"APP_ENV", "GREETING"}),
])  # fmt: skip
def test_variables_have_the_names_that_the_application_reads(tmp_path, template, names):
    env = Started(tmp_path, template).ok("env", "prod", "--format", "json")

    assert names <= json.loads(env.out).keys()


def test_the_first_steps_that_it_proposes(bare):
    begun = bare.ok("init", "--template", "dotenv", "deep/er")

    assert begun.out.splitlines() == [
        "wrote deep/er/confsync.yaml",
        "wrote deep/er/values.yaml",
        "wrote deep/er/templates/dotenv/env.j2",
    ]
    assert begun.err == "try: cd deep/er && confsync plan; confsync apply; confsync diff dev prod\n"
    at = ("-c", "deep/er/confsync.yaml")
    assert bare.run(*at, "plan").status == 2
    bare.ok(*at, "apply")
    assert bare.ok(*at, "plan").out.startswith("nothing to do")
    assert bare.ok(*at, "env", "dev", "--format", "json").json["APP_ENV"] == "development"


def test_the_first_steps_can_be_pasted_wherever_the_directory_is(bare):
    assert bare.ok("init", "my shop").err.startswith("try: cd 'my shop' && confsync plan;")


def test_the_templates_are_listed_with_what_they_are_for(bare):
    listed = bare.ok("init", "--list-templates")

    assert [line.split()[0] for line in listed.out.splitlines()] == STOCK
    assert "passes requests on" in listed.out
    assert bare.ok("init", "--list-templates", "--output", "json").json["templates"][0] == {
        "name": STOCK[0],
        "about": stock_file(STOCK[0], "confsync.yaml").splitlines()[0].removeprefix("# "),
    }
    assert list(bare.root.iterdir()) == []


@pytest.mark.parametrize(("wrong", "meant"), [
    ("ngnix", "nginx"), ("postgres", "postgresql"), ("wp-config.php", "wordpress"), ("appsettings", "dotnet"),
    ("application.yml", "spring"), ("redis.conf", "redis"),
])  # fmt: skip
def test_of_an_unknown_name_the_nearest_is_told_and_the_list(bare, wrong, meant):
    result = bare.run("init", "--template", wrong)

    assert result.status == 3
    assert f"there is no template '{wrong}'; did you mean '{meant}'?" in " ".join(result.err.split())
    assert all(name in result.err for name in STOCK)
    assert list(bare.root.iterdir()) == []


def test_an_unknown_name_that_is_like_none_gets_the_list_and_shows_no_escapes(bare):
    result = bare.run("init", "--template", "\x1b[31mzzzz")

    assert result.status == 3
    assert "\x1b" not in result.err
    assert "did you mean" not in result.err
    assert all(name in result.err for name in STOCK)


@pytest.mark.parametrize("existing", ["confsync.yaml", "values.yaml", "templates/redis/redis.conf.j2"])
def test_nothing_that_exists_is_overwritten(bare, existing):
    bare.write(existing, "mine")
    before = bare.tree()

    result = bare.run("init", "--template", "redis", state=False)

    assert result.status == 1
    assert f"{existing} exists already; nothing was written" in result.err
    assert bare.tree() == before


def test_a_link_to_nowhere_is_not_followed(bare):
    elsewhere = bare.directory / "elsewhere"
    (bare.root / "values.yaml").symlink_to(elsewhere)

    result = bare.run("init", "--template", "redis")

    assert result.status == 1
    assert "values.yaml exists already" in result.err
    assert not elsewhere.exists()


def test_a_directory_that_cannot_be_made_is_told(bare):
    bare.write("file", "")

    result = bare.run("init", "--template", "redis", "file/below")

    assert result.status == 1
    assert "file/below" in result.err


def test_values_are_for_their_owner_alone(bare):
    bare.ok("init", "--template", "redis", "deep/er")

    assert stat.S_IMODE((bare.root / "deep/er/values.yaml").stat().st_mode) == 0o600
    assert stat.S_IMODE((bare.root / "deep/er/confsync.yaml").stat().st_mode) & 0o044


def test_the_copy_is_yours_to_change_and_the_stock_template_is_there_without_it(bare):
    bare.ok("init", "--template", "redis")
    copy = "templates/redis/redis.conf.j2"
    bare.write(copy, bare.read(copy).replace("tcp-keepalive 300", "tcp-keepalive 60"))
    bare.ok("apply")
    assert "tcp-keepalive 60\n" in bare.read("redis.conf")

    (bare.root / copy).unlink()
    bare.ok("apply")
    assert "tcp-keepalive 300\n" in bare.read("redis.conf")


def test_without_a_template_it_is_as_small_as_ever(bare):
    bare.ok("init")

    assert sorted(str(path.relative_to(bare.root)) for path in bare.root.rglob("*") if path.is_file()) == [
        "confsync.yaml",
        "templates/app.conf.j2",
        "values.yaml",
    ]


def test_a_shell_completes_the_names(bare):
    complete = ShellComplete(cli, {}, "confsync", "_CONFSYNC_COMPLETE")

    assert [one.value for one in complete.get_completions(["init", "--template"], "s")] == [
        "spring",
        "systemd",
    ]
