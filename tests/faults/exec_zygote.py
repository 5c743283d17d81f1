"""Begins an exec for each line it reads, in a fork of a process that has imported everything and has no other thread.

    python exec_zygote.py ARGUMENT...

It says the process id of each, and, once it has ended, its exit status. Tests do not fork themselves: where a gRPC
channel was ever open, its threads live again in the fork, and take signals that an exec waits for.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import signal
import sys
import warnings
from collections.abc import Collection

import confsync

ASKING = (signal.SIGINT, signal.SIGTERM)


def main() -> None:
    """Read lines until there are no more."""
    _import_everything()
    for _ in sys.stdin:
        # What comes while Python's own hooks run after a fork is lost: no command that is started as usual has any.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)
        pid = os.fork()
        if pid == 0:
            _exec(before)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        _say(pid)
        _say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _import_everything() -> None:
    import confsync_backends.file.backend
    import confsync_backends.file.contents  # noqa: F401
    from confsync.config.models import Config, Sync

    for module in pkgutil.walk_packages(confsync.__path__, "confsync."):
        if not module.name.startswith("confsync.testing") and not module.name.endswith(
            ("__main__", "guardian", "starter")
        ):
            importlib.import_module(module.name)
    Config.model_rebuild()
    Sync.model_rebuild()


def _exec(mask: Collection[int]) -> None:
    status = 99
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        warnings.simplefilter("ignore")
        from confsync.__main__ import main

        main()
    except SystemExit as exc:
        status = exc.code if isinstance(exc.code, int) else 98
    except KeyboardInterrupt:
        status = 130
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
