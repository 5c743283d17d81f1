"""docs/reference is what docs/generate.py makes of the code now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_reference_is_what_make_docs_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "docs/generate.py", tmp_path], check=True)
    written = {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()}
    committed = {path.name: path.read_text("utf-8") for path in (ROOT / "docs/reference").iterdir()}
    for name, text in written.items():
        assert committed.get(name) == text, f"docs/reference/{name} is out of date: run make docs"
    assert set(committed) == set(written)
