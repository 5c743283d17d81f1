"""The environment keeps the reading half of the contract."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from confsync.testing.contract import BackendContract, Harness
from confsync_backends.env import EnvBackend, EnvOptions


class EnvHarness(Harness):
    # Only what the names of variables can hold, upper case being lost.
    odd_paths = (
        "with space",
        "ünï/cödé ☃",
        "quotes'\"`",
        "a.b-c_d:e@f#g?h",
        "$home",
        "back\\slash",
        "a/../b",
        "0",
    )

    def __init__(self, monkeypatch):
        self._monkeypatch = monkeypatch
        for name in list(
            os.environb
        ):  # the caller's: two of them may mean one key, as http_proxy and HTTP_PROXY
            monkeypatch.delitem(os.environb, name)

    def open(self):
        return EnvBackend.open(EnvOptions(separator="__"), Path("."))

    def put(self, key, value):
        self._monkeypatch.setitem(os.environb, key.strip("/").replace("/", "__").upper().encode(), value)

    def delete(self, key):
        raise NotImplementedError


class TestEnv(BackendContract):
    mutable = False

    @pytest.fixture
    def harness(self, monkeypatch):
        return EnvHarness(monkeypatch)
