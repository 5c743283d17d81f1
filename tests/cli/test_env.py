"""`confsync env`, printed: what comes down, what does not and why, and what a terminal sees of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess

import pytest
import yaml
from click.shell_completion import ShellComplete

from confsync.cli.main import cli
from confsync.environments.dialects import FORMATS
from confsync.redact import DOTS
from confsync.testing.ports import free_port

CONFIG = """\
sources:
  values: {backend: file, path: values.yaml, sensitive: ["*password*"]}
  other: {backend: file, path: other.yaml}
environments:
  dev: {values: dev, other: dev}
  prod: {values: prod, other: prod}
local:
  prod:
    deny: ["db/user", "internal/*"]
    substitute: {db/host: localhost}
keys:
  api/url: {about: "where the API is", variable: BACKEND}
syncs:
  app:
    data: {HOST: "values:db/host", USER_NAME: "values:db/user", URL: "values:api/url"}
    to: app.env
  page:
    template: {inline: "{{ values('cache/host') }}"}
    to: page
"""
PASSWORD = "correct-horse"
PROD = {
    "api": {"url": "https://api.example.com"},
    "cache": {"host": "redis", "port": 6379},
    "db": {"host": "db1", "password": PASSWORD, "user": "shop"},
    "internal": {f"n{number:02}": "x" for number in range(12)},
}


@pytest.fixture
def shop(bare, monkeypatch):
    """A project of somebody without credentials of their own."""
    for name in [name for name in os.environ if name.startswith(("ETCD", "VAULT", "GITHUB"))]:
        monkeypatch.delenv(name)
    bare.config(CONFIG)
    bare.values({"dev": {"api": {"url": "http://localhost"}}, "prod": PROD})
    bare.write("other.yaml", "prod: {flag: 'on'}\n")
    return bare


def variables(result):
    assert result.status == 0, result
    return dict(line.split("=", 1) for line in result.out.splitlines())


EVERYTHING = {
    "BACKEND": "https://api.example.com", "CACHE_HOST": "redis", "CACHE_PORT": "6379", "DB_HOST": "localhost",
    "DB_PASSWORD": PASSWORD, "FLAG": "on",
}  # fmt: skip


def test_every_key_the_policy_lets_down_is_printed(shop):
    assert variables(shop.run("env", "prod")) == EVERYTHING


def test_what_is_held_back_is_told_with_its_rule_and_where_that_stands(shop):
    err = shop.run("env", "prod").err
    where = shop.root / "confsync.yaml"
    assert f'held back    values:db/user: local.prod.deny "db/user" ({where}:9:12)\n' in err
    held = next(line for line in err.splitlines() if '"internal/*"' in line)
    assert held.startswith("held back    values:internal/n00, values:internal/n01, ")
    assert " and 4 more: " in held
    assert f'substituted  DB_HOST by local.prod.substitute "db/host" ({where}:10:18)\n' in err
    assert PASSWORD not in err
    assert len(err.splitlines()) == 3


def test_an_allow_list_holds_back_the_rest(shop):
    shop.config(CONFIG.replace('deny: ["db/user", "internal/*"]', 'allow: ["cache/*"]'))
    result = shop.run("env", "prod")
    assert variables(result) == {"CACHE_HOST": "redis", "CACHE_PORT": "6379", "DB_HOST": "localhost"}
    assert ": local.prod.allow" in result.err
    assert "confsync.yaml:9:5)" in result.err


SELECTIONS = {
    "cache": {"CACHE_HOST", "CACHE_PORT"},
    "cache api": {"CACHE_HOST", "CACHE_PORT", "BACKEND"},
    "other:": {"FLAG"},
    "--key *host --key api/*": {"CACHE_HOST", "DB_HOST", "BACKEND"},
    "--key other:*": {"FLAG"},
    "--without db/* --without other:*": {"BACKEND", "CACHE_HOST", "CACHE_PORT"},
    "--documented": {"BACKEND"},
    "--sync app": {"HOST", "URL"},
    "--sync page": {"CACHE_HOST"},
    "cache --sync app": {"CACHE_HOST", "CACHE_PORT", "HOST", "URL"},
    "--key *port --sync page --without x": {"CACHE_HOST", "CACHE_PORT"},
}


@pytest.mark.parametrize("selection", SELECTIONS)
def test_what_is_selected_is_printed_and_nothing_else(shop, selection):
    assert set(variables(shop.run("env", "prod", *selection.split()))) == SELECTIONS[selection]


def test_a_selection_that_names_nothing_is_an_error_with_the_nearest(shop):
    result = shop.run("env", "prod", "cash")
    assert (result.status, result.out) == (1, "")
    assert "did you mean 'cache'?" in result.err
    left_out = shop.run("env", "prod", "cache", "--without", "cache*")
    assert (left_out.status, left_out.out) == (1, "")
    assert left_out.err == "confsync: environment prod has no keys for 'cache' that were not left out\n"


CALLED_WRONGLY = {
    "env prud": "no environment 'prud'; did you mean 'prod'? (there is dev, prod)",
    "env": "name an environment: there is dev, prod",
    "env prod -e dev": "two environments",
    "env prod --format dotenw": "did you mean 'dotenv'?",
    "env prod --dialect nod": "did you mean 'node'?",
    "env prod --format json --dialect node": "a dialect is one of dotenv's",
    "env prod --key vaules:x": "did you mean 'values'?",
    "env prod --sync ap": "no sync 'ap'; did you mean 'app'?",
    "env prod --ttl 1h": "--ttl is for a file: add --out FILE",
    "env prod --ttl 1h --out -": "--ttl is for a file",
    "env prod --out x --ttl 60": "'60' is not a duration; write for example",
    "env prod --out x --ttl 0": "more than nothing",
    "env prod --out x --ttl 1h --state-dir memory": "keeps nothing",
    "env prod --expired": "--expired goes with --clean",
    "env --clean --reveal": "--clean goes with",
    "env --clean --dialect node": "--clean goes with",
    "env prod --out=": "no name for a file",
    "env prod --output markdown": "has no output in markdown",
    "env prod --format github": "$GITHUB_ENV is not set",
    "env prod --format github --output json": "leave out --output json",
}


@pytest.mark.parametrize("call", CALLED_WRONGLY)
def test_a_wrong_call_says_what_to_write(shop, call):
    before = shop.tree()
    result = shop.run(*call.split(), env={"GITHUB_ENV": ""})
    assert (result.status, result.out) == (3, "")
    assert CALLED_WRONGLY[call] in result.err
    assert {name: one for name, one in shop.tree().items() if name not in before} == {}


def test_with_a_configuration_that_cannot_be_read_nothing_comes_down(shop):
    (shop.root / "conf.d").symlink_to("conf.d")  # to itself: not even root can read it
    result = shop.run("env", "prod", "--out", ".env")
    assert (result.status, result.out) == (3, "")
    assert "conf.d: cannot be read" in result.err
    assert not shop.exists(".env")


def test_a_rule_that_names_nothing_there_can_be_is_found_by_check(shop):
    vault = 'sources:\n  vault: {backend: vault, address: "http://127.0.0.1:1"}'
    shop.config(
        CONFIG.replace("sources:", vault, 1).replace("db/host: localhost", '"vault:db": localhost', 1)
    )
    for command in (("check",), ("env", "prod")):
        result = shop.run(*command)
        assert result.status == 3, result
        assert (
            "'db' is a whole secret of vault, and a substitute is for one field (vault:db#FIELD)"
            in result.err
        )
        assert "confsync.yaml:" in result.err


def test_without_environments_there_is_none_to_have(shop):
    shop.config("sources: {values: {backend: file, path: values.yaml}}\nsyncs: {}\n")
    result = shop.run("env", "prod")
    assert result.status == 3
    assert "has no environments" in result.err


def test_the_help_names_every_format_and_shows_how(shop):
    out = " ".join(shop.ok("env", "--help").out.split())
    for name in FORMATS:
        assert name in out
    assert 'eval "$(confsync env dev --format shell)"' in out
    assert "confsync env prod --out .env --ttl 1h" in out


@pytest.mark.parametrize(
    ("problem", "says"),
    [
        ({"9lives": "x"}, 'call it something: keys: {"values:9lives": {variable: _9LIVES}}'),
        ({"größe": "x"}, "is no name for a variable"),
        ({"a": {"b": "1"}, "a_b": "2"}, "are both called A_B; call one otherwise"),
        ({"nul": "a\0b"}, "values:nul: its value has a NUL"),
    ],
)
def test_what_no_variable_can_be_ends_it_before_anything_is_written(shop, problem, says):
    shop.write("values.yaml", json.dumps({"prod": {"fine": "yes", **problem}}))
    for command in (("env", "prod"), ("env", "prod", "--out", ".env")):
        result = shop.run(*command)
        assert (result.status, result.out) == (1, "")
        assert says in result.err
    assert not shop.exists(".env")


def test_strict_refuses_what_is_not_all(shop):
    result = shop.run("env", "prod", "--strict", "--out", ".env")
    assert (result.status, result.out) == (1, "")
    assert "--strict: 13 keys held back, 0 keys denied; nothing was written" in result.err
    assert 'local.prod.deny "db/user"' in result.err
    assert not shop.exists(".env")
    assert variables(shop.run("env", "prod", "cache", "--strict"))


def test_a_rule_that_names_nothing_is_told_of(shop):
    configuration = (shop.root / "confsync.yaml").read_text()
    assert "deny: [" in configuration
    (shop.root / "confsync.yaml").write_text(configuration.replace("deny: [", 'deny: ["DB/*", ', 1))

    told = shop.ok("env", "prod")

    assert 'note         local.prod.deny "DB/*" names no key (' in told.err
    assert "DB/*" in shop.ok("env", "prod", "--output", "json").json["idle_rules"][0]
    assert "names no key" not in shop.ok("env", "prod", "cache").err


def test_the_report_for_programs(shop):
    report = shop.ok("env", "prod", "--output", "json").json
    assert report["environment"] == "prod"
    assert report["variables"]["CACHE_HOST"] == {
        "value": "redis", "key": "values:cache/host", "sensitive": False, "substituted_by": None,
    }  # fmt: skip
    assert report["variables"]["DB_HOST"]["substituted_by"] == 'local.prod.substitute "db/host"'
    assert report["variables"]["DB_PASSWORD"]["value"] is None
    assert len(report["held_back"]) == 13
    where = f"{shop.root}/confsync.yaml:9:12"
    user = {"key": "values:db/user", "why": 'local.prod.deny "db/user"', "place": where}
    assert user in report["held_back"]
    assert (report["denied"], report["not_fetched"], report["file"]) == ([], [], None)
    revealed = shop.ok("env", "prod", "--output", "json", "--reveal").json
    assert revealed["variables"]["DB_PASSWORD"]["value"] == PASSWORD


def test_the_report_of_a_refusal_is_printed_too(shop):
    result = shop.run("env", "prod", "--output", "json", "--strict")
    assert result.status == 1
    assert len(result.json["held_back"]) == 13
    assert result.json["variables"] == {}


def test_a_shell_completes_formats_and_dialects():
    complete = ShellComplete(cli, {}, "confsync", "_CONFSYNC_COMPLETE").get_completions

    assert [one.value for one in complete(["env", "prod", "--format"], "d")] == ["dotenv", "docker", "direnv"]
    assert [one.value for one in complete(["env", "prod", "--dialect"], "no")] == ["node"]


def test_the_report_of_a_file(shop):
    shop.write(".env", "CACHE_HOST=mine\n")
    report = shop.ok("env", "prod", "cache", "--out", ".env", "--output", "json").json
    assert report["overrides"] == {"CACHE_HOST": [1]}
    assert report["file"]["path"] == str(shop.root / ".env")
    assert report["file"]["variables"] == ["CACHE_PORT"]
    assert report["file"]["changed"] is True


def test_a_format_for_programs_has_the_values(shop):
    assert shop.ok("env", "prod", "--format", "json").json == EVERYTHING
    assert yaml.safe_load(shop.ok("env", "prod", "--format", "yaml").out) == EVERYTHING


def test_into_a_shell(shop):
    command = 'eval "$("$@" env prod --format shell)" && printf %s "$DB_PASSWORD/$BACKEND"'
    done = subprocess.run(
        ["sh", "-c", command, "sh", *shop.argv()],
        cwd=shop.root,
        env=shop.environ(),
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"{PASSWORD}/https://api.example.com"


def shown_apart(project, *arguments, **more):
    """What the command prints to a terminal, and to stderr, which is a pipe."""
    printed = project.shown(*arguments, errors_apart=True, **more)
    return printed.terminal, printed.errors


@pytest.mark.parametrize("form", ["dotenv", "powershell", "json", "gitlab"])
def test_a_terminal_gets_dots_and_how_to_get_more(shop, form):
    shown, err = shown_apart(shop, "env", "prod", "--format", form)
    assert PASSWORD not in shown + err
    assert DOTS in shown
    assert "redis" in shown
    assert err.count("--reveal shows them") == 1


def test_a_terminal_gets_secrets_when_they_are_asked_for(shop):
    shown, err = shown_apart(shop, "env", "prod", "--reveal")
    assert f"DB_PASSWORD={PASSWORD}\n" in shown
    assert "--reveal" not in err
    shown, _ = shown_apart(shop, "env", "prod", "--output", "json")
    assert json.loads(shown)["variables"]["DB_PASSWORD"]["value"] is None


def test_no_value_can_act_shown_apart(shop):
    shop.write("values.yaml", json.dumps({"prod": {"a": "x\x1b[2J\x07\u202e", "b": "1"}}))
    shown, _ = shown_apart(shop, "env", "prod", "--reveal")
    assert "B=1\n" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    piped = shop.run("env", "prod")
    assert "\x1b[2J" in piped.out


def test_a_terminal_gets_no_masks(shop):
    shop.write("github", "")
    shown, err = shown_apart(shop, "env", "prod", "--format", "github", GITHUB_ENV=str(shop.root / "github"))
    assert PASSWORD not in shown + err


def test_for_a_job_of_github_secrets_are_masked_before_they_are_anywhere(shop):
    target = shop.write("github", "EARLIER=1")
    result = shop.run("env", "prod", "--format", "github", env={"GITHUB_ENV": str(target)})
    assert result.status == 0
    assert result.out == f"::add-mask::{PASSWORD}\n"
    text = target.read_text()
    assert text.startswith("EARLIER=1\nBACKEND<<")
    assert f"\n{PASSWORD}\n" in text
    missing = shop.run(
        "env", "prod", "--format", "github", env={"GITHUB_ENV": str(shop.root / "no" / "file")}
    )
    assert missing.status == 1
    full = shop.run("env", "prod", "--format", "github", env={"GITHUB_ENV": "/dev/full"})
    assert (full.status, full.err) == (1, "confsync: No space left on device\n")


def test_for_a_job_of_github_a_file_gets_the_values_and_stdout_the_masks(shop):
    result = shop.ok("env", "prod", "--format", "github", "--out", "x.env")
    assert result.out == f"::add-mask::{PASSWORD}\n"
    assert PASSWORD in shop.read("x.env")
    printed = shop.ok("env", "prod", "--format", "github", "--out", "-")
    assert "::add-mask::" not in printed.out
    assert "nothing masks" in printed.err


def test_gitlab_gets_no_secret_that_it_would_show(shop):
    result = shop.run("env", "prod", "--format", "gitlab")
    assert (result.status, result.out) == (1, "")
    assert PASSWORD in shop.ok("env", "prod", "--format", "gitlab", "--reveal").out


def test_a_reader_that_goes_away_ends_it_quietly(shop):
    shop.values({"prod": {f"key{number}": "x" * 150 for number in range(5000)}})
    ours, theirs = os.pipe()
    process = subprocess.Popen(
        shop.argv("--state-dir", str(shop.state), "env", "prod", "--key", "key*"),
        cwd=shop.root,
        env=shop.environ(),
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    assert os.read(ours, 10)
    os.close(ours)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, "")


def test_whatever_the_locale_values_are_utf_8(shop):
    shop.values({"prod": {"a": "größe→"}})
    done = subprocess.run(
        shop.argv("env", "prod", "--format", "json"),
        cwd=shop.root,
        env=shop.environ(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"),
        capture_output=True,
    )
    assert "größe→" in done.stdout.decode()


@pytest.fixture
def silent():
    """A server that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        yield server


