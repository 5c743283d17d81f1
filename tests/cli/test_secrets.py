"""A sensitive value is in the target, and nowhere else."""

from __future__ import annotations

import base64
import json
import os
import stat
import sys
from typing import get_args
from urllib.parse import quote

import pytest
import yaml

from confsync.config.keys import KeyType

SECRET = "p/ss+w0rd" + os.urandom(12).hex() + '"&é'
OLD = "old+" + os.urandom(12).hex()


def forms(secret):
    data = secret.encode()
    return {
        secret,
        json.dumps(secret)[1:-1],
        quote(secret, safe=""),
        data.hex(),
        base64.b64encode(data).decode(),
        base64.b64encode(data).decode().rstrip("="),
        secret[4:-3],
    }


def leaks(text):
    return [form for secret in (SECRET, OLD) for form in forms(secret) if form in text]


@pytest.fixture
def secret(project):
    """A sync of a sensitive source, its value about to change from OLD to SECRET."""
    config = yaml.safe_load(project.read("confsync.yaml"))
    config["sources"]["vault"] = {"backend": "file", "path": "vault.yaml", "sensitive": True}
    config["environments"]["dev"]["vault"] = "dev"
    config["environments"]["prod"]["vault"] = "prod"
    config["syncs"]["secret"] = {"template": "secret.j2", "to": "secret.conf"}
    config["syncs"]["env"] = {"data": {"PASSWORD": "vault:db/password"}, "to": "secret.env"}
    project.config(yaml.safe_dump(config))
    project.write(
        "templates/secret.j2",
        "password = {{ vault('db/password') }}\nquoted = {{ vault('db/password')|tojson }}\n"
        "coded = {{ vault('db/password')|b64encode }}\nplain = yes\n",
    )
    put(project, OLD)
    return project


def put(project, value):
    project.write(
        "vault.yaml",
        yaml.safe_dump({"dev": {"db": {"password": value}}, "prod": {"db": {"password": OLD + "x"}}}),
    )


def assert_clean(project, *results):
    for result in results:
        assert leaks(result.out) == []
        assert leaks(result.err) == []
    for path in [project.directory / "daemon.log", *project.state.rglob("*")]:
        if path.is_file():
            assert leaks(path.read_bytes().decode("latin-1")) == []
            raw = path.read_bytes()
            assert SECRET.encode() not in raw
            assert OLD.encode() not in raw


def test_a_target_that_read_a_secret_is_readable_by_its_owner_only(secret):
    secret.ok("apply")
    assert stat.S_IMODE((secret.root / "secret.conf").stat().st_mode) == 0o600
    assert stat.S_IMODE((secret.root / "secret.env").stat().st_mode) == 0o600
    assert stat.S_IMODE((secret.root / "app.conf").stat().st_mode) == 0o644
    assert OLD in secret.read("secret.conf")


def test_no_command_prints_a_secret_and_no_file_of_the_state_directory_has_one(secret):
    results = [secret.run("--log-level", "debug", "plan"), secret.run("--log-level", "debug", "apply")]
    put(secret, SECRET)
    commands = (
        ("plan",),
        ("plan", "--output", "json"),
        ("plan", "--out", "saved"),
        ("diff", "dev", "prod"),
        ("diff", "dev", "prod", "--output", "json"),
        ("diff", "dev", "prod", "--output", "markdown"),
        ("diff", "dev", "prod", "--sync", "secret"),
        ("ls", "--values"),
        ("ls", "--values", "--output", "json"),
        ("get", "vault:db/password"),
        ("get", "vault:db/password", "--output", "json"),
        ("explain", "vault:db/password"),
        ("explain", "vault:db/password", "--output", "json"),
        ("apply",),
        ("explain", "secret.conf"),
        ("explain", "secret.env", "--output", "json"),
        ("status",),
        ("status", "--output", "json"),
    )
    results += [secret.run("--log-level", "debug", *command) for command in commands]
    assert SECRET in secret.read("secret.conf")
    assert SECRET.encode() not in (secret.root / "saved").read_bytes()
    assert_clean(secret, *results)


