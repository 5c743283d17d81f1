"""Every format says no, naming the key, or is read back exactly: by its own parser and by real shells."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import get_args

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from confsync.config.models import Format
from confsync.errors import RenderError
from confsync.render.formats import encode, parse
from confsync.render.formats.scalars import as_text

FORMATS = get_args(Format)
TYPED = {"json", "yaml", "toml", "tfvars"}
TRICKY = st.sampled_from("abAB1 _/.-=:#;!'\"\\$`{}[]%~<\t\r\n\0\x01\x7f\x85\u2028\ufeffé😀")
TEXT = st.text(TRICKY | st.characters(codec="utf-8"), max_size=12)
ASCII = st.text(st.characters(min_codepoint=1, max_codepoint=127), max_size=12)
NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True).map(lambda name: f"T_{name}")
VALUES = TEXT | st.integers(-(2**70), 2**70) | st.booleans() | st.floats(allow_nan=True)
# A loaded machine is no failure: no deadlines.
few = settings(max_examples=100, deadline=None)


@pytest.mark.parametrize("form", FORMATS)
@few
@given(st.dictionaries(TEXT | NAMES, VALUES, max_size=4))
def test_any_mapping_is_read_back_or_refused_by_name(form, mapping):
    try:
        written = encode(form, mapping)
    except RenderError:
        return

    found = parse(form, written)
    assert found == (mapping if form in TYPED else {key: as_text(value) for key, value in mapping.items()})
    assert [type(found[key]) for key in mapping] == [
        type(value) if form in TYPED else str for value in mapping.values()
    ]


@pytest.mark.parametrize("form", sorted(set(FORMATS) - {"ini", "dotenv", "docker"}))
@few
@given(st.dictionaries(NAMES, ASCII, max_size=4))
def test_ordinary_names_with_any_ascii_text_are_never_refused(form, mapping):
    assert parse(form, encode(form, mapping)) == mapping


@pytest.mark.parametrize("form", FORMATS)
def test_the_order_is_the_mappings_own(form):
    mapping = {"ZETA": "1", "ALPHA": "2", "MIDDLE": "3"}

    assert re.findall("ZETA|ALPHA|MIDDLE", encode(form, mapping).decode()) == ["ZETA", "ALPHA", "MIDDLE"]
    assert encode(form, mapping) == encode(form, dict(mapping))


@pytest.mark.parametrize("form", FORMATS)
def test_an_empty_mapping_can_be_written(form):
    assert parse(form, encode(form, {})) == {}


def test_numbers_and_booleans_keep_their_types_where_there_are_types():
    mapping = {"PORT": 5432, "DEBUG": True, "RATIO": 0.5, "BIG": 1e22, "SMALL": 1e-7}

    assert json.loads(encode("json", mapping)) == mapping
    assert yaml.safe_load(encode("yaml", mapping)) == mapping
    assert tomllib.loads(encode("toml", mapping).decode()) == mapping
    assert encode("dotenv", mapping) == b"PORT=5432\nDEBUG=true\nRATIO=0.5\nBIG=1e+22\nSMALL=1e-07\n"


def test_bytes_are_text_where_they_are_utf_8():
    assert encode("json", {"A": "é".encode()}) == '{\n  "A": "é"\n}\n'.encode()


class Environments:
    """Reads environment files with a real shell, many at a time."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "file"

    def read(self, shell: str, prefix: str, data: bytes) -> dict[str, str]:
        self._file.write_bytes(data)
        command = [shell, "-c", f"{prefix} . {self._file}; env -0"]
        out = subprocess.run(command, capture_output=True, check=True, env={"PATH": os.environ["PATH"]})
        assert out.stderr == b""
        pairs = (pair.partition("=") for pair in out.stdout.decode().split("\0"))
        return {name: value for name, _, value in pairs if name.startswith("T_")}


@pytest.fixture
def environments(tmp_path: Path) -> Environments:
    return Environments(tmp_path)


@pytest.mark.parametrize(("form", "prefix"), [("shell", ""), ("dotenv", "set -a;")])
@pytest.mark.parametrize("shell", ["sh", "bash"])
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.lists(TEXT, min_size=100, max_size=100))
def test_a_real_shell_reads_the_same(form, prefix, shell, values, environments):
    mapping = {}
    for number, value in enumerate(values):
        try:
            encode(form, {f"T_{number}": value})
        except RenderError:
            continue
        mapping[f"T_{number}"] = value

    assert environments.read(shell, prefix, encode(form, mapping)) == mapping


def test_a_shell_file_runs_nothing(environments, tmp_path):
    marker = tmp_path / "ran"
    mapping = {
        "T_A": f"$(touch {marker})",
        "T_B": f"`touch {marker}`",
        "T_C": f"'; touch {marker}; '",
        "T_D": "a\nb",
    }

    assert environments.read("sh", "", encode("shell", mapping)) == mapping
    assert not marker.exists()
