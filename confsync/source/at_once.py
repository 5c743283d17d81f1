"""Calls made at the same time, by as few threads as do any good."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

MOST = 4
"""Threads for one source. A Vault source has connections for five reads of one engine, unless told otherwise."""


def at_once(calls: Sequence[Callable[[], None]]) -> None:
    """Make all calls, and return when all have ended. They must not raise.

    Interrupted (Ctrl-C), it leaves those under way to end by themselves or with the process, and begins no other.
    """
    left = iter(calls)
    lock = threading.Lock()
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            with lock:
                call = next(left, None)
            if call is None:
                return
            call()

    threads = [
        threading.Thread(target=work, name="at-once", daemon=True) for _ in range(min(MOST, len(calls)))
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        stop.set()
