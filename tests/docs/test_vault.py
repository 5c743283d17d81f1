"""Follows docs/vault.md word for word, with a real etcd, and with a real Vault where there is one.

Only places differ from the page: addresses, ports, the administrator's token, and the names of mounts and policies,
which are as long as those of the page: tests may share a Vault.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs.pages import Block, a_shell, blocks_of, follow
from stand_ins.vault.fixtures import Vault, vault, vault_server

from confsync.testing.etcd import free_port

__all__ = ["vault", "vault_server"]

PAGE = Path(__file__).parents[2] / "docs/vault.md"
SERVER = "vault server -dev"


def words() -> str:
    return PAGE.read_text(encoding="utf-8")


def in_place(page: str, vault: Vault) -> str:
    """The page with the places of this test."""
    for port in ("12379", "12380"):
        page = page.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}")
    page = page.replace("http://127.0.0.1:8200", vault.address)
    return page.replace("VAULT_TOKEN=root", f"VAULT_TOKEN={vault.token}")


def steps(page: str) -> list[Block]:
    """What a reader types, but for the start of the server, which runs already."""
    found = blocks_of(page)
    assert sum(block.commands.startswith(SERVER) for block in found) == 1
    return [block for block in found if not block.commands.startswith(SERVER)]


@pytest.mark.timeout(300)
def test_the_page_works_word_for_word(vault: Vault, tmp_path: Path) -> None:
    with a_shell(tmp_path, "curl", "etcdctl") as shell:
        follow(shell, steps(in_place(words(), vault)), tmp_path)
