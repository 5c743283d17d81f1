"""1,000 Secrets in ten namespaces: the first sync, and what a look at an unchanged world costs the API server.

The server is the tests' stand-in, in a process of its own, and answers every request 3 ms late. Baselines are bare
processes with urllib3, the library below confsync's client, which send the same applies (one after the other, and four
at a time), and one that lists the ten namespaces and reads the same keys from etcd. Each run has a server of its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from _kubernetes import NAMESPACES, SECRETS, Noted, ServerProcess, counted, make_secrets, until
from common import KEYS, Usage, confsync, cpu_seconds, fill, measured, median, row
from pyetcd import etcdrpc

from confsync.testing.etcd import EtcdCluster

RUNS = int(os.environ.get("BENCH_RUNS", "3"))
INTERVAL = 5.0  # seconds between two looks of the daemon
LOOKS = 4

BARE = """
import base64, json, sys, threading
import urllib3, yaml
with open(sys.argv[1]) as file:
    config = yaml.load(file, yaml.CSafeLoader)
server, token = config["clusters"][0]["cluster"]["server"], config["users"][0]["user"]["token"]
threads, secrets, namespaces, keys = map(int, sys.argv[2:])
pool = urllib3.PoolManager(maxsize=threads)
headers = {"Authorization": "Bearer " + token, "Content-Type": "application/apply-patch+yaml"}
"""
APPLIES = (
    BARE
    + """
def body(number):
    marks = {"confsync.dev/sync": f"s{number}", "confsync.dev/origin": "created", "confsync.dev/checksum": "0" * 97}
    labels = {"app.kubernetes.io/managed-by": "confsync"}
    metadata = {"name": f"s{number}", "labels": labels, "annotations": marks}
    data = {f"k{key}": base64.b64encode(f"value {number} {key}".encode()).decode() for key in range(keys)}
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": data}
def apply(first):
    for number in range(first, secrets, threads):
        url = f"{server}/api/v1/namespaces/bench{number % namespaces}/secrets/s{number}?fieldManager=bare&force=true"
        answer = pool.request("PATCH", url, body=json.dumps(body(number)), headers=headers)
        assert answer.status == 201, answer.data
