"""What the benchmarks share: a real etcd, a project with many syncs, and what a process used."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

KEYS = 10


@dataclass(frozen=True)
class Usage:
    """One finished process: seconds, and the most memory it held."""

    wall: float
    cpu: float
    megabytes: float
    status: int


def measured(command: Sequence[str], cwd: Path | None = None) -> Usage:
    """Run a command to its end; the kernel's own accounting of it."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Usage(
        time.perf_counter() - started,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss / 1024,
        process.returncode,
    )


def median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def confsync(project: Path, *arguments: str) -> list[str]:
    """A confsync command on a project."""
    return [
        sys.executable,
        "-m",
        "confsync",
        *arguments,
        "-c",
        str(project / "confsync.yaml"),
        "--state-dir",
        str(project / "state"),
    ]


def make_project(project: Path, endpoint: str, syncs: int, *, shared_template: bool = False) -> None:
    """`syncs` syncs of ten keys each, a template and a file for each, as the peers' figures were measured."""
    (project / "templates").mkdir(parents=True)
    (project / "out").mkdir()
    lines = [
        f"sources:\n  etcd: {{backend: etcd, endpoints: ['{endpoint}']}}\nenvironments:\n  bench: {{etcd: /bench}}\n"
    ]
    lines.append("defaults: {environment: bench}\nsyncs:\n")
    for number in range(syncs):
        name = "t0" if shared_template else f"t{number}"
        lines.append(
            f"  s{number}:\n    template: {name}.j2\n    vars: {{n: {number}}}\n    to: {{file: out/f{number}.conf}}\n"
        )
        body = "".join(f'k{key} = {{{{ etcd("s{number}/k{key}") }}}}\n' for key in range(KEYS))
        if shared_template:
            body = "".join(f'k{key} = {{{{ etcd("s" ~ vars.n ~ "/k{key}") }}}}\n' for key in range(KEYS))
        (project / "templates" / f"{name}.j2").write_text(body)
    (project / "confsync.yaml").write_text("".join(lines))


def fill(stub: object, syncs: int) -> None:
    """Ten keys for each sync, under /bench."""
    from pyetcd import etcdrpc

    for first in range(0, syncs, 10):
        operations = [
            etcdrpc.RequestOp(
                request_put=etcdrpc.PutRequest(
                    key=f"/bench/s{n}/k{k}".encode(), value=f"value {n} {k}".encode()
                )
            )
            for n in range(first, min(first + 10, syncs))
            for k in range(KEYS)
        ]
        stub.Txn(etcdrpc.TxnRequest(success=operations))  # type: ignore[attr-defined]


def resident_megabytes(pid: int) -> float:
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


def cpu_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def row(name: str, value: str, goal: str = "", baseline: str = "") -> None:
    """One line of the table every benchmark prints."""
    print(f"{name:<58} {value:>22} {goal:>16} {baseline:>26}", flush=True)
