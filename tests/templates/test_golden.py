"""What each stock template makes of its example values, and of hostile ones, to the byte.

The files are in golden/TEMPLATE/{dev,prod,hostile}; the hostile values in hostile/TEMPLATE.yaml. After a change that is
meant, write them anew, and look at what `git diff` says:

    CONFSYNC_UPDATE_GOLDEN=1 pytest tests/templates/test_golden.py
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml
from stand_ins.stock import STOCK, Started

HERE = Path(__file__).parent
UPDATING = bool(os.environ.get("CONFSYNC_UPDATE_GOLDEN"))


def compare(made: dict[str, str], golden: Path) -> None:
    """What was made against what is checked in; or check it in."""
    if UPDATING:
        shutil.rmtree(golden, ignore_errors=True)
        for name, text in made.items():
            path = golden / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
    wanted = {
        str(path.relative_to(golden)): path.read_bytes().decode()
        for path in golden.rglob("*")
        if path.is_file()
    }

    assert made == wanted


@pytest.mark.parametrize("template", STOCK)
@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_example_makes_what_is_checked_in(template: str, environment: str, started: Started) -> None:
    started.ok("-e", environment, "apply")

    compare(started.made(), HERE / "golden" / template / environment)


@pytest.mark.parametrize("template", STOCK)
def test_hostile_values_make_what_is_checked_in(template: str, started: Started) -> None:
    started.hostile(yaml.safe_load((HERE / "hostile" / f"{template}.yaml").read_text("utf-8")))

    started.ok("apply")

    compare(started.made(), HERE / "golden" / template / "hostile")
