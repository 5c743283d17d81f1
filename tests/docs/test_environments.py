"""docs/environments.md, followed word for word with a real etcd, and with a real Vault where there is one.

Only places differ from the page: addresses, ports, the administrator's token, the home directory, and the names of the
mount and the policy, since tests may share a Vault.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs.pages import a_shell, blocks_of, essential, follow, with_own_etcd
from stand_ins.vault.fixtures import Vault, vault, vault_server

from confsync.testing.waiting import eventually
from confsync.units import format_duration

__all__ = ["vault", "vault_server"]

PAGE = (Path(__file__).parents[2] / "docs/environments.md").read_text(encoding="utf-8")
NOT_RUN = ("vault server -dev", "kill $vault\n")
"""Blocks that start and stop the server, which runs already."""


@pytest.mark.timeout(300)
def test_the_page_works_word_for_word(vault: Vault, tmp_path: Path) -> None:
    mount, policy = vault.admin.unique[:2] + "secret"[2:], f"shop-{vault.admin.unique}"
    page = re.sub(r"(?<![\w-])secret/(?=\w)", f"{mount}/", PAGE).replace("acl/shop", f"acl/{policy}")
    page = page.replace('"policies": ["shop"]', f'"policies": ["{policy}"]').replace(
        "default, shop", f"default, {policy}"
    )
    page = with_own_etcd(page)
    page = page.replace("http://127.0.0.1:8200", vault.address).replace(
        "VAULT_TOKEN=root", f"VAULT_TOKEN={vault.token}"
    )
    vault.admin.must("POST", f"sys/mounts/{mount}", {"type": "kv", "options": {"version": "2"}})
    eventually(lambda: vault.admin.call("GET", f"{mount}/config")[0] == 200)
    found = blocks_of(page)
    steps = [block for block in found if not block.commands.startswith(NOT_RUN)]
    assert len(found) - len(steps) == len(NOT_RUN)

    with a_shell(tmp_path, "curl", "etcdctl", "git") as shell:
        (tmp_path / "home").mkdir()
        shell.run(f"export HOME={tmp_path}/home; unset XDG_STATE_HOME XDG_RUNTIME_DIR GIT_DIR GIT_WORK_TREE")
        follow(shell, steps, tmp_path)

    assert not list((tmp_path / "shop").glob("checkout.conf")), "none of it writes a target"
    vault.admin.call("DELETE", f"sys/mounts/{mount}")
    vault.admin.call("DELETE", f"sys/policies/acl/{policy}")


def test_every_step_of_the_story_is_on_the_page() -> None:
    commands = "\n".join(block.commands for block in blocks_of(PAGE))
    for step in (
        "diff staging prod", "--output markdown", "--sync checkout", "confsync env prod", "--out .env --ttl",
        "env --clean", "confsync exec prod", "--watch", "confsync explain", "confsync docs", "confsync plan",
    ):  # fmt: skip
        assert step in commands


def test_times_are_all_that_differs() -> None:
    """What makes two prints the same hides no difference that matters here."""
    assert essential("API_TIMEOUT=500ms", "/home/you") != essential("API_TIMEOUT=5s", "/home/you")


@pytest.mark.parametrize("seconds", [0.02, 2.1, 60, 65, 3600, 90061])
def test_how_long_something_is_so_is_a_time(seconds: float) -> None:
    text = f"app  ok for {format_duration(seconds)}: it is well\n"

    assert essential(text, "/home/you") == essential("app  ok for 2.1s: it is well\n", "/home/you")