def test_a_plan_masks_what_depends_on_a_secret_and_shows_the_rest(secret):
    secret.ok("apply")
    put(secret, SECRET)
    out = secret.run("plan").out
    assert "-password = ••••••" in out
    assert "+password = ••••••" in out
    assert " plain = yes" in out
    assert "vault:dev/db/password changed" in out


def test_a_drifted_secret_file_is_masked_too(secret):
    secret.ok("apply")
    secret.write("secret.conf", f"password = {SECRET}\nelse = {SECRET}\n")
    result = secret.run("plan")
    assert result.status == 2
    assert_clean(secret, result)


def test_get_shows_a_secret_only_when_told_to_reveal_it(secret):
    put(secret, SECRET)
    assert secret.ok("get", "vault:db/password").out == "••••••\n"
    assert secret.ok("get", "vault:db/password", "--reveal").out == SECRET + "\n"


def test_a_check_that_prints_the_secret_is_masked_in_errors_and_in_the_ledger(secret):
    config = yaml.safe_load(secret.read("confsync.yaml"))
    show = secret.write("show.py", "import sys; sys.exit(open(sys.argv[1]).read())")
    config["syncs"]["secret"]["check"] = [sys.executable, str(show), "{staged}"]
    config["syncs"]["env"]["reload"] = [sys.executable, str(show), str(secret.root / "secret.env")]
    secret.config(yaml.safe_dump(config))
    put(secret, SECRET)
    result = secret.run("--log-level", "debug", "apply")
    assert result.status == 1
    assert "plain = yes" in result.err
    assert_clean(secret, result, secret.run("status"), secret.run("status", "--output", "json"))


@pytest.mark.parametrize(
    "expression",
    [
        "vault('db/password')|int(base=99)",
        "vault('db/password')|nosuchfilter",
        "vault('db/password').nosuchattribute",
        "vault('db/password')['x']",
        "vault('db/password') + 1",
        "vault('db/password')()",
        "vault('db/password')|from_json",
        "vault.json('db/password')",
        "vault.yaml('db/password' ~ vault('db/password'))",
        "values(vault('db/password'))",
        "values[vault('db/password')]",
        "{}[vault('db/password')]",
        "vault('db/password')|b64decode",
        "vault('db/password') % 3",
        "'%d' % vault('db/password')",
        "range(vault('db/password'))",
        "include(vault('db/password'))",
        "vault('db/password')|map(attribute=3)|list|first|upper",
    ],
)
def test_a_failing_expression_on_a_secret_does_not_show_it(secret, expression):
    secret.write("templates/secret.j2", "{{ " + expression + " }}")
    put(secret, SECRET)
    results = [secret.run("--log-level", "debug", command) for command in ("apply", "plan", "status")]
    assert_clean(secret, *results)


@pytest.mark.parametrize("statement", ["include", "extends", "import"])
def test_a_template_named_by_a_secret_does_not_show_it(secret, statement):
    name = "vault('db/password')" + (" as x" if statement == "import" else "")
    secret.write("templates/secret.j2", "{% " + f"{statement} {name}" + " %}")
    put(secret, SECRET)
    result = secret.run("apply")
    assert result.status == 1
    assert_clean(secret, result, secret.run("status"))


@pytest.mark.parametrize(
    "sync",
    [
        {"to": "x{{ vault('db/password') }}"},
        {"for_each": "vault.items('db')", "to": "x{{ each.value }}"},
        {"for_each": "vault.items('db')", "to": "{{ each.key }}/{{ each.value }}"},
    ],
)
def test_a_path_made_of_a_secret_is_refused(secret, sync):
    config = yaml.safe_load(secret.read("confsync.yaml"))
    config["syncs"]["secret"] = {"template": "secret.j2", **sync}
    secret.config(yaml.safe_dump(config))
    put(secret, SECRET)
    result = secret.run("apply")
    assert result.status == 1
    assert "a path may not depend on a sensitive value" in result.err
    assert_clean(secret, result)
    assert [path.name for path in secret.root.iterdir() if path.name.startswith("x")] == []


