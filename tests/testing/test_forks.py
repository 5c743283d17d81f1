"""A fork of a test's process has one thread, also where gRPC was used before."""

from __future__ import annotations

import os

import grpc

from confsync.testing.etcd import EtcdCluster


def threads_of_a_fork():
    """How many threads a child of this process has."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, str(len(os.listdir("/proc/self/task"))).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        return int(pipe.read())


def test_no_thread_of_grpc_lives_again_in_a_fork(etcd: EtcdCluster):
    with grpc.insecure_channel(etcd.endpoints[0].removeprefix("http://")) as channel:
        grpc.channel_ready_future(channel).result(timeout=30)
        assert len(os.listdir("/proc/self/task")) > 1
        assert threads_of_a_fork() == 1
