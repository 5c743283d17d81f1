"""Somebody at a laptop: a home directory and variables of their own, and a configuration made for machines.

from stand_ins.person import person

    person.variable("VAULT_TOKEN", token)
    person.read({"vault": {...}}, "vault", "db#password")
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from confsync.clock import SystemClock
from confsync.config.loading import load_config
from confsync.source.hub import SourceHub

__all__ = ["Person", "person"]


class Person:
    """Reads sources as `confsync env` would; the test's process is theirs.

    Attributes:
        home: their home directory.
        project: where their checkout of the configuration is.
        log: what was logged at info.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture) -> None:
        self.home, self.project = root / "home", root / "project"
        self.home.mkdir()
        self.project.mkdir()
        self.log = log
        self._monkeypatch = monkeypatch
        for name in [name for name in os.environ if name.startswith(("VAULT_", "ETCDCTL_"))]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(self.home))
        log.set_level("INFO", "confsync")

    def variable(self, name: str, value: str) -> None:
        """Set a variable."""
        self._monkeypatch.setenv(name, value)

    def token_file(self, token: str) -> None:
        """What `vault login` leaves."""
        (self.home / ".vault-token").write_text(token)

    def read(
        self,
        sources: Mapping[str, Any],
        source: str,
        path: str,
        prefixes: Mapping[str, str] | None = None,
        *,
        personal: bool = True,
    ) -> str | None:
        """The value of a key in the environment `prod`. Raises what the source raises."""
        config = {"sources": dict(sources), "environments": {"prod": dict(prefixes or {})}}
        file = self.project / "confsync.yaml"
        file.write_text(yaml.safe_dump(config))
        hub = SourceHub(load_config(file), ["prod"], SystemClock(), looking=True, personal=personal)
        try:
            hub.sources[source].refresh()
            found = hub.view(source, "prod").find(path)
        finally:
            hub.close()
        return None if found is None else found.entry.value.decode()


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Person:
    return Person(tmp_path, monkeypatch, caplog)
