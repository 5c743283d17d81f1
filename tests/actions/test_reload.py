from __future__ import annotations

import pytest

from confsync.actions import describe, identity, run_reload
from confsync.config.actions import HttpRequest, Reload
from confsync.errors import ActionError


def run(**fields):
    run_reload(Reload(**fields), redact=lambda text: text)


def test_a_command_and_a_shell_line_are_run(tmp_path):
    run(command=["touch", str(tmp_path / "a")])
    run(shell=f"touch {tmp_path}/b")

    assert sorted(one.name for one in tmp_path.iterdir()) == ["a", "b"]


def test_a_reload_that_fails_says_so():
    with pytest.raises(ActionError, match="reload `echo no >&2; exit 1` failed with exit status 1: no"):
        run(shell="echo no >&2; exit 1")


def test_systemd_is_asked_to_reload_or_restart(tmp_path, monkeypatch):
    fake = tmp_path / "systemctl"
    fake.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    run(systemd="nginx.service")

    assert (tmp_path / "asked").read_text() == "reload-or-restart nginx.service\n"


def test_without_systemctl_the_other_ways_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ActionError, match=r"no systemctl here.*command.*signal.*http"):
        run(systemd="nginx.service")


def test_a_unit_that_looks_like_an_option_is_refused():
    with pytest.raises(ActionError, match="not a unit"):
        run(systemd="--now")


SECRET_REQUEST = HttpRequest(
    url="https://user:pass1@host:8443/reload?token=pass2#pass3", headers={"X-Token": "pass4"}, body="pass5"
)


@pytest.mark.parametrize(
    ("reload", "text"),
    [
        (Reload(command=["nginx", "-s", "re load"]), "nginx -s 're load'"),
        (Reload(shell="a && b\n"), "a && b\\n"),
        (Reload(signal="HUP", pid_file="/run/x.pid"), "SIGHUP to the process in /run/x.pid"),
        (Reload(systemd="nginx"), "systemctl reload-or-restart nginx"),
        (Reload(http=SECRET_REQUEST), "POST https://host:8443/reload"),
    ],
)
def test_a_reload_is_described_in_one_line_without_secrets(reload, text):
    assert describe(reload) == text


def test_reloads_that_do_the_same_are_the_same_however_long_they_may_take():
    same = [
        (Reload(command=["a"]), Reload(command=["a"], timeout="5s")),
        (Reload(signal="HUP", pid_file="/x"), Reload(signal="SIGHUP", pid_file="/x")),
        (Reload(http=SECRET_REQUEST), Reload(http=SECRET_REQUEST.model_copy())),
    ]
    for one, other in same:
        assert identity(one) == identity(other)


def test_reloads_that_differ_are_different():
    several = [
        Reload(command=["a", "b"]), Reload(command=["a b"]), Reload(shell="a b"), Reload(systemd="a"),
        Reload(signal="HUP", pid_file="/x"), Reload(signal="USR1", pid_file="/x"),
        Reload(http=SECRET_REQUEST), Reload(http=SECRET_REQUEST.model_copy(update={"body": "other"})),
    ]  # fmt: skip

    assert len({identity(one) for one in several}) == len(several)


def test_an_identity_is_the_same_in_every_run_and_shows_nothing():
    assert identity(Reload(command=["nginx", "-s", "reload"])) == "6250fc3e5da85e652ea47942fd0054a4"
