"""The daemon with 1,000 Secrets: a change in etcd -> its Secret, an edit by hand -> healed, memory, idle CPU.

The server is the tests' stand-in, in a process of its own, and answers every request 3 ms late; when a Secret is
written it says itself. Baselines are bare processes with urllib3: one watches etcd and applies, one watches the Secrets
of a namespace and applies again what somebody changed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import grpc
from _kubernetes import NAMESPACES, SECRETS, ServerProcess, make_secrets, namespace_of, until
from common import KEYS, confsync, cpu_seconds, fill, median, percentile, resident_megabytes, row
from pyetcd import etcdrpc

from confsync.testing.etcd import EtcdCluster

CHANGES = 200
EDITS = 100
FEW = 7
PAUSE = 0.02  # seconds between two changes
WRONG = "d3Jvbmc="

BARE = """
import base64, json, sys
import urllib3, yaml
with open(sys.argv[1]) as file:
    config = yaml.load(file, yaml.CSafeLoader)
server, token = config["clusters"][0]["cluster"]["server"], config["users"][0]["user"]["token"]
pool = urllib3.PoolManager()
headers = {"Authorization": "Bearer " + token, "Content-Type": "application/apply-patch+yaml"}
secrets = server + "/api/v1/namespaces/default/secrets"
def apply(name, value):
    data = {"k0": base64.b64encode(value).decode()}
    thing = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
    url = f"{secrets}/{name}?fieldManager=bare&force=true"
    answer = pool.request("PATCH", url, body=json.dumps(thing), headers=headers)
    assert answer.status < 300, answer.data
"""
APPLIES = (
    BARE
    + """
import threading
import grpc
from pyetcd import etcdrpc
channel = grpc.insecure_channel(sys.argv[2])
request = etcdrpc.WatchRequest(create_request=etcdrpc.WatchCreateRequest(key=b"/bare/", range_end=b"/bare0"))
hold = threading.Event()
def requests():
    yield request
    hold.wait()
for reply in etcdrpc.WatchStub(channel).Watch(requests()):
    for event in reply.events:
        apply(event.kv.key.decode().rpartition("/")[2], event.kv.value)
"""
)
HEALS = (
    BARE
    + """
for number in range(int(sys.argv[2])):
    apply(f"h{number}", b"right")
watch = urllib3.request("GET", secrets + "?watch=true&sendInitialEvents=false", headers=headers, preload_content=False)
rest = b""
for chunk in watch.stream(65536):
    *lines, rest = (rest + chunk).split(b"\\n")
    for line in lines:
        thing = json.loads(line)["object"]
        name, data = thing["metadata"]["name"], thing.get("data") or {}
        if name[0] == "h" and base64.b64decode(data.get("k0", "")) != b"right":
            apply(name, b"right")
"""
)
MODELS = """
import sys, time
from kubernetes import client, config
config.load_kube_config(sys.argv[1])
held = client.CoreV1Api().list_secret_for_all_namespaces()
print("held", flush=True)
time.sleep(60)
"""
# What the daemon imports, and no more.
IMPORTS = """
import time
import confsync.daemon.daemon, confsync.reconcile.core, confsync_backends.etcd
import confsync.sinks.kubernetes.sink, kubernetes.client, kubernetes.config
print("held", flush=True)
time.sleep(60)
"""


class Etcd:
    """A client of etcd."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.address = endpoint.removeprefix("http://")
        self.stub = etcdrpc.KVStub(grpc.insecure_channel(self.address))

    def put(self, key: str, value: str) -> float:
        """Change a value; gives when that began."""
        started = time.monotonic()
        self.stub.Put(etcdrpc.PutRequest(key=key.encode(), value=value.encode()))
        return started


