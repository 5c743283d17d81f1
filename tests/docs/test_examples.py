"""The configurations and templates that the pages show are valid, and give what the pages say."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from confsync.config.loading import load_config
from confsync.config.models import Config
from confsync.config.value_types import TYPES, problem
from confsync.source.registry import validate_source

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

VALUES = """
db: {host: db1, port: 5432, user: shop, password: secret}
tls: {crt: certificate, key: private}
upstream: {one: "10.0.0.1:9000", two: "10.0.0.2:9000"}
feature: {new: "on"}
tenants:
  north: {quota: 5, settings: '{"quota": 5}'}
"""
"""What the source called etcd holds here; a file will do, since only what is made of it is looked at."""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def documents(text: str) -> list[dict[str, Any]]:
    """The configurations in a block: it may be a piece of a sync, or show several ways to write one field."""
    if not text.startswith(" "):
        return [yaml.safe_load(text)]
    lines = [line for line in text.splitlines() if line.strip()]
    pieces = lines if all(re.match(r" {4}\w", line) for line in lines) else [text]
    sync = {"template": {"inline": "x"}, "to": "x"}
    return [{"syncs": {"one": {**sync, **yaml.safe_load(piece)}}} for piece in pieces]


def shown() -> list[Any]:
    return [
        pytest.param(document, id=f"{page.stem}-{number}")
        for page in PAGES
        for number, document in enumerate(one for text in blocks(page, "yaml") for one in documents(text))
    ]


@pytest.mark.parametrize("document", shown())
def test_a_configuration_on_a_page_is_valid(document: dict[str, Any], tmp_path: Path) -> None:
    Config.model_validate(document)
    sources = {
        "etcd": {"backend": "etcd"},
        "vault": {"backend": "vault"},
        "values": {"backend": "file", "path": "values.yaml"},
    }
    whole = {
        "environments": {"prod": {}},
        **document,
        "sources": {**sources, **document.get("sources", {})},
    }
    path = tmp_path / "confsync.yaml"
    path.write_text(yaml.safe_dump(whole))
    loaded = load_config(path)
    for name in loaded.config.sources:
        validate_source(loaded, name)


@pytest.fixture
def applied(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Applies syncs with a source called etcd; gives the directory their relative targets are in."""

    def apply(syncs: dict[str, Any]) -> Path:
        (tmp_path / "values.yaml").write_text(VALUES)
        sources = {"etcd": {"backend": "file", "path": "values.yaml"}}
        config = {"sources": sources, "state_dir": "state", "syncs": syncs}
        (tmp_path / "confsync.yaml").write_text(yaml.safe_dump(config))
        command = [sys.executable, "-m", "confsync", "apply"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return tmp_path

    return apply


def sync_of(name: str) -> dict[str, Any]:
    """The sync of that name in docs/configuration.md."""
    found = (
        yaml.safe_load(text) for text in blocks(ROOT / "docs/configuration.md", "yaml") if text[0] != " "
    )
    return next(document["syncs"][name] for document in found if name in document.get("syncs", {}))


def test_the_data_map_of_the_guide_gives_a_file_with_its_names(applied: Callable[..., Path]) -> None:
    sync = sync_of("credentials") | {"to": "credentials.env"}
    written = (applied({"credentials": sync}) / "credentials.env").read_text()
    assert "DB_USER=shop\n" in written
    assert "DB_PORT=5432\n" in written
    assert re.search(r"^DB_URL=[\"']?postgres://shop@db1/shop[\"']?$", written, re.MULTILINE)


def test_the_directory_of_the_guide_is_reached_through_one_link(applied: Callable[..., Path]) -> None:
    directory = applied({"tls": sync_of("tls") | {"to": {"directory": "tls"}}}) / "tls"
    assert (directory / "tls.key").read_text() == "private"
    assert (directory / "..data").is_symlink()


def test_the_tenants_of_the_guide_stay_in_their_directory(applied: Callable[..., Path]) -> None:
    sync = sync_of("tenants")
    sync["to"]["file"] = {"path": sync["to"]["file"], "parents": True}
    sync["for_each"] = "[('../x', 1), ('north', 5)]"
    sync["template"]["inline"] = "quota = {{ each.value }}\n"
    directory = applied({"tenants": sync})
    assert sorted(path.name for path in (directory / "tenants").iterdir()) == ["%2E.%2Fx.conf", "north.conf"]
    assert not (directory / "x.conf").exists()


def test_the_templates_of_the_guide_render(applied: Callable[..., Path]) -> None:
    texts = blocks(ROOT / "docs/templates.md", "jinja")
    assert texts
    for text in texts:
        directory = applied({"page": {"template": {"inline": text}, "to": "out"}})
        written = (directory / "out").read_text()
        assert "database = db1:5432\n" in written
        assert "server 10.0.0.1:9000;   # one\n" in written
        assert "north: 5\n" in written


def test_the_example_of_the_readme_gives_the_file_it_shows(applied: Callable[..., Path]) -> None:
    example = next(text for text in blocks(ROOT / "README.md", "console") if "confsync.yaml" in text)
    config, _, rest = example.partition("confsync.yaml\n")[2].partition("$ confsync run &\n")
    sync = yaml.safe_load(config)["syncs"]["haproxy"]
    shown_file = rest.partition("\n")[2]
    made = {"template": sync["template"], "to": "shop.cfg"}
    assert (applied({"haproxy": made}) / "shop.cfg").read_text().startswith(shown_file)


def test_the_table_of_types_says_what_is_checked() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    table = page.partition("| `type` |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    shown = {name.strip("`"): cells for name, *cells in rows}
    assert list(shown) == list(TYPES)
    for kind, about in TYPES.items():
        means, good, wrong = shown[kind]
        assert means == about.means
        assert not any(problem(kind, text) for text in re.findall("`(.+?)`", good)), good
        assert all(problem(kind, text) for text in re.findall("`(.+?)`", wrong)), wrong
