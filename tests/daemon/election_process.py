"""A replica as a process: stands for leadership, and while it leads writes its name into a file, again and again.

python election_process.py NAME KUBECONFIG NAMESPACE FILE PASSED OPTIONS (JSON)

It prints what it is told, a word a line, after `ready`: who it sees to lead, and each renewal it hears of. SIGTERM ends
it in order. Its time is the machine's, and PASSED, a file of eight bytes, says how many seconds more have passed.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import struct
import sys
import threading
from pathlib import Path

import confsync.config.kubernetes as kubernetes_options
from confsync.clock import SystemClock
from confsync.config.election import Election as Options
from confsync.daemon.election import Election
from confsync.sinks.kubernetes.client import Client

PACE = 0.0005
SECONDS = struct.Struct("d")


class Passing(SystemClock):
    """The machine's clock, and what a test lets pass: for everybody at once, also for who is stopped."""

    def __init__(self, passed: str) -> None:
        with open(passed, "rb") as file:
            self._passed = mmap.mmap(file.fileno(), SECONDS.size, access=mmap.ACCESS_READ)

    def now(self) -> float:
        return super().now() + self._more()

    def monotonic(self) -> float:
        return super().monotonic() + self._more()

    def _more(self) -> float:
        return float(SECONDS.unpack(self._passed[:])[0])


def main(name: str, kubeconfig: str, namespace: str, file: str, passed: str, options: str) -> None:
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    cluster = kubernetes_options.Cluster(kubeconfig=kubeconfig, timeout="30s")
    wanted = Options.model_validate({"identity": name, **json.loads(options)})
    client = Client("test", cluster, Path(kubeconfig).parent)
    clock = Passing(passed)
    election = Election(client, namespace, wanted, clock, lambda: say("gained"), lambda: say("lost"))
    shared = os.open(file, os.O_WRONLY | os.O_APPEND)
    election.start()
    say("ready")
    holder = heard = ""
    while not over.wait(PACE):
        if election.leading:
            os.write(shared, f"{name}\n".encode())
        if election.holder != holder:
            holder = election.holder
            say(f"sees {holder.partition('_')[0]}")
        record = election._record
        if record is not None and record.holder != election.identity and record.renewed != heard:
            heard = record.renewed
            say(f"heard {heard}")
    election.stop()
    say("stopped")


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
