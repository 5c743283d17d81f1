"""The memory backend keeps the contract, counted calls included."""

from __future__ import annotations

import pytest

from confsync.errors import Unavailable
from confsync.testing.contract import BackendContract, Harness
from confsync.testing.memory import MemoryBackend, MemoryStore


class MemoryHarness(Harness):
    def __init__(self):
        self.store = MemoryStore()

    def open(self):
        return MemoryBackend(self.store)

    def put(self, key, value):
        self.store.put(key, value)

    def delete(self, key):
        self.store.delete(key)

    def change(self, puts, deletes=()):
        self.store.transaction(puts, deletes)

    def calls(self):
        return self.store.calls

    def open_broken(self):
        store = MemoryStore()
        error = Unavailable("the store is down")
        error.__cause__ = OSError("refused")
        store.fail_with(error)
        return MemoryBackend(store)


class TestMemory(BackendContract):
    @pytest.fixture
    def harness(self):
        return MemoryHarness()