def test_ctrl_c_while_a_store_is_asked_leaves_everything_as_it_was(shop, silent):
    config = yaml.safe_load(CONFIG)
    config["sources"]["etcd"] = {
        "backend": "etcd",
        "endpoints": [f"http://127.0.0.1:{silent.getsockname()[1]}"],
    }
    config["environments"]["prod"]["etcd"] = "/prod"
    shop.config(yaml.safe_dump(config))
    shop.write(".env", "MINE=1\n")
    before = shop.tree()
    process = subprocess.Popen(
        shop.argv("--state-dir", str(shop.state), "env", "prod", "--out", ".env"),
        cwd=shop.root,
        env=shop.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    connection, _ = silent.accept()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    connection.close()
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert shop.tree() == before


def test_a_store_that_cannot_be_asked_ends_it_before_anything_is_written(shop):
    closed = free_port()
    config = yaml.safe_load(CONFIG)
    config["sources"]["etcd"] = {
        "backend": "etcd",
        "endpoints": [f"http://127.0.0.1:{closed}"],
        "timeout": "300ms",
    }
    config["environments"]["prod"]["etcd"] = "/prod"
    shop.config(yaml.safe_dump(config))
    result = shop.run("env", "prod", "--out", ".env")
    assert (result.status, result.out) == (1, "")
    assert str(closed) in result.err
    assert not shop.exists(".env")
    assert variables(shop.run("env", "prod", "values:cache")) == {"CACHE_HOST": "redis", "CACHE_PORT": "6379"}


def test_from_etcd(shop, etcd):
    etcd.transact({"/prod/queue/url": "amqp://mq1", "/common/region": "eu"})
    config = yaml.safe_load(CONFIG)
    config["sources"]["etcd"] = {"backend": "etcd", "endpoints": etcd.endpoints, "timeout": "30s"}
    config["environments"]["prod"]["etcd"] = ["/prod", "/common"]
    shop.config(yaml.safe_dump(config))
    assert variables(shop.run("env", "prod", "etcd:")) == {"QUEUE_URL": "amqp://mq1", "REGION": "eu"}
