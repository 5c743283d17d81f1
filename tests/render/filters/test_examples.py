"""The docstrings are the documentation: each has an example, and each example is true."""

from __future__ import annotations

import inspect
import re

import pytest

from confsync.render.filters import FILTERS, GLOBALS, IMPURE, TESTS

EXAMPLE = re.compile(r"`(\{\{ .+? \}\}\S*) → (.*?)`")
ALL = {
    **{("filter", name): it for name, it in FILTERS.items()},
    **{("test", name): it for name, it in TESTS.items()},
}
ALL |= {("global", name): it for name, it in GLOBALS.items()}
REFUSED = {("filter", "random"), ("global", "lipsum"), ("global", "fail")}


@pytest.mark.parametrize(("kind", "name"), sorted(set(ALL) - REFUSED))
def test_the_docstrings_example_is_true(render, kind, name):
    first = (inspect.unwrap(ALL[kind, name]).__doc__ or "").strip().splitlines()[0]
    found = EXAMPLE.search(first)

    assert found is not None, f"{name} has no example in the first line of its docstring"
    assert re.search(rf"\b{name}\b", found[1])
    assert render(found[1].replace("⏎", "\\n")) == found[2].replace("⏎", "\n")


def test_impure_functions_are_globals():
    assert set(GLOBALS) >= IMPURE
    assert "seq" not in IMPURE
