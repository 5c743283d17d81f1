"""What is said of each stock template is so: its keys, their defaults, what its configuration has commented out."""

from __future__ import annotations

import fnmatch
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from stand_ins.stock import STOCK, Kitchen, flat, stock_file, stock_templates

from confsync.config.loading import load_config
from confsync.source.registry import validate_source

HERE = Path(__file__).parent


@cache
def keys_of(template: str) -> dict[str, dict[str, Any]]:
    keys: dict[str, dict[str, Any]] = yaml.safe_load(stock_file(template, "confsync.yaml"))["keys"]
    return keys


def distinct(template: str) -> list[str]:
    """The keys but for those that another's glob names too: they are examples of it."""
    keys = keys_of(template)
    globs = [key for key in keys if "*" in key]
    return [key for key in keys if not any(key != one and fnmatch.fnmatchcase(key, one) for one in globs)]


def example(template: str) -> dict[str, str]:
    """The hostile values and those of prod: together they have nearly every key."""
    hostile = flat(yaml.safe_load((HERE / "hostile" / f"{template}.yaml").read_text("utf-8")))
    return {**hostile, **flat(yaml.safe_load(stock_file(template, "values.yaml"))["prod"])}


@pytest.mark.parametrize("template", STOCK)
def test_every_key_that_is_asked_for_is_documented(template: str, tmp_path: Path) -> None:
    asked = Kitchen(template, tmp_path).asked(example(template))
    known = [*keys_of(template), *(f"{key.partition('*')[0]}*" for key in keys_of(template) if "*" in key)]

    assert [path for path in asked if not any(fnmatch.fnmatchcase(path, key) for key in known)] == []


@pytest.mark.parametrize("template", STOCK)
def test_every_documented_key_is_asked_for(template: str, tmp_path: Path) -> None:
    asked = Kitchen(template, tmp_path).asked(example(template))

    assert [key for key in distinct(template) if not fnmatch.filter(asked, key)] == []


@pytest.mark.parametrize("template", STOCK)
def test_every_key_has_its_line_in_the_template(template: str) -> None:
    heads = "".join(text.partition("#}")[0] for text in stock_templates(template).values())
    for key in distinct(template):
        pattern = r"(?<![\w/])" + re.escape(key).replace(r"\*", r"[A-Za-z_]+") + r"(?![\w/])"
        assert re.search(pattern, heads), key


@pytest.mark.parametrize("template", STOCK)
def test_the_source_may_have_another_name(template: str, tmp_path: Path) -> None:
    values = example(template)

    assert Kitchen(template, tmp_path, source="etcd").made(values) == Kitchen(template, tmp_path).made(values)


def defaults() -> list[Any]:
    """(template, key, default) wherever a default is said to be one word."""
    found = [
        (template, key, said[1])
        for template in STOCK
        for key, documented in keys_of(template).items()
        if (said := re.search(r"default (\S+)$", documented.get("about", "")))
    ]
    return [one for one in found if "*" not in one[1] and one[2] not in ("any", "none", *keys_of(one[0]))]


@pytest.mark.parametrize(("template", "key", "default"), defaults())
def test_a_default_is_what_is_said_of_it(template: str, key: str, default: str, tmp_path: Path) -> None:
    values = {path: value for path, value in example(template).items() if path != key}
    kitchen = Kitchen(template, tmp_path)

    assert kitchen.made(values) == kitchen.made({**values, key: default})


def test_most_defaults_are_looked_at() -> None:
    assert len(defaults()) > 60


@pytest.mark.parametrize("template", STOCK)
def test_what_is_commented_out_is_valid_too(template: str, tmp_path: Path) -> None:
    (tmp_path / "confsync.yaml").write_text(uncommented(stock_file(template, "confsync.yaml")))

    loaded = load_config(tmp_path / "confsync.yaml")

    assert loaded.config.sources["values"].backend == "etcd"
    for name in loaded.config.sources:
        validate_source(loaded, name)
    assert any(sync.reload or sync.check for sync in loaded.config.syncs.values())


def uncommented(text: str) -> str:
    """The configuration with what it proposes, in place of what it has of the same name."""
    kept: list[str] = []
    for line in text.splitlines()[1:]:
        proposed = re.fullmatch(r"( +)# ((?:  |[a-z]+:).*)", line)
        if proposed is None:
            kept.append(line)
            continue
        start = f"{proposed[1]}{proposed[2].partition(':')[0]}:"
        kept = [one for one in kept if not (start.strip() in ("values:", "prod:") and one.startswith(start))]
        kept.append(proposed[1] + proposed[2])
    return "\n".join(kept) + "\n"
