"""Commands that are begun in forks of a prepared process are the commands that users start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from confsync.testing.prepared import prepared
from confsync.testing.waiting import eventually

MAKER = (
    "import sys; from confsync.testing.prepared import prepared; print(prepared().pid, flush=True)\n"
    "sys.stdin.read()"
)


@pytest.fixture
def project(tmp_path):
    (tmp_path / "values.yaml").write_text("dev: {db: {host: db1}}\n")
    (tmp_path / "confsync.yaml").write_text(
        "sources: {values: {backend: file, path: values.yaml, sensitive: false}}\n"
        "environments: {dev: {values: dev}}\n"
        "syncs: {app: {template: {inline: '{{ values(\"db/host\") }}'}, to: app}}\n"
    )
    return tmp_path


def run(project, *words, **more):
    return prepared().run(words, cwd=project, env={**os.environ, **more})


@pytest.mark.parametrize(
    "words", [["plan"], ["bogus"], ["plan", "--bogus"], ["--version"], ["env", "dev", "--format", "json"]]
)
def test_it_ends_and_says_what_one_that_is_started_does(project, words):
    started = subprocess.run(
        [sys.executable, "-m", "confsync", *words], cwd=project, capture_output=True, text=True
    )

    done = run(project, *words)

    assert (done.returncode, done.stdout, done.stderr) == (
        started.returncode, started.stdout, started.stderr,
    )  # fmt: skip


def test_it_has_the_variables_it_is_given_and_nothing_else_is_open_in_it(project):
    show = "echo $ONLY; ls /proc/self/fd | tr '\\n' ' '"

    done = run(project, "exec", "dev", "--", "sh", "-c", show, ONLY="this")

    assert done.stdout == "this\n0 1 2 3 "  # 3 is the directory that ls reads


def test_with_other_variables_for_python_it_is_started_anew(project):
    done = run(project, "env", "dev", PYTHONVERBOSE="1")

    assert "import 'pydantic'" in done.stderr


def test_many_may_be_at_work_at_once(project):
    with ThreadPoolExecutor(8) as pool:
        done = pool.map(lambda number: run(project, "exec", "dev", "--", "echo", str(number)), range(24))

    assert [one.stdout for one in done] == [f"{number}\n" for number in range(24)]


def begin(project, script):
    words = ["exec", "dev", "--", "sh", "-c", script]
    return prepared().begin(words, cwd=project, env=os.environ, stdout=1, stderr=2)


def test_a_signal_reaches_it_and_its_process_id_stays_its_own_until_nobody_asks(project):
    with closing(begin(project, "echo > ready; exec sleep 60")) as begun:
        eventually((project / "ready").exists)
        begun.signal(signal.SIGTERM)

        assert begun.wait() == 128 + signal.SIGTERM
        begun.signal(signal.SIGTERM)
    eventually(lambda: not Path(f"/proc/{begun.pid}").exists())


def test_it_is_killed_when_it_takes_too_long(project):
    with pytest.raises(subprocess.TimeoutExpired, match="confsync exec"):
        prepared().run(["exec", "dev", "--", "sleep", "60"], cwd=project, env=os.environ, within=0.2)


def test_the_prepared_process_ends_with_its_maker():
    with subprocess.Popen([sys.executable, "-c", MAKER], stdin=-1, stdout=-1, text=True) as maker:
        pid = int(maker.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        maker.kill()

    eventually(lambda: not Path(f"/proc/{pid}").exists())


def test_it_has_one_thread(project):
    assert run(project, "env", "dev").returncode == 0
    assert len(os.listdir(f"/proc/{prepared().pid}/task")) == 1
