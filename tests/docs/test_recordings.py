"""docs/assets is what docs/record.py makes of what the commands print now, and is safe and readable anywhere."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]
PICTURES = sorted((ROOT / "docs/assets").iterdir())
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def record() -> ModuleType:
    spec = importlib.util.spec_from_file_location("record", ROOT / "docs/record.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pictures_are_what_the_commands_print(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "docs/record.py", tmp_path], check=True, timeout=60)

    written = {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()}
    for name, text in written.items():
        committed = (ROOT / "docs/assets" / name).read_text("utf-8")
        assert committed == text, f"docs/assets/{name} is out of date: run make docs"
    assert {path.name for path in PICTURES} == set(written)


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_is_texts_on_a_ground_and_nothing_from_elsewhere(path: Path) -> None:
    picture = ET.fromstring(path.read_text("utf-8"))

    assert {one.tag.removeprefix(SVG) for one in picture.iter()} == {"svg", "title", "rect", "g", "text"}
    allowed = {
        "width", "height", "viewBox", "role", "aria-labelledby", "id", "rx", "fill", "font-family", "font-size",
        "font-weight", "x", "y", "textLength", "lengthAdjust",
    }  # fmt: skip
    assert {name for one in picture.iter() for name in one.attrib} <= allowed
    assert not [value for one in picture.iter() for value in one.attrib.values() if "url(" in value]


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_shows_no_secret_and_no_place_of_who_made_it(path: Path, record: ModuleType) -> None:
    shown = path.read_text("utf-8")

    secrets = {value for fields in record.SECRETS.values() for value in fields.values()} - {"shop"}
    assert not [secret for secret in (*secrets, "/tmp", str(ROOT)) if secret in shown]


def test_every_colour_is_readable_on_the_ground(record: ModuleType) -> None:
    """https://www.w3.org/TR/WCAG22/#contrast-minimum"""
    ground = _luminance(record.BACKGROUND)

    faint = {
        name: colour
        for name, colour in record.COLOURS.items()
        if (_luminance(colour) + 0.05) / (ground + 0.05) < 4.5
    }

    assert faint == {}


def test_what_is_printed_is_escaped_wrapped_and_kept_in_its_columns(record: ModuleType) -> None:
    printed = '\x1b[31m</text><script>&"\x1b[0m  far   away\n' + "x" * (record.COLUMNS + 3) + "\n"

    drawn = ET.fromstring(record.picture(record.Scene("one", "confsync diff"), printed))

    texts = [(one.text, float(one.attrib["x"]), one.attrib["y"]) for one in drawn.iter(f"{SVG}text")][2:]
    rows = sorted({row for _, _, row in texts}, key=float)
    columns = [(text, round((x - record.MARGIN) / record.CELL), rows.index(row)) for text, x, row in texts]
    assert columns == [
        ('</text><script>&"', 0, 0),
        ("far", 19, 0),
        ("away", 25, 0),
        ("x" * record.COLUMNS, 0, 1),
        ("xxx", 0, 2),
    ]


@pytest.mark.parametrize("printed", ["\x1b[2J", "\x1b[38;5;9mx", "\x07", "\r", "日本", "e\u0301"])
def test_what_cannot_be_drawn_is_said_and_not_drawn_wrong(printed: str, record: ModuleType) -> None:
    with pytest.raises(ValueError, match="does not know how to draw"):
        record.cells_of(printed)


def _luminance(colour: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-relative-luminance"""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
