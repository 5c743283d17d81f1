"""Elections among processes that are killed, stopped and told to end; each writes into one file while it leads."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path

import pytest
from stand_ins.kubernetes.fixtures import Cluster, api_server, cluster

from confsync.testing.waiting import eventually

__all__ = ["api_server", "cluster"]

PROGRAM = Path(__file__).with_name("election_process.py")
SHORT = {"duration": "2s", "renew": "1500ms", "retry": "100ms"}


class Process:
    """One replica."""

    def __init__(self, name: str, cluster: Cluster, shared: Path, options: dict[str, str]) -> None:
        self.name = name
        self.words: list[str] = []
        self._shared = shared
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), name, str(cluster.kubeconfig), cluster.namespace,
             str(shared), json.dumps(options)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.words.append(line.strip())

    def wait(self, word: str, times: int = 1) -> None:
        eventually(lambda: self.words.count(word) >= times)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def writes(self) -> bool:
        """Whether it was the last to write."""
        return written(self._shared)[-1:] == [self.name]

    def end(self) -> int:
        if self._process.poll() is None:
            self.signal(signal.SIGCONT)
            self._process.kill()
        status = self._process.wait(30)
        self._reader.join(30)
        return status

    def wait_end(self) -> int:
        return self._process.wait(30)


def written(shared: Path) -> list[str]:
    """Who wrote, in the order in which they took turns."""
    return [name for name, _ in groupby(shared.read_text().split())]


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    file = tmp_path / "shared"
    file.touch()
    return file


Pair = Callable[[dict[str, str]], tuple[Process, Process]]


@pytest.fixture
def pair(cluster: Cluster, shared: Path) -> Iterator[Pair]:
    """Start a leader and a standby that knows of it."""
    processes: list[Process] = []

    def pair(options: dict[str, str]) -> tuple[Process, Process]:
        processes.extend(Process(name, cluster, shared, options) for name in ("a", "b"))
        eventually(lambda: any("gained" in one.words for one in processes))
        leader = next(one for one in processes if "gained" in one.words)
        standby = next(one for one in processes if one is not leader)
        standby.wait(f"sees {leader.name}")
        eventually(leader.writes)
        return leader, standby

    yield pair
    for process in processes:
        process.end()


def test_a_leader_that_is_killed_is_followed_when_its_lease_has_expired(pair, shared, cluster):
    leader, standby = pair(SHORT)
    leader.signal(signal.SIGKILL)
    leader.wait_end()
    renewed = _lease_time(cluster, "renewTime")

    standby.wait("gained")

    assert _lease_time(cluster, "acquireTime") - renewed >= timedelta(seconds=2)
    eventually(standby.writes)
    assert written(shared) == [leader.name, standby.name]


def test_a_leader_that_was_stopped_does_not_write_when_it_wakes_up(pair, shared):
    leader, standby = pair(SHORT)
    leader.signal(signal.SIGSTOP)
    standby.wait("gained")
    eventually(standby.writes)
    before = _lines(shared, leader)

    leader.signal(signal.SIGCONT)
    leader.wait("lost")
    leader.wait(f"sees {standby.name}")

    # Not even once, unless it was stopped between asking and writing.
    assert _lines(shared, leader) - before <= 1
    eventually(standby.writes)
    assert standby.words.count("lost") == 0


def _lease_time(cluster: Cluster, field: str) -> datetime:
    lease = cluster.admin.find("leases", cluster.namespace, "confsync")
    return datetime.fromisoformat(lease["spec"][field])


def _lines(shared: Path, process: Process) -> int:
    return shared.read_text().split().count(process.name)


def test_a_leader_that_is_told_to_end_hands_over_at_once(pair, shared):
    leader, standby = pair({"duration": "15m", "renew": "10m", "retry": "5m"})
    leader.signal(signal.SIGTERM)

    standby.wait("gained")

    assert leader.wait_end() == 0
    eventually(standby.writes)
    assert written(shared) == [leader.name, standby.name]
