"""Renders a sync given as YAML, with the keys of a memory store behind it."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from confsync.clock import SystemClock
from confsync.config.models import Limits, Sync
from confsync.digest import Hasher
from confsync.driver import Entry
from confsync.reconcile.identity import identity
from confsync.render.library import TemplateFiles
from confsync.render.renderer import Renderer, RenderFailed, Rendering
from confsync.render.source_view import SourceView
from confsync.snapshot import Snapshot


class Studio:
    """A renderer on a scratch directory, and the views of its sources."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.hasher = Hasher(b"k" * 32)
        self.files = TemplateFiles([base / "templates", base / "more"], self.hasher)
        self.renderer = Renderer(self.files, base, self.hasher, SystemClock())

    def template(self, name: str, text: str, directory: str = "templates") -> None:
        path = self.base / directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def views(
        self, *layers: Mapping[str, bytes | str], sensitive: str | None = None, name: str = "s"
    ) -> dict[str, SourceView]:
        trees = {
            str(number): {k: Entry(v.encode() if isinstance(v, str) else v, 1) for k, v in layer.items()}
            for number, layer in enumerate(layers)
        }
        view = Snapshot(name, 1, trees, 0.0).view(list(trees))
        return {
            name: SourceView(
                name, view, lambda path: bool(sensitive) and fnmatch.fnmatch(path, sensitive or "")
            )
        }

    def render(
        self, sync: Mapping[str, Any], views: Mapping[str, SourceView], limits: Limits | None = None
    ) -> Rendering:
        """Raises the error itself, not its wrapping."""
        try:
            return self.renderer.render("app", Sync.model_validate(sync), limits or Limits(), views, {})
        except RenderFailed as failed:
            raise failed.error from failed

    def text(
        self,
        template: str,
        *layers: Mapping[str, bytes | str],
        sensitive: str | None = None,
        limits: Limits | None = None,
    ) -> str:
        """What an inline template gives."""
        sync = {"template": {"inline": template}, "to": "out"}
        content = self.render(sync, self.views(*layers, sensitive=sensitive), limits).desired[0].content
        assert isinstance(content, bytes)
        return content.decode()

    def identity(self, rendering: Rendering, views: Mapping[str, SourceView]) -> str | None:
        now = {name: self.files.digest(name) or "" for name in rendering.reads.templates}
        return identity("spec", rendering.reads, views, now, [], self.hasher)


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)
