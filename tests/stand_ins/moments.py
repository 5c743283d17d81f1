"""Exact moments in the life of a process."""

from __future__ import annotations

import os
import select
import time


def wait_in(pid: int, seconds: float) -> None:
    """Wait for an exact moment, or for the end of the process if it comes first."""
    moment = time.perf_counter() + seconds
    ended = os.pidfd_open(pid)
    try:
        # The last millisecond is spun: a sleep would round every moment to the scheduler's.
        if select.select([ended], [], [], max(0, seconds - 0.001))[0]:
            return
    finally:
        os.close(ended)
    while time.perf_counter() < moment:
        pass
