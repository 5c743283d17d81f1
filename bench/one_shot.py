"""One-shot `apply` with nothing to change: 500 and 5,000 syncs of ten keys, start-up included.

Baseline: a bare Python process that reads the same keys from etcd and every target from disk, and compares nothing.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import grpc
from common import confsync, fill, make_project, measured, median, row
from pyetcd import etcdrpc

from confsync.testing.etcd import EtcdCluster

BARE = """
import sys, glob
import grpc
from pyetcd import etcdrpc
channel = grpc.insecure_channel(sys.argv[1], options=[("grpc.max_receive_message_length", -1)])
reply = etcdrpc.KVStub(channel).Range(etcdrpc.RangeRequest(key=b"/bench/", range_end=b"/bench0"))
values = {kv.key: kv.value for kv in reply.kvs}
for path in glob.glob(sys.argv[2] + "/out/*"):
    with open(path, "rb") as file:
        file.read()
"""


def bench(syncs: int, runs: int, goal: str, megabytes: str) -> None:
    with EtcdCluster() as etcd, tempfile.TemporaryDirectory() as directory:
        project = Path(directory) / "project"
        endpoint = etcd.endpoints[0]
        address = endpoint.removeprefix("http://")
        make_project(project, endpoint, syncs)
        fill(etcdrpc.KVStub(grpc.insecure_channel(address)), syncs)
        first = measured(confsync(project, "apply"))
        assert first.status == 0, first
        row(
            f"first apply of {syncs} syncs (compiles, writes, fsyncs)",
            f"{first.wall:.2f} s {first.megabytes:.0f} MB",
        )
        ours, bare = [], []
        for _ in range(runs):
            ours.append(measured(confsync(project, "apply")))
            bare.append(measured([sys.executable, "-c", BARE, address, str(project)]))
        assert all(usage.status == 0 for usage in (*ours, *bare))
        wall, base = median([u.wall for u in ours]), median([u.wall for u in bare])
        row(
            f"apply of {syncs} syncs, nothing to change",
            f"{wall:.2f} s",
            goal,
            f"{wall / base:.1f} × bare ({base:.2f} s)",
        )
        memory, held = max(u.megabytes for u in ours), max(u.megabytes for u in bare)
        row(
            "  most memory held", f"{memory:.0f} MB", megabytes, f"{memory / held:.1f} × bare ({held:.0f} MB)"
        )


if __name__ == "__main__":
    bench(500, 7, "≤ 0.55 s", "")
    bench(5000, 5, "≤ 2 s", "≤ 150 MB")
