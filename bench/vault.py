"""Vault: 1,000 syncs over 50 secrets, one-shot and as a daemon; the cost of one vault source; 1,000 ciphertexts.

The server is the stand-in of the tests, in this process, on loopback: it counts the requests. Baselines are bare
processes with hvac, the client library that confsync uses, which do the same calls and write nothing.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from common import Usage, confsync, measured, median, row

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from stand_ins.vault import VaultAdmin, VaultServer

SYNCS, SECRETS, FIELDS = 1000, 50, 10
CIPHERTEXTS = 1000
RUNS = 5
INTERVAL = 5.0  # seconds between two looks of the daemon
LOOKS = 6

BARE_READS = """
import glob, sys
import hvac
client = hvac.Client(sys.argv[1], token=sys.argv[2])
for number in range(int(sys.argv[3])):
    client.secrets.kv.v2.read_secret_version(path=f"bench/s{number}", raise_on_deleted_version=True)
for path in glob.glob(sys.argv[4] + "/out/*"):
    with open(path, "rb") as file:
        file.read()
"""
BARE_DECRYPTION = """
import base64, sys
import hvac
client = hvac.Client(sys.argv[1], token=sys.argv[2])
with open(sys.argv[3]) as file:
    texts = [line.split('"')[1] for line in file if "vault:v1:" in line]
for first in range(0, len(texts), 200):
    batch = [{"ciphertext": text} for text in texts[first : first + 200]]
    answer = client.secrets.transit.decrypt_data(name="app", mount_point=sys.argv[4], batch_input=batch, ciphertext="")
    for one in answer["data"]["batch_results"]:
        base64.b64decode(one["plaintext"])
