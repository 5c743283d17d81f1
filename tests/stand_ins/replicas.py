"""Replicas for tests of elections: an Election each, what it was told, and a clock of its own that is moved by hand."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confsync.config.election import Election as Options
from confsync.config.kubernetes import Cluster
from confsync.daemon.election import Election
from confsync.sinks.kubernetes.client import Client
from confsync.testing.waiting import eventually

QUICK = {"duration": "15s", "renew": "10s", "retry": "20ms"}
"""As in production, but for `retry`: time passes by `Hand.time`, and everybody looks at it fifty times a second."""


class Hand:
    """A clock that only moves by hand; its wall time has nothing to do with anybody else's, and creeps."""

    def __init__(self) -> None:
        self.time = random.uniform(1e3, 1e6)
        self.wall = random.uniform(0, 4e9)

    def now(self) -> float:
        self.wall += 0.001
        return self.wall

    def monotonic(self) -> float:
        return self.time


class Replica:
    """One replica, started by `with`, stopped in order at its end."""

    def __init__(self, kubeconfig: Path, namespace: str, **options: Any) -> None:
        self.clock = Hand()
        self.told: list[str] = []
        self.led: list[bool] = []
        self.client = Client(
            "test",
            Cluster(kubeconfig=str(kubeconfig), timeout=options.pop("timeout", "30s")),
            kubeconfig.parent,
        )
        wanted = Options.model_validate({**QUICK, **options})
        self.election = Election(self.client, namespace, wanted, self.clock, self._gained, self._lost)

    def _gained(self) -> None:
        self.led.append(self.election.leading)
        self.told.append("gained")

    def _lost(self) -> None:
        self.led.append(self.election.leading)
        self.told.append("lost")

    @property
    def leading(self) -> bool:
        return self.election.leading

    @property
    def identity(self) -> str:
        return self.election.identity

    @contextmanager
    def running(self) -> Iterator[Replica]:
        self.election.start()
        try:
            yield self
        finally:
            self.election.stop()

    def wait(self, *told: str) -> None:
        """Wait until it has been told exactly this."""
        eventually(lambda: self.told == list(told))

    def wait_leading(self) -> None:
        """Wait until it leads, and has been told: what happens from now on, it is told of as well."""
        eventually(lambda: self.leading and self.told[-1:] == ["gained"])


def threads(name: str) -> int:
    return sum(1 for thread in threading.enumerate() if thread.name == name)
