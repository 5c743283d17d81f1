"""Shared by all tests: quick starts, steady property tests, a workspace for a daemon, and one etcd."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.database import InMemoryExampleDatabase
from stand_ins.own_process import restored

from confsync.testing.daemon import Workspace
from confsync.testing.etcd import EtcdCluster

# Property tests that never flake on a slow machine and keep nothing on disk.
STEADY = settings(
    deadline=None,  # a busy machine is not a bug; pytest-timeout ends what hangs
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
# The few that the suite has time for, always the same; with --hypothesis-profile=long many, and others every time.
settings.register_profile("confsync", STEADY, database=None, derandomize=True, max_examples=60)
settings.register_profile("long", STEADY, database=InMemoryExampleDatabase(), max_examples=2000)
settings.load_profile("confsync")


def pytest_configure(config: pytest.Config) -> None:
    """Make the processes that tests start the same, however the tests were started."""
    # What a shell starts in the background ignores what a terminal's keys send, and so would all it starts.
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)
    # So is what hangs up, where nohup started them: that is for us alone. A handler is not inherited by a program.
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)
    _forget_the_caller()
    _keep_bytecode(config)
    _fork_without_grpc()


def _forget_the_caller() -> None:
    """Whoever runs the tests may be logged in somewhere, and have settings of their own."""
    stores = ("VAULT_", "BAO_", "ETCDCTL_", "CONFSYNC_", "KUBECONFIG", "GIT_")
    theirs = (*stores, "TERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
    for name in list(os.environ):
        if name.startswith(theirs) and not name.startswith("CONFSYNC_TEST_"):
            del os.environ[name]


def _keep_bytecode(config: pytest.Config) -> None:
    """Let the processes that tests start keep their bytecode, even where Python is told to write none.

    Hundreds are started, and each would spend half its start compiling. Where nothing may be written beside the
    sources, the bytecode goes to a directory that is removed at the end. Workers of pytest-xdist inherit it.
    """
    if not os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        return
    bytecode = tempfile.mkdtemp(prefix="confsync-bytecode-")
    os.environ["PYTHONPYCACHEPREFIX"] = bytecode
    config.add_cleanup(lambda: shutil.rmtree(bytecode, ignore_errors=True))


def _fork_without_grpc() -> None:
    """Let a fork of a test's process be one without gRPC's threads: they live again in it, otherwise.

    Where a channel was ever open they take signals that the child waits for, and end a child that closes what it
    inherited before it becomes another program (subprocess's preexec_fn): "encountered epoll_wait error: Bad file
    descriptor", SIGABRT. gRPC reads the variable when it is imported. What tests start is as users start it.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRPC_ENABLE_FORK_SUPPORT", "0")
        import grpc

        grpc.insecure_channel("127.0.0.1:1").close()


@pytest.fixture(autouse=True)
def _own_process() -> Iterator[None]:
    """No test has the log and the handlers of the commands that another ran in this process."""
    with restored():
        yield


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """A directory of its own, in which no daemon outlives the test."""
    workspace = Workspace(tmp_path)
    yield workspace
    workspace.close()


@pytest.fixture(scope="session")
def shared_etcd() -> Iterator[EtcdCluster]:
    """One node (for each worker) for every test that leaves it as healthy as it was."""
    with EtcdCluster() as cluster:
        yield cluster


@pytest.fixture
def etcd(shared_etcd: EtcdCluster) -> EtcdCluster:
    """An empty single node."""
    shared_etcd.clear()
    return shared_etcd
