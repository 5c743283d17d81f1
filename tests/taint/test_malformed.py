"""A value that somebody forgot to quote, in a file that cannot be read then, is not in the error."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from confsync.config.loading import load_config
from confsync.config.yaml_file import parse
from confsync.errors import ConfigError, Invalid
from confsync_backends.file import dotenv, objects, yaml_text

SECRET = "s3cr3tXYZ99"
YAML = [
    "*{}", "!{}", "!{} x", "!!{} x", "&{}! x", "@{}", "`{}", "%{}", '"{}', "'{}", "{{{}", "[{}", "{}: b: c", "b\n {}",
    "\n\t{}", '"\\x{}"', '"\\q{}"', ">{}\n  x", "|{}\n  x", "!!int {}", "!!float {}", "!!timestamp {}", "!!binary {}!",
    "!!bool {}", "{}\x01", '"{}" {}', "[1, 2 {}: 3", "2026-99-99 {}: x", "!<{}>", "&{} [*{}]",
]  # fmt: skip
JSON = [
    '{{"a": "{}}}',
    '{{"a": {}}}',
    '{{"a": "{}", "a": "{}"}}',
    '{{"a": "\\x{}"}}',
    '{{"a": "{}" "b"}}',
    "{}",
    '"{}"',
]
TOML = [
    "a = {}",
    'a = "{}',
    "{}",
    'a = "\\q{}"',
    'a = "{}" {}',
    "a = [{}]",
    'a = "{}"\na = "{}"',
    'a = "{}\x01"',
]
DOTENV = ["{}", 'A="{}', "A='{}", 'A="{}" {}', "A={}\nA={}", "A=${{{}", 'A="\\q{}"', "A: {}"]
SOURCES = [
    *((yaml_text.parse, f"a: {text}\n") for text in YAML),
    *((objects.parse_json, text) for text in JSON),
    *((objects.parse_toml, f"{text}\n") for text in TOML),
    *((dotenv.parse, f"{text}\n") for text in DOTENV),
]


def told(read: Callable[[], object]) -> str:
    """What reading says when it fails."""
    try:
        read()
    except (ConfigError, Invalid) as exc:
        return str(exc)
    return ""


@pytest.mark.parametrize(("parser", "text"), SOURCES)
def test_no_error_of_a_source_file_quotes_a_value(parser, text):
    assert SECRET not in told(lambda: parser(text.format(SECRET, SECRET), "file"))


@pytest.mark.parametrize("text", YAML)
def test_no_error_of_the_configuration_quotes_a_value(text, tmp_path):
    file = tmp_path / "confsync.yaml"
    file.write_text(
        f"sources:\n  e:\n    backend: etcd\n    password: {text.format(SECRET, SECRET)}\nsyncs: {{}}\n"
    )
    assert SECRET not in told(lambda: load_config(file))


@pytest.mark.parametrize("text", ["!!timestamp x", "!!int x", "2026-99-99", "!x", "{2026-99-99: 1}"])
def test_an_error_of_the_configuration_says_where(text):
    with pytest.raises(ConfigError, match=r"file:1:\d+: not valid YAML: .*quote"):
        parse(f"a: {text}\n", "file")
