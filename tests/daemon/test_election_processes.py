"""Elections among processes that are killed, stopped and told to end; each writes into one file while it leads."""

from __future__ import annotations

import json
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path

import pytest
from stand_ins.kubernetes.fixtures import Cluster, api_server, cluster

from confsync.testing.waiting import eventually, pause

__all__ = ["api_server", "cluster"]

PROGRAM = Path(__file__).with_name("election_process.py")
DURATION = 15 * 60
LONG = {"duration": "15m", "renew": "10m"}
"""Nobody is so slow that a lease expires: it does when the test lets the time pass."""


class Process:
    """One replica."""

    def __init__(
        self, name: str, cluster: Cluster, shared: Path, passed: Path, options: dict[str, str]
    ) -> None:
        self.name = name
        self.words: list[str] = []
        self._shared = shared
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), name, str(cluster.kubeconfig), cluster.namespace,
             str(shared), str(passed), json.dumps(options)],
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

    def stop(self) -> None:
        """Stop all of it, and wait for that."""
        pause(self._process.pid)

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


@pytest.fixture
def passed(tmp_path: Path) -> Path:
    """How many seconds more have passed, to all processes, than by the clock of the machine."""
    file = tmp_path / "passed"
    file.write_bytes(struct.pack("d", 0.0))
    return file


def let_pass(passed: Path, seconds: float) -> None:
    with passed.open("r+b") as file:
        file.write(struct.pack("d", seconds))


Pair = Callable[[str], tuple[Process, Process]]


@pytest.fixture
def pair(cluster: Cluster, shared: Path, passed: Path) -> Iterator[Pair]:
    """Start a leader and a standby that knows of it."""
    processes: list[Process] = []

    def pair(retry: str) -> tuple[Process, Process]:
        options = {**LONG, "retry": retry}
        processes.extend(Process(name, cluster, shared, passed, options) for name in ("a", "b"))
        eventually(lambda: any("gained" in one.words for one in processes))
        leader = next(one for one in processes if "gained" in one.words)
        standby = next(one for one in processes if one is not leader)
        standby.wait(f"sees {leader.name}")
        eventually(leader.writes)
        return leader, standby

    yield pair
    for process in processes:
        process.end()


def test_a_leader_that_is_killed_is_followed_when_its_lease_has_expired(pair, shared, passed, cluster):
    leader, standby = pair("100ms")
    leader.signal(signal.SIGKILL)
    leader.wait_end()
    renewed = _last_renewal(cluster, standby)

    let_pass(passed, DURATION)
    standby.wait("gained")

    acquired = _lease(cluster)["acquireTime"]
    assert datetime.fromisoformat(acquired) - datetime.fromisoformat(renewed) >= timedelta(seconds=DURATION)
    eventually(standby.writes)
    assert written(shared) == [leader.name, standby.name]


def test_a_leader_that_was_stopped_does_not_write_when_it_wakes_up(pair, shared, passed, cluster):
    leader, standby = pair("100ms")
    leader.stop()
    _last_renewal(cluster, standby)
    let_pass(passed, DURATION)
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


def _last_renewal(cluster: Cluster, standby: Process) -> str:
    """When the lease was renewed by who does no more; the standby has heard of it, and its time runs from now."""

    def heard() -> str:
        renewed: str = _lease(cluster)["renewTime"]
        return renewed if f"heard {renewed}" in standby.words else ""

    return eventually(heard)


def _lease(cluster: Cluster) -> dict[str, str]:
    lease: dict[str, str] = cluster.admin.find("leases", cluster.namespace, "confsync")["spec"]
    return lease


def _lines(shared: Path, process: Process) -> int:
    return shared.read_text().split().count(process.name)


def test_a_leader_that_is_told_to_end_hands_over_at_once(pair, shared):
    leader, standby = pair("5m")
    leader.signal(signal.SIGTERM)

    standby.wait("gained")

    assert leader.wait_end() == 0
    eventually(standby.writes)
    assert written(shared) == [leader.name, standby.name]
