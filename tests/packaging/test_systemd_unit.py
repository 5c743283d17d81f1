"""The systemd unit starts, reloads and stops the real daemon, and systemd finds nothing wrong with it."""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from confsync.testing.waiting import eventually

UNIT = Path(__file__).parents[2] / "packaging/confsync.service"
PROGRAM = str(Path(sys.executable).with_name("confsync"))


@pytest.fixture
def unit() -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(strict=True, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment, method-assign]
    parsed.read_string(UNIT.read_text("utf-8"))
    return parsed


def test_the_unit_starts_reloads_and_stops_the_daemon(
    unit: configparser.ConfigParser, tmp_path: Path
) -> None:
    service = unit["Service"]
    program, *arguments = shlex.split(service["ExecStart"])
    assert program == "/usr/bin/confsync"
    assert arguments == ["run", "--config", "/etc/confsync/confsync.yaml"]
    config, target, state = tmp_path / "confsync.yaml", tmp_path / "out", tmp_path / "state"
    config.write_text(f"state_dir: {state}\nsyncs: {{one: {{template: {{inline: first}}, to: {target}}}}}\n")
    arguments[-1] = str(config)
    with subprocess.Popen([PROGRAM, *arguments], stderr=subprocess.DEVNULL) as daemon:
        try:
            eventually(lambda: target.exists() and target.read_text() == "first")
            config.write_text(config.read_text().replace("first", "second"))
            reload = service["ExecReload"].replace("$MAINPID", str(daemon.pid))
            subprocess.run(shlex.split(reload), check=True)
            eventually(lambda: target.read_text() == "second")
        finally:
            daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(60) == 0


def test_an_invalid_configuration_ends_with_the_status_that_is_not_restarted(
    unit: configparser.ConfigParser, tmp_path: Path
) -> None:
    config = tmp_path / "confsync.yaml"
    config.write_text("sinks: {}\n")
    done = subprocess.run([PROGRAM, "run", "--config", config], capture_output=True, timeout=180)
    assert str(done.returncode) == unit["Service"]["RestartPreventExitStatus"]


def test_stopping_is_given_longer_than_the_daemon_gives_its_work(unit: configparser.ConfigParser) -> None:
    shutdown = subprocess.run([PROGRAM, "run", "--help"], capture_output=True, text=True, check=True).stdout
    assert "30s" in shutdown
    assert int(unit["Service"]["TimeoutStopSec"]) > 30


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("systemd-analyze is not installed")
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text("utf-8").replace("/usr/bin/confsync", PROGRAM))
    environment = {**os.environ, "SYSTEMD_LOG_LEVEL": "warning"}
    done = subprocess.run(
        [verify, "verify", "--man=no", copy], capture_output=True, text=True, env=environment
    )
    assert UNIT.name not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr
