"""The same templates with their secrets from Vault: a second source, and `vars: {vault: true}`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from stand_ins.stock import Started
from stand_ins.vaulted import VaultWorkspace, vault, vault_server, vaulted

__all__ = ["vault", "vault_server", "vaulted"]

GOLDEN = Path(__file__).parent / "golden"
SECRETS = {
    "haproxy": ["stats/password"],
    "redis": ["auth/password"],
    "prometheus": ["scrape/shop/password"],
    "dotenv": ["db/password", "cache/password"],
    "spring": ["db/password", "cache/password"],
    "dotnet": ["db/password", "cache/password"],
    "wordpress": ["db/password", "salt"],
}


def move_to_vault(begun: Started, vaulted: VaultWorkspace, secrets: list[str]) -> None:
    """Take the secrets of prod out of the file, and put them into Vault; and say so in the configuration."""
    config = yaml.safe_load((begun.root / "confsync.yaml").read_text())
    document = yaml.safe_load((begun.root / "values.yaml").read_text())
    for secret in secrets:
        folder, _, name = secret.rpartition("/")
        place: dict[str, Any] = document["prod"]
        for part in folder.split("/") if folder else []:
            place = place[part]
        taken = place.pop(name)
        vaulted.put(folder or name, **(taken if isinstance(taken, dict) else {name: taken}))
    (begun.root / "values.yaml").write_text(yaml.safe_dump(document))
    (begun.root / "token").write_text(vaulted.vault.token)
    config["sources"]["vault"] = {**vaulted.source(), "auth": {"method": "token", "file": "token"}}
    config["environments"]["prod"]["vault"] = vaulted.kv
    for sync in config["syncs"].values():
        sync["vars"] = {"vault": True}
    (begun.root / "confsync.yaml").write_text(yaml.safe_dump(config))


@pytest.mark.parametrize("template", SECRETS)
def test_the_same_file_is_made_with_secrets_from_vault(
    template: str, started: Started, vaulted: VaultWorkspace
) -> None:
    move_to_vault(started, vaulted, SECRETS[template])
    golden = {
        str(path.relative_to(GOLDEN / template / "prod")): path.read_text()
        for path in (GOLDEN / template / "prod").rglob("*")
        if path.is_file()
    }

    started.ok("-e", "prod", "apply")

    made = started.made()
    del made["token"]
    assert made == golden
