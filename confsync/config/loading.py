"""Find, read, merge and validate a configuration; every error names file, line, column and what to write instead."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from confsync.config import yaml_file
from confsync.config.models import Config
from confsync.config.references import problems, with_clusters
from confsync.errors import ConfigError
from confsync.text import did_you_mean

STANDARD_PLACES = ("confsync.yaml", "/etc/confsync/confsync.yaml")
_ALTERNATIVES = ("str", "int", "float", "bool", "NamespaceSelector")
"""What pydantic calls the choices of a union: names of types, of which the user knows nothing."""

_MAPPING = "a mapping belongs here: lines indented below it, or {name: value}"
_BELONGS = {
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "list_type": "a list belongs here: [a, b]",
    "string_type": "text belongs here; quote what YAML takes for something else",
    "string_too_short": "must not be empty",
}
"""What pydantic says with words of Python's."""

_MERGED = ("sources", "clusters", "environments", "local", "keys", "syncs")


@dataclass(frozen=True, slots=True)
class File:
    """One configuration file as it was read."""

    path: Path
    text: str


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A valid configuration and where it came from.

    Attributes:
        config: the merged, validated models.
        files: the main file first, then `conf.d/*.yaml` in order.
    """

    config: Config
    files: tuple[File, ...]

    @property
    def path(self) -> Path:
        """The main file, absolute."""
        return self.files[0].path

    @property
    def base(self) -> Path:
        """The directory relative paths are relative to."""
        return self.path.parent

    def is_current(self) -> bool:
        """Whether the files are still those that were read, and say the same."""
        try:
            now = tuple(File(path, path.read_text(encoding="utf-8")) for path in _files(self.path))
        except (OSError, UnicodeDecodeError, ConfigError):
            return False
        return now == self.files

    def template_directories(self) -> list[Path]:
        """Where templates are looked for, in order, absolute."""
        return [self.base / directory for directory in self.config.templates]

    def where(self, path: Sequence[str | int], *, of_key: bool = False) -> str:
        """`file:line:column` of what `path` leads to, such as ("sources", "etcd", "endpoints")."""
        return locate(self.files, path, of_key=of_key)


def find_config(explicit: str | None) -> Path:
    """The configuration to use: the one named, $CONFSYNC_CONFIG, or the first standard place that exists.

    Raises:
        ConfigError: there is none.
    """
    named = explicit or os.environ.get("CONFSYNC_CONFIG")
    if named:
        path = _absolute(named)
        if not _exists(path):
            raise ConfigError(f"there is no configuration file {named}", hint="make one with: confsync init")
        return path
    for place in STANDARD_PLACES:
        path = _absolute(place)
        if _exists(path):
            return path
    places = ", ".join(("$CONFSYNC_CONFIG", *STANDARD_PLACES))
    raise ConfigError(
        f"found no configuration (looked at {places})",
        hint="name one with --config, or make one with: confsync init",
    )


def _absolute(path: str) -> Path:
    try:
        return Path(path).absolute()
    except FileNotFoundError as exc:
        raise ConfigError("the directory this is called in was removed", hint="cd into one there is") from exc


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as exc:
        raise ConfigError(f"cannot be reached: {exc.strerror}", where=str(path)) from exc


def load_config(path: Path) -> LoadedConfig:
    """Read `path` and the `conf.d/*.yaml` beside it.

    Raises:
        ConfigError: anything at all is wrong; all problems in one message, a line each.
    """
    read = [_read(file) for file in _files(path)]
    files = tuple(file for file, _ in read)
    merged = _merge(read)
    try:
        config = Config.model_validate(merged)
    except ValidationError as exc:
        raise ConfigError("\n".join(_lines(exc, files))) from None
    wrong = [f"{locate(files, at, of_key=of_key)}: {message}" for at, of_key, message in problems(config)]
    if wrong:
        raise ConfigError("\n".join(wrong))
    return LoadedConfig(with_clusters(config), files)


def config_files(path: Path) -> list[Path]:
    """The files `load_config(path)` would read: what a watcher must look at."""
    return list(_files(path))


def _files(path: Path) -> Iterator[Path]:
    yield path
    directory = path.parent / "conf.d"
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return
    except OSError as exc:
        # Never taken for an empty one: what its syncs created would be deleted.
        raise ConfigError(f"cannot be read: {exc.strerror}", where=str(directory)) from exc
    yield from (
        directory / name for name in names if name.endswith((".yaml", ".yml")) and not name.startswith(".")
    )


def _read(path: Path) -> tuple[File, dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise ConfigError(f"is not UTF-8 text (byte {exc.start})", where=str(path)) from exc
    except OSError as exc:
        raise ConfigError(f"cannot be read: {exc.strerror}", where=str(path)) from exc
    document = yaml_file.parse(text, str(path))
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise ConfigError("a configuration is a mapping, with sources and syncs", where=f"{path}:1:1")
    return File(path, text), document


def _merge(read: Sequence[tuple[File, dict[str, Any]]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    files = [file for file, _ in read]
    for file, document in read:
        for section, content in document.items():
            if section not in merged:
                merged[section] = (
                    dict(content) if section in _MERGED and isinstance(content, dict) else content
                )
            elif section in _MERGED and isinstance(content, dict) and isinstance(merged[section], dict):
                _merge_section(merged[section], section, content, file, files)
            else:
                first = locate(files, (section,), of_key=True)
                raise ConfigError(
                    f"{section!r} was already given at {first}", where=locate([file], (section,), of_key=True)
                )
    return merged


def _merge_section(
    into: dict[str, Any], section: str, content: Mapping[str, Any], file: File, files: Sequence[File]
) -> None:
    for name in content:
        if name in into:
            first = locate(files, (section, name), of_key=True)
            here = locate([file], (section, name), of_key=True)
            raise ConfigError(f"{section}: {name!r} was already given at {first}", where=here)
    into.update(content)


def locate(files: Iterable[File], path: Sequence[str | int], *, of_key: bool) -> str:
    """`file:line:column` of what `path` leads to, in the first file that has its beginning."""
    return Places(files).of(path, of_key=of_key)


class Places:
    """Where things are written in configuration files, each of which is read once more. Belongs to one thread."""

    def __init__(self, files: Iterable[File]) -> None:
        self._files = list(files)
        self._documents: dict[Path, Any] = {}
        self._contents: dict[Path, Any] = {}

    def of(self, path: Sequence[str | int], *, of_key: bool) -> str:
        """`file:line:column` of what `path` leads to, in the first file that has its beginning."""
        file = self._files[0]
        if len(self._files) > 1:
            file = next((one for one in self._files if self._has(one, path)), file)
        if file.path not in self._documents:
            self._documents[file.path] = yaml_file.composed(file.text)
        line, column = yaml_file.position(self._documents[file.path], path, of_key=of_key)
        return f"{file.path}:{line}:{column}"

    def _has(self, file: File, path: Sequence[str | int]) -> bool:
        section = path[0] if path else None
        if file.path not in self._contents:
            self._contents[file.path] = yaml_file.parse(file.text, str(file.path))
        content = self._contents[file.path].get(section) if isinstance(section, str) else None
        if section in _MERGED and len(path) > 1:
            return isinstance(content, dict) and path[1] in content
        return content is not None


def _lines(error: ValidationError, files: Sequence[File]) -> list[str]:
    """One line for each thing that is wrong; of a union's several complaints about one place, the most telling."""
    found: dict[str, tuple[int, str]] = {}
    for detail in error.errors():
        path = tuple(step for step in detail["loc"] if step != "[key]")
        kind = detail["type"]
        where = locate(files, path, of_key=kind == "extra_forbidden" or "[key]" in detail["loc"])
        weight = 2 if kind in ("extra_forbidden", "value_error") else 0 if kind.endswith("_type") else 1
        if where not in found or found[where][0] < weight:
            found[where] = (weight, f"{where}: {_message(kind, path, detail)}")
    return [line for _, line in found.values()]


