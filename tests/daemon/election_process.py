"""A replica as a process: stands for leadership, and while it leads writes its name into a file, again and again.

python election_process.py NAME KUBECONFIG NAMESPACE FILE OPTIONS (JSON)

It prints what it is told, a word a line, after `ready`. SIGTERM ends it in order.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

import confsync.config.kubernetes as kubernetes_options
from confsync.clock import SystemClock
from confsync.config.election import Election as Options
from confsync.daemon.election import Election
from confsync.sinks.kubernetes.client import Client

PACE = 0.0005


def main(name: str, kubeconfig: str, namespace: str, file: str, options: str) -> None:
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    cluster = kubernetes_options.Cluster(kubeconfig=kubeconfig, timeout="300ms")
    wanted = Options.model_validate({"identity": name, **json.loads(options)})
    client = Client("test", cluster, Path(kubeconfig).parent)
    election = Election(client, namespace, wanted, SystemClock(), lambda: say("gained"), lambda: say("lost"))
    shared = os.open(file, os.O_WRONLY | os.O_APPEND)
    election.start()
    say("ready")
    holder = ""
    while not over.wait(PACE):
        if election.leading:
            os.write(shared, f"{name}\n".encode())
        if election.holder != holder:
            holder = election.holder
            say(f"sees {holder.partition('_')[0]}")
    election.stop()
    say("stopped")


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
