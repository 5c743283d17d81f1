"""A package that is not installed is told when the configuration is checked, and none is imported for that."""

from __future__ import annotations

import subprocess
import sys

import pytest

from confsync.config.loading import load_config
from confsync.errors import ConfigError
from confsync.source.registry import open_source, validate_source

WRITTEN = """
sources:
  vault: {backend: vault, address: "http://127.0.0.1:1", keep_leases: true}
syncs:
  a: {template: {inline: "x"}, to: out}
"""


@pytest.fixture
def loaded(tmp_path):
    file = tmp_path / "confsync.yaml"
    file.write_text(WRITTEN)
    return load_config(file)


@pytest.mark.parametrize("package", ["hvac", "requests"])
@pytest.mark.parametrize("use", [validate_source, open_source])
def test_a_client_library_that_is_missing_is_told_with_what_to_install(monkeypatch, loaded, package, use):
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(ConfigError) as caught:
        use(loaded, "vault")

    assert caught.value.message.endswith(f"backend 'vault' needs the Python package '{package}'")
    assert caught.value.hint == "pip install 'confsync[vault]'"
    assert "confsync.yaml:3:" in str(caught.value)


def test_what_encrypts_kept_leases_is_missed_where_they_are_kept(monkeypatch, loaded):
    monkeypatch.setitem(sys.modules, "cryptography", None)

    with pytest.raises(ConfigError) as caught:
        validate_source(loaded, "vault")

    assert caught.value.message.endswith("keep_leases needs the Python package 'cryptography'")
    assert caught.value.hint == "pip install 'confsync[vault]'"
    assert "confsync.yaml:3:" in str(caught.value)


def test_a_check_imports_none_of_them(loaded, tmp_path):
    script = (
        "import sys; from pathlib import Path; from confsync.config.loading import load_config;"
        "from confsync.source.registry import validate_source;"
        f"validate_source(load_config(Path({str(tmp_path / 'confsync.yaml')!r})), 'vault');"
        "print(sorted({'hvac', 'requests', 'cryptography'} & set(sys.modules)))"
    )

    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )

    assert told.stdout.strip() == "[]"