def _message(kind: str, path: tuple[str | int, ...], detail: Any) -> str:
    names = (step for step in reversed(path) if isinstance(step, str) and step.isidentifier())
    name = next((step for step in names if step not in _ALTERNATIVES), "")
    if kind == "extra_forbidden":
        return f"unknown field {path[-1]!r}{did_you_mean(str(path[-1]), _fields_at(path[:-1]))}"
    if kind == "missing":
        return f"{path[-1]!r} is missing"
    if kind == "value_error":
        text = str(detail["msg"]).removeprefix("Value error, ")
        return f"{name}: {text}" if name else text
    if "[key]" in detail["loc"]:
        key = detail["input"]
        if isinstance(key, bool):
            return f"this name is the boolean {str(key).lower()} in YAML: quote it"
        return (
            f"{path[-1]!r} is not a legal name: letters, digits and _ (in a sync or environment also . and -)"
        )
    text = _BELONGS.get(kind) or _lower_first(str(detail["msg"]))
    return f"{name}: {text}" if name else text


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _fields_at(path: Sequence[str | int]) -> list[str]:
    """The fields a model knows at `path`, read off the JSON Schema."""
    schema = Config.model_json_schema()
    options = [schema]
    for step in path:
        following = [child for option in options for child in _children(_resolve(option, schema), step)]
        options = [o for child in following for o in _expand(_resolve(child, schema), schema)] or options
    return sorted({name for option in options for name in _resolve(option, schema).get("properties", {})})


def _resolve(node: Any, schema: Mapping[str, Any]) -> dict[str, Any]:
    reference = node.get("$ref")
    return dict(schema["$defs"][reference.rsplit("/", 1)[1]]) if reference else dict(node)


def _expand(node: dict[str, Any], schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A node and the alternatives in it: `anyOf`, or a list's items where one item stands for the list."""
    found = [node]
    for alternative in (
        *node.get("anyOf", []),
        *([node["items"]] if isinstance(node.get("items"), dict) else []),
    ):
        found += _expand(_resolve(alternative, schema), schema)
    return found


def _children(node: dict[str, Any], step: str | int) -> list[dict[str, Any]]:
    properties = node.get("properties", {})
    if step in properties:
        return [properties[step]]
    if not isinstance(step, str):
        return []
    extra = [node.get("additionalProperties"), *node.get("patternProperties", {}).values()]
    return [schema for schema in extra if isinstance(schema, dict)]
