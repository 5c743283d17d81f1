"""JSON, YAML and TOML, in both directions. The same value is always written the same: keys are sorted."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from confsync.errors import RenderError
from confsync.render.filters.plain_data import DEEPEST, plain_data
from confsync.render.filters.values import integer, text

_WIDEST_INDENT = 32


def to_json(
    value: object, indent: int | None = None, sort_keys: bool = True, ensure_ascii: bool = False
) -> str:
    """As JSON: `{{ {'b': 1, 'a': [true]}|to_json }} → {"a": [true], "b": 1}`."""
    width = None if indent is None else integer(indent, "to_json", _WIDEST_INDENT)
    data = plain_data(value, "to_json")
    try:
        return json.dumps(data, indent=width, sort_keys=sort_keys, ensure_ascii=ensure_ascii, allow_nan=False)
    except ValueError as exc:  # NaN, infinity, a number of more than 4300 digits
        raise RenderError("to_json: there is a number that JSON cannot hold") from exc


def from_json(value: object) -> Any:
    """What JSON says: `{{ ('{"a": [1, 2]}'|from_json).a[1] }} → 2`."""
    try:
        return json.loads(text(value, "from_json"), parse_constant=_no_constant)
    except json.JSONDecodeError as exc:
        raise RenderError(f"from_json: not valid JSON at line {exc.lineno} column {exc.colno}") from exc
    except ValueError as exc:
        raise RenderError("from_json: there is a number that is out of range") from exc
    except RecursionError as exc:
        raise RenderError("from_json: nested too deep") from exc


def to_yaml(value: object, indent: int = 2, default_flow_style: bool = False, sort_keys: bool = True) -> str:
    """As YAML, on lines of its own: `{{ {'b': 'no', 'a': 1}|to_yaml }} → a: 1⏎b: 'no'⏎`."""
    import yaml

    width = integer(indent, "to_yaml", _WIDEST_INDENT)
    data = plain_data(value, "to_yaml")
    try:
        written = yaml.dump(
            data, Dumper=_yaml_dumper(), indent=width, default_flow_style=bool(default_flow_style),
            sort_keys=sort_keys, allow_unicode=True, width=2**31 - 1,
        )  # fmt: skip
    except (yaml.YAMLError, ValueError) as exc:
        raise RenderError("to_yaml: there is text or a number that YAML cannot hold") from exc
    return str(written).removesuffix("...\n")


def from_yaml(value: object) -> Any:
    """What YAML says, safely: `{{ ('a: [1, 2]'|from_yaml).a|sum }} → 3`."""
    import yaml

    from confsync.render.formats.yaml_format import check_depth

    written = text(value, "from_yaml")
    try:
        check_depth(written, DEEPEST)
        found = yaml.load(written, Loader=_yaml_loader())  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        at = f" at line {mark.line + 1} column {mark.column + 1}" if mark else ""
        raise RenderError(f"from_yaml: not valid YAML{at}") from exc
    except (ValueError, TypeError) as exc:  # a date or number out of range, a mapping as a key
        raise RenderError("from_yaml: nested too deep, or there is a value that is out of range") from exc
    plain_data(found, "from_yaml")  # aliases may make it endless when written out
    return found


def to_toml(value: object) -> str:
    """A mapping as TOML: `{{ {'b': {'c': 'x'}, 'a': 1}|to_toml }} → a = 1⏎⏎[b]⏎c = "x"⏎`."""
    import tomli_w

    data = plain_data(value, "to_toml")
    if not isinstance(data, dict):
        raise RenderError("to_toml takes a mapping")
    try:
        return tomli_w.dumps(_sorted(data))
    except (ValueError, TypeError) as exc:
        raise RenderError("to_toml: there is a none, or a number that TOML cannot hold") from exc


def from_toml(value: object) -> Any:
    """What TOML says: `{{ ('[a]\\nb = 1'|from_toml).a.b }} → 1`."""
    import re
    import tomllib

    try:
        return tomllib.loads(text(value, "from_toml"))
    except tomllib.TOMLDecodeError as exc:
        found = re.search(r"\(at (line \d+, column \d+|end of document)\)$", str(exc))
        at = f" at {found[1]}" if found else ""
        raise RenderError(f"from_toml: not valid TOML{at}") from exc
    except ValueError as exc:
        raise RenderError("from_toml: there is a value that is out of range") from exc
    except RecursionError as exc:
        raise RenderError("from_toml: nested too deep") from exc


def _no_constant(_: str) -> Any:
    raise ValueError


def _sorted(value: Any) -> Any:
    """Mappings with their keys in order; `tomli_w` keeps the order it is given."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


@cache
def _yaml_dumper() -> Any:
    """Writes text so that YAML 1.1 and 1.2 both read it as text, and text of several lines as a block."""
    import yaml

    base = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

    class Dumper(base):  # type: ignore[misc, valid-type]
        def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
            return True

    def represent_text(dumper: Any, value: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=_yaml_style(value))

    Dumper.add_representer(str, represent_text)
    return Dumper


def _yaml_style(value: str) -> str | None:
    if "\n" in value:
        lines = value.split("\n")
        block = value[0] not in " \n\t" and all(
            line.isprintable() and line == line.rstrip() for line in lines
        )
        return "|" if block else '"'
    if value.lower() in ("y", "n") or value[:2].lower() in ("0o", "0x", "0b"):
        return '"'
    try:
        float(value.replace("_", ""))
    except ValueError:
        return None
    return "'"


_MOST_MERGED = 10_000


@cache
def _yaml_loader() -> Any:
    """A safe loader in which merge keys (`<<`) cannot multiply without end."""
    import yaml

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc, valid-type]
        def flatten_mapping(self, node: Any) -> None:
            super().flatten_mapping(node)
            if len(node.value) > _MOST_MERGED:
                raise yaml.YAMLError("too much is merged")

    return Loader
