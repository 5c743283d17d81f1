"""The real command and the real daemon: what others can see of them has no sensitive value in it."""

from __future__ import annotations

import base64
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from confsync.testing.leaks import Leaks
from confsync.testing.waiting import eventually

OLD, NEW = "0ld/p@ss'w0rd+é x&Qk", 'n3w/p@ss"w0rd+ü <$Zk'
TEMPLATE = """\
[settings]
password = {{ vault('db/password') }}
Authorization: Basic {{ ('user:' ~ vault('db/password'))|b64encode }}
upper {{ vault('db/password')|upper }}; cut {{ vault('db/password')[:12]|url_quote }}
json = {{ {'password': vault('db/password')}|to_json }}
pin = {{ vault.json('cfg').pin }}
key:
{{ vault('key')|indent(2, first=true) }}
port = 80
"""
SEEN = """\
cat /proc/[0-9]*/cmdline 2> /dev/null | tr '\\0' ' ' >> "{seen}"
env >> "{seen}"
stat -c 'staged %a' "$CONFSYNC_STAGED" >> "{seen}"
"""
SHOW = 'cat "$CONFSYNC_STAGED"; tr " :=;" "\\n" < "$CONFSYNC_STAGED"; echo the check is done; '


class Host:
    """A project on disk, and the processes that work on it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.state = base / "state"
        self.seen = base / "seen"
        self.log = base / "log"
        self.out = base / "out.conf"
        self._daemon: subprocess.Popen[bytes] | None = None
        (base / "templates").mkdir()
        (base / "templates" / "out.j2").write_text(TEMPLATE)

    def configure(self, check: str) -> None:
        script = self.base / "check"
        script.write_text(f"#!/bin/sh\n{SEEN.format(seen=self.seen)}{check}\n")
        script.chmod(0o755)
        sync = {
            "template": "out.j2", "to": "out.conf", "check": [str(script), "{staged}"],
            "reload": {"shell": f"cat {self.out} >&2; {SEEN.format(seen=self.seen)} exit 3"},
        }  # fmt: skip
        data = {"data": {"PASSWORD": "vault:db/password", "KEY": "vault:key"}, "to": "out.json"}
        document = {
            "sources": {"vault": {"backend": "file", "path": "vault.yaml", "sensitive": True}},
            "syncs": {"app": sync, "data": data},
        }
        (self.base / "confsync.yaml").write_text(yaml.safe_dump(document))

    def put(self, password: str) -> None:
        encoded = base64.b64encode(password.encode()).decode()
        key = f"-----BEGIN KEY-----\n{encoded}\nabc/{password}\n-----END KEY-----\n"
        values = {
            "db": {"password": password},
            "key": key,
            "cfg": json.dumps({"pin": f"83920175{password[:3]}"}),
        }
        staged = self.base / "vault.staged"
        staged.write_text(yaml.safe_dump(values))
        staged.rename(self.base / "vault.yaml")

    def argv(self, *arguments: str) -> list[str]:
        where = ["--state-dir", str(self.state), "--log-level", "debug"]
        return [sys.executable, "-m", "confsync", *where, *arguments]

    def run(self, *arguments: str) -> str:
        """`confsync ARGUMENTS`, and what it said."""
        done = subprocess.run(
            self.argv(*arguments), cwd=self.base, capture_output=True, text=True, timeout=60
        )
        return done.stdout + done.stderr

    def start(self) -> subprocess.Popen[bytes]:
        with open(self.log, "wb") as log:
            argv = self.argv("run", "--log-format", "json")
            self._daemon = subprocess.Popen(argv, cwd=self.base, stdout=log, stderr=log)
        return self._daemon

    def close(self) -> None:
        if self._daemon is not None and self._daemon.poll() is None:
            self._daemon.kill()
            self._daemon.wait(10)

    def assert_clean(self, said: Sequence[str] = ()) -> None:
        leaks = Leaks([OLD, NEW, f"user:{OLD}", f"user:{NEW}", f"83920175{OLD[:3]}", f"83920175{NEW[:3]}"])
        told = [*said, self.seen.read_text(), self.log.read_text() if self.log.exists() else ""]
        assert [found for text in told if (found := leaks.find(text))] == []
        assert leaks.find_in_files(self.state) == {}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    host.close()


def test_commands_tell_no_secret_and_neither_do_the_processes_they_start(host):
    host.configure(check="true")
    host.put(OLD)
    said = [host.run("apply")]
    assert OLD in host.out.read_text()
    assert stat.S_IMODE(host.out.stat().st_mode) == 0o600
    host.configure(check=f"{SHOW} exit 1")
    host.put(NEW)
    said += [host.run("plan"), host.run("apply", "--log-format", "json"), host.run("status")]
    said += [host.run("explain", "app", "--output", "json"), host.run("ls", "--values")]

    assert NEW not in host.out.read_text()
    assert "the check is done" in said[2]
    seen = host.seen.read_text()
    assert "staged 600" in seen
    assert "confsync --state-dir" in seen
    host.assert_clean(said)


def test_the_daemon_tells_no_secret(host):
    host.configure(check=f"{SHOW} exit 0")
    host.put(OLD)
    daemon = host.start()
    eventually(lambda: "exit status 3" in host.log.read_text())
    host.put(NEW)
    eventually(lambda: NEW in host.out.read_text())
    host.out.write_text(f"by hand {OLD}\n")  # and it is put right
    eventually(lambda: NEW in host.out.read_text())
    host.configure(check=f"{SHOW} exit 1")
    host.put(OLD)
    eventually(lambda: "the check is done" in host.log.read_text())
    os.kill(daemon.pid, signal.SIGUSR1)
    eventually(lambda: '"message": "status"' in host.log.read_text())
    said = [host.run("status", "--output", "json"), host.run("plan", "--output", "json")]
    daemon.terminate()
    assert daemon.wait(30) == 0
    host.assert_clean(said)
