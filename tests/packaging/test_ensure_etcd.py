"""`make test` gets the etcd it needs where that can be done unasked, and else says what to install."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci/ensure-etcd"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A directory that is the whole PATH: a machine on which nothing is installed yet."""
    found = tmp_path / "bin"
    found.mkdir()
    for name in ("sh", "env", "chmod", "cp"):
        (found / name).symlink_to(str(shutil.which(name)))
    install(found, "id", "echo 0")
    return found


def install(programs: Path, name: str, script: str) -> None:
    (programs / name).write_text(f"#!{shutil.which('sh')}\n{script}\n")
    (programs / name).chmod(0o755)


def run(programs: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    sh = str(shutil.which("sh"))
    given = {"PATH": str(programs), **environment}
    return subprocess.run([sh, SCRIPT], env=given, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def test_nothing_is_installed_where_etcd_is_there(programs: Path) -> None:
    install(programs, "etcd", "exit 1")
    install(programs, "etcdctl", "exit 1")
    install(programs, "apt-get", "exit 1")
    done = run(programs)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_root_with_apt_get_gets_the_packages(programs: Path) -> None:
    made = "; ".join(f"cp {programs}/id {programs}/{name}" for name in ("etcd", "etcdctl"))
    install(programs, "apt-get", f'echo "$*" >>{programs}/calls; [ "$1" = update ] || {{ {made}; }}')
    done = run(programs)
    assert done.returncode == 0, done.stderr
    update, installed = (programs / "calls").read_text().splitlines()
    assert update.startswith("update")
    assert installed.endswith("etcd-server etcd-client")
    assert installed.startswith("install -y")


@pytest.mark.parametrize("who", ["somebody", "root without apt-get"])
def test_whoever_cannot_install_is_told_what_is_missing(programs: Path, who: str) -> None:
    if who == "somebody":
        install(programs, "id", "echo 1000")
        install(programs, "apt-get", "exit 1")
    done = run(programs)
    assert done.returncode == 1
    assert "apt-get install etcd-server etcd-client" in done.stderr


def test_an_etcd_that_is_named_is_used(programs: Path) -> None:
    install(programs, "etcdctl", "exit 1")
    install(programs, "my-etcd", "exit 1")
    assert run(programs, CONFSYNC_TEST_ETCD=str(programs / "my-etcd")).returncode == 0
    done = run(programs, CONFSYNC_TEST_ETCD=os.devnull)
    assert done.returncode == 1
    assert "is no program" in done.stderr
