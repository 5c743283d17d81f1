"""A directory begun with the stock template that a test is for."""

from __future__ import annotations

from pathlib import Path

import pytest
from stand_ins.stock import Started


@pytest.fixture
def started(tmp_path: Path, request: pytest.FixtureRequest) -> Started:
    """Begun with the parameter `template` of the test."""
    return Started(tmp_path, request.getfixturevalue("template"))
