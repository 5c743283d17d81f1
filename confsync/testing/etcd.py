"""A real etcd for tests: one node or several, on free ports, that can be killed, paused, restarted or wiped.

    with EtcdCluster() as etcd:
        etcd.put("/prod/shop/db/host", "db1")
        ... etcd.endpoints ...

Every wait has a deadline. Processes are started by this module and stopped by their pid.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from confsync.testing.etcd_store import EtcdStore
from confsync.testing.ports import free_port
from confsync.testing.waiting import pause

_FAST_ELECTION = ("--heartbeat-interval=50", "--election-timeout=500")
_pause = threading.Event()


@dataclass(frozen=True, slots=True)
class EtcdTls:
    """Files for a TLS etcd. `client_cert_auth` makes the server demand a client certificate."""

    ca: Path
    server_cert: Path
    server_key: Path
    client_cert: Path
    client_key: Path
    client_cert_auth: bool = True


def find_etcd() -> str:
    """Path of the etcd binary: `$CONFSYNC_TEST_ETCD`, or `etcd` on the PATH.

    Raises:
        RuntimeError: there is none; says how to get it.
    """
    found = os.environ.get("CONFSYNC_TEST_ETCD") or shutil.which("etcd")
    if found is None:
        raise RuntimeError(
            "no etcd: install it (Debian: apt-get install etcd-server), or set CONFSYNC_TEST_ETCD to it"
        )
    return found


def wait_until(condition: Callable[[], bool], what: str, deadline: float = 30.0) -> None:
    """Wait until `condition()`; raises TimeoutError naming `what` after `deadline` seconds."""
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {deadline:g} s: {what}")
        _pause.wait(0.02)


class EtcdMember:
    """One etcd process of a cluster. Its ports and data directory stay the same over restarts."""

    def __init__(self, cluster: EtcdCluster, name: str, directory: Path) -> None:
        self.name = name
        self.port = free_port()
        self.peer_port = free_port()
        self.data = directory / f"{name}.data"
        self.log = directory / f"{name}.log"
        self._cluster = cluster
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Any = None

    @property
    def endpoint(self) -> str:
        """Where clients reach it, such as `http://127.0.0.1:2379`."""
        return f"{self._cluster.scheme}://127.0.0.1:{self.port}"

    @property
    def peer_url(self) -> str:
        """Where its fellow members reach it."""
        return f"http://127.0.0.1:{self.peer_port}"

    @property
    def pid(self) -> int:
        """Its process id; raises RuntimeError when it does not run."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there (a paused one is)."""
        return self._process is not None and self._process.poll() is None

    def start(self, *, state: str = "existing") -> None:
        """Start the process on the data it has; does not wait for health."""
        command = [
            find_etcd(), "--name", self.name, "--data-dir", str(self.data),
            "--listen-client-urls", self.endpoint, "--advertise-client-urls", self.endpoint,
            "--listen-peer-urls", self.peer_url, "--initial-advertise-peer-urls", self.peer_url,
            "--initial-cluster", self._cluster.initial_cluster, "--initial-cluster-state", state,
            "--logger", "zap", "--log-level", "warn", *_FAST_ELECTION, *self._cluster.arguments,
        ]  # fmt: skip
        environment = {key: value for key, value in os.environ.items() if not key.startswith("ETCD")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=environment,
                cwd=self.log.parent,
            )

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Send the signal and wait for the end. Does nothing when it does not run."""
        process, self._process = self._process, None
        self._close_channel()
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.send_signal(how)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)

    def stop(self) -> None:
        """End it in an orderly way."""
        self.kill(signal.SIGTERM)

    def pause(self) -> None:
        """SIGSTOP: connections stay open and new ones are accepted by the kernel, but nothing answers."""
        pause(self.pid)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self, *, wipe: bool = False, deadline: float = 60.0) -> None:
        """Kill it and start it on the same ports; with `wipe` on empty data: a lone node forgets all."""
        self.kill()
        if wipe:
            shutil.rmtree(self.data, ignore_errors=True)
        self.start(state="new" if wipe else "existing")
        self.wait_healthy(deadline)

    def wait_healthy(self, deadline: float = 30.0) -> None:
        """Wait until it answers a linearizable read. Raises RuntimeError with its log when it ended."""
        wait_until(self._healthy_or_dead, f"{self.name} at {self.endpoint} answers", deadline)

    def stub(self, name: str) -> Any:
        """A gRPC stub (`KV`, `Auth`, `Maintenance`…) on a channel that lives as long as the process."""
        from pyetcd import etcdrpc

        if self._channel is None:
            self._channel = self._cluster.open_channel(self)
        return getattr(etcdrpc, f"{name}Stub")(self._channel)

    def status(self) -> Any:
        """The member's own StatusResponse."""
        from pyetcd import etcdrpc

        return self.stub("Maintenance").Status(
            etcdrpc.StatusRequest(), timeout=1, metadata=self._cluster.metadata
        )

    def _healthy_or_dead(self) -> bool:
        import grpc
        from pyetcd import etcdrpc

        if not self.running:
            raise RuntimeError(f"{self.name} ended: {self.log.read_text(errors='replace')[-2000:]}")
        if not _accepts(self.port):
            return False
        try:
            request = etcdrpc.RangeRequest(key=b"health")
            self.stub("KV").Range(request, timeout=2, metadata=self._cluster.metadata)
        except grpc.RpcError as error:
            self._close_channel()
            # It answered: that it wants a login, or another one, is the cluster's business.
            return error.code() in {
                grpc.StatusCode.PERMISSION_DENIED,
                grpc.StatusCode.INVALID_ARGUMENT,
                grpc.StatusCode.UNAUTHENTICATED,
            }
        return True

    def _close_channel(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()


class EtcdCluster(EtcdStore):
    """`size` etcd members on 127.0.0.1. A context manager: starts healthy, leaves nothing behind.

    Args:
        size: how many members.
        tls: serve clients over TLS with these files.
        arguments: more etcd options, such as `--auth-token-ttl=1`.
    """

    def __init__(self, size: int = 1, *, tls: EtcdTls | None = None, arguments: Sequence[str] = ()) -> None:
        super().__init__()
        find_etcd()
        self.tls = tls
        self.directory = Path(tempfile.mkdtemp(prefix="confsync-etcd-"))
        self.arguments = [*_tls_arguments(tls), *arguments]
        self.members = [EtcdMember(self, f"etcd{number}", self.directory) for number in range(size)]

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return "https" if self.tls else "http"

    @property
    def endpoints(self) -> list[str]:
        """Every member's client URL."""
        return [member.endpoint for member in self.members]

    @property
    def initial_cluster(self) -> str:
        """What etcd calls --initial-cluster."""
        return ",".join(f"{member.name}={member.peer_url}" for member in self.members)

    def start(self, deadline: float = 60.0) -> Self:
        """Start every member and wait until all are healthy; on failure nothing stays running."""
        atexit.register(self.stop)
        try:
            for member in self.members:
                member.start(state="new")
            for member in self.members:
                member.wait_healthy(deadline)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Kill every member and remove the data. Idempotent."""
        atexit.unregister(self.stop)
        for member in self.members:
            member.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.stop()

    def leader(self) -> EtcdMember:
        """The member that leads now; waits for one at most 30 s."""
        found: list[EtcdMember] = []

        def look() -> bool:
            import grpc

            for member in (member for member in self.members if member.running):
                with suppress(grpc.RpcError, RuntimeError):  # a paused one is no reason not to ask the next
                    status = member.status()
                    if status.leader and status.leader == status.header.member_id:
                        found.append(member)
            return bool(found)

        wait_until(look, "the cluster has a leader")
        return found[0]

    def followers(self) -> list[EtcdMember]:
        """Every member but the leader."""
        leader = self.leader()
        return [member for member in self.members if member is not leader]

    def open_channel(self, member: EtcdMember) -> Any:
        """A gRPC channel to the member, with the client certificate where there is TLS."""
        import grpc

        target = f"127.0.0.1:{member.port}"
        if self.tls is None:
            return grpc.insecure_channel(target)
        credentials = grpc.ssl_channel_credentials(
            self.tls.ca.read_bytes(), self.tls.client_key.read_bytes(), self.tls.client_cert.read_bytes()
        )
        return grpc.secure_channel(target, credentials)

    def stub(self, name: str) -> Any:
        """A gRPC stub of the first member that runs."""
        return next(member for member in self.members if member.running).stub(name)


def _tls_arguments(tls: EtcdTls | None) -> list[str]:
    if tls is None:
        return []
    served = [f"--cert-file={tls.server_cert}", f"--key-file={tls.server_key}", f"--trusted-ca-file={tls.ca}"]
    return [*served, "--client-cert-auth"] if tls.client_cert_auth else served


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
