"""Every driver that is registered runs the contract suite."""

from __future__ import annotations

import ast
from importlib import metadata
from pathlib import Path

import pytest

from confsync.driver import AddressedBackend, Backend, DriverOptions

HERE = Path(__file__).parent
POINTS = sorted(metadata.distribution("confsync").entry_points.select(group="confsync.backends"))


@pytest.mark.parametrize("point", POINTS, ids=[point.name for point in POINTS])
def test_a_registered_backend_runs_the_contract_suite(point):
    module = HERE / point.name / "test_contract.py"
    assert module.is_file(), (
        f"backend {point.name!r} is registered, but {module.name} does not exist in {point.name}/"
    )

    names = {base for base in _bases(module) if base}
    suite = "AddressedContract" if issubclass(point.load(), AddressedBackend) else "BackendContract"
    assert suite in names, f"no class in {point.name}/{module.name} inherits {suite}"


@pytest.mark.parametrize("point", POINTS, ids=[point.name for point in POINTS])
def test_a_registered_backend_is_a_backend_with_documented_options(point):
    backend = point.load()
    assert issubclass(backend, Backend | AddressedBackend)
    assert issubclass(backend.Options, DriverOptions)
    undescribed = [name for name, field in backend.Options.model_fields.items() if not field.description]
    assert undescribed == []


def test_there_are_backends():
    assert {"etcd", "file", "env", "vault"} <= {point.name for point in POINTS}


def _bases(module):
    """The names of the classes that this module's classes inherit directly."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ClassDef):
            for base in node.bases:
                yield getattr(base, "id", getattr(base, "attr", None))
