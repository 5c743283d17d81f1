"""A fork of a test's process has one thread, also where gRPC was used before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from confsync.testing.etcd import EtcdCluster

# As pytest begins; then a channel is opened, and a fork counts its threads. In a program of its own, since tests do
# not fork where other threads are: what these have in hand stays as it was.
PROGRAM = """
import os, sys
sys.path.insert(0, sys.argv[1])
import conftest
conftest._fork_without_grpc()

import grpc
with grpc.insecure_channel(sys.argv[2]) as channel:
    grpc.channel_ready_future(channel).result(timeout=60)
    here = len(os.listdir("/proc/self/task"))
    child = os.fork()
    if child == 0:
        os._exit(len(os.listdir("/proc/self/task")))
    print("threads here", here > 1, "in the fork", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize("supported", [None, "1"])
def test_no_thread_of_grpc_lives_again_in_a_fork(etcd: EtcdCluster, supported):
    tests, target = Path(__file__).parent.parent, etcd.endpoints[0].removeprefix("http://")
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, tests, target]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRPC_")}
    if supported is not None:
        environment["GRPC_ENABLE_FORK_SUPPORT"] = supported

    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    assert (done.stdout, done.stderr) == ("threads here True in the fork 1\n", "")
