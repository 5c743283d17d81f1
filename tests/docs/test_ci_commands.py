"""docs/ci.md's promises of every command: nothing is asked, nothing is coloured, results on stdout; exit statuses."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from stand_ins.terminal import printed_to_terminal

from confsync.cli.main import COMMANDS
from confsync.testing.waiting import eventually

PAGE = (Path(__file__).parents[2] / "docs/ci.md").read_text(encoding="utf-8")
_TABLE = PAGE.partition("## Exit status\n")[2]
VALUES = {
    "staging": {"url": "https://staging.example.com", "password": "staging-pw", "same": 1},
    "prod": {"url": "https://example.com", "password": "s3cr3t-of-prod", "same": 1},
}
CONFIG = {
    "sources": {
        "values": {"backend": "file", "path": "values.yaml", "sensitive": ["*password*"]},
        "more": {"backend": "file", "path": "more.yaml"},
    },
    "environments": {
        "staging": {"values": "staging", "more": "staging"},
        "prod": {"values": "prod", "more": "prod"},
    },
    "defaults": {"environment": "prod"},
    "keys": {"values:url": {"about": "where it is", "type": "url"}},
    "state_dir": "state",
    "syncs": {
        "app": {"template": {"inline": "{{ values('url') }} {{ values('password') }}\n"}, "to": "app.conf"}
    },
}


class Shop:
    """A directory with a configuration of files, in which confsync is run with neither terminal nor input."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.configure()
        (directory / "values.yaml").write_text(yaml.safe_dump(VALUES))
        (directory / "more.yaml").write_text("{staging: {a: 1}, prod: {a: 1}}")
        python = {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
        home = str(directory / "home")
        self.environment = {**python, "PATH": os.environ["PATH"], "HOME": home, "LC_ALL": "C.UTF-8"}

    def configure(self, **sections: object) -> None:
        (self.directory / "confsync.yaml").write_text(yaml.safe_dump({**CONFIG, **sections}))

    def words(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "confsync", *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """With standard input closed, which nothing can be read from, and no terminal to be found elsewhere."""
        shell = ["sh", "-c", 'exec "$@" <&-', "sh"]
        return subprocess.run(
            [*shell, *self.words(*words)], cwd=self.directory, env=self.environment, capture_output=True, text=True,
            timeout=60, start_new_session=True,
        )  # fmt: skip

    def applied(self) -> None:
        assert self.run("apply").returncode == 0


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


# What is printed

NO_JSON = ("exec", "init", "completion", "run", "demo")
"""Commands without a result, or with one that is what it is."""

MORE = (
    ("diff", "staging", "prod", "--sync", "app"),
    ("docs", "--online"),
    ("check", "--online"),
    ("init", "--list-templates"),
    ("env", "--clean"),
)
"""What has a result in JSON, besides what is in `CASES`."""


@pytest.mark.parametrize("words", MORE, ids=" ".join)
def test_json_is_all_there_is_on_stdout(words: tuple[str, ...], shop: Shop) -> None:
    assert_fit_for_a_program(shop.run(*words, "--output", "json"))


def assert_fit_for_a_program(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode in (0, 2):
        json.loads(done.stdout)
    else:
        assert done.stderr or json.loads(done.stdout)
    assert "\x1b" not in done.stdout + done.stderr
    assert not [secret for secret in ("staging-pw", "s3cr3t-of-prod") if secret in done.stdout + done.stderr]


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
@pytest.mark.parametrize("words", [
    ("get", "values:name"), ("get", "values:name", "--output", "json"), ("env", "prod"), ("diff", "staging", "prod"),
], ids=" ".join)  # fmt: skip
def test_a_locale_of_few_characters_changes_no_value(
    words: tuple[str, ...], encoding: str, shop: Shop
) -> None:
    values = {environment: {**keys, "name": f"köln → {environment}"} for environment, keys in VALUES.items()}
    (shop.directory / "values.yaml").write_text(yaml.safe_dump(values, allow_unicode=True))
    wanted = shop.run(*words)
    shop.environment["PYTHONIOENCODING"] = encoding

    found = shop.run(*words)

    assert "köln → prod" in wanted.stdout
    assert (found.returncode, found.stdout) == (wanted.returncode, wanted.stdout)


def test_a_command_that_is_run_has_nothing_to_read_either(shop: Shop) -> None:
    done = shop.run("exec", "prod", "--", "sh", "-c", "read word; echo $?; echo $URL")

    assert done.stdout.splitlines()[1:] == ["https://example.com"]
    assert done.returncode == 0


@pytest.mark.parametrize("command", ["plan", "exec", "run"])
def test_a_wrong_call_is_told_on_stderr_alone(command: str, shop: Shop) -> None:
    done = shop.run(command, "--nonsense")

    assert (done.returncode, done.stdout) == (3, "")
    assert re.search("(?i)no such option:? '?--nonsense", done.stderr)
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("words", [("plan",), ("diff", "staging", "prod"), ("env", "prod")], ids=" ".join)
@pytest.mark.parametrize("no_color", [False, True])
def test_colour_is_for_terminals_without_no_color(words: tuple[str, ...], no_color: bool, shop: Shop) -> None:
    """https://no-color.org"""
    shop.configure(local={"prod": {"deny": ["same"]}})
    environment = {**shop.environment, "TERM": "xterm-256color", **({"NO_COLOR": "1"} if no_color else {})}
    printed = printed_to_terminal(shop.words(*words), cwd=shop.directory, env=environment)

    assert ("\x1b[" in printed.terminal) is not no_color


# Exit statuses


def missing_key(shop: Shop) -> None:
    (shop.directory / "values.yaml").write_text("{staging: {}, prod: {}}")


def missing_source(shop: Shop) -> None:
    (shop.directory / "values.yaml").unlink()


def another_value(shop: Shop) -> None:
    shop.applied()
    (shop.directory / "values.yaml").write_text(yaml.safe_dump({**VALUES, "prod": VALUES["staging"]}))


def broken_ledger(shop: Shop) -> None:
    shop.applied()
    (shop.directory / "state/ledger.db").write_bytes(b"no ledger at all" * 100)


def as_it_was(shop: Shop) -> None:
    pass


Before = Callable[[Shop], None]
CASES: dict[tuple[str, int], tuple[Before, tuple[str, ...]]] = {
    ("check", 0): (as_it_was, ("check",)),
    ("check", 1): (missing_key, ("check", "--online")),
    ("plan", 0): (Shop.applied, ("plan",)),
    ("plan", 1): (missing_key, ("plan",)),
    ("plan", 2): (another_value, ("plan",)),
    ("apply", 0): (as_it_was, ("apply",)),
    ("apply", 1): (missing_key, ("apply",)),
    ("status", 0): (Shop.applied, ("status",)),
    ("status", 1): (broken_ledger, ("status",)),
    ("status", 2): (as_it_was, ("status",)),
    ("diff", 0): (as_it_was, ("diff", "staging", "prod", "same")),
    ("diff", 1): (missing_source, ("diff", "staging", "prod")),
    ("diff", 2): (as_it_was, ("diff", "staging", "prod")),
    ("env", 0): (as_it_was, ("env", "prod")),
    ("env", 1): (missing_source, ("env", "prod")),
    ("exec", 0): (as_it_was, ("exec", "prod", "--", "true")),
    ("exec", 1): (missing_source, ("exec", "prod", "--", "true")),
    ("exec", 2): (as_it_was, ("exec", "prod", "--", "sh", "-c", "exit 2")),
    ("get", 0): (as_it_was, ("get", "values:url")),
    ("get", 1): (as_it_was, ("get", "values:uri")),
    ("explain", 0): (as_it_was, ("explain", "values:url")),
    ("explain", 1): (as_it_was, ("explain", "values:uri")),
    ("ls", 0): (as_it_was, ("ls",)),
    ("ls", 1): (missing_source, ("ls",)),
    ("docs", 0): (as_it_was, ("docs",)),
    ("docs", 1): (missing_source, ("docs", "--online")),
    ("init", 0): (as_it_was, ("init", "new")),
    ("init", 1): (as_it_was, ("init", ".")),
    ("schema", 0): (as_it_was, ("schema",)),
    ("completion", 0): (as_it_was, ("completion", "bash")),
}  # fmt: skip
"""(command, status of the table) -> what happened before, and the call."""


@pytest.mark.parametrize(("command", "status"), CASES)
def test_a_status_of_the_table_is_so(command: str, status: int, shop: Shop) -> None:
    before, words = CASES[command, status]
    before(shop)

    done = shop.run(*words) if command in NO_JSON else shop.run(*words, "--output", "json")

    assert done.returncode == status, done.stdout + done.stderr
    if command not in NO_JSON:
        assert_fit_for_a_program(done)


def test_the_table_has_every_command_and_every_status_of_it_is_tried() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in re.findall(r"^\| `.*$", _TABLE, re.M)
    ]
    claimed = {
        (command, status)
        for named, *cells in rows
        for command in re.findall(r"`(\w+)`", named)
        for status, cell in enumerate(cells)
        if cell
    }

    assert claimed - {("run", 0), ("run", 1)} == set(CASES)
    assert {command for command, _ in claimed} == set(COMMANDS) - {"demo"}


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("no-such-program",), 127),
        (("./values.yaml",), 126),
        (("sh", "-c", "kill -TERM $$"), 128 + signal.SIGTERM),
    ],
    ids=str,
)
def test_exec_says_how_its_command_failed(words: tuple[str, ...], status: int, shop: Shop) -> None:
    assert shop.run("exec", "prod", "--", *words).returncode == status


