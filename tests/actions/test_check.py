from __future__ import annotations

import pytest

from confsync.actions import run_check
from confsync.config.actions import Check
from confsync.errors import ActionError


def check(staged="/staged", path="/path", **fields):
    run_check(Check(**fields), staged=staged, path=path, redact=lambda text: text)


def test_a_check_that_accepts_returns():
    check(command=["true"])
    check(shell="true")


def test_the_two_places_are_put_into_the_arguments_once():
    with pytest.raises(ActionError, match=r"echo: /a\{path\} -p=/b x\{x\} \$HOME"):
        check(
            command=["sh", "-c", 'echo "$0: $@"; exit 1', "echo", "{staged}", "-p={path}", "x{x}", "$HOME"],
            staged="/a{path}",
            path="/b",
        )  # fmt: skip


def test_a_shell_finds_them_in_its_environment():
    with pytest.raises(ActionError) as caught:
        check(
            shell='echo "$CONFSYNC_STAGED|$CONFSYNC_PATH|{staged}"; exit 1', staged="/a b; echo no", path="/b"
        )

    assert caught.value.output == "/a b; echo no|/b|{staged}"
    assert caught.value.message.startswith("check `echo ")


def test_a_command_finds_them_in_its_environment_too():
    check(command=["sh", "-c", 'test "$CONFSYNC_STAGED $CONFSYNC_PATH" = "/staged /path"'])


def test_a_check_that_hangs_is_stopped():
    with pytest.raises(ActionError, match="did not end within 100ms"):
        check(command=["sleep", "600"], timeout="100ms")
