"""docs/faults.md names tests; they exist, and no fault test is forgotten there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
TABLE = TESTS.parent / "docs/faults.md"


def defined(*directories):
    return {
        name
        for directory in directories
        for path in (TESTS / directory).glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }


def test_the_fault_table_names_every_fault_test_and_no_other():
    named = set(re.findall(r"`(test_\w+)`", TABLE.read_text()))

    assert named - defined("faults", "daemon") == set()
    assert defined("faults") - named == {test_the_fault_table_names_every_fault_test_and_no_other.__name__}
