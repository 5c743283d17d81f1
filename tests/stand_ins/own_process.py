"""What a command sets up in its process, where that is the tests' own: undone, or the next test would have it."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("", "confsync", "confsync_backends", "apscheduler")


@contextmanager
def restored() -> Iterator[None]:
    """At the end, logging, hooks and what Ctrl-C does are as they were. For the main thread."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    handlers = logging.getLogger().handlers[:]
    hooks = sys.unraisablehook, threading.excepthook, sys.excepthook
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            if logger.level != level:
                logger.setLevel(level)
        logging.getLogger().handlers[:] = handlers
        sys.unraisablehook, threading.excepthook, sys.excepthook = hooks
        if signal.getsignal(signal.SIGINT) is not interrupt:
            signal.signal(signal.SIGINT, interrupt)
