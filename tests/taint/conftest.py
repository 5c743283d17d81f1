"""A renderer to ask directly."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from taint.strategies import Stores

from confsync.clock import SystemClock
from confsync.config.models import Limits, Sync
from confsync.digest import Hasher
from confsync.driver import Entry
from confsync.render.library import TemplateFiles
from confsync.render.renderer import Renderer, Rendering
from confsync.render.source_view import SourceView
from confsync.snapshot import Snapshot

SENSITIVE = {"vault": ["*"], "mixed": ["*/password"], "values": []}


@dataclass(frozen=True)
class Stage:
    """A renderer in a scratch directory."""

    renderer: Renderer

    def views(self, stores: Stores) -> dict[str, SourceView]:
        found = {}
        for name, tree in stores.items():
            entries = {path: Entry(value, 1) for path, value in tree.items()}
            view = Snapshot(name, 1, {"": entries}, 0.0).view([""])
            globs = SENSITIVE[name]
            found[name] = SourceView(
                name, view, lambda path, g=globs: any(fnmatch.fnmatch(path, p) for p in g)
            )
        return found

    def render(self, sync: Mapping[str, Any], stores: Stores) -> Rendering:
        limits = Limits.model_validate({"time": "60s", "memory": 1_000_000})
        return self.renderer.render("app", Sync.model_validate(sync), limits, self.views(stores), {})


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    base = tmp_path_factory.mktemp("stage")
    (base / "templates").mkdir()
    (base / "templates" / "plain.j2").write_text("# nothing but text\n")
    hasher = Hasher(b"k" * 32)
    return Stage(
        Renderer(TemplateFiles([base / "templates"], hasher), Path("/nowhere"), hasher, SystemClock())
    )
