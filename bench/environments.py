"""A laptop: `env` with 200 keys and 20 secrets, how long `exec` takes until its command runs, `diff` of 10,000 keys.

Baselines are bare processes with pyetcd and hvac, the client libraries that confsync uses: they read the same, compare
or print it, and do nothing else. etcd is a real one; Vault is the stand-in of the tests, in this process, on loopback.
The configuration is a pod's: the person has a token of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from common import Usage, measured, median, row

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from stand_ins.vault import VaultAdmin, VaultServer

from confsync.testing.etcd import EtcdCluster

KEYS, SECRETS, FIELDS = 200, 20, 3
MANY, DIFFERENT = 10_000, 100
RUNS = 11
LARGEST_TXN = 100
LATE = 0.03  # seconds: a Vault in another country

BARE_ENV = """
import sys
import hvac
import pyetcd
host, _, port = sys.argv[1].removeprefix("http://").partition(":")
for value, meta in pyetcd.client(host=host, port=int(port)).get_prefix("/prod/"):
    print(meta.key.decode(), value.decode())
vault = hvac.Client(sys.argv[2], token=sys.argv[3])
for name in vault.secrets.kv.v2.list_secrets(path="prod")["data"]["keys"]:
    print(vault.secrets.kv.v2.read_secret_version(path=f"prod/{name}", raise_on_deleted_version=True)["data"]["data"])
"""
BARE_DIFF = """
import sys
import pyetcd
host, _, port = sys.argv[1].removeprefix("http://").partition(":")
client = pyetcd.client(host=host, port=int(port), grpc_options={"grpc.max_receive_message_length": -1}.items())
one, other = ({meta.key[6:]: value for value, meta in client.get_prefix(f"/{name}/")} for name in ("many1", "many2"))
for key in sorted({*one, *other}):
    if one.get(key) != other.get(key):
        print(key, one.get(key), other.get(key))
"""
CHILD = (sys.executable, "-I", "-S", "-c", "import time; print(time.monotonic())")
"""Says when it ran: that clock is the same for all processes."""


def make_world(project: Path, etcd: EtcdCluster, vault: VaultServer) -> None:
    put(etcd, {f"/prod/group{n % 10}/key{n}": f"value {n}" for n in range(KEYS)})
    for name in ("many1", "many2"):
        put(
            etcd,
            {
                f"/{name}/app{n % 50}/key{n}": f"value {n}" + (name if n % (MANY // DIFFERENT) == 0 else "")
                for n in range(MANY)
            },
        )
    admin = VaultAdmin(vault.address, vault.root_token)
    for n in range(SECRETS):
        admin.put("secret", f"prod/secret{n}", {f"field{k}": f"secret {n} {k}" for k in range(FIELDS)})
    (project / "confsync.yaml").write_text(
        f"""\
sources:
  etcd: {{backend: etcd, endpoints: ["{etcd.endpoints[0]}"]}}
  vault: {{backend: vault, address: "{vault.address}", auth: {{method: kubernetes, role: shop}}}}
environments:
  prod: {{etcd: /prod, vault: secret/prod}}
"""
    )
    (project / "many.yaml").write_text(
        f"""\
sources:
  etcd: {{backend: etcd, endpoints: ["{etcd.endpoints[0]}"]}}
environments:
  many1: {{etcd: /many1}}
  many2: {{etcd: /many2}}
"""
    )


def put(etcd: EtcdCluster, values: Mapping[str, str]) -> None:
    keys = list(values)
    for first in range(0, len(keys), LARGEST_TXN):
        etcd.transact({key: values[key] for key in keys[first : first + LARGEST_TXN]})


def confsync(config: Path, *arguments: str) -> list[str]:
    name, *rest = arguments
    return [sys.executable, "-m", "confsync", name, "-c", str(config), *rest]


def in_turn(commands: Sequence[Sequence[str]], status: Sequence[int]) -> list[Usage]:
    """The median use of each command, run in turn with the others; each is run once before, for its bytecode."""
    for command in commands:
        measured(command)
    runs = [[measured(command) for command in commands] for _ in range(RUNS)]
    assert all(usage.status == expected for run in runs for usage, expected in zip(run, status, strict=True))
    return [middle(one) for one in zip(*runs, strict=True)]


def middle(usages: Sequence[Usage]) -> Usage:
    return Usage(
        median([one.wall for one in usages]),
        median([one.cpu for one in usages]),
        median([one.megabytes for one in usages]),
        usages[0].status,
    )


def compared(name: str, goal: str, ours: Usage, bare: Usage) -> None:
    row(name, f"{ours.wall:.2f} s", goal, f"{ours.wall / bare.wall:.1f} × bare ({bare.wall:.2f} s)")
    row("  processor time", f"{ours.cpu:.2f} s", "", f"{ours.cpu / bare.cpu:.1f} × bare ({bare.cpu:.2f} s)")


def until_it_runs(command: Sequence[str]) -> float:
    """Seconds until the child that a command runs says that it does."""
    started = time.monotonic()
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(ended.stdout) - started


def execute(config: Path) -> None:
    command = confsync(config, "exec", "prod", "--", *CHILD)
    until_it_runs(command)
    alone, wrapped = [], []
    for _ in range(RUNS):
        alone.append(until_it_runs(CHILD))
        wrapped.append(until_it_runs(command))
    added = median(wrapped) - median(alone)
    row(
        f"exec of those {KEYS} keys and {SECRETS} secrets: until its command runs",
        f"+ {added:.2f} s",
        "≤ 0.4 s",
        f"alone {median(alone) * 1000:.0f} ms",
    )


def main() -> None:
    with ExitStack() as stack:
        project = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="confsync-bench-")))
        etcd, vault = stack.enter_context(EtcdCluster()), stack.enter_context(VaultServer())
        make_world(project, etcd, vault)
        # The person's, and bytecode as an installation has it.
        os.environ |= {"HOME": str(project), "VAULT_TOKEN": vault.root_token}
        os.environ |= {"PYTHONPYCACHEPREFIX": str(project / "bytecode")}
        for name in ("VAULT_ADDR", "ETCDCTL_ENDPOINTS", "ETCDCTL_USER", "PYTHONDONTWRITEBYTECODE"):
            os.environ.pop(name, None)
        config, endpoint = project / "confsync.yaml", etcd.endpoints[0]
        reads = [
            confsync(config, "env", "prod"),
            [sys.executable, "-c", BARE_ENV, endpoint, vault.address, vault.root_token],
        ]
        ours, bare = in_turn(reads, (0, 0))
        compared(f"env, {KEYS} keys of etcd and {SECRETS} Vault secrets", "≤ 0.6 s", ours, bare)
        execute(config)
        vault.faults.late(LATE, times=None)
        ours, bare = in_turn(reads, (0, 0))
        vault.faults.clear()
        compared(f"env where each of Vault's answers takes {LATE * 1000:.0f} ms", "", ours, bare)
        ours, bare = in_turn(
            [
                confsync(project / "many.yaml", "diff", "many1", "many2"),
                [sys.executable, "-c", BARE_DIFF, endpoint],
            ],
            (2, 0),
        )
        compared(
            f"diff of two environments of {MANY:,} keys, {DIFFERENT} of them differ", "≤ 1.5 s", ours, bare
        )


if __name__ == "__main__":
    main()
