"""docs/stock-templates.md: its commands give what it shows, and its tables are what the templates' `keys` say.

After a change of those, write the tables anew, and look at what `git diff` says:

    CONFSYNC_UPDATE_GOLDEN=1 pytest tests/templates/test_page.py
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from docs.pages import a_shell, blocks_of, follow
from stand_ins.stock import STOCK, stock_file, stock_templates

PAGE = Path(__file__).parents[2] / "docs" / "stock-templates.md"
MARK = "tests/templates/test_page.py writes it anew. -->\n"


def tables() -> Iterator[str]:
    for template in STOCK:
        text = stock_file(template, "confsync.yaml")
        config = yaml.safe_load(text)
        yield f"\n### {template}\n"
        yield text.partition("\n")[0].removeprefix("# ") + ".\n"
        names = ", ".join(f"`{template}/{name}`" for name in sorted(stock_templates(template)))
        paths = ", ".join(f"`{target['file']['path']}`" for target in targets(config))
        yield f"{names} → {paths}\n"
        yield "| key | what it is | type |\n| --- | --- | --- |"
        for key, said in config["keys"].items():
            yield f"| `{key}` | {said['about']} | {kind(said)} |"


def targets(config: dict[str, Any]) -> list[dict[str, Any]]:
    return [sync["to"] for sync in config["syncs"].values()]


def kind(said: dict[str, Any]) -> str:
    choices = ", ".join(f"`{choice}`" for choice in said.get("one_of", ()))
    return ", ".join(
        filter(None, (said.get("type", "") or choices, "required" if said.get("required") else ""))
    )


def test_its_tables_are_what_the_templates_say() -> None:
    before, mark, shown = PAGE.read_text("utf-8").partition(MARK)
    wanted = "\n".join(tables()) + "\n"
    if os.environ.get("CONFSYNC_UPDATE_GOLDEN"):
        PAGE.write_text(before + mark + wanted, encoding="utf-8")
        return

    assert shown == wanted


def test_its_commands_give_what_it_shows(tmp_path: Path) -> None:
    with a_shell(tmp_path) as shell:
        state = f"confsync() {{ command confsync --state-dir '{tmp_path}/state' \"$@\"; }}"
        assert shell.run(state) == ""
        follow(shell, blocks_of(PAGE.read_text("utf-8")), tmp_path)


def test_every_template_of_the_library_is_on_the_page() -> None:
    assert re.findall(r"^### (\w+)$", PAGE.read_text("utf-8"), re.MULTILINE) == STOCK
