"""One YAML file: read fast, and, when something is wrong with it, found again by line and column."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import yaml

from confsync.errors import ConfigError

try:
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # PyYAML built without libyaml: slower, not different
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]


class _Loader(_SafeLoader):
    """The safe loader, which in addition refuses a key written twice: YAML forbids it, PyYAML keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        written = len(node.value)
        has_merge = any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)
        if len(mapping) != written and not has_merge:
            self._refuse_duplicate(node)
        return mapping

    def _refuse_duplicate(self, node: yaml.MappingNode) -> None:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value!r} is written twice", key.start_mark
                )
            seen.add(key.value)


def _construct_mapping_now(loader: _Loader, node: yaml.MappingNode) -> Any:
    # The stock constructor is a generator that fills the mapping later; doing it at once keeps duplicates detectable.
    mapping: dict[Hashable, Any] = {}
    yield mapping
    mapping.update(loader.construct_mapping(node))


_Loader.add_constructor("tag:yaml.org,2002:map", _construct_mapping_now)


def parse(text: str, name: str) -> Any:
    """The document in `text`.

    Raises:
        ConfigError: malformed, or a key written twice; names `name`, line and column.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise ConfigError(f"not valid YAML: {exc.problem or exc.context}", where=where) from exc
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise ConfigError(f"not valid YAML: {str(exc).splitlines()[0]}", where=name) from exc


def position(text: str, path: Sequence[str | int], *, of_key: bool) -> tuple[int, int]:
    """Line and column, from 1, of what `path` leads to in the document, or of its nearest ancestor that exists.

    Steps the document does not have (a validator's own labels, the index 0 of a list written as one item) are skipped.

    Args:
        path: keys and indexes from the root.
        of_key: point at the last key itself instead of its value.
    """
    node = yaml.compose(text, yaml.SafeLoader)
    if node is None:
        return 1, 1
    mark = node.start_mark
    for step in path:
        found = _child(node, step)
        if found is None:
            continue
        key, node = found
        mark = key.start_mark if of_key else node.start_mark
    return mark.line + 1, mark.column + 1


def _child(node: yaml.Node, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None
