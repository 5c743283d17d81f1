"""What packaging/README.md says about Vault fits together: the paths, the unit, the configuration."""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from confsync.config.loading import LoadedConfig, load_config
from confsync.source.registry import validate_source

README = (Path(__file__).parents[2] / "packaging/README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def documents() -> list[Any]:
    return [yaml.safe_load(text) for text in blocks("yaml")]


@pytest.fixture
def configurations(tmp_path: Path) -> list[LoadedConfig]:
    """Those the page shows, loaded."""
    loaded = []
    for number, document in enumerate(one for one in documents() if "sources" in one):
        path = tmp_path / f"confsync{number}.yaml"
        path.write_text(yaml.safe_dump(document))
        loaded.append(load_config(path))
    return loaded


def test_the_credential_is_where_systemd_puts_it(configurations: list[LoadedConfig]) -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.read_string(next(text for text in blocks("ini") if "LoadCredential" in text))
    name, _, _ = unit["Service"]["LoadCredential"].partition(":")

    _, options = validate_source(configurations[0], "vault")

    # https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#LoadCredential=ID:PATH
    assert options.auth.secret_id_file == f"/run/credentials/confsync.service/{name}"


def test_the_pod_s_token_is_where_the_source_looks_for_it(configurations: list[LoadedConfig]) -> None:
    pod = next(one for one in documents() if one.get("kind") == "Pod")["spec"]
    volumes = {one["name"]: one for one in pod["volumes"]}
    mounts = {
        one["name"]: one for one in pod["containers"][1]["volumeMounts"]
    }  # confsync's own, which come second
    token = volumes["vault-token"]["projected"]["sources"][0]["serviceAccountToken"]

    _, options = validate_source(configurations[1], "vault")

    assert options.auth.token_file == f"{mounts['vault-token']['mountPath']}/{token['path']}"
    assert f"audience={token['audience']} " in README
    assert set(mounts) <= set(volumes)
    assert {mount["name"] for one in pod["containers"] for mount in one["volumeMounts"]} == set(volumes)
    target = configurations[1].config.syncs["database"].to[0].spec
    assert target.path.startswith(f"{mounts['files']['mountPath']}/")
