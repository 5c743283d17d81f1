"""Helpers for action tests: is that process gone, wait until it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


@pytest.fixture
def until() -> Callable[..., None]:
    """Wait until something is so, or fail."""

    def until(condition: Callable[[], object], within: float = 30.0) -> None:
        end = time.monotonic() + within
        while not condition():
            assert time.monotonic() < end, "it did not come to pass"
            threading.Event().wait(0.005)

    return until


@pytest.fixture
def gone(until) -> Callable[[Path], None]:
    """Wait until every process whose id is a line of a file is gone."""

    def gone(pids: Path) -> None:
        for line in pids.read_text().split():
            until(lambda line=line: not _alive(int(line)))

    return gone
