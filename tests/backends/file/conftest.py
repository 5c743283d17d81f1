"""Reading and watching real files."""

from __future__ import annotations

import pytest

from confsync.testing.contract import Follower
from confsync_backends.file import FileBackend, FileOptions


@pytest.fixture
def read(tmp_path):
    """Read a prefix of the source at a path in the test's directory: path -> value."""

    def read_path(path, prefix="", **options):
        backend = FileBackend.open(FileOptions(path=str(path), **options), tmp_path)
        try:
            return {key: entry.value for key, entry in backend.read([prefix]).trees[prefix].items()}
        finally:
            backend.close()

    return read_path


@pytest.fixture
def follow(tmp_path):
    """Read the source at a path and follow it; everything is closed at the end."""
    opened = []

    def follow_path(path, prefix="", **options):
        backend = FileBackend.open(FileOptions(path=str(path), **options), tmp_path)
        reading = backend.read([prefix])
        follower = Follower(backend.watch([prefix], reading), reading)
        opened.append((backend, follower))
        return follower

    yield follow_path
    for backend, follower in opened:
        backend.close()
        assert follower.ended()
