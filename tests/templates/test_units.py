"""confsync/units.j2: durations and sizes come out exactly, and a limit never becomes none by being small."""

from __future__ import annotations

from pathlib import Path

import pytest

from confsync.clock import SystemClock
from confsync.config.models import Limits, Sync
from confsync.digest import Hasher
from confsync.render.library import TemplateFiles
from confsync.render.renderer import Renderer, RenderFailed


def made(call: str, base: Path) -> str:
    hasher = Hasher(b"k" * 32)
    renderer = Renderer(TemplateFiles([base], hasher), base, hasher, SystemClock())
    text = '{% from "confsync/units.j2" import milliseconds, seconds, size %}{{ ' + call + " }}"
    sync = Sync.model_validate({"template": {"inline": text}, "to": str(base / "out")})
    try:
        [desired] = renderer.render("s", sync, Limits(), {}, {}).desired
    except RenderFailed as failed:
        raise failed.error from None
    assert isinstance(desired.content, bytes)
    return desired.content.decode()


@pytest.mark.parametrize(
    ("duration", "milliseconds", "seconds"),
    [
        ("1m30s", "90000", "90"),
        ("250ms", "250", "0.25"),
        ("1001ms", "1001", "1.001"),
        ("4007ms", "4007", "4.007"),
        ("1s1ms", "1001", "1.001"),
        ("0.1ms", "1", "0.001"),
    ],
)
def test_a_duration_is_what_it_was(duration: str, milliseconds: str, seconds: str, tmp_path: Path) -> None:
    assert made(f"milliseconds('{duration}'|duration_seconds, 'a')", tmp_path) == milliseconds
    assert made(f"seconds('{duration}'|duration_seconds, 'a')", tmp_path) == seconds


def test_0_is_for_where_it_means_something(tmp_path: Path) -> None:
    assert made("milliseconds(0, 'a', least=0)", tmp_path) == "0"
    for call in ("milliseconds(0, 'timeout/read')", "seconds(0, 'timeout/read')"):
        with pytest.raises(Exception, match="timeout/read has to be longer than 0"):
            made(call, tmp_path)


def test_what_a_program_cannot_count_is_refused(tmp_path: Path) -> None:
    assert made("milliseconds('24d20h'|duration_seconds, 'a')", tmp_path) == "2145600000"
    for call in ("milliseconds('25d'|duration_seconds, 'timeout/read')", "seconds(1e300, 'timeout/read')"):
        with pytest.raises(Exception, match="timeout/read has to be 24d20h at most"):
            made(call, tmp_path)


@pytest.mark.parametrize("value", ["512", "512M", "0"])
def test_a_size_is_what_it_was(value: str, tmp_path: Path) -> None:
    assert made(f"size('{value}', 'a', ['M'])", tmp_path) == value


@pytest.mark.parametrize("value", ["", "M", "1.5M", "512MiB", "512m", "-1", "1 M", "٣", "M5", "50%"])
def test_what_is_no_size_is_refused(value: str, tmp_path: Path) -> None:
    with pytest.raises(
        Exception, match="limit/memory has to be a whole number, and after it nothing or one of M"
    ):
        made(f"size('{value}', 'limit/memory', ['M'])", tmp_path)