workers = [threading.Thread(target=apply, args=[number]) for number in range(threads)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
"""
)
LOOK = (
    BARE
    + """
import grpc
from pyetcd import etcdrpc
channel = grpc.insecure_channel(ENDPOINT, options=[("grpc.max_receive_message_length", -1)])
reply = etcdrpc.KVStub(channel).Range(etcdrpc.RangeRequest(key=b"/bench/", range_end=b"/bench0"))
values = {kv.key: kv.value for kv in reply.kvs}
for number in range(namespaces):
    url = f"{server}/api/v1/namespaces/bench{number}/secrets?labelSelector=app.kubernetes.io/managed-by=confsync"
    json.loads(pool.request("GET", url, headers=headers).data)
"""
)


@dataclass(frozen=True)
class FirstSync:
    """One first sync of everything.

    Attributes:
        wall: seconds of the whole process, its start included; of a daemon, to the last Secret.
        writing: seconds from the first request to the last answer.
        busy: milliseconds of the server's processor for each request.
        each: milliseconds from a write's coming to its answer, the delay included.
        requests: what the server was asked.
    """

    wall: float
    writing: float
    busy: float
    each: float
    requests: str

    @property
    def rate(self) -> float:
        """Secrets written a second, the process's start included."""
        return SECRETS / self.wall


def bare(server: ServerProcess, script: str, threads: int) -> Usage:
    numbers = [str(number) for number in (threads, SECRETS, NAMESPACES, KEYS)]
    return measured([sys.executable, "-c", script, str(server.kubeconfig), *numbers])


@contextmanager
def running(project: Path) -> Iterator[subprocess.Popen[bytes]]:
    daemon = subprocess.Popen(confsync(project, "run", "--log-level", "error"))
    try:
        yield daemon
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(timeout=30)


def one_shot(project: Path, _: ServerProcess) -> float:
    usage = measured(confsync(project, "apply"))
    assert usage.status == 0, usage
    return usage.wall


def by_daemon(project: Path, server: ServerProcess) -> float:
    started = time.monotonic()
    with running(project):
        server.wait_for_count(SECRETS)
        return time.monotonic() - started


def first_sync(
    endpoint: str, how: Callable[[Path, ServerProcess], float], *, for_each: bool, **options: float
) -> FirstSync:
    with tempfile.TemporaryDirectory() as directory, ServerProcess(Path(directory) / "server") as server:
        project = Path(directory) / "project"
        make_secrets(project, server, endpoint, for_each=for_each, **options)
        return timed(server, lambda: how(project, server))


def timed(server: ServerProcess, act: Callable[[], float]) -> FirstSync:
    before = server.cpu()
    wall = act()
    busy = server.cpu() - before
    requests = server.requests()
    writes = [one for one in requests if one.verb == "patch"]
    assert len(written(requests)) == SECRETS, counted(requests)
    return FirstSync(
        wall,
        max(one.ended for one in requests) - min(one.began for one in requests),
        busy * 1000 / len(requests),
        median([(one.ended - one.began) * 1000 for one in writes]),
        counted(requests),
    )


def written(requests: list[Noted]) -> list[Noted]:
    return [one for one in requests if one.verb == "patch" and one.status == 201 and not one.dry]


def baseline(threads: int) -> FirstSync:
    with tempfile.TemporaryDirectory() as directory, ServerProcess(Path(directory) / "server") as server:

        def act() -> float:
            usage = bare(server, APPLIES, threads)
            assert usage.status == 0, usage
            return usage.wall

        return timed(server, act)


def first_syncs(endpoint: str) -> None:
    """Every way in turn with the bare ones."""
    ways: dict[str, Callable[[], FirstSync]] = {
        "bare, one at a time": lambda: baseline(1),
        "bare, four at a time": lambda: baseline(4),
        "apply, 1,000 syncs": lambda: first_sync(endpoint, one_shot, for_each=False),
        "run, 1,000 syncs": lambda: first_sync(endpoint, by_daemon, for_each=False),
        "apply, one sync for_each": lambda: first_sync(endpoint, one_shot, for_each=True),
        "  the same, no limit of requests": lambda: first_sync(
            endpoint, one_shot, for_each=True, requests_per_second=100_000.0
        ),
    }
    runs = [{name: way() for name, way in ways.items()} for _ in range(RUNS)]
    four = median([run["bare, four at a time"].wall for run in runs])
    for name in ways:
        found = [run[name] for run in runs]
        walls = [one.wall for one in found]
        ours = "bare" not in name
        row(
            f"first sync, {name}",
            f"{SECRETS / median(walls):.0f}/s, at best {SECRETS / min(walls):.0f}",
            "≥ 150/s" if ours else "",
            f"{median(walls) / four:.1f} × bare, four" if ours else "",
        )
        shown = sorted(found, key=lambda one: one.wall)[len(found) // 2]
        row(
            f"    {shown.wall:.1f} s, {shown.writing:.1f} of them with requests",
            shown.requests,
            "",
            f"server {shown.each:.1f} ms each, busy {shown.busy:.2f}",
        )


def unchanged(endpoint: str) -> None:
    """What a look costs when all is as it should be: one-shot, and by the daemon."""
    for for_each in (False, True):
        with tempfile.TemporaryDirectory() as directory, ServerProcess(Path(directory) / "server") as server:
            project = Path(directory) / "project"
            make_secrets(project, server, endpoint, for_each=for_each, interval=f"{INTERVAL:.0f}s")
            one_shot(project, server)
            name = "one sync for_each" if for_each else "1,000 syncs"
            look_once(project, server, endpoint, name)
            look_again(project, server, name)


def look_once(project: Path, server: ServerProcess, endpoint: str, name: str) -> None:
    script = LOOK.replace("ENDPOINT", repr(endpoint.removeprefix("http://")))
    ours, least = [], []
    for _ in range(RUNS):
        server.forget()
        ours.append(measured(confsync(project, "apply")))
        requests = server.requests()
        least.append(bare(server, script, 1))
    assert all(one.status == 0 for one in (*ours, *least))
    wall, base = median([one.wall for one in ours]), median([one.wall for one in least])
    row(
        f"apply, nothing to change, {name}",
        f"{wall:.2f} s, {ours[-1].megabytes:.0f} MB",
        "",
        f"{wall / base:.1f} × bare ({base:.2f} s)",
    )
    row("    requests", counted(requests), "≤ 20")


def look_again(project: Path, server: ServerProcess, name: str) -> None:
    server.forget()
    with running(project) as daemon:
        until(lambda: server.watches() == NAMESPACES)
        time.sleep(INTERVAL * 1.5)  # between two looks
        at_start = counted(server.requests())
        server.forget()
        before = cpu_seconds(daemon.pid)
        time.sleep(INTERVAL * LOOKS)
        requests, spent = server.requests(), (cpu_seconds(daemon.pid) - before) / LOOKS
    row(
        f"resync of the daemon, nothing changed, {name}",
        f"{len(requests) / LOOKS:.1f} requests",
        "≤ 20",
        f"{spent:.2f} s of CPU",
    )
    row("    requests at its start", at_start)


def main() -> None:
    with EtcdCluster() as etcd:
        endpoint = etcd.endpoints[0]
        fill(etcdrpc.KVStub(grpc.insecure_channel(endpoint.removeprefix("http://"))), SECRETS)
        first_syncs(endpoint)
        unchanged(endpoint)


if __name__ == "__main__":
    main()
