"""A store in memory, found as an installed driver is."""

from __future__ import annotations

from pathlib import Path

import pytest

METADATA = "Metadata-Version: 2.1\nName: memory-secrets\nVersion: 1\n"
ENTRY_POINTS = "[confsync.backends]\nsecrets = confsync.testing.memory_secrets:MemorySecretsBackend\n"


@pytest.fixture
def memory_secrets(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`backend: secrets` is the store of secrets in memory. Gives the directory it is installed in."""
    site = tmp_path_factory.mktemp("site")
    info = site / "memory_secrets-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(site))
    return site
