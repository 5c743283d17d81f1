"""Follows docs/quickstart.md word for word, with a real etcd."""

from __future__ import annotations

from pathlib import Path

import pytest
from docs.pages import a_shell, blocks_of, follow, with_own_etcd

QUICKSTART = Path(__file__).parents[2] / "docs/quickstart.md"


@pytest.mark.timeout(300)
def test_the_quickstart_works_word_for_word(tmp_path: Path) -> None:
    page = with_own_etcd(QUICKSTART.read_text(encoding="utf-8"))
    blocks = blocks_of(page)
    assert len(blocks) > 10
    with a_shell(tmp_path, "etcdctl") as shell:
        follow(shell, blocks, tmp_path)


def test_every_step_the_manual_promises_is_on_the_page() -> None:
    commands = "\n".join(block.commands for block in blocks_of(QUICKSTART.read_text(encoding="utf-8")))
    for step in (
        "etcdctl put",
        "confsync plan",
        "confsync apply",
        "confsync run",
        "confsync status",
        "kill $etcd",
    ):
        assert step in commands
