"""Each stock template renders to what it promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from confsync.clock import SystemClock
from confsync.config.models import Limits, Sync
from confsync.digest import Hasher
from confsync.render.library import TemplateFiles
from confsync.render.renderer import Renderer


@pytest.mark.parametrize(
    ("call", "line"),
    [
        ("header()", b"# written by confsync; change its source instead: what is changed here is put back\n"),
        (
            "header(';')",
            b"; written by confsync; change its source instead: what is changed here is put back\n",
        ),
        (
            "header('/*', '*/')",
            b"/* written by confsync; change its source instead: what is changed here is put back */\n",
        ),
    ],
)
def test_the_header_is_one_comment_line(tmp_path: Path, call: str, line: bytes) -> None:
    hasher = Hasher(b"k" * 32)
    renderer = Renderer(TemplateFiles([tmp_path], hasher), tmp_path, hasher, SystemClock())
    text = '{% from "confsync/header.j2" import header %}{{ ' + call + " }}"
    sync = Sync.model_validate({"template": {"inline": text}, "to": str(tmp_path / "out")})

    rendering = renderer.render("s", sync, Limits(), {}, {})

    assert rendering.desired[0].content == line