@pytest.mark.parametrize(
    "command", ["plan", "diff staging prod", "env prod", "exec prod -- true", "run", "status"]
)
def test_an_invalid_configuration_is_3_and_nothing_is_done(command: str, shop: Shop) -> None:
    shop.configure(synks={})

    done = shop.run(*command.split())

    assert (done.returncode, done.stdout) == (3, "")
    assert "did you mean 'syncs'" in done.stderr
    assert not (shop.directory / "state").exists()


@pytest.mark.parametrize(
    ("reload", "patience", "status"), [(None, "30s", 0), ({"command": ["sleep", "60"]}, "200ms", 1)]
)
def test_run_ends_with_0_unless_it_had_to_abandon_work(
    reload: object, patience: str, status: int, shop: Shop
) -> None:
    sync = {**CONFIG["syncs"]["app"], **({"reload": reload} if reload else {})}  # type: ignore[index]
    shop.configure(syncs={"app": sync})
    with subprocess.Popen(
        shop.words("run", "--shutdown-timeout", patience), cwd=shop.directory, env=shop.environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            eventually((shop.directory / "app.conf").exists)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == status
        finally:
            process.kill()


def test_diff_says_2_where_something_else_could_not_be_compared(shop: Shop) -> None:
    (shop.directory / "more.yaml").unlink()

    done = shop.run("diff", "staging", "prod")

    assert done.returncode == 2
    assert "source 'more' was not compared" in done.stderr
