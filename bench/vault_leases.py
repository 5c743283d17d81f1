"""Vault: for how long a consumer holds a dead credential, while 5 s leases that cannot be prolonged rotate 100 times.

Each of ten consumers has a database role, a file, and a reload of its own: it holds what it read when it was last told
to reload, and asks, every few milliseconds, whether the server would still let it in. The server is the stand-in of the
tests, in this process. Baseline: a bare process with hvac and a thread for each consumer, which fetches the next
credential when the lease of the last one is over, and otherwise does the same.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml
from common import confsync, percentile, row

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from stand_ins.vault import VaultAdmin, VaultServer

CONSUMERS = 10
ROTATIONS = int(os.environ.get("BENCH_ROTATIONS", "100"))
LEASE = 5
PAUSE = 0.005  # seconds between two questions of a consumer
PATIENCE = 300.0

BARE = """
import os, sys, threading, time, urllib.request
import hvac
address, token, mount, out, reloads = sys.argv[1:6]
def rotate(number):
    client = hvac.Client(address, token=token)
    path = f"{out}/f{number}"
    while True:
        answer = client.secrets.database.generate_credentials(name=f"app{number}", mount_point=mount)
        with open(path + ".new", "w") as file:
            file.write(answer["data"]["username"])
            file.flush()
            os.fsync(file.fileno())
        os.rename(path + ".new", path)
        urllib.request.urlopen(f"{reloads}/{number}", data=b"").close()
        time.sleep(answer["lease_duration"])
for number in range(int(sys.argv[6])):
    threading.Thread(target=rotate, args=[number]).start()
"""


class Consumer:
    """Holds a credential as a program does that reads its file when it is reloaded.

    Attributes:
        held_for: seconds each credential was held that another one has replaced.
        dead: seconds in which the held one was over.
    """

    def __init__(self, file: Path, server: VaultServer) -> None:
        self._file = file
        self._server = server
        self._user, self._since = "", 0.0
        self.held_for: list[float] = []
        self.dead = 0.0

    def reload(self) -> None:
        user, now = self._file.read_text(), time.monotonic()
        if self._user and user != self._user:
            self.held_for.append(now - self._since)
        if user != self._user:
            self._user, self._since = user, now

    def follow(self, over: threading.Event) -> None:
        """Ask again and again; the time since the last question counts as dead where the answer is no."""
        before = time.monotonic()
        while not over.wait(PAUSE):
            user = self._user
            refused = user and not self._server.credential_alive(user)
            now = time.monotonic()
            if refused and user == self._user:  # it was not let go meanwhile
                self.dead += now - before
            before = now


class Reloads:
    """Where reloads are asked for: POST /3 reloads the consumer 3."""

    def __init__(self, consumers: Sequence[Consumer]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                consumers[int(self.path.strip("/"))].reload()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def configure(project: Path, server: VaultServer, mount: str, reloads: str) -> None:
    (project / "token").write_text(server.root_token)
    source = {"backend": "vault", "address": server.address, "auth": {"method": "token", "file": "token"}}
    syncs = {
        f"s{number}": {
            "template": {"inline": f"{{{{ vault('/{mount}/creds/app{number}').username }}}}"},
            "to": f"f{number}",
            "reload": {"http": {"url": f"{reloads}/{number}"}},
        }
        for number in range(CONSUMERS)
    }
    (project / "confsync.yaml").write_text(yaml.safe_dump({"sources": {"vault": source}, "syncs": syncs}))


def rotated(command: Sequence[str], consumers: Sequence[Consumer]) -> float:
    """Have a process rotate until there were enough rotations; the seconds it took."""
    over = threading.Event()
    threads = [threading.Thread(target=consumer.follow, args=[over]) for consumer in consumers]
    started = time.monotonic()
    process = subprocess.Popen(command)
    for thread in threads:
        thread.start()
    try:
        while sum(len(consumer.held_for) for consumer in consumers) < ROTATIONS:
            if time.monotonic() - started > PATIENCE or process.poll() is not None:
                raise TimeoutError("too few rotations")
            time.sleep(0.05)
        return time.monotonic() - started
    finally:
        over.set()
        for thread in threads:
            thread.join()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def main() -> None:
    results = []
    for bare in (False, True):
        with VaultServer() as server, tempfile.TemporaryDirectory() as directory:
            admin, project = VaultAdmin(server.address, server.root_token), Path(directory)
            mount, _ = admin.database(f"{LEASE}s", f"{LEASE}s")
            for number in range(CONSUMERS):
                admin.database_role(mount, f"app{number}", f"{LEASE}s", f"{LEASE}s")
            consumers = [Consumer(project / f"f{number}", server) for number in range(CONSUMERS)]
            reloads = Reloads(consumers)
            configure(project, server, mount, reloads.address)
            ours = confsync(project, "run", "--log-level", "error")
            least = [sys.executable, "-c", BARE, server.address, server.root_token, mount, directory,
                     reloads.address, str(CONSUMERS)]  # fmt: skip
            seconds = rotated(least if bare else ours, consumers)
            reloads.close()
            assert not server.bugs, server.bugs
            results.append((seconds, consumers))
    for (seconds, consumers), name in zip(results, ("", "  bare: "), strict=True):
        held = [one for consumer in consumers for one in consumer.held_for]
        dead = sum(consumer.dead for consumer in consumers)
        row(
            f"{name}{len(held)} rotations of {LEASE} s leases in {seconds:.0f} s: held dead",
            f"{dead * 1000:.0f} ms",
            "" if name else "0",
        )
        row(
            f"{name}a credential held for, p50 and most",
            f"{percentile(held, 0.5):.2f}, {max(held):.2f} s",
            "" if name else f"< {LEASE} s",
        )


if __name__ == "__main__":
    main()