"""


def make_project(project: Path, server: VaultServer, syncs: int, admin: VaultAdmin) -> None:
    """`syncs` syncs of ten fields each, a template and a file for each; secret n serves the syncs n, n + 50, …"""
    policy = admin.policy(
        "bench", 'path "secret/data/bench/*" { capabilities = ["read"] }\n'
        'path "secret/metadata/bench/*" { capabilities = ["read"] }',
    )  # fmt: skip
    login = admin.approle([policy], token_ttl="1h")
    (project / "templates").mkdir(parents=True)
    (project / "out").mkdir()
    (project / "secret-id").write_text(login.secret_id)
    lines = [
        "sources:\n  vault:\n    backend: vault\n",
        f"    address: {server.address}\n",
        f"    auth: {{method: approle, mount: {login.mount}, role_id: {login.role_id}, secret_id_file: secret-id}}\n",
        "environments:\n  bench: {vault: secret/bench}\n",
        f"defaults: {{environment: bench, interval: {INTERVAL:.0f}s}}\nsyncs:\n",
    ]
    for number in range(syncs):
        lines.append(f"  s{number}:\n    template: t{number}.j2\n    to: {{file: out/f{number}.conf}}\n")
        body = "".join(f'k{key} = {{{{ vault("s{number % SECRETS}").k{key} }}}}\n' for key in range(FIELDS))
        (project / "templates" / f"t{number}.j2").write_text(body)
    (project / "confsync.yaml").write_text("".join(lines))


def seen(server: VaultServer) -> dict[str, int]:
    """How many requests of each kind there were since `forget_requests`."""
    return {
        "logins": sum(r.path.startswith("/v1/auth/") and r.path.endswith("/login") for r in server.requests),
        "reads": server.count("GET", "secret/data/"),
        "metadata": server.count("GET", "secret/metadata/"),
        "all": len(server.requests),
    }


def one_shot(project: Path, server: VaultServer) -> None:
    server.forget_requests()
    first = measured(confsync(project, "apply"))
    assert first.status == 0, first
    counted = seen(server)
    assert (counted["logins"], counted["reads"]) == (1, SECRETS), counted
    row(f"first apply of {SYNCS} syncs, {SECRETS} secrets (compiles, writes)", f"{first.wall:.2f} s")
    row("  logins, reads, other requests", _counts(counted), f"1, {SECRETS}")
    ours, bare = in_turn(
        lambda: measured(confsync(project, "apply")),
        lambda: measured(
            [sys.executable, "-c", BARE_READS, server.address, server.root_token, str(SECRETS), str(project)]
        ),
    )
    row(
        f"apply of {SYNCS} syncs, nothing to change",
        f"{ours:.2f} s",
        "",
        f"{ours / bare:.1f} × bare ({bare:.2f} s)",
    )
    server.forget_requests()
    assert measured(confsync(project, "apply")).status == 0
    row("  logins, reads, other requests", _counts(seen(server)), f"1, {SECRETS}")


def _counts(counted: dict[str, int]) -> str:
    others = counted["all"] - counted["logins"] - counted["reads"]
    return f"{counted['logins']}, {counted['reads']}, {others}"


def in_turn(*commands: Callable[[], Usage]) -> list[float]:
    """The median time of each command, run in turn with the others."""
    runs = [[command() for command in commands] for _ in range(RUNS)]
    assert all(usage.status == 0 for run in runs for usage in run), runs
    return [median([usage.wall for usage in one]) for one in zip(*runs, strict=True)]


def refreshed(project: Path, server: VaultServer) -> None:
    """The daemon over an unchanged world: what a look costs Vault, and what it writes."""
    daemon = subprocess.Popen(confsync(project, "run", "--log-level", "error"))
    try:
        until(lambda: server.count("GET", "secret/metadata/") >= SECRETS)
        time.sleep(INTERVAL / 2)  # between two looks
        before = stamps(project)
        server.forget_requests()
        time.sleep(INTERVAL * LOOKS)
        counted = seen(server)
        written = [name for name, stamp in stamps(project).items() if before[name] != stamp]
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(timeout=30)
    looks = counted["metadata"] / SECRETS
    assert counted["reads"] == counted["logins"] == 0, counted
    row(f"refresh of an unchanged world: looks in {INTERVAL * LOOKS:.0f} s", f"{looks:.1f}")
    row(
        "  metadata calls for each, reads, logins",
        f"{counted['metadata'] / round(looks):.0f}, 0, 0",
        f"≤ {SECRETS}, 0, 0",
    )
    row("  files written, of targets and state", f"{len(written)}", "0")
    assert not written, written


def stamps(project: Path) -> dict[str, tuple[int, int]]:
    """Of every file in the project: which one it is, and when it was written."""
    found = [path for path in project.rglob("*") if path.is_file() and not path.name.endswith("-shm")]
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("not in time")
        time.sleep(0.01)


def start_up(directory: Path, server: VaultServer) -> None:
    """What a vault source costs over a file source: imports, login, mount, one read."""
    projects = {"vault": directory / "one", "file": directory / "file"}
    make_project(projects["vault"], server, 1, VaultAdmin(server.address, server.root_token))
    (projects["file"] / "templates").mkdir(parents=True)
    (projects["file"] / "out").mkdir()
    (projects["file"] / "values.yaml").write_text(
        "s0: {" + ", ".join(f"k{n}: v" for n in range(FIELDS)) + "}\n"
    )
    body = "".join(f'k{n} = {{{{ vault("s0/k{n}") }}}}\n' for n in range(FIELDS))
    (projects["file"] / "templates/t0.j2").write_text(body)
    (projects["file"] / "confsync.yaml").write_text(
        "sources: {vault: {backend: file, path: values.yaml}}\nsyncs: {s0: {template: t0.j2, to: out/f0.conf}}\n"
    )
    for project in projects.values():
        assert measured(confsync(project, "apply")).status == 0
    reads_one = [sys.executable, "-c", BARE_READS, server.address, server.root_token, "1", str(directory)]
    ours, file, bare = in_turn(
        lambda: measured(confsync(projects["vault"], "apply")),
        lambda: measured(confsync(projects["file"], "apply")),
        lambda: measured(reads_one),
    )
    row(
        "apply, one sync, vault source",
        f"{ours * 1000:.0f} ms",
        "",
        f"{ours / bare:.1f} × bare hvac ({bare * 1000:.0f} ms)",
    )
    row(
        "  of that more than with a file source",
        f"{(ours - file) * 1000:.0f} ms",
        "",
        f"{ours / file:.1f} × file ({file * 1000:.0f} ms)",
    )


def decrypted(project: Path, server: VaultServer, admin: VaultAdmin) -> None:
    """One sync that reads 1,000 ciphertexts from a file and decrypts them."""
    mount = admin.transit("app")
    texts = [admin.encrypt(mount, "app", f"secret {number}") for number in range(CIPHERTEXTS)]
    project.mkdir()
    (project / "values.yaml").write_text("".join(f'k{n:04}: "{text}"\n' for n, text in enumerate(texts)))
    lines = "{% for path, text in kv.children('') %}{{ path }} = {{ vault.decrypt('MOUNT/app', text) }}\n{% endfor %}"
    config = {
        "sources": {
            "kv": {"backend": "file", "path": "values.yaml"},
            "vault": {"backend": "vault", "address": server.address},
        },
        "syncs": {"all": {"template": {"inline": lines.replace("MOUNT", mount)}, "to": "out"}},
    }
    (project / "confsync.yaml").write_text(yaml.safe_dump(config))
    os.environ["VAULT_TOKEN"] = server.root_token
    server.forget_requests()
    assert measured(confsync(project, "apply")).status == 0
    requests = server.count(None, f"{mount}/decrypt")
    assert (project / "out").read_text().count("= secret ") == CIPHERTEXTS
    ours, bare = in_turn(
        lambda: measured(confsync(project, "apply")),
        lambda: measured(
            [
                sys.executable,
                "-c",
                BARE_DECRYPTION,
                server.address,
                server.root_token,
                str(project / "values.yaml"),
                mount,
            ]
        ),
    )
    row(
        f"apply, one sync of {CIPHERTEXTS} ciphertexts",
        f"{ours:.2f} s",
        "",
        f"{ours / bare:.1f} × bare hvac ({bare:.2f} s)",
    )
    row("  requests to decrypt", f"{requests}")


def main() -> None:
    with VaultServer() as server, tempfile.TemporaryDirectory() as directory:
        admin = VaultAdmin(server.address, server.root_token)
        for number in range(SECRETS):
            admin.put(
                "secret", f"bench/s{number}", {f"k{key}": f"value {number} {key}" for key in range(FIELDS)}
            )
        project = Path(directory) / "project"
        make_project(project, server, SYNCS, admin)
        one_shot(project, server)
        refreshed(project, server)
        start_up(Path(directory), server)
        decrypted(Path(directory) / "transit", server, admin)
        assert not server.bugs, server.bugs


if __name__ == "__main__":
    main()
