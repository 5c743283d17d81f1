from __future__ import annotations

from pathlib import Path

import pytest

from confsync.testing.contract import BackendContract, Harness
from confsync.testing.etcd import free_port
from confsync_backends.etcd import EtcdBackend, EtcdOptions

PASSWORD = "correct-horse"


class EtcdHarness(Harness):
    """A real etcd. It does not ask for the password: then the backend goes on without."""

    odd_paths = (*Harness.odd_paths, "not \udcff\udcfe utf-8", "two//slashes", "new\nline")

    def __init__(self, etcd):
        self._etcd = etcd

    def open(self):
        return self._open(self._etcd.endpoints)

    def open_broken(self):
        return self._open([f"http://127.0.0.1:{free_port()}"])

    def put(self, key, value):
        self._etcd.put(key, value)

    def delete(self, key):
        self._etcd.delete(key)

    def change(self, puts, deletes=()):
        self._etcd.transact(puts, deletes)

    def calls(self):
        return sum(self._etcd.calls().values())

    def credentials(self):
        return [PASSWORD]

    def _open(self, endpoints):
        options = EtcdOptions(endpoints=endpoints, user="shop", password=PASSWORD, timeout="30s")
        return EtcdBackend.open(options, Path())


class TestEtcd(BackendContract):
    @pytest.fixture
    def harness(self, etcd):
        return EtcdHarness(etcd)
