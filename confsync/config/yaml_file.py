"""One YAML file: read fast, and, when something is wrong with it, found again by line and column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from confsync.errors import ConfigError

try:
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # PyYAML built without libyaml: slower, not different
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

_TEXT = "tag:yaml.org,2002:str"
_MAPPING = "tag:yaml.org,2002:map"
_SEQUENCE = "tag:yaml.org,2002:seq"
_MERGE = "tag:yaml.org,2002:merge"

_TAB = "a tab cannot indent it, or stand before a value; write blanks"


class _Loader(_SafeLoader):
    """The safe loader, built for configurations of thousands of syncs; it refuses a key written twice.

    YAML forbids duplicate keys, PyYAML keeps the last. Most of PyYAML's time goes into finding the type of every scalar
    and into its general constructors, so types are remembered and the three common kinds of node are built directly.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._tags: dict[str, str] = {}

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> Any:
        if kind is not yaml.ScalarNode or implicit != (True, False):
            return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        tag = self._tags.get(value)
        if tag is None:
            tag = self._tags[value] = super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        return tag

    def document(self) -> Any:
        """The only document, or None."""
        node = self.get_single_node()
        return None if node is None else self._build(node)

    def _build(self, node: yaml.Node) -> Any:
        if node.tag == _TEXT:
            return node.value
        if node.tag == _MAPPING and isinstance(node, yaml.MappingNode):
            return self._mapping(node)
        if node.tag == _SEQUENCE and isinstance(node, yaml.SequenceNode):
            return [self._build(item) for item in node.value]
        return self._constructed(node)

    def _constructed(self, node: yaml.Node) -> Any:
        try:
            return self.construct_object(node, deep=True)
        except (ValueError, AttributeError, KeyError):
            # Not as the cause: its text quotes the value, which may be a password.
            problem = "this looks like a number or a date and is none; quote it if it is text"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None

    def _mapping(self, node: yaml.MappingNode) -> dict[Any, Any]:
        merged: dict[Any, Any] = {}
        if any(key.tag == _MERGE for key, _ in node.value):
            self._refuse_duplicate(node)
            self.flatten_mapping(node)
            return {self._build(key): self._build(value) for key, value in node.value}
        for key, value in node.value:
            merged[key.value if key.tag == _TEXT else self._constructed(key)] = self._build(value)
        if len(merged) != len(node.value):
            self._refuse_duplicate(node)
        return merged

    @staticmethod
    def _refuse_duplicate(node: yaml.MappingNode) -> None:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != _MERGE:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value!r} is written twice", key.start_mark
                )
            seen.add(key.value)


def _unknown_tag(_: _Loader, node: yaml.Node) -> Any:
    """Does not say which: it may be a password that somebody forgot to quote."""
    problem = "this tag is not known here; a value that begins with ! must be quoted"
    raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


_Loader.add_constructor(None, _unknown_tag)


def parse(text: str, name: str) -> Any:
    """The document in `text`.

    Raises:
        ConfigError: malformed, or a key written twice; names `name`, line and column.
    """
    try:
        loader = _Loader(text)
        try:
            return loader.document()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        problem = _TAB if mark and _is_tab(text, mark) else exc.problem or exc.context
        raise ConfigError(f"not valid YAML: {problem}", where=where) from exc
    except TypeError as exc:  # what PyYAML raises for a list or mapping as a key
        raise ConfigError("not valid YAML here: a key must be text or a number", where=name) from exc
    except RecursionError as exc:
        raise ConfigError("not valid YAML here: nested too deeply, or in itself", where=name) from exc
    except (yaml.YAMLError, ValueError) as exc:
        raise ConfigError(f"not valid YAML: {str(exc).splitlines()[0]}", where=name) from exc


def _is_tab(text: str, mark: yaml.Mark) -> bool:
    lines = text.split("\n")
    return mark.line < len(lines) and lines[mark.line][mark.column :].startswith("\t")


def composed(text: str) -> yaml.Node | None:
    """The document, in which `position` looks; None where there is none."""
    return yaml.compose(text, _SafeLoader)


def position(document: yaml.Node | None, path: Sequence[str | int], *, of_key: bool) -> tuple[int, int]:
    """Line and column, from 1, of what `path` leads to in the document, or of its nearest ancestor that exists.

    Steps the document does not have (a validator's own labels, the index 0 of a list written as one item) are skipped.

    Args:
        path: keys and indexes from the root.
        of_key: point at the last key itself instead of its value.
    """
    if document is None:
        return 1, 1
    node = document
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