def test_a_path_made_of_the_names_of_secrets_is_fine(secret):
    config = yaml.safe_load(secret.read("confsync.yaml"))
    config["syncs"]["secret"] = {
        "template": {"inline": "{{ each.value }}"},
        "for_each": "vault.items('db')",
        "to": "{{ each.key }}.txt",
    }  # fmt: skip
    secret.config(yaml.safe_dump(config))
    secret.ok("apply")
    assert secret.read("password.txt") == OLD


def test_the_daemon_logs_no_secret_at_debug_level(secret):
    from confsync.testing.waiting import eventually

    process = secret.start("run", "--log-level", "debug")
    eventually(lambda: secret.exists("secret.conf") and OLD in secret.read("secret.conf"))
    put(secret, SECRET)
    eventually(lambda: SECRET in secret.read("secret.conf"))
    process.terminate()
    assert process.wait(30) == 0
    assert_clean(secret)


def test_a_secret_of_one_letter_leaves_messages_readable(project):
    config = yaml.safe_load(project.read("confsync.yaml"))
    config["sources"]["values"]["sensitive"] = True
    config["syncs"]["app"]["check"] = {"shell": "echo every error here; exit 3"}
    project.config(yaml.safe_dump(config))
    project.values({"dev": {"db": {"host": "e", "port": "1"}}})
    result = project.run("apply")
    assert "sync 'app' is failed: " in result.err
    assert "every error here" in result.err


def test_a_check_shows_neither_what_was_decoded_from_a_secret_nor_a_line_it_is_in(secret):
    password = "d/rived+" + SECRET[8:20]
    secret.write(
        "templates/secret.j2",
        "[the settings]\na={{ vault.json('cfg').password }}\nb={{ vault('enc')|b64decode }}\n"
        "reversed={{ (vault('enc')|b64decode)|reverse }}\n",
    )
    config = yaml.safe_load(secret.read("confsync.yaml"))
    show = "import os, sys; text = open(os.environ['CONFSYNC_STAGED']).read()\nsys.exit(text + text.split()[2][2:])"
    config["syncs"]["secret"]["check"] = [sys.executable, "-c", show]
    secret.config(yaml.safe_dump(config))
    encoded = base64.b64encode(password[::-1].encode()).decode()
    secret.write(
        "vault.yaml",
        yaml.safe_dump({
            "dev": {"db": {"password": OLD}, "cfg": json.dumps({"password": password}), "enc": encoded}
        }),
    )  # fmt: skip
    result = secret.run("apply")
    assert result.status == 1
    assert "[the settings]" in result.err
    shown = result.out + result.err + secret.run("status").out + secret.run("status", "--output", "json").out
    shown += "".join(
        path.read_bytes().decode("latin-1") for path in secret.state.rglob("*") if path.is_file()
    )
    assert password not in shown
    assert password[::-1] not in shown


def test_what_is_wrong_with_documented_secrets_says_nothing_of_them(secret):
    config = yaml.safe_load(secret.read("confsync.yaml"))
    config["keys"] = {f"vault:typed/{kind}": {"type": kind, "owner": "team-db"} for kind in get_args(KeyType)}
    config["keys"]["vault:db/password"] = {"one_of": ["a", "b"]}
    config["syncs"]["typed"] = {
        "data": {kind.upper(): f"vault:typed/{kind}" for kind in get_args(KeyType)}, "to": "typed.env",
    }  # fmt: skip
    secret.config(yaml.safe_dump(config, sort_keys=False))
    typed = dict.fromkeys(get_args(KeyType), f"{SECRET}\n: [{SECRET}")
    secret.write(
        "vault.yaml", yaml.safe_dump({"dev": {"db": {"password": SECRET}, "typed": typed}, "prod": {}})
    )

    commands = (
        ("apply",), ("check", "--online"), ("explain", "vault:typed/json"), ("ls", "--values"), ("docs", "--online"),
    )  # fmt: skip
    results = [secret.run("--log-level", "debug", *command) for command in commands]

    assert_clean(secret, *results)
    assert results[0].err.count("(ask team-db)") == len(typed) - 1  # any text is a string
    assert "the value of vault:dev/db/password is none of 'a', 'b'" in results[0].err
    assert not secret.exists("typed.env")