@contextmanager
def running(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def script(text: str, server: ServerProcess, *arguments: str) -> list[str]:
    return [sys.executable, "-c", text, str(server.kubeconfig), *arguments]


def daemon(project: Path) -> list[str]:
    return confsync(project, "run", "--log-level", "error")


Act = Callable[[], float]
"""Changes something, and says when that was."""


@dataclass(frozen=True)
class Taken:
    """How long it took until a Secret was written, in milliseconds.

    Attributes:
        whole: from the change on.
        server: of that between the write's coming to the server and its answer, the delay included.
    """

    whole: float
    server: float


def once(server: ServerProcess, namespace: str, name: str, act: Act) -> Taken:
    """What it takes from what `act` does to the Secret's being written."""
    server.forget()
    started = act()
    written = server.wait_for("patch", namespace, name, started)
    time.sleep(PAUSE)
    return Taken((written.ended - started) * 1000, (written.ended - written.began) * 1000)


def warm(server: ServerProcess, namespace: str, name: str, act: Act) -> None:
    """Until a bare process watches, it sees nothing."""

    def is_seen() -> bool:
        try:
            server.wait_for("patch", namespace, name, act(), 0.5)
        except TimeoutError:
            return False
        return True

    until(is_seen)


def table(what: str, goal: str, ours: Sequence[Taken], bare: Sequence[Taken]) -> None:
    for share, wanted in ((0.5, goal), (0.95, "")):
        mine = percentile([one.whole for one in ours], share)
        least = percentile([one.whole for one in bare], share)
        row(
            f"{what}, p{share * 100:.0f}",
            f"{mine:.1f} ms",
            wanted,
            f"{mine / least:.1f} × bare ({least:.1f} ms)",
        )
    server = median([one.server for one in ours])
    row("  of that the server's, the delay included", f"{server:.1f} ms")


def changes(etcd: Etcd, server: ServerProcess) -> None:
    """Of ours and of the bare one in turn."""
    with running(script(APPLIES, server, etcd.address)):
        warm(server, "default", "warm", lambda: etcd.put("/bare/warm", str(time.monotonic())))
        ours, bare = [], []
        for number in range(CHANGES):
            secret, value = number * 7 % SECRETS, f"changed {number}"
            key = f"/bench/s{secret}/k{number % KEYS}"
            ours.append(once(server, namespace_of(secret), f"s{secret}", partial(etcd.put, key, value)))
            bare.append(once(server, "default", f"b{secret}", partial(etcd.put, f"/bare/b{secret}", value)))
    table(f"change in etcd → Secret, {SECRETS} Secrets", "≤ 15 ms", ours, bare)


def heals(server: ServerProcess) -> None:
    """Edits and deletions, each of another Secret: who fights over one is slowed down."""

    def edit(namespace: str, name: str) -> float:
        return once(server, namespace, name, partial(server.edit, namespace, name, "k0", WRONG))

    with running(script(HEALS, server, str(EDITS))):
        server.wait_for("patch", "default", f"h{EDITS - 1}", 0.0)
        warm(server, "default", "h0", partial(server.edit, "default", "h0", "k0", WRONG))
        ours, bare, deleted = [], [], []
        for number in range(EDITS):
            ours.append(edit(namespace_of(number), f"s{number}"))
            bare.append(edit("default", f"h{number}"))
            gone = number + SECRETS // 2
            where, name = namespace_of(gone), f"s{gone}"
            deleted.append(once(server, where, name, partial(server.delete, where, name)))
    table("edit by hand → healed", "≤ 50 ms", ours, bare)
    table("deleted by hand → made anew", "≤ 50 ms", deleted, bare)


def idle(pid: int, server: ServerProcess) -> None:
    seconds = float(os.environ.get("BENCH_IDLE_SECONDS", "20"))
    server.forget()
    before = cpu_seconds(pid)
    time.sleep(seconds)
    spent = (cpu_seconds(pid) - before) / seconds * 100
    row("CPU of the idle daemon", f"{spent:.2f} %", "≤ 0.3 %", f"{len(server.requests())} requests")


def most_megabytes(pid: int) -> float:
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024


def memory(pid: int, what: str) -> None:
    row(
        f"resident memory of the daemon, {what}",
        f"{resident_megabytes(pid):.0f} MB, most {most_megabytes(pid):.0f}",
        "≤ 120 MB",
    )


def held(command: list[str]) -> float:
    """What a bare process holds."""
    with running(command) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "held"
        return resident_megabytes(process.pid)


def settle(server: ServerProcess) -> None:
    """Until all is written, watched, and looked at once more."""
    server.wait_for_count(SECRETS)
    until(lambda: server.watches() >= NAMESPACES)
    time.sleep(3)


def with_file_source(directory: Path) -> None:
    with ServerProcess(directory / "server-file") as server:
        project = directory / "project-file"
        make_secrets(project, server, None)
        with running(daemon(project)) as process:
            settle(server)
            memory(process.pid, "file source")
        with running(daemon(project)) as process:
            time.sleep(8)
            memory(process.pid, "file source, nothing to do")


def with_etcd(directory: Path, etcd: Etcd) -> None:
    with ServerProcess(directory / "server") as server:
        project = directory / "project"
        make_secrets(project, server, etcd.endpoint)
        with running(daemon(project)) as process:
            settle(server)
            memory(process.pid, "1,000 syncs, first sync")
            idle(process.pid, server)
            changes(etcd, server)
            heals(server)
            memory(process.pid, "1,000 syncs, after changes")
        with running(daemon(project)) as process:
            time.sleep(8)
            memory(process.pid, "1,000 syncs, nothing to do")
        row("  what it imports, alone", f"{held([sys.executable, '-c', IMPORTS]):.0f} MB")
        models = held(script(MODELS, server))
        row("  the client library with the Secrets as models", f"{models:.0f} MB")


def with_for_each(directory: Path, etcd: Etcd) -> None:
    """One sync with all of them: each change has all of it rendered again."""
    with ServerProcess(directory / "server-for-each") as server:
        project = directory / "project-for-each"
        make_secrets(project, server, etcd.endpoint, for_each=True, interval="5s")
        with running(daemon(project)) as process:
            settle(server)
            memory(process.pid, "one sync for_each, first sync")
            time.sleep(20)
            memory(process.pid, "one sync for_each, after looks")
            changed, healed = [], []
            for number in range(FEW):
                where, name = namespace_of(number), f"s{number}"
                change = partial(etcd.put, f"/bench/s{number}/k0", f"changed again {number}")
                changed.append(once(server, where, name, change))
                time.sleep(1)
                edit = partial(server.edit, where, name, "k1", WRONG)
                healed.append(once(server, where, name, edit))
                time.sleep(1)
            for what, taken in (("change in etcd → Secret", changed), ("edit by hand → healed", healed)):
                whole = [one.whole for one in taken]
                row(
                    f"one sync for_each: {what}, least, p50",
                    f"{min(whole):.0f}, {percentile(whole, 0.5):.0f} ms",
                )


def main() -> None:
    with EtcdCluster() as cluster, tempfile.TemporaryDirectory() as directory:
        etcd = Etcd(cluster.endpoints[0])
        fill(etcd.stub, SECRETS)
        with_etcd(Path(directory), etcd)
        with_for_each(Path(directory), etcd)
        with_file_source(Path(directory))


if __name__ == "__main__":
    main()
